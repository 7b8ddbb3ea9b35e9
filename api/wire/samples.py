"""Samples on the wire: what was asked, expected, and answered before and after training (ours)."""

from __future__ import annotations

from typing import Literal

from api.wire.common import Identified, WireModel


class SampleMessage(WireModel):
    """A message that the model was shown."""

    role: str
    content: str


class SampleScore(WireModel):
    """What the answers of both models are worth, from 0 to 1; null: the score does not go with the row."""

    base: float | None
    tuned: float | None


class SampleObject(Identified):
    """A row of the validation file, answered by the base model and by the tuned one."""

    object: Literal["fine_tuning.job.sample"] = "fine_tuning.job.sample"
    row: int
    """Its place in the validation file; the first is 1."""
    input: list[SampleMessage]
    expected: str
    base: str
    """The base model's answer, before training."""
    tuned: str
    """The tuned model's answer."""
    scores: dict[str, SampleScore]
    """By the names of the evaluation's scores."""
