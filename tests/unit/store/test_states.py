"""The state machine."""

import itertools

import pytest
from sqlalchemy import update

from store.database import Database
from store.events import list_events
from store.states import TERMINAL, TRANSITIONS, sources, transition
from store.tables import Job, State
from tests.factories import make_job, read_job, tenant


def test_terminal_states_are_the_three_ends() -> None:
    assert {State.SUCCEEDED, State.FAILED, State.CANCELLED} == TERMINAL
    assert set(TRANSITIONS) == set(State)


def test_every_state_is_reachable_from_the_first() -> None:
    reached = {State.VALIDATING_FILES}
    for _ in State:
        reached |= {to for state in reached for to in TRANSITIONS[state]}
    assert reached == set(State)


def test_each_pair_applies_exactly_when_the_table_says_so(database: Database) -> None:
    with database.session() as session:
        job_id = make_job(session).id
    for before, after in itertools.product(State, State):
        with database.session() as session:
            session.execute(update(Job).where(Job.id == job_id).values(state=before, finished_at=None))
        seq = read_job(database, job_id).last_seq
        with database.session() as session:
            moved = transition(session, job_id, after, message="moved")
        job = read_job(database, job_id)
        if after in TRANSITIONS[before]:
            assert moved is not None
            assert (job.state, job.last_seq) == (after, seq + 1)
            assert (job.finished_at is not None) == (after in TERMINAL)
        else:
            assert moved is None
            assert (job.state, job.last_seq) == (before, seq)


def test_a_transition_writes_one_event_with_the_state_in_its_data(database: Database) -> None:
    with database.session() as session:
        job = make_job(session)
        transition(session, job.id, State.CANCELLED, message="Job cancelled", data={"why": "test"})
    with database.session() as session:
        newest = list_events(tenant(session), job.id, limit=1).rows[0]
    assert (newest.message, newest.data) == ("Job cancelled", {"why": "test", "state": "cancelled"})
    assert newest.seq == read_job(database, job.id).last_seq


def test_nothing_of_a_transition_stays_when_its_transaction_fails(database: Database) -> None:
    with database.session() as session:
        job_id = make_job(session).id
    with pytest.raises(RuntimeError, match="stop"), database.session() as session:
        transition(session, job_id, State.CANCELLED, message="Job cancelled")
        raise RuntimeError("stop")
    job = read_job(database, job_id)
    assert job.state is State.QUEUED
    with database.session() as session:
        assert all(event.seq <= job.last_seq for event in list_events(tenant(session), job_id).rows)


def test_a_stale_attempt_cannot_move_a_job(database: Database) -> None:
    with database.session() as session:
        job_id = make_job(session).id
        session.execute(update(Job).where(Job.id == job_id).values(state=State.RUNNING, attempt=2))
        assert transition(session, job_id, State.FAILED, message="old", attempt=1) is None
        assert transition(session, job_id, State.FAILED, message="new", attempt=2) is not None


def test_source_narrows_where_a_move_may_begin(database: Database) -> None:
    assert State.PAUSED in sources(State.CANCELLED)
    with database.session() as session:
        job_id = make_job(session).id
        assert transition(session, job_id, State.CANCELLED, message="no", source=State.RUNNING) is None
