"""What is odd in a row but not wrong: an order of roles that some chat templates refuse (no torch here).

At the upload the model is not known yet, so these are warnings. A template that refuses a row is an error
with the row's line when the job starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from isthmus.dataset.chat import ChatMessage, ChatRow
from isthmus.dataset.preferences import PreferenceRow
from isthmus.dataset.problems import Problem


def oddities(row: ChatRow | PreferenceRow) -> Iterator[Problem]:
    """Yield what a person should look at again."""
    messages = row.messages
    for index, message in enumerate(messages):
        if message.role == "system" and index > 0:
            reason = "a system message that is not the first; many chat templates refuse it: move it up"
            yield Problem(row.line, f"messages[{index}]", reason)
    turns = [(index, message) for index, message in enumerate(messages) if message.role != "system"]
    yield from _turn_oddities(row.line, turns)
    if isinstance(row, ChatRow) and messages[-1].role != "assistant":
        reason = "the messages after the last answer teach nothing; remove them or add the answer"
        yield Problem(row.line, f"messages[{len(messages) - 1}]", reason)


def _turn_oddities(line: int, turns: list[tuple[int, ChatMessage]]) -> Iterator[Problem]:
    if turns and turns[0][1].role == "assistant":
        reason = (
            "the conversation begins with the assistant; many chat templates refuse it: add a user message"
        )
        yield Problem(line, f"messages[{turns[0][0]}]", reason)
    for (_, before), (index, after) in pairwise(turns):
        if before.role == after.role:
            reason = f"two {after.role} messages in a row; some chat templates refuse them: join them"
            yield Problem(line, f"messages[{index}]", reason)
