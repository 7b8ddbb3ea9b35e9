"""Scores of answers as texts.

exact_match    1 if the answer is the expected text, white space around both aside, else 0
rouge_l        ROUGE-L (Lin, 2004): with LCS the longest common subsequence of the words,
               2 LCS / (words of the answer + words of the expected text), the F-measure of its two shares
"""

from __future__ import annotations

import re

from rapidfuzz.distance import LCSseq

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Characters of scripts without spaces, for a regular expression's set: each counts as a word."""
_WORD = re.compile(rf"[{CJK}]|[^\W{CJK}]+")


class ExactMatch:
    """The share of answers that are right to the letter."""

    def applies(self, expected: str) -> bool:
        """Any text can be compared."""
        return True

    def score(self, answer: str, expected: str) -> float:
        """Return 1 or 0."""
        return float(answer.strip() == expected.strip())


class RougeL:
    """How much of the expected words the answer has, in their order, and how little beside."""

    def applies(self, expected: str) -> bool:
        """There must be a word."""
        return bool(words(expected))

    def score(self, answer: str, expected: str) -> float:
        """Return the F-measure."""
        ours, theirs = words(answer), words(expected)
        return 2 * LCSseq.similarity(ours, theirs) / (len(ours) + len(theirs))


def words(text: str) -> list[str]:
    """Return the runs of letters and digits, letter case aside."""
    return _WORD.findall(text.casefold())
