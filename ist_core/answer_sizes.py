"""How long answers may be, and how many prompts are answered at once (no torch: plans count with it)."""

from __future__ import annotations

from typing import Literal

from ist_core.evaluation_spec import EvaluationSpec

_ROOM = 8
"""Tokens beyond the longest expected answer; an answer that is longer still cannot be an exact match."""
_LONGEST = 512
_PROMPT_TOKENS = {"cpu": 1024, "cuda": 32_768}
_ROWS = {"cpu": 16, "cuda": 64}


def answer_tokens(evaluation: EvaluationSpec, longest_expected: int) -> int:
    """Return how many tokens an answer may have."""
    return evaluation.max_new_tokens or min(_LONGEST, longest_expected + _ROOM)


def answer_batch(kind: Literal["cpu", "cuda"], longest_prompt: int) -> int:
    """Return how many prompts are answered at once, the longest of them of so many tokens.

    So few that a run which is asked to stop has not long to read them.
    """
    return max(1, min(_ROWS[kind], _PROMPT_TOKENS[kind] // max(1, longest_prompt)))
