"""Series as JSON: `MetricsObject` and `ImportanceObject`, written straight from numpy's columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from fastapi import Response
from numpy.typing import NDArray

from store.points import ImportancePoints, MetricPoints
from store.steps import ImportanceSeries, MetricSeries


def metrics_answer(job_id: str, found: MetricSeries) -> Response:
    """Metrics step by step."""
    return _json(
        _metrics_head(job_id)
        | {
            "bucket": 1,
            "steps": found.steps,
            "time": found.time,
            "series": found.series,
            "low": None,
            "high": None,
            "count": None,
        }
    )


def metric_points_answer(job_id: str, found: MetricPoints | None) -> Response:
    """Metrics by buckets of steps; None: there are no steps."""
    if found is None:
        nothing = {"bucket": 1, "steps": [], "time": [], "series": {}, "low": {}, "high": {}, "count": []}
        return _json(_metrics_head(job_id) | nothing)
    keys, axis, metrics = found.metrics.keys, found.axis, found.metrics
    return _json(
        _metrics_head(job_id)
        | {
            "bucket": found.bucket,
            "steps": axis.steps,
            "time": axis.time,
            "series": _by_key(keys, metrics.mean),
            "low": _by_key(keys, metrics.low),
            "high": _by_key(keys, metrics.high),
            "count": axis.count,
        }
    )


def importance_answer(job_id: str, layers: int | None, found: ImportanceSeries) -> Response:
    """Importance step by step."""
    return _json(
        _importance_head(job_id, layers)
        | {
            "bucket": 1,
            "steps": found.steps,
            "time": found.time,
            "importance": found.importance,
            "active": found.active,
            "updated": None,
            "probabilities": found.probabilities,
            "count": None,
        }
    )


def importance_points_answer(job_id: str, layers: int | None, found: ImportancePoints | None) -> Response:
    """Importance by buckets of steps; None: there are no steps."""
    if found is None:
        columns = ("steps", "time", "importance", "updated", "probabilities", "count")
        nothing: dict[str, Any] = {"bucket": 1, "active": None, **{column: [] for column in columns}}
        return _json(_importance_head(job_id, layers) | nothing)
    chances = np.ascontiguousarray(found.layers.probabilities)
    told = found.layers.told.tolist()
    return _json(
        _importance_head(job_id, layers)
        | {
            "bucket": found.bucket,
            "steps": found.axis.steps,
            "time": found.axis.time,
            "importance": np.ascontiguousarray(found.layers.importance),
            "active": None,
            "updated": np.ascontiguousarray(found.layers.updated),
            "probabilities": [row if steps else None for row, steps in zip(chances, told, strict=True)],
            "count": found.axis.count,
        }
    )


def _metrics_head(job_id: str) -> dict[str, Any]:
    return {"object": "fine_tuning.job.metrics", "job_id": job_id}


def _importance_head(job_id: str, layers: int | None) -> dict[str, Any]:
    return {"object": "fine_tuning.job.importance", "job_id": job_id, "layers": layers}


def _by_key(keys: tuple[str, ...], matrix: NDArray[Any]) -> dict[str, NDArray[Any]]:
    columns = np.ascontiguousarray(matrix.T)
    return dict(zip(keys, columns, strict=True))


def _json(answer: dict[str, Any]) -> Response:
    """NaN and the infinities become null."""
    return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")
