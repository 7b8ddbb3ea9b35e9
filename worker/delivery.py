"""Writes what a run's engine emitted: in order, fenced by the run's attempt, each item once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from sqlalchemy.orm import Session

from ist_core.records import Message, Started, StepRecord
from store.checkpoints import record_checkpoint
from store.database import Database
from store.events import append_events
from store.runs import record_start
from store.series import count_reported, note_reported
from store.steps import append_steps
from worker.uploads import Uploaded

Item = Started | StepRecord | Message | Uploaded
"""What is written of what was emitted."""


class JobLost(RuntimeError):
    """Another attempt has the job, or it has ended: nothing may be written for it any more."""


class Delivery:
    """One attempt's writer.

    With each batch its end is noted in the job's row. Where a connection breaks at a commit, nobody knows
    what became of it: then what is noted says where to go on.
    """

    def __init__(self, database: Database, job_id: str, attempt: int, *, unsure: bool = False) -> None:
        self._database = database
        self._job_id = job_id
        self._attempt = attempt
        self._unsure = unsure

    def write(self, position: int, items: Sequence[Item | None]) -> int:
        """Write the items that begin at `position` of all that was emitted; None stands for nothing to write.

        Returns the job's last number. Raises JobLost, or one of DATABASE_AWAY: then call it again.
        """
        unsure, self._unsure = self._unsure, True
        with self._database.session() as session:
            done = self._done(session) - position if unsure else 0
            for kind, group in itertools.groupby(items[max(0, done) :], type):
                self._append(session, kind, [item for item in group if item is not None])
            end = position + max(done, len(items))
            last_seq = note_reported(session, self._job_id, self._attempt, end)
            if last_seq is None:
                raise JobLost(self._job_id)
        self._unsure = done > len(items)  # more is written than this batch: of the next, too
        return last_seq

    def _done(self, session: Session) -> int:
        done = count_reported(session, self._job_id, self._attempt)
        if done is None:
            raise JobLost(self._job_id)
        return done

    def _append(self, session: Session, kind: type[Item | None], items: list[Item]) -> None:
        job_id, attempt = self._job_id, self._attempt
        if kind is StepRecord:
            steps = [item for item in items if isinstance(item, StepRecord)]
            written = append_steps(session, job_id, attempt, steps)
        elif kind is Message:
            messages = [item for item in items if isinstance(item, Message)]
            written = append_events(session, job_id, attempt, messages)
        else:
            written = all(self._append_one(session, item) for item in items)
        if not written:
            raise JobLost(job_id)

    def _append_one(self, session: Session, item: Item) -> bool:
        job_id, attempt = self._job_id, self._attempt
        if isinstance(item, Uploaded):
            return record_checkpoint(
                session, job_id, attempt, step=item.step, metrics=item.metrics, stored=item.stored
            )
        return isinstance(item, Started) and record_start(session, job_id, attempt, item)
