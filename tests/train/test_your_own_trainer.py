"""The example script runs as it says, on a tiny model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_example_trains_and_shows_every_layer(tiny_folder: Path, tmp_path: Path) -> None:
    script = ROOT / "examples" / "your_own_trainer.py"
    done = subprocess.run(
        [sys.executable, str(script), "--steps", "3", "--model", str(tiny_folder)],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    layers = [line for line in done.stdout.splitlines() if line.startswith("layer ")]
    assert len(layers) == 4
    assert "train_loss" in done.stdout
    lines = script.read_text(encoding="utf-8").splitlines()
    assert sum(line.lstrip().startswith(("ist = IST(", "ist.attach(")) for line in lines) == 2
