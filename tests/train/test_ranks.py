"""Two ranks over gloo: the same layers, the same weights, and those of one rank with the whole batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny_model import make_tiny_model


def _run(folder: Path, world: int, loop: str, seeds: tuple[int, ...] = (3, 3)) -> list[dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    ranks = []
    for rank in range(world):
        command = [sys.executable, "-m", "tests.train.ranks", str(rank), str(world), str(folder), loop]
        with (folder / f"{rank}.log").open("wb") as log:
            ranks.append(subprocess.Popen([*command, str(seeds[rank])], stdout=log, stderr=log))
    try:
        codes = [process.wait(timeout=120) for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert codes == [0] * world, "\n".join((folder / f"{rank}.log").read_text() for rank in range(world))
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world)]


@pytest.mark.parametrize("scores", ["probes", "gradients"])
def test_two_ranks_of_a_loop_are_one_run(scores: str, tmp_path: Path) -> None:
    first, second = _run(tmp_path / "two", 2, scores)
    (alone,) = _run(tmp_path / "one", 1, scores)
    assert first["selections"] == second["selections"] == alone["selections"]
    assert first["scores"] == second["scores"]
    assert first["scores"] == pytest.approx(alone["scores"], abs=1e-4)
    assert any(score != 0.0 for score in first["scores"])
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name])
        torch.testing.assert_close(value, alone["weights"][name], atol=1e-4, rtol=1e-3)


def test_two_ranks_of_a_trainer_agree(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "model")
    first, second = _run(tmp_path, 2, "trainer")
    assert (first["scores"], first["active"]) == (second["scores"], second["active"])
    assert any(score != 0.0 for score in first["scores"])
    assert all(torch.equal(value, second["weights"][name]) for name, value in first["weights"].items())


def test_different_seeds_are_refused(tmp_path: Path) -> None:
    results = _run(tmp_path, 2, "probes", seeds=(3, 4))
    assert all("the ranks have different seeds (3 and 4)" in result["error"] for result in results)
