"""`isthmus files`: check data files here, send them up, look at them, take them down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from isthmus.cli.arguments import After, FileId, Limit, first, page_size
from isthmus.cli.checking import check_file
from isthmus.cli.exits import FAILED
from isthmus.cli.sending import send_file
from isthmus.cli.session import Session, command
from isthmus.cli.view.figures import size_text, time_text
from isthmus.cli.view.tables import fields, table
from isthmus.types.files import File

app = typer.Typer(no_args_is_help=True, help="Data files: check, upload, list, show, download, delete.")

DataPath = Annotated[Path, typer.Argument(metavar="PATH", help="A data file: JSON Lines, CSV or Parquet.")]


@command(app, "check")
def check(
    session: Session,
    path: DataPath,
    limit: Annotated[int, typer.Option(min=0, help="Show so many findings of a kind; 0: all.")] = 1000,
) -> None:
    """Check a data file here, with the service's own check; nothing is sent. Exit code 1 for faults."""
    checked = check_file(path, session.terminal, limit=limit)
    if session.terminal.json:
        session.terminal.document(checked.document())
    else:
        checked.show(session.terminal)
    if not checked.ok:
        raise typer.Exit(FAILED)


@command(app, "upload")
def upload(
    session: Session,
    path: DataPath,
    name: Annotated[str | None, typer.Option(help="What it is called there; else as here.")] = None,
    expires_in: Annotated[
        int | None, typer.Option(metavar="SECONDS", min=3600, help="Delete it after so long.")
    ] = None,
    check_first: Annotated[
        bool, typer.Option("--check/--no-check", help="Check it here before it is sent.")
    ] = True,
) -> None:
    """Check a data file and upload it."""
    file = send_file(session, path, name=name, expires_in=expires_in, check_first=check_first)
    session.terminal.show(file, file_fields(file))


@command(app, "list")
def list_files(
    session: Session,
    limit: Limit = 20,
    after: After = None,
    purpose: Annotated[str | None, typer.Option(help="fine-tune or fine-tune-results.")] = None,
) -> None:
    """List files, newest first."""
    files = list(
        first(session.client.files.list(after=after, limit=page_size(limit), purpose=purpose), limit)
    )
    headings = ("ID", "NAME", "SIZE", "ROWS", "FORMAT", "PURPOSE", "CREATED")
    rows = (
        (
            file.id,
            file.filename,
            size_text(file.bytes),
            file.rows,
            file.format,
            file.purpose,
            time_text(file.created_at),
        )
        for file in files
    )
    session.terminal.show(files, table(headings, rows, right=("SIZE", "ROWS")))


@command(app, "show")
def show(session: Session, file_id: FileId) -> None:
    """Show one file, and what its check found."""
    file = session.client.files.retrieve(file_id)
    session.terminal.show(file, file_fields(file))


@command(app, "delete")
def delete(session: Session, file_id: FileId) -> None:
    """Delete a file; refused while a job that has not ended reads it."""
    gone = session.client.files.delete(file_id)
    session.terminal.show(gone, f"deleted {gone.id}")


@command(app, "download")
def download(
    session: Session,
    file_id: FileId,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="Where to; else its name, here.")
    ] = None,
) -> None:
    """Download a file; it is checked by its hash, and goes on where it broke off."""
    client = session.client
    target = output or Path(Path(client.files.retrieve(file_id).filename).name)
    saved = client.files.download(file_id, target)
    session.terminal.show({"id": file_id, "path": str(saved)}, str(saved))


def file_fields(file: File) -> Table:
    """A file for people."""
    found = file.validation
    return fields(
        {
            "id": file.id,
            "name": file.filename,
            "size": size_text(file.bytes),
            "rows": file.rows,
            "format": file.format,
            "container": file.container,
            "purpose": file.purpose,
            "created": time_text(file.created_at),
            "expires": time_text(file.expires_at),
            "warnings": found.total_warnings if found and found.total_warnings else None,
            "duplicates": found.duplicates if found and found.duplicates else None,
            "sha256": file.sha256,
        }
    )
