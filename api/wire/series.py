"""Step series and artifacts on the wire: what OpenAI's contract does not have."""

from __future__ import annotations

from typing import Literal

from api.wire.common import WireModel


class MetricsObject(WireModel):
    """Metrics by step; a value that is missing or not finite is null.

    With `points`, each place of a list stands for `bucket` steps (the first and the last may hold fewer):
    `steps` and `time` are those of the bucket's last step, `series` the means, `low` and `high` the extremes.
    """

    object: Literal["fine_tuning.job.metrics"] = "fine_tuning.job.metrics"
    job_id: str
    bucket: int
    """Steps a point; 1 without `points`."""
    steps: list[int]
    time: list[float]
    series: dict[str, list[float | None]]
    low: dict[str, list[float | None]] | None = None
    """By the names of `series`; null without `points`."""
    high: dict[str, list[float | None]] | None = None
    count: list[int] | None = None
    """How many steps each point stands for; null without `points`."""


class ImportanceObject(WireModel):
    """Per step, one score a layer (higher is more important), the layers updated in it, and each layer's
    chance to be one (null: it was not told).

    With `points`, each place stands for `bucket` steps, as in the metrics: `importance` and `probabilities`
    are means, and `updated` tells in how many of the bucket's steps each layer was updated.
    """

    object: Literal["fine_tuning.job.importance"] = "fine_tuning.job.importance"
    job_id: str
    layers: int | None
    bucket: int
    """Steps a point; 1 without `points`."""
    steps: list[int]
    time: list[float]
    importance: list[list[float | None]]
    active: list[list[int]] | None = None
    """The layers that were updated, ascending; null with `points`."""
    updated: list[list[int]] | None = None
    """One number a layer; null without `points`."""
    probabilities: list[list[float | None] | None]
    count: list[int] | None = None
    """How many steps each point stands for; null without `points`."""


class ArtifactObject(WireModel):
    """A file that a job made."""

    path: str
    bytes: int
    sha256: str


class ArtifactList(WireModel):
    """What a job made; empty until it has succeeded."""

    object: Literal["list"] = "list"
    data: list[ArtifactObject]
