"""A project's jobs, page by page: by time, state, model, metadata or a part of a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, func, literal_column, or_, select, text, tuple_, union_all

from store.jobs import find_job
from store.paging import Page, UnknownCursor, page_of
from store.tables import Job
from store.tables.base import PreciseState
from store.tables.jobs import GRAMS
from store.tenant import Tenant

MIN_SEARCH = 3
"""Characters: the index holds runs of three."""

Order = Literal["asc", "desc"]


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs; each field that is given narrows the list."""

    states: Sequence[PreciseState] = ()
    """Any of these; none: all."""
    model: str | None = None
    """The name of the base model, whole."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """All these pairs."""
    search: str | None = None
    """A part of the id, suffix, base model or tuned model, of at least MIN_SEARCH characters, in any case."""

    @property
    def is_loose(self) -> bool:
        """Whether how many rows it matches, and so the best way to them, depends on its values."""
        return bool(self.metadata) or self.search is not None


ALL = JobFilter()


def list_jobs(
    tenant: Tenant,
    *,
    after: str | None = None,
    limit: int = 20,
    order: Order = "desc",
    only: JobFilter = ALL,
) -> Page[Job]:
    """A page of the project's jobs by time of creation, newest first unless `order` is asc.

    Raises UnknownCursor when `after` is no job of the project.
    """
    last = None
    if after is not None:
        last = find_job(tenant, after)
        if last is None:
            raise UnknownCursor(after)
    if only.is_loose:
        # A plan made for any value would be wrong for most: each is planned for, from the statistics.
        tenant.session.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
    query = jobs_query(tenant.project_id, last=last, limit=limit + 1, order=order, only=only)
    return page_of(tenant.session.scalars(query).all(), limit)


def jobs_query(
    project_id: str, *, last: Job | None, limit: int, order: Order = "desc", only: JobFilter = ALL
) -> Select[Job]:
    """The first `limit` jobs after `last`."""
    conditions = [Job.project_id == project_id, *_narrowed(only)]
    if last is not None:
        position, edge = tuple_(Job.created_at, Job.id), (last.created_at, last.id)
        conditions.append(position > edge if order == "asc" else position < edge)
    states = list(dict.fromkeys(only.states))
    if len(states) > 1 and not only.is_loose:
        return _merged(conditions, states, limit, order)
    if states:
        conditions.append(Job.precise_state.in_(states))
    return select(Job).where(*conditions).order_by(*_sorted(Job.created_at, Job.id, order)).limit(limit)


def _merged(
    conditions: list[ColumnElement[bool]], states: Sequence[PreciseState], limit: int, order: Order
) -> Select[Job]:
    """The first jobs of each state, each from its part of an index, and of these the first of all."""
    sorting = _sorted(Job.created_at, Job.id, order)
    heads = union_all(
        *(
            select(Job.id, Job.created_at)
            .where(*conditions, Job.precise_state == state)
            .order_by(*sorting)
            .limit(limit)
            .subquery()
            .select()
            for state in states
        )
    ).subquery()
    first = select(heads).order_by(*_sorted(heads.c.created_at, heads.c.id, order)).limit(limit).subquery()
    return select(Job).join(first, first.c.id == Job.id).order_by(*sorting)


def _narrowed(only: JobFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if only.model is not None:
        conditions.append(Job.model == only.model)
    if only.metadata:
        conditions.append(Job.user_metadata.contains(dict(only.metadata)))
    if only.search is not None:
        # By the index, which knows runs of three alone; then for what they make up.
        grams: ColumnElement[Any] = literal_column(GRAMS)
        names = (Job.id, Job.suffix, Job.model, Job.fine_tuned_model)
        conditions.append(grams.op("@>")(func.job_grams(only.search)))
        conditions.append(or_(*(name.icontains(only.search, autoescape=True) for name in names)))
    return conditions


def _sorted(created_at: Any, job_id: Any, order: Order) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    if order == "asc":
        return created_at.asc(), job_id.asc()
    return created_at.desc(), job_id.desc()
