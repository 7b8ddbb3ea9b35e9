"""docs/cli.md says of every command what the command says of itself; its examples are commands that are."""

from __future__ import annotations

import re
import shlex

import pytest
from isthmus.cli.exits import (
    CLOSED_PIPE,
    FAILED,
    INTERRUPTED,
    NOT_FOUND,
    NOT_NOW,
    OK,
    REFUSED,
    UNREACHABLE,
    USAGE,
)
from typer.core import TyperArgument, TyperOption

from tests.unit.client.cli.reference import (
    BEGINNING,
    PAGE,
    command_of,
    commands,
    help_of,
    reference,
    words_of,
)

TEXT = PAGE.read_text()
EXAMPLES = [
    example
    for block in re.findall(r"```(?:console|bash)\n(.*?)```", TEXT, re.DOTALL)
    for example in re.findall(r"isthmus [a-z][^|)<>\n]*", block)
]


def test_the_reference_is_what_the_commands_say() -> None:
    """Mend it by `python -m tests.unit.client.cli.reference`."""
    assert TEXT[TEXT.index(BEGINNING) :] == reference()


def test_every_option_has_a_help_text() -> None:
    for words in commands():
        bare = [
            parameter.name
            for parameter in command_of(words).params
            if isinstance(parameter, TyperOption | TyperArgument) and not parameter.help
        ]
        assert bare == [], words


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_examples_command_and_options_exist(example: str) -> None:
    words = shlex.split(example)[1:]
    command = words_of(words)
    assert command in set(commands())
    known = help_of(command)
    for word in words[len(command) :]:
        if word.startswith("-") and word != "-":
            assert re.search(rf"(^|[\s/,]){re.escape(word)}[\s,]", known), f"{word} in {example}"


def test_the_exit_codes_are_those_of_the_code() -> None:
    told = [int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)]
    codes = [OK, FAILED, USAGE, NOT_FOUND, REFUSED, UNREACHABLE, NOT_NOW, INTERRUPTED]
    assert told == [*codes, CLOSED_PIPE]
