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


def commands() -> Iterator[tuple[str, str]]:
    """The group and the name of every command."""
    for group_name, group in _group(typer.main.get_command(app)).commands.items():
        for name in _group(group).commands:
            yield group_name, name


def command_of(words: tuple[str, str]) -> TyperCommand:
    """A command by its group and its name."""
    group = _group(_group(typer.main.get_command(app)).commands[words[0]])
    command = group.commands[words[1]]
    assert isinstance(command, TyperCommand)
    return command


def help_of(words: tuple[str, str]) -> str:
    """What a command says of itself, at 80 columns."""
    result = CliRunner().invoke(app, [*words, "--help"], prog_name="isthmus", env={"COLUMNS": "80"})
    assert result.exit_code == 0
    return "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())


def reference() -> str:
    """The part of the page from its heading on."""
    parts = [f"### isthmus {' '.join(words)}\n\n```text\n{help_of(words)}\n```\n" for words in commands()]
    return "\n".join([BEGINNING, *parts])


def _group(command: object) -> TyperGroup:
    assert isinstance(command, TyperGroup)
    return command


if __name__ == "__main__":
    text = PAGE.read_text()
    PAGE.write_text(text[: text.index(BEGINNING)] + reference())
