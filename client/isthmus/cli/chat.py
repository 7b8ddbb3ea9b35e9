"""`isthmus chat`: talk to a model in the terminal, token by token, beside another one if you like."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated, Any

import typer

from isthmus import AuthenticationFailed, IsthmusError, NotFound, PermissionDenied
from isthmus.cli.arguments import ModelName, complete_model
from isthmus.cli.conversation import Conversation, Sampling
from isthmus.cli.exits import INTERRUPTED, NoKey
from isthmus.cli.session import Session, command
from isthmus.cli.terminal import Terminal

PROMPT = "> "
CLEAR = "/clear"
HOPELESS = (NotFound, AuthenticationFailed, PermissionDenied, NoKey)
"""What the next message would meet, too."""

app = typer.Typer()


@command(app, "chat")
def chat(
    session: Session,
    model: ModelName,
    message: Annotated[
        str | None, typer.Option("--message", "-m", metavar="TEXT", help="Say this, print the answer, end.")
    ] = None,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What the model is told before everything else.")
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Show its answer, too.", autocompletion=complete_model),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=2, help="0: the likeliest token each time; else 1.")
    ] = None,
    top_p: Annotated[float | None, typer.Option(min=0, max=1, help="Draw from the likeliest alone.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="The longest answer.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same answer.")] = None,
) -> None:
    """Talk to a base model, a tuned one or a checkpoint.

    Each line is a message. Ctrl-C stops an answer, Ctrl-D ends the conversation, /clear begins a new one.
    With --compare two models answer, each in a conversation of its own. With --json each answer is one line.
    """
    sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens, seed=seed)
    models = [model] if compare is None else [model, compare]
    talks = [Conversation(session.client, name, system, sampling) for name in models]
    if message is not None:
        if not all(_answer(session.terminal, talk, message, labelled=len(talks) > 1) for talk in talks):
            raise typer.Exit(INTERRUPTED)
        return
    for line in _lines():
        if line == CLEAR:
            for talk in talks:
                talk.clear()
        elif line:
            _take_turn(session.terminal, talks, line)


def _take_turn(terminal: Terminal, talks: list[Conversation], message: str) -> None:
    """Let each model answer; what goes wrong for one message is told, and the conversation goes on."""
    for talk in talks:
        try:
            _answer(terminal, talk, message, labelled=len(talks) > 1)
        except HOPELESS:
            raise
        except IsthmusError as error:
            terminal.notice(f"error: {error}")


def _answer(terminal: Terminal, talk: Conversation, message: str, *, labelled: bool) -> bool:
    """Show an answer as it is written; returns whether it came to its end, and not to Ctrl-C."""
    if labelled and not terminal.json:
        terminal.out.print(f"{talk.model}:", style="bold", soft_wrap=True)
    ended = True
    with closing(talk.say(message)) as pieces:
        try:
            for text in pieces:
                if not terminal.json:
                    terminal.out.print(text, end="", soft_wrap=True)
                    terminal.out.file.flush()
        except KeyboardInterrupt:
            ended = False
        finally:
            if not terminal.json:
                terminal.out.print()
    if terminal.json:
        terminal.line(_told(talk))
    if not ended:
        terminal.notice("stopped")
    return ended


def _told(talk: Conversation) -> dict[str, Any]:
    usage = talk.usage
    return {
        "model": talk.model,
        "content": talk.answer,
        "finish_reason": talk.finish_reason,
        "usage": None if usage is None else usage.model_dump(mode="json"),
    }


def _lines() -> Iterator[str]:
    """What is typed, or what a pipe holds, line by line."""
    if not sys.stdin.isatty():
        for line in sys.stdin:
            yield line.strip()
        return
    while True:
        try:
            yield input(PROMPT).strip()
        except EOFError:
            print()
            return
