"""What a trainer that is gone had emitted and not yet stored: its supervisor delivers it."""

from __future__ import annotations

import logging
from pathlib import Path

from ist_core.records import Checkpointed
from store.database import Database
from store.series import count_reported
from worker.delivery import Delivery, Item, JobLost
from worker.spool import read_left

BATCH = 4096

logger = logging.getLogger(__name__)


def deliver_left(database: Database, job_id: str, attempt: int, spool: Path) -> int | None:
    """Store what a spool holds, in order, from where its trainer stopped; returns the job's last number.

    None: there was nothing, or another attempt has the job. What only the trainer's memory held is gone, and
    what follows it stays unwritten, as does a checkpoint that was not uploaded: a job that goes on makes
    those steps again. Raises one of DATABASE_AWAY: then call it again.
    """
    if not spool.is_file():
        return None
    with database.session() as session:
        done = count_reported(session, job_id, attempt)
    if done is None:
        return None
    items: list[Item | None] = []
    for position, item in read_left(spool):
        if position == done + len(items):
            items.append(None if isinstance(item, Checkpointed) else item)
    delivery = Delivery(database, job_id, attempt, unsure=True)
    last_seq = None
    try:
        for at in range(0, len(items), BATCH):
            last_seq = delivery.write(done + at, items[at : at + BATCH])
    except JobLost:
        return None
    if items:
        logger.info("%s: stored %d records that its trainer left", job_id, len(items))
    return last_seq
