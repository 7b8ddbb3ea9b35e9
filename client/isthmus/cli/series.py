"""`isthmus jobs metrics` and `importance`: a job's numbers by step, as CSV or JSON."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from isthmus.cli.arguments import JobId
from isthmus.cli.session import Session, command
from isthmus.types.params import SeriesParams

app = typer.Typer()

AfterStep = Annotated[int, typer.Option(min=0, metavar="STEP", help="Steps after this one.")]
Points = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="So many rows or fewer, each of several steps: means and extremes."
    ),
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
    """Write a job's metrics by step as CSV or JSON.

    With --points a row stands for several steps: NAME is their mean, NAME_low and NAME_high the extremes.
    """
    job = session.client.jobs.retrieve(job_id)
    names = None if keys is None else [name.strip() for name in keys.split(",") if name.strip()]
    found = job.metrics(keys=names, **window(after_step, points))
    if session.terminal.json:
        session.terminal.document(found)
        return
    columns: dict[str, Sequence[object]] = {"step": found.steps, "time": found.time}
    for name, values in found.series.items():
        columns[name] = values
        if found.low is not None and found.high is not None:
            columns |= {f"{name}_low": found.low[name], f"{name}_high": found.high[name]}
    _write(session, list(columns), zip(*columns.values(), strict=True))


@command(app, "importance")
def importance(session: Session, job_id: JobId, after_step: AfterStep = 0, points: Points = None) -> None:
    """Write the layers' importance by step as CSV or JSON.

    Column layer_N is a layer's score, updated_N how often the layer was updated: 0 or 1, with --points more.
    """
    job = session.client.jobs.retrieve(job_id)
    found = job.importance(**window(after_step, points))
    if session.terminal.json:
        session.terminal.document(found)
        return
    layers = range(len(found.importance[0]) if found.importance else 0)
    updated = found.updated
    if updated is None:
        updated = [[int(layer in active) for layer in layers] for active in found.active or []]
    headings = ["step", *(f"layer_{layer}" for layer in layers), *(f"updated_{layer}" for layer in layers)]
    rows = zip(found.steps, found.importance, updated, strict=True)
    _write(session, headings, ((step, *scores, *counts) for step, scores, counts in rows))


def window(after_step: int, points: int | None) -> SeriesParams:
    """The steps that are asked for."""
    asked: SeriesParams = {}
    if after_step:
        asked["after_step"] = after_step
    if points is not None:
        asked["points"] = points
    return asked


def _write(session: Session, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    out = session.terminal.out.file
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows(rows)
    out.flush()
