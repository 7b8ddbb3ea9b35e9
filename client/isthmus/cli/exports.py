"""`isthmus models export`, `exports`, `push`: models in the formats of other software, here or on a Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias, get_args

import typer

from isthmus import Export, WaitTimedOut
from isthmus.cli.arguments import Limit, ModelName, first, page_size
from isthmus.cli.exits import FAILED, OK, UsageFault
from isthmus.cli.session import Session, command
from isthmus.cli.view.figures import size_text, time_text
from isthmus.cli.view.tables import table
from isthmus.types.exports import HubParams, ModelFormat

FORMATS: tuple[ModelFormat, ...] = get_args(ModelFormat)
POLL_SECONDS = 0.5
TOLD_SECONDS = 1.5
"""So often the line is written anew."""

app = typer.Typer(help="Exports of models.")

ExportId: TypeAlias = Annotated[str, typer.Argument(metavar="EXPORT", help="The export's id.")]
Format: TypeAlias = Annotated[
    str, typer.Option("--format", "-f", metavar="FORMAT", help=f"One of: {', '.join(FORMATS)}.")
]
Waiting: TypeAlias = Annotated[bool, typer.Option("--wait", "-w", help="Wait for its end.")]


@command(app, "export")
def export_model(
    session: Session,
    model: ModelName,
    format_: Format = "merged",
    wait: Waiting = False,
    download: Annotated[
        Path | None,
        typer.Option("--download", "-o", metavar="FOLDER", help="Wait, and save its files there."),
    ] = None,
) -> None:
    """Export a tuned model, or a checkpoint by its model's name: merged safetensors, or one GGUF file.

    What is there in this format is not made again. With --wait or --download, exit code 1 unless it succeeds.
    """
    export = session.client.models.exports.create(model, format=_known(format_))
    if not wait and download is None:
        session.terminal.show(export, f"{export.id} {export.status}")
        return
    _to_end(session, export)
    saved = export.download(download) if download is not None and export.status == "succeeded" else []
    if session.terminal.json:
        session.terminal.document(export)
    elif saved:
        session.terminal.show([], "\n".join(str(path) for path in saved))
    else:
        session.terminal.show([], _ending(export))
    raise typer.Exit(OK if export.status == "succeeded" else FAILED)


@command(app, "exports")
def list_exports(session: Session, model: ModelName, limit: Limit = 20) -> None:
    """List a model's exports, newest first."""
    exports = list(first(session.client.models.exports.list(model, limit=page_size(limit)), limit))
    rows = (
        (
            export.id,
            export.format,
            export.status,
            size_text(export.bytes) if export.bytes else None,
            time_text(export.created_at),
            _place(export),
        )
        for export in exports
    )
    headings = ("ID", "FORMAT", "STATUS", "SIZE", "CREATED", "WHERE")
    session.terminal.show(exports, table(headings, rows, right=("SIZE",)))


@command(app, "push")
def push(
    session: Session,
    model: ModelName,
    repository: Annotated[str, typer.Argument(metavar="REPO", help="Of the Hub: namespace/name.")],
    format_: Format = "adapter",
    public: Annotated[
        bool, typer.Option("--public", help="If the repository is made now: for all to see.")
    ] = False,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            metavar="TOKEN",
            envvar="HF_TOKEN",
            show_envvar=True,
            help="The Hub's token, which the service uses once; else its worker's own.",
        ),
    ] = None,
    wait: Waiting = False,
) -> None:
    """Push a model to a repository of a Hub, which is made if it is not there."""
    destination: HubParams = {"type": "hub", "repo_id": repository, "private": not public}
    if token:
        destination["token"] = token
    export = session.client.models.exports.create(model, format=_known(format_), destination=destination)
    if not wait:
        session.terminal.show(export, f"{export.id} {export.status}")
        return
    _to_end(session, export)
    session.terminal.show(export, _ending(export))
    raise typer.Exit(OK if export.status == "succeeded" else FAILED)


@command(app, "cancel-export")
def cancel(session: Session, model: ModelName, export_id: ExportId) -> None:
    """Cancel an export: at once while queued, else within seconds."""
    export = session.client.models.exports.cancel(model, export_id)
    session.terminal.show(export, f"{export.id} {export.status}")


@command(app, "delete-export")
def delete(session: Session, model: ModelName, export_id: ExportId) -> None:
    """Delete an export and its files; what was pushed to a Hub stays there."""
    gone = session.client.models.exports.delete(model, export_id)
    session.terminal.show(gone, f"deleted {gone.id}")


def _known(name: str) -> ModelFormat:
    found = next((known for known in FORMATS if known == name), None)
    if found is None:
        raise UsageFault(f"--format: {name!r} is none of {', '.join(FORMATS)}")
    return found


def _to_end(session: Session, export: Export) -> None:
    """Wait for an export's end; a terminal shows beside it what is being done."""
    with session.terminal.err.status(f"{export.id} {export.status}") as line:
        while not export.ended:
            try:
                export.wait(timeout=TOLD_SECONDS, poll_interval=POLL_SECONDS)
            except WaitTimedOut:
                export.refresh()
                line.update(f"{export.id} {export.progress or export.status}")


def _ending(export: Export) -> str:
    if export.error is not None:
        return f"{export.id} {export.status}: {export.error.message} ({export.error.code})"
    where = _place(export)
    return f"{export.id} {export.status}" + (f": {where}" if where else "")


def _place(export: Export) -> str | None:
    if export.error is not None:
        return export.error.code
    if export.destination is None:
        return None
    return export.destination.url or export.destination.repo_id
