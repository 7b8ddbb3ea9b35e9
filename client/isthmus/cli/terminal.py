"""Where output goes: people's to stdout, notices and faults to stderr, JSON alone where it is asked for."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any, TypeAlias

from pydantic import BaseModel
from rich.console import Console, RenderableType
from rich.text import Text

PIPE_WIDTH = 10_000
"""Nothing is cut or folded in a file or a pipe."""
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Json: TypeAlias = BaseModel | dict[str, Any] | Sequence[BaseModel]


class PlainConsole(Console):
    """A console for texts that others wrote, and for pipes."""

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich's, without what would control the terminal: a log line must not move its cursor."""
        return super().render_str(CONTROLS.sub("", text), **options)

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, as writing to the stream itself does; rich's would end the process."""
        raise BrokenPipeError


def console(stream: IO[str]) -> Console:
    """A console on a stream; NO_COLOR, TERM and COLUMNS count."""
    width = None if stream.isatty() else PIPE_WIDTH
    return PlainConsole(file=stream, width=width, highlight=False, emoji=False, markup=False)


@dataclass
class Terminal:
    """The two streams of a command."""

    json: bool = False
    """Whether stdout takes JSON and nothing else."""
    out: Console = field(default_factory=lambda: console(sys.stdout))
    err: Console = field(default_factory=lambda: console(sys.stderr))

    @property
    def live(self) -> bool:
        """Whether stdout is a terminal that can be drawn on."""
        return self.out.is_terminal and not self.out.is_dumb_terminal and not self.json

    def show(self, value: Json, human: RenderableType) -> None:
        """The one result of a command: as a JSON document, or for people."""
        if self.json:
            self.document(value)
        else:
            self.out.print(human)

    def document(self, value: Json) -> None:
        """One JSON document, indented."""
        self._write(json.dumps(_plain(value), indent=2, ensure_ascii=self.out.options.ascii_only))

    def line(self, value: Json) -> None:
        """One JSON document in one line, sent at once: an item of a stream."""
        self._write(json.dumps(_plain(value), ensure_ascii=self.out.options.ascii_only))

    def notice(self, text: str, style: str = "") -> None:
        """A word beside the result, on stderr."""
        self.err.print(text, style=style or None, soft_wrap=True)

    def _write(self, text: str) -> None:
        self.out.file.write(text + "\n")
        self.out.file.flush()


def _plain(value: Json) -> Any:
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case dict():
            return value
        case items:
            return [item.model_dump(mode="json") for item in items]
