"""How a job was judged, on the wire: what its report says of the validation file (ours)."""

from __future__ import annotations

from typing import Literal

from api.wire.common import WireModel
from store.tables import Job


class BeforeAndAfter(WireModel):
    """A figure of the base model and of the tuned one; null: there is none."""

    before: float | None
    after: float | None


class ScoreMeans(BeforeAndAfter):
    """The means of a score, from 0 to 1, over the rows that it goes with."""

    rows: int


class JobEvaluation(WireModel):
    """What was measured on the validation file."""

    rows: int
    """How many were answered by both models."""
    scores: dict[str, ScoreMeans]
    valid_loss: BeforeAndAfter | None = None
    """`full_valid_loss` before the first step, and of the result; null: it was not measured."""
    valid_mean_token_accuracy: BeforeAndAfter | None = None
    """null for preference training, too."""
    valid_reward_accuracy: BeforeAndAfter | None = None
    """Of preference training: the share of pairs in which the preferred answer has the higher reward."""
    best_step: int | None
    """The step with the lowest `full_valid_loss`."""
    selected: Literal["last", "best"]
    """Which adapter is the result."""
    stopped_early: bool
    seconds: float
    """Spent on all of it."""


def job_evaluation(job: Job) -> JobEvaluation | None:
    """What a job's report says of its evaluation; None: there was none, or the job has not succeeded."""
    told = (job.report or {}).get("evaluation")
    return None if told is None else JobEvaluation.model_validate(told)
