"""A job's events and step records as one series, for replay after a cursor."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from store.tables import Event, Job, StepRecord
from store.tenant import Tenant


@dataclass(frozen=True, slots=True)
class StreamItem:
    """One item of the series: `row` is an event or a step record."""

    seq: int
    row: Event | StepRecord


def read_stream(tenant: Tenant, job_id: str, after_seq: int, limit: int = 500) -> list[StreamItem]:
    """Up to `limit` items after `after_seq`, in order; empty when there are no more yet (or no such job).

    Numbers may have gaps: a step that a later attempt repeated used one up.
    """
    # Read first: all up to last_seq is committed.
    last_seq = tenant.session.scalar(select(Job.last_seq).where(Job.id == tenant.job_id(job_id)))
    if last_seq is None or last_seq <= after_seq:
        return []
    return read_range(tenant, job_id, after_seq, last_seq, limit)


def read_range(tenant: Tenant, job_id: str, after_seq: int, until_seq: int, limit: int) -> list[StreamItem]:
    """Up to `limit` items in (after_seq, until_seq], in order.

    `until_seq` is a last number of the job that the caller has read: then the two queries, though each sees
    its own moment, cannot return a number and miss a smaller one.
    """
    of_job = tenant.job_id(job_id)
    events = tenant.session.scalars(
        select(Event)
        .where(Event.job_id == of_job, Event.seq > after_seq, Event.seq <= until_seq)
        .order_by(Event.seq)
        .limit(limit)
    )
    steps = tenant.session.scalars(
        select(StepRecord)
        .where(StepRecord.job_id == of_job, StepRecord.seq > after_seq, StepRecord.seq <= until_seq)
        .order_by(StepRecord.seq)
        .limit(limit)
    )
    items = [StreamItem(row.seq, row) for row in [*events, *steps]]
    items.sort(key=lambda item: item.seq)
    return items[:limit]
