"""`isthmus jobs metrics`, `importance` and `export`: a job's numbers by step."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.arguments import JobId
from isthmus.cli.exits import UsageFault
from isthmus.cli.session import Session, command
from isthmus.types.params import SeriesParams

app = typer.Typer()


class FormatName(StrEnum):
    """What a file of all steps can be."""

    csv = "csv"
    jsonl = "jsonl"
    arrow = "arrow"
    parquet = "parquet"


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


@command(app, "export")
def export(
    session: Session,
    job_id: JobId,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="Where to; else JOB.csv, here.")
    ] = None,
    file_format: Annotated[
        FormatName | None, typer.Option("--format", help="Else by the ending of PATH.")
    ] = None,
) -> None:
    """Save every step of a job in one file.

    It holds the time and the metrics, and for each layer its score, whether it was updated, and its chance.
    """
    target = output or Path(f"{job_id}.{file_format or FormatName.csv}")
    kind = file_format or _format_of(target)
    saved = session.client.jobs.retrieve(job_id).export(target, file_format=kind.value)
    session.terminal.show({"id": job_id, "path": str(saved)}, str(saved))


def _format_of(path: Path) -> FormatName:
    try:
        return FormatName(path.suffix.removeprefix("."))
    except ValueError:
        known = ", ".join(FormatName)
        raise UsageFault(f"{path}: its ending names no format; give --format, one of {known}") from None


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
