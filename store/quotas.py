"""What a project may have and what it has, compared under its row's lock: no two get the last place."""

from __future__ import annotations

from dataclasses import dataclass, fields

from sqlalchemy import Select, func, literal_column, select
from sqlalchemy.orm import Session

from store.states import seconds_of_run
from store.tables import Checkpoint, Export, File, Job, Project, TunedModel, Upload, UploadPart
from store.tables.base import PreciseState
from store.tables.jobs import LIVE
from store.tenant import Tenant

ACTIVE: tuple[PreciseState, ...] = (
    "validating_files",
    "queued",
    "retrying",
    "running",
    "pausing",
    "cancelling",
)
"""The states of jobs that hold a place: all that have not ended, but for those that are paused."""
SMALLER = "Send a smaller file"


@dataclass(frozen=True, slots=True)
class Limits:
    """A project's limits; None: no limit (for requests: the service's own)."""

    max_jobs: int | None = None
    max_bytes: int | None = None
    max_minutes: int | None = None
    max_requests_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a project has: jobs queued and running, bytes stored, minutes trained in this month (UTC)."""

    jobs: int
    bytes: int
    minutes: float


class QuotaExceeded(RuntimeError):
    """The project has no room for this; nothing was changed."""

    def __init__(self, project_id: str, name: str, problem: str, remedy: str) -> None:
        flag = name.removeprefix("max_").replace("_", "-")
        super().__init__(
            f"Project {project_id} {problem}. {remedy}, or have an admin raise {name} "
            f"(`python -m api.admin quota set {project_id} --{flag} N`)"
        )
        self.name = name


def limits_of(project: Project) -> Limits:
    """A project's limits."""
    return Limits(**{field.name: getattr(project, field.name) for field in fields(Limits)})


def set_limits(session: Session, project: Project, limits: Limits) -> None:
    """Replace a project's limits; what it has above them stays, and nothing is added to it."""
    for field in fields(Limits):
        setattr(project, field.name, getattr(limits, field.name))
    session.flush()


def quota_of(tenant: Tenant) -> tuple[Limits, Usage]:
    """What the project may have, and what it has now."""
    session, project_id = tenant.session, tenant.project_id
    usage = Usage(
        jobs=_jobs(session, project_id),
        bytes=_bytes(session, project_id),
        minutes=_minutes(session, project_id),
    )
    return limits_of(session.scalars(_project(tenant)).one()), usage


def take_job(tenant: Tenant) -> None:
    """Make sure that the project may queue one more job; raises QuotaExceeded.

    Call it in the transaction that queues the job: until that ends, another has to wait here.
    """
    project = _lock(tenant, "max_jobs", "max_minutes")
    session, project_id = tenant.session, tenant.project_id
    if project.max_jobs is not None and (jobs := _jobs(session, project_id)) >= project.max_jobs:
        raise QuotaExceeded(
            project_id,
            "max_jobs",
            f"has {jobs} jobs queued or running, and may have {project.max_jobs}",
            "Wait until one ends, cancel one",
        )
    if project.max_minutes is not None and (used := _minutes(session, project_id)) >= project.max_minutes:
        raise QuotaExceeded(
            project_id,
            "max_minutes",
            f"has trained for {used:,.1f} minutes this month, and may for {project.max_minutes:,}",
            "Wait for the next month (UTC)",
        )


def take_bytes(tenant: Tenant, size: int, *, remedy: str = SMALLER) -> None:
    """Make sure that the project may store `size` more bytes, as `take_job`; raises QuotaExceeded."""
    _check_bytes(tenant, size, _lock(tenant, "max_bytes"), remedy)


def check_bytes(tenant: Tenant, size: int) -> None:
    """Ask beforehand, without a lock, whether `size` bytes would find room; raises QuotaExceeded."""
    _check_bytes(tenant, size, tenant.session.scalars(_project(tenant)).one(), SMALLER)


def _check_bytes(tenant: Tenant, size: int, project: Project, remedy: str) -> None:
    if project.max_bytes is None:
        return
    used = _bytes(tenant.session, tenant.project_id)
    if used + size > project.max_bytes:
        raise QuotaExceeded(
            tenant.project_id,
            "max_bytes",
            f"stores {used:,} bytes and may store {project.max_bytes:,}, so {size:,} more do not fit",
            remedy,
        )


def _lock(tenant: Tenant, *limits: str) -> Project:
    """The project, locked until the transaction ends if it has one of these limits.

    The lock lets rows be added that refer to the project (FOR NO KEY UPDATE): workers never wait for it.
    """
    project = tenant.session.scalars(_project(tenant)).one()
    if all(getattr(project, name) is None for name in limits):
        return project
    return tenant.session.scalars(_project(tenant).with_for_update(key_share=True)).one()


def _project(tenant: Tenant) -> Select[Project]:
    return select(Project).where(Project.id == tenant.project_id).execution_options(populate_existing=True)


def _jobs(session: Session, project_id: str) -> int:
    return session.scalar(jobs_query(project_id)) or 0


def jobs_query(project_id: str) -> Select[int]:
    """By `ix_jobs_listed_by_state` alone, from the parts of these states."""
    return select(func.count()).where(Job.project_id == project_id, Job.precise_state.in_(ACTIVE))


def _bytes(session: Session, project_id: str) -> int:
    """The files, the parts of uploads that may become files, models' artifacts, checkpoints, and exports."""
    files = select(func.sum(File.bytes)).where(File.project_id == project_id, File.deleted_at.is_(None))
    parts = (
        select(func.sum(UploadPart.bytes))
        .join(Upload)
        .where(Upload.project_id == project_id, Upload.status == "pending")
    )
    models = select(func.sum(TunedModel.bytes)).where(
        TunedModel.project_id == project_id, TunedModel.deleted_at.is_(None)
    )
    checkpoints = select(func.sum(Checkpoint.bytes)).where(Checkpoint.project_id == project_id)
    exports = select(func.sum(Export.bytes)).where(
        Export.project_id == project_id, Export.deleted_at.is_(None), Export.bytes > 0
    )
    return sum(int(session.scalar(query) or 0) for query in (files, parts, models, checkpoints, exports))


def _minutes(session: Session, project_id: str) -> float:
    """Of all jobs whose first run began in this month; one that runs counts as far as it has come."""
    return sum(float(session.scalar(query) or 0.0) for query in minutes_queries(project_id)) / 60


def minutes_queries(project_id: str) -> tuple[Select[float | None], Select[float | None]]:
    """Seconds of the runs that are over, by `ix_jobs_started` alone, and of those that are not, by
    `ix_jobs_live`."""
    month = func.date_trunc("month", func.now(), "UTC")
    of_month = (Job.project_id == project_id, Job.started_at >= month)
    running = (LIVE, Job.state == literal_column("'running'"))
    return (
        select(func.sum(Job.run_seconds)).where(*of_month),
        select(func.sum(seconds_of_run())).where(*of_month, *running),
    )
