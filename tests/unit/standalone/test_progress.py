"""What the terminal shows of a job."""

import io
from typing import Any

import pytest
from rich.console import Console

from standalone.progress import JobProgress


def record(step: int, active: list[int], importance: list[float]) -> dict[str, Any]:
    metrics = {"loss": 1.5, "tokens_per_second": 1234.0, "memory_bytes": 2.0**30, "step_seconds": 2.0}
    return {"step": step, "time": 0, "metrics": metrics, "importance": importance, "active": active}


@pytest.mark.parametrize("terminal", [True, False])
def test_shows_loss_speed_eta_updated_and_important_layers(terminal: bool) -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=100, highlight=False)
    with JobProgress(console) as progress:
        progress.job({"state": "running", "layers": 6, "total_steps": 100})
        progress.message({"level": "info", "message": "held out 32 rows [for probes]"})
        progress.step(record(10, [0, 1, 2, 5], [0.0, 0.1, -0.2, 0.0, 0.9, 0.0]))
    text = output.getvalue()
    for expected in ("10/100", "1.5000", "1,234", "3:00", "1,024 MiB", "layers 0-2, 5", "4 (+0.90)"):
        assert expected in text
    assert "held out 32 rows [for probes]" in text


def test_unscored_layers_are_not_ranked() -> None:
    output = io.StringIO()
    with JobProgress(Console(file=output, force_terminal=False, width=200)) as progress:
        progress.job({"state": "running", "layers": 2, "total_steps": 10})
        progress.step(record(10, [0], [0.0, 0.0]))
    assert "not scored yet" in output.getvalue()
