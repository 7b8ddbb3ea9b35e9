"""The reference in docs/cli.md, from the commands themselves: `python -m tests.unit.client.cli.reference`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer.main
from isthmus.cli.app import app
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

PAGE = Path(__file__).parents[4] / "docs" / "cli.md"
BEGINNING = "## Reference\n"


Words = tuple[str, ...]
"""A command: its name, below a group that of the group first."""


def commands() -> Iterator[Words]:
    """Every command."""
    for name, command in _root().commands.items():
        if isinstance(command, TyperGroup):
            yield from ((name, inner) for inner in command.commands)
        else:
            yield (name,)


def command_of(words: Words) -> TyperCommand:
    """A command by its words."""
    command = _root().commands[words[0]]
    if isinstance(command, TyperGroup):
        command = command.commands[words[1]]
    assert isinstance(command, TyperCommand)
    return command


def words_of(example: list[str]) -> Words:
    """Which command a line begins with, which is read after `isthmus`."""
    return tuple(example[:1]) if (example[0],) in set(commands()) else tuple(example[:2])


def help_of(words: Words) -> str:
    """What a command says of itself, at 80 columns."""
    result = CliRunner().invoke(app, [*words, "--help"], prog_name="isthmus", env={"COLUMNS": "80"})
    assert result.exit_code == 0
    return "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())


def reference() -> str:
    """The part of the page from its heading on."""
    parts = [f"### isthmus {' '.join(words)}\n\n```text\n{help_of(words)}\n```\n" for words in commands()]
    return "\n".join([BEGINNING, *parts])


def _root() -> TyperGroup:
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    return command


if __name__ == "__main__":
    text = PAGE.read_text()
    PAGE.write_text(text[: text.index(BEGINNING)] + reference())
