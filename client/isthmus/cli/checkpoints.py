"""`isthmus checkpoints`: what a job has saved on its way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.arguments import JobId, Limit, first, page_size
from isthmus.cli.session import Session, command
from isthmus.cli.view.figures import number_text, size_text, time_text
from isthmus.cli.view.tables import table
from isthmus.types.jobs import CheckpointMetrics

app = typer.Typer(no_args_is_help=True, help="Checkpoints of a job: list, download, delete.")

CheckpointId = Annotated[str, typer.Argument(metavar="CHECKPOINT", help="The checkpoint's id.")]


@command(app, "list")
def list_checkpoints(session: Session, job_id: JobId, limit: Limit = 20) -> None:
    """List a job's checkpoints, newest first."""
    checkpoints = list(first(session.client.checkpoints.list(job_id, limit=page_size(limit)), limit))
    rows = (
        (
            checkpoint.id,
            checkpoint.step_number,
            number_text(checkpoint.metrics.train_loss),
            number_text(_valid_loss(checkpoint.metrics)),
            size_text(sum(file.bytes for file in checkpoint.files)),
            "yes" if checkpoint.resumable else "",
            time_text(checkpoint.created_at),
        )
        for checkpoint in checkpoints
    )
    headings = ("ID", "STEP", "LOSS", "VALID LOSS", "ADAPTER", "RESUMABLE", "CREATED")
    right = ("STEP", "LOSS", "VALID LOSS", "ADAPTER")
    session.terminal.show(checkpoints, table(headings, rows, right=right))


@command(app, "download")
def download(
    session: Session,
    job_id: JobId,
    checkpoint_id: CheckpointId,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="Where to; else CHECKPOINT.tar, here."),
    ] = None,
) -> None:
    """Download a checkpoint's adapter as a tar, which PEFT loads."""
    target = output or Path(f"{Path(checkpoint_id).name}.tar")
    saved = session.client.checkpoints.archive(job_id, checkpoint_id, target)
    session.terminal.show({"id": checkpoint_id, "path": str(saved)}, str(saved))


@command(app, "delete")
def delete(session: Session, job_id: JobId, checkpoint_id: CheckpointId) -> None:
    """Delete a checkpoint of a job that has ended."""
    gone = session.client.checkpoints.delete(job_id, checkpoint_id)
    session.terminal.show(gone, f"deleted {gone.id}")


def _valid_loss(metrics: CheckpointMetrics) -> float | None:
    """Of as many rows as were looked at."""
    return metrics.valid_loss if metrics.full_valid_loss is None else metrics.full_valid_loss
