"""How a job was judged, on the wire: what its report says of the validation file (ours)."""

from __future__ import annotations

from api.wire.common import WireModel
from store.tables import Job


class ScoreChange(WireModel):
    """The mean of a score over all rows, from 0 to 1; null: it goes with none of them."""

    before: float | None
    """Of the base model's answers."""
    after: float | None
    """Of the tuned model's answers."""


class JobEvaluation(WireModel):
    """What was measured on the validation file."""

    rows: int
    """How many were answered by both models."""
    scores: dict[str, ScoreChange]
    valid_loss: dict[str, float | None]
    best_step: int | None
    """The step with the lowest `full_valid_loss`."""
    stopped_early: bool
    seconds: float
    """Spent on all of it."""


def job_evaluation(job: Job) -> JobEvaluation | None:
    """What a job's report says of its evaluation; None: there was none, or the job has not succeeded."""
    told = (job.report or {}).get("evaluation")
    return None if told is None else JobEvaluation.model_validate(told)
