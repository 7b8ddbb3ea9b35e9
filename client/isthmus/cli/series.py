"""`isthmus jobs metrics` and `importance`: a job's numbers by step, as CSV or JSON."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from isthmus import Job
from isthmus.cli.arguments import JobId
from isthmus.cli.session import Session, command
from isthmus.types.series import Importance, Metrics

app = typer.Typer()

AfterStep = Annotated[int, typer.Option(min=0, metavar="STEP", help="Steps after this one.")]
Points = Annotated[
    int | None, typer.Option(min=1, help="At most about so many rows, each the mean of several steps.")
]


@command(app, "metrics")
def metrics(
    session: Session,
    job_id: JobId,
    keys: Annotated[
        str | None, typer.Option(metavar="NAMES", help="With commas between: loss,learning_rate; else all.")
    ] = None,
    after_step: AfterStep = 0,
    points: Points = None,
) -> None:
    """Write a job's metrics by step as CSV or JSON."""
    job = session.client.jobs.retrieve(job_id)
    names = None if keys is None else [name.strip() for name in keys.split(",") if name.strip()]
    found = _all_metrics(job, names, after_step, points)
    if session.terminal.json:
        session.terminal.document(found)
        return
    columns = [found.steps, found.time, *found.series.values()]
    _write(session, ("step", "time", *found.series), zip(*columns, strict=True))


@command(app, "importance")
def importance(session: Session, job_id: JobId, after_step: AfterStep = 0) -> None:
    """Write the layers' importance by step as CSV or JSON.

    Column layer_N is a layer's score; `active` holds the layers updated in the step, with spaces between.
    """
    job = session.client.jobs.retrieve(job_id)
    found = _all_importance(job, after_step)
    if session.terminal.json:
        session.terminal.document(found)
        return
    layers = len(found.importance[0]) if found.importance else 0
    headings = ("step", *(f"layer_{layer}" for layer in range(layers)), "active")
    rows = (
        (step, *scores, " ".join(map(str, active)))
        for step, scores, active in zip(found.steps, found.importance, found.active, strict=True)
    )
    _write(session, headings, rows)


def _all_metrics(job: Job, keys: list[str] | None, after_step: int, points: int | None) -> Metrics:
    """Every step's, asked for in as many answers as it takes."""
    whole = job.metrics(keys=keys, after_step=after_step, points=points)
    page = whole
    while page.steps and points is None:
        page = job.metrics(keys=keys, after_step=page.steps[-1])
        before, more = len(whole.steps), len(page.steps)
        names = [*whole.series, *(name for name in page.series if name not in whole.series)]
        whole.series = {
            name: whole.series.get(name, [None] * before) + page.series.get(name, [None] * more)
            for name in names
        }
        whole.steps += page.steps
        whole.time += page.time
    return whole


def _all_importance(job: Job, after_step: int) -> Importance:
    whole = page = job.importance(after_step=after_step)
    while page.steps:
        page = job.importance(after_step=page.steps[-1])
        whole.steps += page.steps
        whole.importance += page.importance
        whole.active += page.active
        whole.probabilities += page.probabilities
    return whole


def _write(session: Session, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    out = session.terminal.out.file
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows(rows)
    out.flush()
