"""The picture of a job: wide, narrow, without colours, without Unicode."""

from __future__ import annotations

import io
import re

import pytest
from isthmus.cli.view.importance import ImportanceBars, importance_text
from isthmus.cli.view.panel import JobPanel
from isthmus.cli.view.progress import JobProgress
from isthmus.types.jobs import JobFields
from isthmus.types.stream import Step
from rich.console import Console

from tests.unit.client.cli.commands import JOB

LAYERS = 30


def job(**changes: object) -> JobFields:
    return JobFields.model_validate({**JOB, **changes})


def step(number: int, *, layers: int = LAYERS) -> Step:
    return Step(
        step=number,
        time=1_700_000_000.0 + number,
        metrics={"loss": 3.0 / number, "tokens_per_second": 1234.0, "memory_bytes": 2e9, "step_seconds": 2.0},
        importance=[layer / layers for layer in range(layers)],
        active=[0, layers - 1],
    )


def drawn(width: int, *, encoding: str = "utf-8", colours: bool = False, connected: bool = True) -> str:
    progress = JobProgress(job(total_steps=100))
    for number in range(1, 41):
        progress.take_step(step(number))
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    console = Console(
        file=stream, width=width, force_terminal=True, no_color=not colours, color_system="truecolor"
    )
    console.print(JobPanel(progress, connected))
    stream.flush()
    return raw.getvalue().decode(encoding)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_shows_progress_time_left_speed_loss_and_importance() -> None:
    text = plain(drawn(100))
    for expected in ("ftjob-1", "running", "40/100", "40%", "ETA 2:00", "1,234 tokens/s", "2.0 GB", "0.0750"):
        assert expected in text
    assert "█" in text
    assert text.count("▲") == 3  # the legend, and two layers


@pytest.mark.parametrize("width", [12, 20, 39, 59, 60, 80, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_fits_into_any_terminal(width: int, encoding: str) -> None:
    lines = plain(drawn(width, encoding=encoding)).splitlines()
    assert max(map(len, lines)) <= width
    assert any("40/100" in line for line in lines)


def test_without_colours_there_are_none_and_the_marks_still_tell() -> None:
    text = drawn(80)
    assert not re.search(r"\x1b\[[0-9;]*(3[0-7]|9[0-7]|38)[;m]", text)
    assert "▲" in text
    assert re.search(r"\x1b\[[0-9;]*(3[0-7]|9[0-7]|38)[;m]", drawn(80, colours=True))


def test_says_when_it_is_not_connected() -> None:
    assert "reconnecting" in plain(drawn(80, connected=False))
    assert "reconnecting" not in plain(drawn(80))


@pytest.mark.parametrize("width", [8, 10, 33, 64])
def test_every_layer_has_a_bar_and_every_updated_one_its_mark(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True)
    with console.capture() as capture:
        console.print(ImportanceBars([0.5] * LAYERS, [0, 7, 29]))
    text = plain(capture.get())
    assert text.count("▁") == LAYERS
    assert text.count("▲") == 3


def test_the_most_important_layer_is_highest_whatever_the_sign_of_the_scores() -> None:
    console = Console(file=io.StringIO(), width=10, no_color=True)
    with console.capture() as capture:
        console.print(ImportanceBars([-3.0, -1.0, -2.0], [1]))
    top, middle, bottom, marks, labels = capture.get().splitlines()[:5]
    assert top.rstrip() == "  █"
    assert middle[4] != " "
    assert bottom.split() == ["▁", "█", "█"]
    assert marks.rstrip() == "  ▲"
    assert labels.startswith("0")


def test_importance_in_words() -> None:
    assert importance_text([0.0, 0.1, -0.2, 0.9], [3]) == "3* (+0.90)  1 (+0.10)  0 (+0.00)  2 (-0.20)"
    assert importance_text([0.0, 0.0], [0]) == "not scored yet"


def test_a_queued_job_says_its_place() -> None:
    progress = JobProgress(job(state="queued", status="queued", total_steps=None, queue_position=2, step=0))
    console = Console(file=io.StringIO(), width=70, force_terminal=True, no_color=True)
    with console.capture() as capture:
        console.print(JobPanel(progress))
    assert "place 2 in the queue" in capture.get()
    assert "step 0/?" in capture.get()
