"""A job's series of sequence numbers: fence, lock and number in one statement.

The numbers are given out under the job's row lock, which is held until the commit, so they are
commit-ordered: a reader that has seen number s has seen every row up to s.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import Session

from store.tables import Job, State


def held_by(attempt: int) -> ColumnElement[bool]:
    """The fence: the job is running, and `attempt` is the one that runs it."""
    return (Job.attempt == attempt) & (Job.state == State.RUNNING)


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
