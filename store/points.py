"""A job's series as points: few enough to be drawn, each for the same number of steps, from roll-ups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from store.blocks import Axis, Layers, Metrics, join_axes, join_layers, join_metrics
from store.driver import driver_cursor
from store.rollups import read_layers, read_metrics
from store.spans import Span, cover, level_for, width_for
from store.tenant import Tenant
from store.windows import Window, check_keys, step_range

MAX_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class MetricPoints:
    """A row a point, of `bucket` steps each; the first and the last may stand for fewer."""

    bucket: int
    axis: Axis
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class ImportancePoints:
    """A row a point, of `bucket` steps each; the first and the last may stand for fewer."""

    bucket: int
    axis: Axis
    layers: Layers


def metric_points(
    tenant: Tenant, job_id: str, window: Window, points: int, *, keys: Sequence[str] | None = None
) -> MetricPoints | None:
    """The metrics `keys` (None: all there are) in `points` or fewer points; None: there is no step there.

    Raises UnknownMetrics for a key that no step of the job has told.
    """
    found = step_range(tenant, job_id, window)
    if found is None:
        return None
    width = width_for(found[0], found[-1], points)
    chosen = None if keys is None else tuple(keys)
    with driver_cursor(tenant.session) as cursor:
        parts = [read_metrics(cursor, job_id, span, chosen) for span in _spans(found, width)]
    axis, metrics = join_axes([part[0] for part in parts]), join_metrics([part[1] for part in parts])
    starts = axis.starts(width)
    metrics = metrics.merged(starts)
    if chosen is not None:
        metrics = metrics.chosen(chosen)
        if not metrics.told.any(axis=0).all():  # not told here, or nowhere
            check_keys(tenant, job_id, chosen)
    return MetricPoints(width, axis.merged(starts), metrics)


def importance_points(tenant: Tenant, job_id: str, window: Window, points: int) -> ImportancePoints | None:
    """Scores, updates and chances in `points` or fewer points; None: there is no step there."""
    found = step_range(tenant, job_id, window)
    if found is None:
        return None
    width = width_for(found[0], found[-1], points)
    with driver_cursor(tenant.session) as cursor:
        parts = [read_layers(cursor, job_id, span) for span in _spans(found, width)]
    axis, layers = join_axes([part[0] for part in parts]), join_layers([part[1] for part in parts])
    starts = axis.starts(width)
    return ImportancePoints(width, axis.merged(starts), layers.merged(starts, axis))


def _spans(steps: range, width: int) -> list[Span]:
    return list(cover(steps[0], steps[-1], level_for(width)))
