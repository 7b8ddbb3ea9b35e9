"""Metrics and importance by step, as plain lists; arrays and data frames with the extra `isthmus[data]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.extras import numpy, pandas
from isthmus.types.base import Lenient

if TYPE_CHECKING:
    from numpy import float64, int64
    from numpy.typing import NDArray
    from pandas import DataFrame


class Metrics(Lenient):
    """Metrics by step; a value that is missing or not finite is None.

    With `points`, each place stands for `bucket` steps: `series` has means, `low` and `high` the extremes.
    """

    object: str = "fine_tuning.job.metrics"
    job_id: str
    bucket: int = 1
    """Steps a point."""
    steps: list[int]
    time: list[float]
    """Unix seconds."""
    series: dict[str, list[float | None]]
    low: dict[str, list[float | None]] | None = None
    """By the names of `series`; None without `points`."""
    high: dict[str, list[float | None]] | None = None
    count: list[int] | None = None
    """How many steps each point stands for."""

    def followed_by(self, later: Metrics) -> Metrics:
        """Both windows as one; a series that only one of them has is None in the other."""
        series = {name: self._values(name) + later._values(name) for name in {**self.series, **later.series}}
        return self.model_copy(
            update={"steps": self.steps + later.steps, "time": self.time + later.time, "series": series}
        )

    def to_numpy(self) -> dict[str, NDArray[float64]]:
        """Each series as an array beside `step` and `time`; None becomes NaN. Raises MissingExtra."""
        np = numpy()
        columns = {"step": self.steps, "time": self.time, **self.series}
        return {name: np.array(values, dtype=np.float64) for name, values in columns.items()}

    def to_pandas(self) -> DataFrame:
        """One row a step, one column a series, and `time`; the index is the step. Raises MissingExtra."""
        pd = pandas()
        index = pd.Index(self.steps, name="step")
        return pd.DataFrame({"time": self.time, **self.series}, index=index, dtype="float64")

    def _values(self, name: str) -> list[float | None]:
        return self.series.get(name, [None] * len(self.steps))


class Importance(Lenient):
    """Per step one score a layer (higher is more important), the layers updated in it, and their chances.

    With `points`, each place stands for `bucket` steps, with mean scores and chances; `updated` counts the
    steps in which each layer was updated, and `active` is None.
    """

    object: str = "fine_tuning.job.importance"
    job_id: str
    layers: int | None = None
    bucket: int = 1
    """Steps a point."""
    steps: list[int]
    time: list[float] = []
    """Unix seconds."""
    importance: list[list[float | None]]
    active: list[list[int]] | None = None
    """The layers that were updated, ascending."""
    updated: list[list[int]] | None = None
    """One number a layer."""
    probabilities: list[list[float | None] | None] = []
    """Each layer's chance to be updated; None: it was not told."""
    count: list[int] | None = None
    """How many steps each point stands for."""

    def followed_by(self, later: Importance) -> Importance:
        """Both windows as one."""
        return self.model_copy(
            update={
                "layers": later.layers,
                "steps": self.steps + later.steps,
                "time": self.time + later.time,
                "importance": self.importance + later.importance,
                "active": (self.active or []) + (later.active or []),
                "probabilities": self.probabilities + later.probabilities,
            }
        )

    def to_numpy(self) -> NDArray[float64]:
        """The scores, of shape (steps, layers). Raises MissingExtra."""
        np = numpy()
        scores: NDArray[float64] = np.array(self.importance, dtype=np.float64)
        return scores.reshape(len(self.steps), -1 if self.steps else self.layers or 0)

    def updates_to_numpy(self) -> NDArray[int64]:
        """How often each layer was updated (0 or 1 without `points`), of shape (steps, layers).

        Raises MissingExtra.
        """
        np = numpy()
        counts: NDArray[int64] = np.zeros((len(self.steps), self.layers or 0), dtype=np.int64)
        if self.updated is not None and self.steps:
            counts[:] = self.updated
        for row, layers in enumerate(self.active or []):
            counts[row, layers] = 1
        return counts

    def to_pandas(self) -> DataFrame:
        """The scores: one row a step, one column a layer; the index is the step. Raises MissingExtra."""
        pd = pandas()
        return pd.DataFrame(self.to_numpy(), index=pd.Index(self.steps, name="step"))
