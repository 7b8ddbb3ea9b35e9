"""`isthmus keys`: the API keys of a project, for keys with the scope admin."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from isthmus.cli.arguments import Limit, first, page_size
from isthmus.cli.session import Session, command
from isthmus.cli.view.figures import time_text
from isthmus.cli.view.tables import fields, table
from isthmus.types.organization import NewKey

DEFAULT_PROJECT = "default"

app = typer.Typer(no_args_is_help=True, help="API keys of a project (needs the scope admin).")

KeyId = Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")]
Project = Annotated[str, typer.Option("--project", metavar="ID", help="Whose keys.")]


class ScopeName(StrEnum):
    """What a key may do."""

    read = "read"
    write = "write"
    admin = "admin"


@command(app, "list")
def list_keys(
    session: Session,
    project: Project = DEFAULT_PROJECT,
    revoked: Annotated[bool, typer.Option("--revoked", help="Revoked ones, too.")] = False,
    limit: Limit = 20,
) -> None:
    """List a project's keys, newest first."""
    found = session.client.keys.list(project_id=project, limit=page_size(limit), include_revoked=revoked)
    keys = list(first(found, limit))
    rows = (
        (
            key.id,
            key.name,
            key.redacted_value,
            " ".join(key.scopes),
            time_text(key.created_at),
            time_text(key.last_used_at),
            "revoked" if key.revoked_at else time_text(key.expires_at),
        )
        for key in keys
    )
    headings = ("ID", "NAME", "KEY", "SCOPES", "CREATED", "LAST USED", "ENDS")
    session.terminal.show(keys, table(headings, rows))


@command(app, "create")
def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.")],
    project: Project = DEFAULT_PROJECT,
    scope: Annotated[
        list[ScopeName] | None, typer.Option(help="May be given several times; else read and write.")
    ] = None,
    expires_in: Annotated[
        int | None, typer.Option(metavar="SECONDS", min=1, help="It ends after so long.")
    ] = None,
) -> None:
    """Make a key. It is shown this once, alone on stdout; the rest goes to stderr."""
    key = session.client.keys.create(
        project_id=project,
        name=name,
        scopes=[one.value for one in scope or (ScopeName.read, ScopeName.write)],
        expires_in_seconds=expires_in,
    )
    _show_new(session, key)


@command(app, "rotate")
def rotate(
    session: Session,
    key_id: KeyId,
    project: Project = DEFAULT_PROJECT,
    grace: Annotated[
        int, typer.Option(metavar="SECONDS", min=0, help="So long the old one still works.")
    ] = 0,
) -> None:
    """Put a new key in the place of another, and show it this once."""
    _show_new(session, session.client.keys.rotate(key_id, project_id=project, grace_seconds=grace))


@command(app, "revoke")
def revoke(
    session: Session,
    key_id: KeyId,
    project: Project = DEFAULT_PROJECT,
) -> None:
    """Revoke a key: from now on it opens nothing."""
    gone = session.client.keys.revoke(key_id, project_id=project)
    session.terminal.show(gone, f"revoked {gone.id}")


def _show_new(session: Session, key: NewKey) -> None:
    """The key alone on stdout, for a script to keep; the rest on stderr."""
    if not session.terminal.json:
        told = {"id": key.id, "scopes": " ".join(key.scopes), "ends": time_text(key.expires_at)}
        session.terminal.err.print(fields(told))
    session.terminal.show(key, key.value)
