"""Many steps side by side, as columns: single records and roll-ups of many alike.

Rows are merged by weights: a mean m_i over n_i steps counts n_i / sum(n). The smallest and the largest value
stay as they are, so however often rows are merged, no extreme is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]
I8 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Axis:
    """Per row (n of them, ascending): its last step, that step's time in Unix seconds, and how many steps it
    stands for."""

    steps: I8
    time: F8
    count: I8

    def first(self, rows: int) -> Axis:
        """The first rows."""
        return Axis(self.steps[:rows], self.time[:rows], self.count[:rows])

    def merged(self, starts: I8) -> Axis:
        """One row for all from each start to the next."""
        ends = np.append(starts[1:], len(self.steps)) - 1
        return Axis(self.steps[ends], self.time[ends], np.add.reduceat(self.count, starts))

    def starts(self, width: int) -> I8:
        """Where each bucket of `width` steps begins; buckets end at the multiples of `width`."""
        labels = (self.steps - 1) // width
        changes = np.flatnonzero(labels[1:] != labels[:-1]) + 1
        return np.concatenate(([0], changes)) if len(labels) else changes


@dataclass(frozen=True, slots=True)
class Metrics:
    """By row and key (n x K): how many of the steps told the metric, and its mean, smallest and largest value
    (NaN: none did)."""

    keys: tuple[str, ...]
    told: I8
    mean: F8
    low: F8
    high: F8

    def first(self, rows: int) -> Metrics:
        """The first rows."""
        return Metrics(self.keys, self.told[:rows], self.mean[:rows], self.low[:rows], self.high[:rows])

    def merged(self, starts: I8) -> Metrics:
        """One row for all from each start to the next."""
        told = np.add.reduceat(self.told, starts)
        return Metrics(
            self.keys,
            told,
            _weighted(self.mean, self.told, told, starts),
            np.fmin.reduceat(self.low, starts),
            np.fmax.reduceat(self.high, starts),
        )

    def chosen(self, keys: tuple[str, ...]) -> Metrics:
        """The columns of `keys`, in that order; one that is not there was never told."""
        if keys == self.keys:
            return self
        places = np.array([self.keys.index(key) if key in self.keys else -1 for key in keys], np.int64)
        there = places >= 0
        told = np.where(there, self.told[:, places] if self.keys else 0, 0)
        mean, low, high = (
            np.where(there, part[:, places] if self.keys else np.nan, np.nan)
            for part in (self.mean, self.low, self.high)
        )
        rows = len(self.told)
        told = np.broadcast_to(told, (rows, len(keys)))
        mean, low, high = (np.broadcast_to(part, (rows, len(keys))) for part in (mean, low, high))
        return Metrics(keys, told, mean, low, high)


@dataclass(frozen=True, slots=True)
class Layers:
    """By row and layer (n x L): mean score, in how many steps the layer was updated, and its mean chance over
    the `told` steps of the row that told it (NaN: none did)."""

    importance: F4
    updated: I8
    probabilities: F4
    told: I8

    def first(self, rows: int) -> Layers:
        """The first rows."""
        return Layers(
            self.importance[:rows], self.updated[:rows], self.probabilities[:rows], self.told[:rows]
        )

    def merged(self, starts: I8, axis: Axis) -> Layers:
        """One row for all from each start to the next; `axis` is the unmerged rows'."""
        count, told = np.add.reduceat(axis.count, starts), np.add.reduceat(self.told, starts)
        chances = np.where(self.told[:, None] > 0, self.probabilities, 0)
        return Layers(
            _weighted(self.importance, axis.count[:, None], count[:, None], starts).astype(np.float32),
            np.add.reduceat(self.updated, starts),
            _weighted(chances, self.told[:, None], told[:, None], starts).astype(np.float32),
            told,
        )


def _weighted(mean: NDArray[np.floating], count: I8, total: I8, starts: I8) -> F8:
    """Means over `count` steps each, merged; NaN where `total` is 0."""
    sizes = np.diff(np.append(starts, len(mean)))
    weights = count / np.maximum(np.repeat(total, sizes, axis=0), 1)
    terms = np.where(weights > 0, mean * weights, 0.0)
    return np.where(total > 0, np.add.reduceat(terms, starts), np.nan)


@dataclass(frozen=True, slots=True)
class Block:
    """All that there is of some steps."""

    axis: Axis
    metrics: Metrics
    layers: Layers

    def first(self, rows: int) -> Block:
        """The first rows."""
        return Block(self.axis.first(rows), self.metrics.first(rows), self.layers.first(rows))

    def merged(self, width: int) -> Block:
        """One row for each bucket of `width` steps."""
        starts = self.axis.starts(width)
        return Block(
            self.axis.merged(starts), self.metrics.merged(starts), self.layers.merged(starts, self.axis)
        )


def join_blocks(parts: Sequence[Block]) -> Block:
    """All rows, in order."""
    return Block(
        join_axes([part.axis for part in parts]),
        join_metrics([part.metrics for part in parts]),
        join_layers([part.layers for part in parts]),
    )


def join_axes(parts: Sequence[Axis]) -> Axis:
    """All rows, in order."""
    return Axis(
        np.concatenate([part.steps for part in parts]),
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.count for part in parts]),
    )


def join_metrics(parts: Sequence[Metrics]) -> Metrics:
    """All rows, in order, with every key that one of them has."""
    keys = tuple(sorted({key for part in parts for key in part.keys}))
    parts = [part.chosen(keys) for part in parts]
    return Metrics(
        keys,
        np.concatenate([part.told for part in parts]),
        np.concatenate([part.mean for part in parts]),
        np.concatenate([part.low for part in parts]),
        np.concatenate([part.high for part in parts]),
    )


def join_layers(parts: Sequence[Layers]) -> Layers:
    """All rows, in order; as many layers as the widest has."""
    width = max(part.importance.shape[1] for part in parts)
    return Layers(
        np.concatenate([_widened(part.importance, width, np.nan) for part in parts]),
        np.concatenate([_widened(part.updated, width, 0) for part in parts]),
        np.concatenate([_widened(part.probabilities, width, np.nan) for part in parts]),
        np.concatenate([part.told for part in parts]),
    )


def _widened(matrix: NDArray[Any], width: int, fill: float) -> NDArray[Any]:
    missing = width - matrix.shape[1]
    return matrix if missing == 0 else np.pad(matrix, ((0, 0), (0, missing)), constant_values=fill)
