"""A job's event log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from ist_core.records import JsonValue, Message
from store.ids import new_id
from store.paging import Page, UnknownCursor, page_of
from store.series import allocate
from store.tables import Event
from store.tenant import Tenant


def append_events(session: Session, job_id: str, attempt: int | None, messages: Sequence[Message]) -> bool:
    """Append lines to a job's log, in order.

    `attempt` is the trainer's fencing token; None is for writers outside a run. Returns False, with nothing
    written, when the writer has lost the job or there is no such job.
    """
    seqs = allocate(session, job_id, attempt, len(messages))
    if seqs is None:
        return False
    for seq, message in zip(seqs, messages, strict=True):
        add_event(session, job_id, seq, message)
    session.flush()
    return True


def add_event(session: Session, job_id: str, seq: int, message: Message) -> Event:
    """Add one event at a number that the caller has allocated."""
    event = Event(
        job_id=job_id,
        seq=seq,
        id=new_id("ftevent"),
        level=message.level,
        type="message",
        message=plain_text(message.text),
        data=plain(message.data),
    )
    session.add(event)
    return event


def plain(data: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """A copy that JSONB can hold: PostgreSQL's JSON knows no NaN and no infinity."""
    return {key: _plain_value(value) for key, value in data.items()}


def plain_text(text: str) -> str:
    """The text without what PostgreSQL's cannot hold: NUL characters and lone surrogates."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _plain_value(value: JsonValue) -> JsonValue:
    match value:
        case float() if value - value != 0.0:  # NaN and the infinities
            return None
        case str():
            return plain_text(value)
        case list():
            return [_plain_value(item) for item in value]
        case dict():
            return plain(value)
        case _:
            return value


def list_events(tenant: Tenant, job_id: str, *, after: str | None = None, limit: int = 20) -> Page[Event]:
    """A page of a job's log, newest first; `after` is the id of the last event that the reader has.

    Raises UnknownCursor when `after` is no event of the job.
    """
    of_job = Event.job_id == tenant.job_id(job_id)
    query = select(Event).where(of_job).order_by(Event.seq.desc()).limit(limit + 1)
    if after is not None:
        seq = tenant.session.scalar(select(Event.seq).where(of_job, Event.id == after))
        if seq is None:
            raise UnknownCursor(after)
        query = query.where(Event.seq < seq)
    return page_of(tenant.session.scalars(query).all(), limit)
