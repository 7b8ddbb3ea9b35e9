"""How long answers may be, and how many prompts are answered at once (no torch: plans count with it)."""

from __future__ import annotations

from typing import Literal

from ist_core.evaluation_spec import EvaluationSpec

_ROOM = 8
"""Tokens beyond the longest expected answer; an answer that is longer still cannot be an exact match."""
_LONGEST = 512
_PROMPT_TOKENS = {"cpu": 1024, "cuda": 32_768}
_CACHED_TOKENS = {"cpu": 4096, "cuda": 65_536}
_ROWS = {"cpu": 16, "cuda": 64}


def answer_tokens(evaluation: EvaluationSpec, longest_expected: int) -> int:
    """Return how many tokens an answer may have."""
    return evaluation.max_new_tokens or min(_LONGEST, longest_expected + _ROOM)


def answer_batch(kind: Literal["cpu", "cuda"], prompt: int, answer: int) -> int:
    """Return how many prompts of at most so many tokens are answered at once.

    So few that a run which is asked to stop has not long to read them, and that the keys and values of
    prompts and answers do not take more memory than a step of training does.
    """
    read, cached = _PROMPT_TOKENS[kind] // max(1, prompt), _CACHED_TOKENS[kind] // (prompt + answer)
    return max(1, min(_ROWS[kind], read, cached))
