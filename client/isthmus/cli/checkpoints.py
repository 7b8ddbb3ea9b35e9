"""`isthmus checkpoints`: what a job has saved on its way."""

from __future__ import annotations

import typer

from isthmus.cli.arguments import JobId, Limit, first
from isthmus.cli.session import Session, command
from isthmus.cli.view.figures import number_text, size_text, time_text
from isthmus.cli.view.tables import table

app = typer.Typer(no_args_is_help=True, help="Checkpoints of a job: list.")


@command(app, "list")
def list_checkpoints(session: Session, job_id: JobId, limit: Limit = 20) -> None:
    """List a job's checkpoints, newest first."""
    checkpoints = list(first(session.client.checkpoints.list(job_id), limit))
    rows = (
        (
            checkpoint.id,
            checkpoint.step_number,
            number_text(checkpoint.metrics.train_loss),
            number_text(checkpoint.metrics.valid_loss),
            size_text(sum(file.bytes for file in checkpoint.files)),
            "yes" if checkpoint.resumable else "",
            time_text(checkpoint.created_at),
        )
        for checkpoint in checkpoints
    )
    headings = ("ID", "STEP", "LOSS", "VALID LOSS", "ADAPTER", "RESUMABLE", "CREATED")
    right = ("STEP", "LOSS", "VALID LOSS", "ADAPTER")
    session.terminal.show(checkpoints, table(headings, rows, right=right))
