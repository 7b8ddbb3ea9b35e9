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
    """Metrics by step; a value that is missing or not finite is None."""

    object: str = "fine_tuning.job.metrics"
    job_id: str
    steps: list[int]
    time: list[float]
    """Unix seconds."""
    series: dict[str, list[float | None]]

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


class Importance(Lenient):
    """Per step one score a layer (higher is more important), the layers updated in it, and their chances."""

    object: str = "fine_tuning.job.importance"
    job_id: str
    layers: int | None = None
    steps: list[int]
    importance: list[list[float]]
    active: list[list[int]]
    probabilities: list[list[float] | None] = []
    """Each layer's chance to be updated; None: it was not told."""

    def to_numpy(self) -> NDArray[float64]:
        """The scores, of shape (steps, layers). Raises MissingExtra."""
        np = numpy()
        scores: NDArray[float64] = np.array(self.importance, dtype=np.float64)
        return scores.reshape(len(self.steps), -1 if self.steps else self.layers or 0)

    def active_to_numpy(self) -> NDArray[int64]:
        """1 where a layer was updated, of shape (steps, layers). Raises MissingExtra."""
        np = numpy()
        updated: NDArray[int64] = np.zeros((len(self.steps), self.layers or 0), dtype=np.int64)
        for row, layers in enumerate(self.active):
            updated[row, layers] = 1
        return updated

    def to_pandas(self) -> DataFrame:
        """The scores: one row a step, one column a layer; the index is the step. Raises MissingExtra."""
        pd = pandas()
        return pd.DataFrame(self.to_numpy(), index=pd.Index(self.steps, name="step"))
