"""A job's series of sequence numbers: fence, lock and number in one statement.

The numbers are given out under the job's row lock, which is held until the commit, so they are
commit-ordered: a reader that has seen number s has seen every row up to s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from store.tables import Job, State


def held_by(attempt: int) -> ColumnElement[bool]:
    """The fence: the job is running, and `attempt` is the one that runs it."""
    return (Job.attempt == attempt) & (Job.state == State.RUNNING)


@dataclass(frozen=True, slots=True)
class Progress:
    """What a batch of step records was given: its numbers, and the job's last step before it."""

    seqs: range
    before: int


def allocate(session: Session, job_id: str, attempt: int | None, count: int, **columns: Any) -> range | None:
    """Take the job's next `count` numbers and set `columns` in the same statement.

    `attempt` is the writer's fencing token; None is for writers outside a run (the API). Returns None when
    the writer has lost the job (or, without an attempt, when there is no such job): nothing was changed.
    """
    statement = (
        update(Job)
        .where(Job.id == job_id)
        .values(last_seq=Job.last_seq + count, **columns)
        .returning(Job.last_seq)
        .execution_options(synchronize_session=False)
    )
    if attempt is not None:
        statement = statement.where(held_by(attempt))
    last = session.execute(statement).scalar_one_or_none()
    return None if last is None else range(last - count + 1, last + 1)


def advance(
    session: Session, job_id: str, attempt: int, count: int, *, step: int, trained_tokens: int
) -> Progress | None:
    """Take `count` numbers for step records and move the job's progress, which never goes back.

    None: fenced off, as in `allocate`.
    """
    before = (
        select(Job.id, Job.step).where(Job.id == job_id).with_for_update(key_share=True).subquery("before")
    )
    statement = (
        update(Job)
        .where(Job.id == before.c.id, held_by(attempt))
        .values(
            last_seq=Job.last_seq + count,
            step=func.greatest(Job.step, step),
            trained_tokens=func.greatest(Job.trained_tokens, trained_tokens),
        )
        .returning(Job.last_seq, before.c.step)
        .execution_options(synchronize_session=False)
    )
    row = session.execute(statement).one_or_none()
    return None if row is None else Progress(range(row[0] - count + 1, row[0] + 1), row[1])


def note_reported(session: Session, job_id: str, attempt: int, count: int) -> int | None:
    """Note that the attempt's first `count` items are written; returns the job's last number.

    None: fenced off.
    """
    statement = (
        update(Job)
        .where(Job.id == job_id, held_by(attempt))
        .values(reported=count)
        .returning(Job.last_seq)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).scalar_one_or_none()


def count_reported(session: Session, job_id: str, attempt: int) -> int | None:
    """How many of the attempt's items are written; None: fenced off."""
    return session.scalar(select(Job.reported).where(Job.id == job_id, held_by(attempt)))
