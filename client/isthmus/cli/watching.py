"""A job followed to its end: as a live picture, as lines, or as JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import httpx2
from rich.live import Live

from isthmus import EvaluationUpdate, Job, JobUpdate, LogLine, StepUpdate
from isthmus.cli.connection import Connection
from isthmus.cli.exits import FAILED, INTERRUPTED, OK
from isthmus.cli.session import Session
from isthmus.cli.terminal import Terminal
from isthmus.cli.view.evaluation import evaluation_fields
from isthmus.cli.view.figures import clock_text, duration_text
from isthmus.cli.view.panel import JobPanel
from isthmus.cli.view.progress import JobProgress
from isthmus.cli.view.sparkline import sparkline
from isthmus.types.stream import Update

DRAWS_PER_SECOND = 8
LINES_PER_JOB = 50
"""About so many of a job's steps get a line where there is no terminal."""
SUMMARY_WIDTH = 40
REPLAYED = 200
"""So much of a long job's past is shown as it was; the rest comes as a few points."""
HISTORY_POINTS = 500
LEVELS = {"warn": "yellow", "error": "red"}


class Watcher(Protocol):
    """What is done with each thing that a stream tells."""

    def update(self, update: Update[Job]) -> None:
        """Something new."""

    def lost(self) -> None:
        """The connection broke; another is being made."""

    def back(self, seconds: float) -> None:
        """It goes on, after so long."""


def watch(session: Session, job: Job) -> int:
    """Follow a job to its end; returns the exit code: that of the job's end, or of Ctrl-C.

    Raises APIError, ConnectionFailed once the service has been away for five minutes.
    """
    try:
        follow(session.terminal, session.http, job)
    except KeyboardInterrupt:
        session.terminal.notice(f"detached; the job goes on: isthmus jobs watch {job.id}")
        return INTERRUPTED
    return OK if job.status == "succeeded" else FAILED


def follow(terminal: Terminal, http: httpx2.Client, job: Job) -> None:
    """Show what happens to a job until its end, and that in a few lines; `http` is its client's.

    Raises as `watch`, and KeyboardInterrupt.
    """
    progress, after = JobProgress(job), 0
    if job.last_seq > REPLAYED and not terminal.json:
        progress.take_history(job.metrics(points=HISTORY_POINTS))
        after = job.last_seq - REPLAYED
    with _watcher(terminal, progress) as watcher:
        Connection(watcher.lost, watcher.back).listen(http)
        for update in job.stream(after=after):
            watcher.update(update)
    if job.ended and not terminal.json:
        _summarize(terminal, progress)


@contextmanager
def _watcher(terminal: Terminal, progress: JobProgress) -> Iterator[Watcher]:
    if terminal.json:
        yield JsonWatcher(terminal)
    elif terminal.live:
        live = LiveWatcher(terminal, progress)
        with live.picture:
            yield live
    else:
        yield LineWatcher(terminal, progress)


class JsonWatcher:
    """One line of JSON for each thing that is told; the connection's troubles go to stderr."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def update(self, update: Update[Job]) -> None:
        """As it came."""
        self._terminal.line(update)

    def lost(self) -> None:
        """Said when it is over."""

    def back(self, seconds: float) -> None:
        """On stderr."""
        self._terminal.notice(f"connection lost, reconnected after {seconds:.1f} s; nothing was missed")


class LineWatcher:
    """A line for a change of state, a line of the log, and every so many steps."""

    def __init__(self, terminal: Terminal, progress: JobProgress) -> None:
        self._terminal = terminal
        self._progress = progress
        self._state = ""

    def update(self, update: Update[Job]) -> None:
        """Say it, if it is time to."""
        progress = self._progress
        match update:
            case JobUpdate(data=job):
                progress.job = job
                if job.state != self._state:
                    self._state = job.state
                    self._say(f"{job.state}  {progress.waiting_text()}".rstrip())
            case LogLine(data=event):
                self._say(f"{clock_text(event.created_at)}  {event.message}", LEVELS.get(event.level, ""))
            case EvaluationUpdate(data=evaluation):
                progress.evaluation = evaluation
            case StepUpdate(data=step):
                progress.take_step(step)
                every = max(1, (progress.total or 0) // LINES_PER_JOB)
                if step.step % every == 0 or step.step in (1, progress.total):
                    self._say(f"{clock_text(step.time)}  {progress.line()}")

    def lost(self) -> None:
        """Said when it is over."""

    def back(self, seconds: float) -> None:
        """In a line of its own."""
        self._say(_back_text(self._progress, seconds), "yellow")

    def _say(self, text: str, style: str = "") -> None:
        self._terminal.out.print(text, style=style or None, soft_wrap=True)
        self._terminal.out.file.flush()


class LiveWatcher:
    """A picture that is drawn several times a second, the log's lines above it."""

    def __init__(self, terminal: Terminal, progress: JobProgress) -> None:
        self._terminal = terminal
        self._progress = progress
        self._connected = True
        self.picture = Live(
            get_renderable=lambda: JobPanel(progress, self._connected),
            console=terminal.out,
            refresh_per_second=DRAWS_PER_SECOND,
        )

    def update(self, update: Update[Job]) -> None:
        """Take it into the picture."""
        match update:
            case JobUpdate(data=job):
                self._progress.job = job
            case LogLine(data=event):
                text = f"{clock_text(event.created_at)}  {event.message}"
                self._terminal.out.print(text, style=LEVELS.get(event.level, "bright_black"))
            case EvaluationUpdate(data=evaluation):
                self._progress.evaluation = evaluation
            case StepUpdate(data=step):
                self._progress.take_step(step)

    def lost(self) -> None:
        """Shown in the picture."""
        self._connected = False

    def back(self, seconds: float) -> None:
        """In a line above the picture, which is as before."""
        self._connected = True
        self._terminal.out.print(_back_text(self._progress, seconds), style="yellow")


def _back_text(progress: JobProgress, seconds: float) -> str:
    where = f" at step {progress.done}" if progress.done else ""
    return f"connection lost{where}, reconnected after {seconds:.1f} s; nothing was missed"


def _summarize(terminal: Terminal, progress: JobProgress) -> None:
    """The job's end in a few lines: its loss, and what to do next."""
    job, out = progress.job, terminal.out
    if points := progress.losses.points():
        line = sparkline(points, SUMMARY_WIDTH, ascii_only=out.options.ascii_only)
        out.print(f"loss {points[0]:.4f} {line} {progress.loss_text}", soft_wrap=True)
    took = job.finished_at - job.started_at if job.finished_at and job.started_at else None
    time = f" in {duration_text(took)}" if took is not None else ""
    why = f": {job.error.message} ({job.error.code})" if job.error else ""
    out.print(f"{job.id} {job.state} at step {progress.steps_text}{time}{why}", soft_wrap=True)
    for name, told in evaluation_fields(job.evaluation).items():
        out.print(f"{name} {told}", soft_wrap=True)
    if job.fine_tuned_model:
        out.print(f"model {job.fine_tuned_model}", soft_wrap=True)
        out.print(f"  get it: isthmus models download {job.fine_tuned_model}", soft_wrap=True)
