"""Scores of answers in which something must be found.

choice     1 if the answer names the choice that the expected answer names. What a text names is the choice
           that stands first in it as a whole word, the longer one where two begin; letter case is left
           aside, but for choices of one character.
regex      1 if the user's pattern captures the same in the first match in both texts, without groups if both
           matches are the same text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ist_core.patterns import UserPattern
from ist_core.scores.text_scores import CJK


class Choice:
    """The share of answers that name the right choice."""

    def __init__(self, choices: Sequence[str]) -> None:
        longest_first = sorted(choices, key=len, reverse=True)
        names = "|".join(
            re.escape(choice) if len(choice) == 1 else f"(?i:{re.escape(choice)})" for choice in longest_first
        )
        letter = rf"[^\W{CJK}]"  # scripts without spaces have no borders of words to look at
        self._pattern = re.compile(rf"(?<!{letter})(?:{names})(?!{letter})")

    def applies(self, expected: str) -> bool:
        """The expected answer must name a choice."""
        return self._named(expected) is not None

    def score(self, answer: str, expected: str) -> float:
        """Return 1 or 0."""
        return float(self._named(answer) == self._named(expected))

    def _named(self, text: str) -> str | None:
        found = self._pattern.search(text)
        return found.group().casefold() if found else None


class Regex:
    """The share of answers in which the pattern finds what it finds in the expected one."""

    def __init__(self, pattern: str) -> None:
        self._pattern = UserPattern(pattern)

    def applies(self, expected: str) -> bool:
        """The pattern must be found in the expected answer."""
        return self._pattern.find(expected) is not None

    def score(self, answer: str, expected: str) -> float:
        """Return 1 or 0."""
        return float(self._pattern.find(answer) == self._pattern.find(expected))
