"""The command `isthmus`: its groups of commands, and how each of them ends."""

from __future__ import annotations

import io
import sys
import textwrap
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import httpx2
import typer
from typer.core import TyperGroup

from isthmus.cli import (
    chat,
    checkpoints,
    create,
    exports,
    files,
    jobs,
    keys,
    logs,
    models,
    samples,
    series,
    workers,
)
from isthmus.cli.exits import FAILED, INTERRUPTED, USAGE, exit_code
from isthmus.cli.terminal import console
from isthmus.errors import ConnectionFailed, IsthmusError

MOST_CHARACTERS = 1000
"""Of an error: what some server sent instead of an answer may be long."""


class Root(TyperGroup):
    """Turns what goes wrong into one or two lines and an exit code, whoever started the command."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; ends with SystemExit."""
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except typer.TyperException as error:
            _explain(error.format_message())
            sys.exit(error.exit_code)
        except typer.Abort:
            sys.exit(INTERRUPTED)
        except httpx2.InvalidURL as error:
            _complain(f"--base-url: {error}", None)
            sys.exit(USAGE)
        except IsthmusError as error:
            _complain(str(error), _remedy(error))
            sys.exit(exit_code(error))
        except OSError as error:
            _complain(f"{error.filename or 'a file'}: {error.strerror or error}", None)
            sys.exit(FAILED)
        sys.exit(code or 0)


app = typer.Typer(
    name="isthmus",
    cls=Root,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Fine-tune models on your own machines: files up, jobs to their end, models down.",
    epilog="Exit codes: 0 done; 1 failed; 2 wrong usage or request; 3 not found; 4 no valid key; "
    "5 service unreachable; 6 not now (quota, rate); 130 Ctrl-C.",
)
app.add_typer(files.app, name="files")
for part in (create, logs, series, samples):
    jobs.app.add_typer(part.app)
app.add_typer(jobs.app, name="jobs")
app.add_typer(checkpoints.app, name="checkpoints")
models.app.add_typer(exports.app)
app.add_typer(models.app, name="models")
app.add_typer(chat.app)
app.add_typer(keys.app, name="keys")
app.add_typer(workers.app, name="workers")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"isthmus {version('isthmus')}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of `isthmus` itself."""


def run() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode is no reason to fail
    app(prog_name="isthmus")


def _complain(message: str, remedy: str | None) -> None:
    terminal = console(sys.stderr)
    line = " ".join(message.split())
    terminal.print(f"error: {textwrap.shorten(line, MOST_CHARACTERS)}", soft_wrap=True)
    if remedy:
        terminal.print(remedy, soft_wrap=True)


def _explain(message: str) -> None:
    if message.startswith("Usage:"):  # a group without its command shows its help
        print(message, file=sys.stderr)
    else:
        _complain(message, "--help tells what a command takes")


def _remedy(error: IsthmusError) -> str | None:
    if not isinstance(error, ConnectionFailed):
        return None
    return "is the service up, and --base-url (or ISTHMUS_BASE_URL) its address?"
