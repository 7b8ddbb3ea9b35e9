"""Scores: what an answer is worth beside the expected one, from 0 to 1."""

from ist_core.scores.scorer import Scorer, make_scorers

__all__ = ["Scorer", "make_scorers"]
