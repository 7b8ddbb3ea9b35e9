"""A data file on its way up: checked here first, with a bar for a large one."""

from __future__ import annotations

from pathlib import Path

import typer

from isthmus.cli.checking import check_file
from isthmus.cli.exits import FAILED, UsageFault
from isthmus.cli.metered import metered
from isthmus.cli.session import Session
from isthmus.types.files import File

FAULTS_SHOWN = 20


def send_file(
    session: Session,
    path: Path,
    *,
    name: str | None = None,
    expires_in: int | None = None,
    check_first: bool = True,
) -> File:
    """Check and upload a file. A file with faults is shown and not sent: raises Exit."""
    terminal = session.terminal
    if check_first:
        checked = check_file(path, terminal, limit=FAULTS_SHOWN)
        if not checked.ok:
            if terminal.json:
                terminal.document(checked.document())
            else:
                checked.show(terminal)
            raise typer.Exit(FAILED)
    if not path.is_file():
        raise UsageFault(f"{path} is no file; give the path of a data file")
    with metered(path, f"uploading {path.name}", terminal) as stream:
        return session.client.files.create(file=stream, name=name or path.name, expires_in_seconds=expires_in)
