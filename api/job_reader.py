"""A job's stream as the database has it, read for all who watch it in this process."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api.errors import not_found
from api.job_view import view_job
from api.keyring import KeyRing
from api.strip import Frame, Strip
from api.wire.checkpoints import checkpoint_object
from api.wire.frames import (
    CheckpointFrame,
    EvaluationFrame,
    EventFrame,
    StepFrame,
    evaluation_object,
    step_object,
)
from api.wire.jobs import event_object
from store.checkpoints import find_checkpoints
from store.database import Database
from store.jobs import find_job
from store.states import TERMINAL
from store.stream import StreamItem, read_range
from store.tables import Checkpoint, Event, Job
from store.tenant import Tenant

PAGE = 512


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The job as it was when its last number was `last_seq`: its JSON."""

    json: bytes
    last_seq: int


@dataclass(frozen=True, slots=True)
class Look:
    """What is new: frames up to `tip`, the job if an event tells of a change, and which keys are dead."""

    frames: list[Frame]
    tip: int
    more: bool
    ended: bool
    """It has ended, and there will be nothing after `tip`."""
    snapshot: Snapshot | None
    dead: frozenset[str]


@dataclass(frozen=True, slots=True)
class JobReader:
    """Reads one job of one project; each call is a transaction, and raises ApiError where there is no job."""

    database: Database
    keys: KeyRing
    project_id: str
    job_id: str

    def snapshot(self) -> Snapshot:
        """The job as it is now."""
        with self.database.session() as session:
            return _snapshot(session, self._job(session))

    def tip(self) -> int:
        """The number of the job's latest event or step."""
        with self.database.session() as session:
            return self._job(session).last_seq

    def look(self, after: int, key_ids: Collection[str]) -> Look:
        """What there is after a number, at most PAGE items of it, and which of these keys are dead."""
        with self.database.session() as session:
            dead = self.keys.dead(session, key_ids)
            # The job first: up to its last number all is committed, and when it has ended, that is all.
            job = self._job(session)
            items = self._items(session, after, job.last_seq) if job.last_seq > after else []
            more = len(items) == PAGE
            tip = items[-1].seq if more else job.last_seq
            told = any(isinstance(item.row, Event) for item in items)
            return Look(
                frames=_frames(session, job, items),
                tip=tip,
                more=more,
                ended=job.state in TERMINAL and not more,
                snapshot=_snapshot(session, job) if told else None,
                dead=dead,
            )

    def block(self, after: int, until: int) -> Strip:
        """All that there is now in (after, until]; at most PAGE numbers."""
        with self.database.session() as session:
            job = self._job(session)
            end = min(until, job.last_seq)
            return Strip(after, end, _frames(session, job, self._items(session, after, end)))

    def _job(self, session: Session) -> Job:
        job = find_job(Tenant(session, self.project_id), self.job_id)
        if job is None:
            raise not_found("job", self.job_id, param="job_id")
        return job

    def _items(self, session: Session, after: int, until: int) -> list[StreamItem]:
        return read_range(Tenant(session, self.project_id), self.job_id, after, until, PAGE)


def _snapshot(session: Session, job: Job) -> Snapshot:
    return Snapshot(view_job(session, job).model_dump_json().encode(), job.last_seq)


def _frames(session: Session, job: Job, items: list[StreamItem]) -> list[Frame]:
    ids = {_checkpoint_id(item.row) for item in items if isinstance(item.row, Event)} - {""}
    checkpoints = find_checkpoints(Tenant(session, job.project_id), job.id, ids)
    return [frame for item in items for frame in _frames_of(item, job, checkpoints)]


def _frames_of(item: StreamItem, job: Job, checkpoints: dict[str, Checkpoint]) -> list[Frame]:
    """An item's own frame, which moves the cursor, behind those that are a part of it."""
    seq, row = item.seq, item.row
    frames = []
    if isinstance(row, Event):
        checkpoint = checkpoints.get(_checkpoint_id(row))
        if checkpoint is not None:
            part = CheckpointFrame(part_of=seq, data=checkpoint_object(checkpoint, job))
            frames.append(Frame.of(seq, part.type, part))
        event = EventFrame(seq=seq, data=event_object(row))
        return [*frames, Frame.of(seq, event.type, event, id_=str(seq))]
    evaluation = evaluation_object(row)
    if evaluation is not None:
        measured = EvaluationFrame(part_of=seq, data=evaluation)
        frames.append(Frame.of(seq, measured.type, measured))
    step = StepFrame(seq=seq, data=step_object(row))
    return [*frames, Frame.of(seq, step.type, step, id_=str(seq))]


def _checkpoint_id(event: Event) -> str:
    """Of the checkpoint that an event tells of; empty: of none."""
    found = event.data.get("checkpoint", "")
    return found if isinstance(found, str) else ""
