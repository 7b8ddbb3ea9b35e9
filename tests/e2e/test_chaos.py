"""Random kills over real jobs, in short: `make chaos` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.chaos import run as chaos


def test_kills_cost_no_step_and_change_no_weight(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in chaos.SETTINGS.items():
        monkeypatch.setenv(name, value)  # and takes them back
    outcome = chaos.run(data_dir, kills=5, seed=3, steps=400, say=print)
    said = capsys.readouterr().out
    assert outcome.kills.total() == 5
    assert outcome.unharmed, f"{outcome.table()}\n{said}"
