"""Whether there is anything for the scheduler to do, in one statement."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from store.checkpoints import trim_query
from store.export_runs import expired_exports_query, unsent_exports_query
from store.jobs import unsent_query
from store.runs import expired_query


class Due(NamedTuple):
    """What there is to do."""

    lost_jobs: bool
    """Running jobs whose worker is gone."""
    lost_exports: bool
    wake_ups: bool
    """Queued jobs or exports that may need one."""
    checkpoints: bool
    """Some that hold more than their job goes on from."""


def due(session: Session, *, patience_seconds: float, sent_before_seconds: float) -> Due:
    """Look for it; the arguments are those of `expired_jobs` and `unsent_jobs`."""
    return Due(*session.execute(_query(patience_seconds, sent_before_seconds)).one())


@lru_cache
def _query(patience_seconds: float, sent_before_seconds: float) -> Select[bool, bool, bool, bool]:
    """Made once: that takes as long as sending it."""
    wake_ups = or_(
        unsent_query(sent_before_seconds, 1).exists(), unsent_exports_query(sent_before_seconds).exists()
    )
    return select(
        expired_query(patience_seconds).exists(),
        expired_exports_query(patience_seconds).exists(),
        wake_ups,
        trim_query().exists(),
    )
