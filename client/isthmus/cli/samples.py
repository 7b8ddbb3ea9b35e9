"""`isthmus jobs samples`: what the base model and the tuned one answered to rows of the validation file."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from isthmus.cli.arguments import After, JobId, Limit, first, page_size
from isthmus.cli.session import Session, command
from isthmus.cli.view.samples import sample_table

app = typer.Typer()


class OnlyName(StrEnum):
    """Which samples."""

    wrong = "wrong"
    improved = "improved"
    worsened = "worsened"


@command(app, "samples")
def samples(
    session: Session,
    job_id: JobId,
    only: Annotated[
        OnlyName | None,
        typer.Option(
            help="wrong: tuned, it scores less than it could; improved, worsened: more, less than before."
        ),
    ] = None,
    score: Annotated[
        str | None, typer.Option(metavar="NAME", help="The score that --only looks at; else the mean of all.")
    ] = None,
    limit: Limit = 20,
    after: After = None,
) -> None:
    """Show what a job's models answered, before and after training.

    Each score is that of the base model's answer, then that of the tuned one's. Long texts are cut; with
    --json they are whole.
    """
    found = session.client.jobs.samples(
        job_id, only=only.value if only else None, score=score, after=after, limit=page_size(limit)
    )
    shown = list(first(found, limit))
    session.terminal.show(shown, sample_table(shown))
