"""Step records and the stream of events and steps."""

import math
from itertools import pairwise

import numpy as np
import pytest

from ist_core.records import Message
from store import runs
from store.database import Database
from store.events import append_events, list_events
from store.paging import UnknownCursor
from store.steps import append_steps, importance_series, metric_series
from store.stream import read_stream
from store.tables import Event, StepRecord
from tests.factories import claim, claimed, read_job, step, tenant


def test_steps_come_back_as_series_and_move_the_jobs_progress(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        assert append_steps(session, held.job_id, held.attempt, [step(1), step(2, loss=0.5), step(3)])
    with database.session() as session:
        metrics = metric_series(tenant(session), held.job_id, keys=["loss"])
        importance = importance_series(tenant(session), held.job_id, after_step=1, limit=1)
        everything = metric_series(tenant(session), held.job_id)
    assert metrics.steps == [1, 2, 3]
    assert metrics.series == {"loss": [1.0, 0.5, 1.0]}
    assert metrics.time[0] == pytest.approx(1_700_000_001.0)
    assert (importance.steps, importance.importance, importance.active) == ([2], [[0.5, 0.25]], [[1]])
    assert importance.probabilities == [[0.25, 0.75]]
    assert set(everything.series) == {"loss", "trained_tokens"}
    job = read_job(database, held.job_id)
    assert (job.step, job.trained_tokens) == (3, 30)


def test_a_repeated_step_keeps_its_first_record_and_progress_never_goes_back(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        append_steps(session, held.job_id, held.attempt, [step(1, loss=1.0), step(2, loss=2.0)])
        runs.release(session, held.job_id, held.attempt, message="Worker stopped")
    again = claim(database, held.job_id)
    with database.session() as session:
        assert append_steps(session, held.job_id, again.attempt, [step(1, loss=9.0)])
    assert read_job(database, held.job_id).step == 2
    with database.session() as session:
        append_steps(session, held.job_id, again.attempt, [step(2, loss=9.0), step(3, loss=3.0)])
        series = metric_series(tenant(session), held.job_id, keys=["loss"])
        steps = [
            item.row.step
            for item in read_stream(tenant(session), held.job_id, 0)
            if isinstance(item.row, StepRecord)
        ]
    assert (series.steps, series.series["loss"]) == ([1, 2, 3], [1.0, 2.0, 3.0])
    assert steps == [1, 2, 3]


def test_a_stale_attempt_writes_nothing(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        runs.release(session, held.job_id, held.attempt, message="Worker stopped")
    claim(database, held.job_id)
    before = read_job(database, held.job_id).last_seq
    with database.session() as session:
        assert not append_steps(session, held.job_id, held.attempt, [step(1)])
        assert not append_events(session, held.job_id, held.attempt, [Message("late")])
    assert read_job(database, held.job_id).last_seq == before
    with database.session() as session:
        assert metric_series(tenant(session), held.job_id).steps == []


def test_an_ended_job_takes_no_more_steps(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        runs.finish_cancelled(session, held.job_id, held.attempt)
        assert not append_steps(session, held.job_id, held.attempt, [step(1)])


def test_values_that_json_cannot_hold_become_null(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        append_steps(session, held.job_id, held.attempt, [step(1, loss=math.nan), step(2, loss=math.inf)])
        append_events(session, held.job_id, held.attempt, [Message("x", data={"a": [math.nan, {"b": "\0"}]})])
    with database.session() as session:
        assert metric_series(tenant(session), held.job_id, keys=["loss"]).series == {"loss": [None, None]}
        assert list_events(tenant(session), held.job_id).rows[0].data == {"a": [None, {"b": "\ufffd"}]}


def test_numbers_of_numpy_are_numbers(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        append_steps(session, held.job_id, held.attempt, [step(1, loss=np.float64(0.5))])
    with database.session() as session:
        assert metric_series(tenant(session), held.job_id, keys=["loss"]).series == {"loss": [0.5]}


def test_the_stream_is_complete_ordered_and_resumes_anywhere(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        for number in range(1, 6):
            append_steps(session, held.job_id, held.attempt, [step(number)])
            append_events(session, held.job_id, held.attempt, [Message(f"after {number}")])
    with database.session() as session:
        whole = read_stream(tenant(session), held.job_id, 0)
        pieces, cursor = [], 0
        while part := read_stream(tenant(session), held.job_id, cursor, limit=2):
            pieces += part
            cursor = part[-1].seq
    seqs = [item.seq for item in whole]
    assert seqs == list(range(1, read_job(database, held.job_id).last_seq + 1))
    assert [item.seq for item in pieces] == seqs
    kinds = [type(item.row) for item in whole[-10:]]
    assert all(left is not right for left, right in pairwise(kinds))


def test_the_stream_of_nobody_is_empty(database: Database) -> None:
    with database.session() as session:
        assert read_stream(tenant(session), "ftjob-none", 0) == []


def test_events_page_newest_first(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        append_events(session, held.job_id, None, [Message(str(number)) for number in range(3)])
        first = list_events(tenant(session), held.job_id, limit=2)
        second = list_events(tenant(session), held.job_id, limit=50, after=first.rows[-1].id)
        assert [event.message for event in first.rows] == ["2", "1"]
        assert second.rows[0].message == "0"
        assert (first.has_more, second.has_more) == (True, False)
        with pytest.raises(UnknownCursor):
            list_events(tenant(session), held.job_id, after="ftevent-none")


def test_a_message_for_no_job_is_refused(database: Database) -> None:
    with database.session() as session:
        assert not append_events(session, "ftjob-none", None, [Message("hello")])
        assert session.query(Event).count() == 0
