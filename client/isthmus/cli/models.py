"""`isthmus models`: base models and those that jobs made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.arguments import Folder, ModelName
from isthmus.cli.session import Session, command
from isthmus.cli.view.figures import time_text
from isthmus.cli.view.tables import table

app = typer.Typer(no_args_is_help=True, help="Models: list, download, export, push, delete.")


@command(app, "list")
def list_models(
    session: Session,
    tuned: Annotated[bool, typer.Option("--tuned", help="Those that jobs made alone.")] = False,
) -> None:
    """List models: tuned ones, newest first, then the base models."""
    models = [model for model in session.client.models.list() if model.job_id is not None or not tuned]
    rows = ((model.id, model.base_model, model.job_id, time_text(model.created or None)) for model in models)
    session.terminal.show(models, table(("ID", "BASE", "JOB", "CREATED"), rows))


@command(app, "download")
def download(session: Session, model: ModelName, output: Folder = None) -> None:
    """Download what a job made: the adapter, the tokenizer, the report. Each file is checked by its hash."""
    folder = output or Path(model.replace("/", "_").replace(":", "_"))
    paths = session.client.models.download(model, folder)
    made = {"model": model, "folder": str(folder), "files": [str(path) for path in paths]}
    session.terminal.show(made, "\n".join(str(path) for path in paths))


@command(app, "delete")
def delete(session: Session, model: ModelName) -> None:
    """Delete a tuned model with its files and exports; its job stays."""
    gone = session.client.models.delete(model)
    session.terminal.show(gone, f"deleted {gone.id}")
