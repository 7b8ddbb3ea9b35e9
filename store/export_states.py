"""An export's state machine: one table of transitions, and one function that makes them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from store.tables import Export, ExportState

TRANSITIONS = MappingProxyType(
    {
        ExportState.QUEUED: frozenset({ExportState.RUNNING, ExportState.CANCELLED}),
        ExportState.RUNNING: frozenset(
            {ExportState.QUEUED, ExportState.SUCCEEDED, ExportState.FAILED, ExportState.CANCELLED}
        ),
        ExportState.SUCCEEDED: frozenset[ExportState](),
        ExportState.FAILED: frozenset[ExportState](),
        ExportState.CANCELLED: frozenset[ExportState](),
    }
)
"""From each state, the states that may follow it."""

ENDED = frozenset(state for state, following in TRANSITIONS.items() if not following)


def transition(
    session: Session,
    export_id: str,
    to: ExportState,
    *,
    attempt: int | None = None,
    columns: Mapping[str, Any] | None = None,
) -> Export | None:
    """Move an export to `to` and set `columns`: one conditional UPDATE.

    `attempt` fences the change to one run of it. One that leaves `running` has no worker and no lease; one
    that ends gets `finished_at` and loses its token. Returns None, with nothing changed, when it was in no
    state that `to` may follow, or another attempt holds it.
    """
    sources = [state for state, following in TRANSITIONS.items() if to in following]
    values: dict[str, Any] = {"state": to}
    if to is not ExportState.RUNNING:
        values |= {"worker": None, "lease_expires_at": None}
    if to in ENDED:
        values |= {"finished_at": func.clock_timestamp(), "hub_token": None}
    statement = update(Export).where(Export.id == export_id, Export.state.in_(sources))
    if attempt is not None:
        statement = statement.where(Export.attempt == attempt)
    return session.scalars(
        statement.values(**values, **(columns or {}))
        .returning(Export)
        .execution_options(synchronize_session=False, populate_existing=True)
    ).one_or_none()
