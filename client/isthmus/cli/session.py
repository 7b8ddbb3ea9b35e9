"""What every command shares: `--base-url`, `--api-key` and `--json`, and a client made of them."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Concatenate, ParamSpec

import httpx2
import typer

from isthmus import Isthmus
from isthmus.cli.exits import CLOSED_PIPE, NoKey, UsageFault
from isthmus.cli.terminal import Terminal
from isthmus.errors import IsthmusError

P = ParamSpec("P")

BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url", metavar="URL", envvar="ISTHMUS_BASE_URL", show_envvar=True, help="Where the service is."
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="KEY",
        envvar="ISTHMUS_API_KEY",
        show_envvar=True,
        help="The key to call it with.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout, and nothing else.")]


@dataclass
class Session:
    """One command's run: its terminal and, once it is asked for, its client."""

    base_url: str | None
    api_key: str | None
    terminal: Terminal
    http: httpx2.Client = field(repr=False)
    """What the client sends with."""

    @cached_property
    def client(self) -> Isthmus:
        """The service's client. Raises NoKey, UsageFault."""
        if not self.api_key:
            raise NoKey("no API key: give --api-key KEY, or set ISTHMUS_API_KEY")
        try:
            return Isthmus(base_url=self.base_url, api_key=self.api_key, http_client=self.http)
        except (IsthmusError, ValueError) as error:  # ValueError: of an address such as http://[
            raise UsageFault(str(error)) from error


def command(
    group: typer.Typer, name: str
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Register a function as a command that takes the shared options, too, as its `Session`."""

    def register(
        function: Callable[Concatenate[Session, P], None],
    ) -> Callable[Concatenate[Session, P], None]:
        group.command(name, help=inspect.getdoc(function))(_with_session(function))
        return function

    return register


def _with_session(function: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    def run(
        ctx: typer.Context,
        base_url: str | None,
        api_key: str | None,
        as_json: bool,
        *args: P.args,
        **options: P.kwargs,
    ) -> None:
        own: httpx2.Client | None = ctx.find_root().obj
        with nullcontext(own) if own is not None else httpx2.Client() as http:
            session = Session(base_url, api_key, Terminal(as_json), http)
            try:
                function(session, *args, **options)
                sys.stdout.flush()
            except BrokenPipeError:
                _drop_output()
                raise typer.Exit(CLOSED_PIPE) from None

    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    parameters = [_keyword("ctx", typer.Context, inspect.Parameter.empty)]
    parameters += [own_parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for own_parameter in own]
    parameters += [
        _keyword("base_url", BaseUrl, None),
        _keyword("api_key", ApiKey, None),
        _keyword("as_json", AsJson, False),
    ]
    # typer reads a command's options from here.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _drop_output() -> None:
    """Point stdout at nothing, so that Python's own flush at the end has nothing to complain of."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)


def _keyword(name: str, annotation: object, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
