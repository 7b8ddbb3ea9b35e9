"""Options and arguments that several commands take, with the completion of ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

import typer

from isthmus import Isthmus, IsthmusError

COMPLETED = 50
MOST_A_PAGE = 100
COMPLETION_SECONDS = 2.0

T = TypeVar("T")


def complete_job(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The newest jobs whose ids begin so; none when the service does not say."""
    try:
        with _completing(ctx) as client:
            jobs = client.jobs.list(limit=COMPLETED).first_page().data
    except IsthmusError:
        return []  # completion has no place to complain
    return [(job.id, f"{job.state} {job.model}") for job in jobs if job.id.startswith(incomplete)]


def complete_file(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The newest files whose ids begin so."""
    try:
        with _completing(ctx) as client:
            files = client.files.list(limit=COMPLETED).first_page().data
    except IsthmusError:
        return []
    return [(file.id, file.filename) for file in files if file.id.startswith(incomplete)]


def complete_model(ctx: typer.Context, incomplete: str) -> list[str]:
    """The models whose names begin so."""
    try:
        with _completing(ctx) as client:
            return [model.id for model in client.models.list() if model.id.startswith(incomplete)]
    except IsthmusError:
        return []


JobId: TypeAlias = Annotated[
    str, typer.Argument(metavar="JOB", help="The job's id.", autocompletion=complete_job)
]
FileId: TypeAlias = Annotated[
    str, typer.Argument(metavar="FILE", help="The file's id.", autocompletion=complete_file)
]
ModelName: TypeAlias = Annotated[
    str, typer.Argument(metavar="MODEL", help="The model's name.", autocompletion=complete_model)
]
Limit: TypeAlias = Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many; 0: all.")]
After: TypeAlias = Annotated[str | None, typer.Option(metavar="ID", help="Those after this one in the list.")]
Folder: TypeAlias = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Where to; made if need be.")
]


def page_size(limit: int) -> int:
    """How many to ask for at once, to show `limit` of them."""
    return min(limit or MOST_A_PAGE, MOST_A_PAGE)


def first(items: Iterable[T], limit: int) -> Iterator[T]:
    """The first `limit` items; 0: all."""
    return islice(items, limit or None)


def _completing(ctx: typer.Context) -> Isthmus:
    return Isthmus(
        base_url=ctx.params.get("base_url"),
        api_key=ctx.params.get("api_key"),
        timeout=COMPLETION_SECONDS,
        max_retries=0,
    )
