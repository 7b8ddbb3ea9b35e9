"""`python -m api.admin`: projects, keys and quotas by hand, in the database of ISTHMUS_DATABASE_URL."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeAlias

from pydantic import ValidationError
from sqlalchemy.orm import Session

from api.wire.organization import KeyRequest, ProjectRequest, QuotaRequest
from store.database import DATABASE_AWAY, Database
from store.keys import SCOPES, create_key, find_key, first_admin_key, list_keys, revoke_key
from store.projects import DEFAULT_PROJECT, archive_project, create_project, get_project, list_projects
from store.quotas import limits_of, quota_of, set_limits
from store.tables import ApiKey, Project
from store.tenant import Tenant

ALL = 10_000
"""Rows shown by a list, which has no pages."""

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001  # it has no other name
Command = Callable[[Session, argparse.Namespace], None]


class Mistake(RuntimeError):
    """What the caller asked for cannot be; the message says why."""


def main() -> int:
    """Do one command in one transaction; returns the exit code."""
    options = _parser().parse_args()
    url = os.environ.get("ISTHMUS_DATABASE_URL")
    if not url:
        return _fail("set ISTHMUS_DATABASE_URL to the database's URL: postgresql://user:password@host/name")
    database = Database(url, pool_size=1)
    command: Command = options.command
    try:
        with database.session() as session:
            command(session, options)
    except Mistake as mistake:
        return _fail(str(mistake))
    except ValidationError as error:
        return _fail("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()))
    except DATABASE_AWAY as error:
        return _fail(f"the database does not answer: {str(error).splitlines()[0]}")
    finally:
        database.close()
    return 0


def add_first_key(session: Session, options: argparse.Namespace) -> None:
    """Make the first admin key, if there is none."""
    del options
    made = first_admin_key(session, project_id=DEFAULT_PROJECT)
    if made is None:
        _note("there is an admin key already; `keys create --scopes admin` makes another")
    else:
        _show_new(*made)


def add_project(session: Session, options: argparse.Namespace) -> None:
    """Make a project and print its id."""
    body = ProjectRequest(name=options.name)
    print(create_project(session, name=body.name).id)


def show_projects(session: Session, options: argparse.Namespace) -> None:
    """Print every project."""
    del options
    rows = list_projects(session, limit=ALL, include_archived=True).rows
    _table(("id", "name", "created", "archived"), ((p.id, p.name, p.created_at, p.archived_at) for p in rows))


def close_project(session: Session, options: argparse.Namespace) -> None:
    """Refuse a project's keys from now on."""
    project = _project(session, options.project)
    if project.id == DEFAULT_PROJECT:
        raise Mistake(f"project {DEFAULT_PROJECT} holds the bootstrap key and cannot be archived")
    archive_project(session, project)


def add_key(session: Session, options: argparse.Namespace) -> None:
    """Make a key and print it: the key on stdout, all about it on stderr."""
    project = _project(session, options.project)
    if project.archived_at is not None:
        raise Mistake(f"project {project.id} is archived, so its keys open nothing")
    seconds = None if options.expires_days is None else options.expires_days * 24 * 3600
    body = KeyRequest.model_validate(
        {"name": options.name, "scopes": options.scopes.split(","), "expires_in_seconds": seconds}
    )
    key, value = create_key(
        session, project_id=project.id, name=body.name, scopes=frozenset(body.scopes), lifetime=body.lifetime
    )
    _show_new(key, value)


def show_keys(session: Session, options: argparse.Namespace) -> None:
    """Print a project's keys, revoked ones too."""
    rows = list_keys(session, _project(session, options.project).id, limit=ALL, include_revoked=True).rows
    _table(
        ("id", "key", "name", "scopes", "created", "last used", "expires", "revoked"),
        (
            (
                key.id,
                f"{key.prefix}...",
                key.name,
                ",".join(key.scopes),
                key.created_at,
                key.last_used_at,
                key.expires_at,
                key.revoked_at,
            )
            for key in rows
        ),
    )


def end_key(session: Session, options: argparse.Namespace) -> None:
    """Make a key worthless."""
    key = find_key(session, options.key)
    if key is None:
        raise Mistake(f"no such key: {options.key} (it is the id that `keys list` shows, not the key)")
    revoke_key(session, key)


def show_quota(session: Session, options: argparse.Namespace) -> None:
    """Print a project's limits and its use of them."""
    project = _project(session, options.project)
    limits, usage = quota_of(Tenant(session, project.id))
    _table(
        ("limit", "use", "at most"),
        (
            ("jobs queued and running", usage.jobs, limits.max_jobs),
            ("bytes stored", usage.bytes, limits.max_bytes),
            ("minutes trained this month", f"{usage.minutes:.1f}", limits.max_minutes),
            ("requests per minute and key", "", limits.max_requests_per_minute),
        ),
    )


def set_quota(session: Session, options: argparse.Namespace) -> None:
    """Set the limits that are given, and print all."""
    project = _project(session, options.project)
    given = {name: value for name, value in vars(options).items() if name in QuotaRequest.model_fields}
    numbers = {name: None if value == "none" else value for name, value in given.items()}
    body = QuotaRequest.model_validate(numbers, strict=False)  # a command line has texts only
    set_limits(session, project, body.applied_to(limits_of(project)))
    show_quota(session, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m api.admin", description=__doc__)
    nouns = parser.add_subparsers(required=True, metavar="NOUN")
    _command(nouns, "init", add_first_key)

    projects = _noun(nouns, "projects", "who owns what")
    _command(projects, "create", add_project).add_argument("name")
    _command(projects, "list", show_projects)
    _command(projects, "archive", close_project).add_argument("project")

    keys = _noun(nouns, "keys", "who may do what")
    create = _command(keys, "create", add_key)
    create.add_argument("--project", default=DEFAULT_PROJECT)
    create.add_argument("--name", required=True, help="what the key is for")
    create.add_argument("--scopes", default="read,write", help=f"some of {','.join(SCOPES)}")
    create.add_argument("--expires-days", type=int, help="default: it does not expire")
    _command(keys, "list", show_keys).add_argument("--project", default=DEFAULT_PROJECT)
    _command(keys, "revoke", end_key).add_argument("key", help="its id")

    quota = _noun(nouns, "quota", "how much a project may have")
    _command(quota, "show", show_quota).add_argument("project")
    limits = _command(quota, "set", set_quota)
    limits.add_argument("project")
    for name, field in QuotaRequest.model_fields.items():
        flag = "--" + name.removeprefix("max_").replace("_", "-")
        text = f"{field.description} `none`: no limit"
        limits.add_argument(flag, dest=name, default=argparse.SUPPRESS, metavar="N", help=text)
    return parser


def _noun(nouns: Subparsers, name: str, text: str) -> Subparsers:
    return nouns.add_parser(name, help=text).add_subparsers(required=True, metavar="VERB")


def _command(verbs: Subparsers, name: str, command: Command) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=command.__doc__, description=command.__doc__)
    parser.set_defaults(command=command)
    return parser


def _project(session: Session, project_id: str) -> Project:
    project = get_project(session, project_id)
    if project is None:
        raise Mistake(f"no such project: {project_id}; `projects list` shows all")
    return project


def _show_new(key: ApiKey, value: str) -> None:
    expiry = "does not expire" if key.expires_at is None else f"expires {_text(key.expires_at)}"
    _note(f"{key.id}, project {key.project_id}, scopes {','.join(key.scopes)}, {expiry}. Shown this once:")
    print(value)


def _table(names: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    texts = [names, *(tuple(map(_text, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        print("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


def _text(value: object) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case _:
            return str(value)


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _fail(text: str) -> int:
    _note(f"error: {text}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
