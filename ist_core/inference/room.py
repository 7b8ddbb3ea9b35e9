"""How much may run at once: rows, and the tokens of the cache that they may come to need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ist_core.errors import RequestTooLarge


@dataclass(frozen=True, slots=True)
class Room:
    """Limits of a batch; `needs` are the tokens of each row, prompt and answer, when it is at its longest."""

    rows: int
    tokens: int

    def check(self, choices: int, prompt: int, max_tokens: int) -> None:
        """See that so many choices would fit if they were alone.

        Raises:
            RequestTooLarge: if they never will.
        """
        if choices > self.rows:
            raise RequestTooLarge(
                f"n is {choices}, and at most {self.rows} choices can run at once; ask for fewer", param="n"
            )
        if not self.fits([prompt + max_tokens] * choices):
            raise RequestTooLarge(
                f"{choices} x ({prompt} tokens of messages + {max_tokens} of an answer) are more than the "
                f"{self.tokens} tokens that there is memory for; ask for fewer",
                param="max_tokens",
            )

    def fits(self, needs: Sequence[int]) -> bool:
        """Whether rows may run together: each takes as many columns as the longest."""
        return len(needs) <= self.rows and len(needs) * max(needs) <= self.tokens

    def size(self, needs: Sequence[int]) -> tuple[int, int]:
        """Return rows and columns to take for rows that fit: with places for as many again, if allowed."""
        columns = max(needs)
        return max(len(needs), min(2 * len(needs), self.rows, self.tokens // columns)), columns
