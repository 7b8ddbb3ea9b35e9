"""Roll-ups equal what the records come to, however they arrived; points lose no extreme."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from alembic import command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from ist_core.records import StepRecord
from migrations.upgrade import alembic_config, upgrade
from store import runs
from store.database import Database
from store.points import ImportancePoints, MetricPoints, importance_points, metric_points
from store.rollups import RECORD_LAYERS, RECORD_METRICS, ROLLUP_LAYERS, ROLLUP_METRICS
from store.runs import Claim
from store.spans import WIDTHS, cover, width_for
from store.steps import append_steps
from store.windows import UnknownMetrics, Window
from tests.factories import claim, claimed, step, tenant

LAYERS = 3


def record(number: int, salt: int = 0) -> StepRecord:
    """A step whose values hang on its number alone, and on who made it."""
    noise = math.sin(number * 12.9898 + salt * 78.233) * 43758.5453
    loss = math.nan if number % 13 == 0 else noise
    metrics = {"loss": loss, "trained_tokens": 10.0 * number, "salt": float(salt)}
    if number % 5 == 0:
        metrics["probe_loss"] = -noise
    return StepRecord(
        step=number,
        time=1_700_000_000.0 + number,
        metrics=metrics,
        importance=tuple(math.cos(noise + layer) for layer in range(LAYERS)),
        active=tuple(layer for layer in range(LAYERS) if (number + layer) % 2),
        probabilities=() if number % 7 == 0 else (0.25, 0.5, (number % 4) / 4),
    )


def append(database: Database, held: Claim, batch: Sequence[StepRecord]) -> None:
    with database.session() as session:
        assert append_steps(session, held.job_id, held.attempt, batch)


def resume(database: Database, held: Claim) -> Claim:
    with database.session() as session:
        assert runs.release(session, held.job_id, held.attempt, message="stopped") is not None
    return claim(database, held.job_id)


def points_of(
    database: Database, job_id: str, window: Window, points: int
) -> tuple[MetricPoints, ImportancePoints]:
    with database.session() as session:
        metrics = metric_points(tenant(session), job_id, window, points)
        importance = importance_points(tenant(session), job_id, window, points)
    assert metrics is not None
    assert importance is not None
    return metrics, importance


def check(
    records: dict[int, StepRecord], found: tuple[MetricPoints, ImportancePoints], first: int, last: int
) -> None:
    """Every number is what the records of its bucket come to."""
    metrics, importance = found
    inside = [records[number] for number in sorted(records) if first <= number <= last]
    groups = [list(group) for _, group in itertools.groupby(inside, lambda r: (r.step - 1) // metrics.bucket)]
    for axis in (metrics.axis, importance.axis):
        assert axis.steps.tolist() == [group[-1].step for group in groups]
        assert axis.time.tolist() == [group[-1].time for group in groups]
        assert axis.count.tolist() == [len(group) for group in groups]
    for column, key in enumerate(metrics.metrics.keys):
        for row, group in enumerate(groups):
            values = [r.metrics[key] for r in group if math.isfinite(r.metrics.get(key, math.nan))]
            assert metrics.metrics.told[row, column] == len(values)
            if values:
                assert metrics.metrics.low[row, column] == min(values)
                assert metrics.metrics.high[row, column] == max(values)
                mean = math.fsum(values) / len(values)
                assert metrics.metrics.mean[row, column] == pytest.approx(mean, rel=1e-9, abs=1e-6)
            else:
                assert np.isnan(metrics.metrics.mean[row, column])
    for row, group in enumerate(groups):
        scores = np.mean([r.importance for r in group], axis=0)
        assert importance.layers.importance[row] == pytest.approx(scores, rel=1e-5, abs=1e-6)
        updated = [sum(layer in r.active for r in group) for layer in range(LAYERS)]
        assert importance.layers.updated[row].tolist() == updated
        chances = [r.probabilities for r in group if r.probabilities]
        assert importance.layers.told[row] == len(chances)
        if chances:
            means = np.mean(chances, axis=0)
            assert importance.layers.probabilities[row] == pytest.approx(means, rel=1e-5, abs=1e-6)


runs_of_a_job = st.lists(
    st.tuples(
        st.integers(0, 60),  # how far before the end an attempt begins again
        st.lists(st.sampled_from((1, 2, 5, 8, 31, 64, 200)), min_size=1, max_size=6),  # batches
    ),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(attempts=runs_of_a_job, points=st.integers(1, 120), data=st.data())
def test_points_are_what_the_records_come_to(
    database: Database, attempts: list[tuple[int, list[int]]], points: int, data: st.DataObject
) -> None:
    held = claimed(database)
    records: dict[int, StepRecord] = {}
    reached = 0
    for attempt, (back, batches) in enumerate(attempts):
        if attempt:
            held = resume(database, held)
        number = max(0, reached - back)
        for size in batches:
            batch = [record(number + place, attempt) for place in range(1, size + 1)]
            append(database, held, batch)
            for made in batch:
                records.setdefault(made.step, made)
            number += size
        reached = max(reached, number)
    check(records, points_of(database, held.job_id, Window(), points), 1, reached)
    first = data.draw(st.integers(1, reached), label="first")
    last = data.draw(st.integers(first, reached), label="last")
    found = points_of(database, held.job_id, Window(first - 1, last + 1), points)
    check(records, found, first, last)
    assert len(found[0].axis.steps) <= points
    times = Window(after_time=1_700_000_000.0 + first - 0.5, before_time=1_700_000_000.5 + last)
    check(records, points_of(database, held.job_id, times, points), first, last)


def test_steps_out_of_order_and_with_gaps_are_rolled_up_too(database: Database) -> None:
    held = claimed(database)
    append(database, held, [record(number) for number in (40, 41, 300)])
    append(database, held, [record(number) for number in (3, 2, 2, 39, 299)])
    records = {number: record(number) for number in (2, 3, 39, 40, 41, 299, 300)}
    for points in (1, 3, 10, 1000):
        check(records, points_of(database, held.job_id, Window(), points), 1, 300)


def test_a_spike_is_never_hidden(database: Database) -> None:
    held = claimed(database)
    losses = {777: 1e9, 778: -1e9}
    append(database, held, [step(n, loss=losses.get(n, 1.0)) for n in range(1, 2001)])
    for points in (1, 7, 50):
        metrics, _ = points_of(database, held.job_id, Window(), points)
        place = metrics.metrics.keys.index("loss")
        assert metrics.metrics.high[:, place].max() == 1e9
        assert metrics.metrics.low[:, place].min() == -1e9


@given(
    first=st.integers(1, 3_000_000), steps=st.integers(1, 3_000_000), level=st.integers(0, len(WIDTHS) - 1)
)
def test_a_range_is_covered_once_by_few_buckets(first: int, steps: int, level: int) -> None:
    last, at = first + steps - 1, first
    spans = list(cover(first, last, level))
    for span in spans:
        width = WIDTHS[span.level]
        begin, end = (
            (span.first, span.last) if width == 1 else (span.first * width + 1, (span.last + 1) * width)
        )
        assert begin == at
        at = end + 1
    assert at == last + 1
    assert len(spans) <= 2 * level + 1


@given(first=st.integers(1, 2**31 - 1), steps=st.integers(1, 2**31 - 1), points=st.integers(1, 10_000))
def test_there_are_never_more_points_than_asked_for(first: int, steps: int, points: int) -> None:
    last = first + steps - 1
    width = width_for(first, last, points)
    assert (last - 1) // width - (first - 1) // width + 1 <= points
    # Nor much fewer: the next smaller width would not do.
    assert width == 1 or 2 * steps // width >= points - 2


def test_an_unknown_metric_is_told_with_those_that_there_are(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        assert metric_points(tenant(session), held.job_id, Window(), 10, keys=["anything"]) is None
    append(database, held, [step(number) for number in range(1, 100)])
    with database.session() as session:
        found = metric_points(tenant(session), held.job_id, Window(), 10, keys=["trained_tokens", "loss"])
        assert found is not None
        assert found.metrics.keys == ("trained_tokens", "loss")
        with pytest.raises(UnknownMetrics, match="no metric lose; it has loss, trained_tokens"):
            metric_points(tenant(session), held.job_id, Window(), 10, keys=["loss", "lose"])


def test_another_projects_job_has_no_points(database: Database) -> None:
    held = claimed(database)
    append(database, held, [step(1)])
    with database.session() as session:
        stranger = tenant(session)
        stranger = type(stranger)(session, "other")
        assert metric_points(stranger, held.job_id, Window(), 10) is None
        assert importance_points(stranger, held.job_id, Window(), 10) is None


@pytest.fixture
def crowded(database: Database) -> tuple[Database, str]:
    """A long job among others."""
    held, *others = [claimed(database) for _ in range(3)]
    for job in (held, *others):
        append(database, job, [step(number) for number in range(1, 20_001)])
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CHECKPOINT"))  # VACUUM marks no page whose rows' commit is not yet flushed
        connection.execute(text("VACUUM ANALYZE step_records, step_rollups"))
    return database, held.job_id


@pytest.mark.parametrize(
    ("query", "place"),
    [
        (RECORD_METRICS, (9_000, 9_100, None)),
        (RECORD_LAYERS, (9_000, 9_100, None)),
        (ROLLUP_METRICS, (2, 0, 600)),
        (ROLLUP_LAYERS, (1, 100, 130)),
    ],
)
def test_no_query_reads_a_whole_table(
    crowded: tuple[Database, str], query: str, place: tuple[int | None, ...]
) -> None:
    database, job_id = crowded
    with database.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN {query}", (job_id, *place))
        plan = "\n".join(row[0] for row in rows)
    assert "Seq Scan" not in plan
    assert "pk_step_" in plan


def test_an_upgrade_rolls_up_the_records_that_there_are(database: Database, database_url: str) -> None:
    held = claimed(database)
    records = {number: record(number) for number in (*range(1, 300), 310, 311)}
    append(database, held, list(records.values()))
    command.downgrade(alembic_config(database_url), "0011")
    upgrade(database_url)
    for points in (1, 4, 20, 1000):
        check(records, points_of(database, held.job_id, Window(), points), 1, 311)
    append(database, held, [record(number) for number in range(312, 700)])
    records |= {number: record(number) for number in range(312, 700)}
    check(records, points_of(database, held.job_id, Window(), 5), 1, 699)
