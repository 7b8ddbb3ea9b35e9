"""Fine-tuning jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Computed, ForeignKey, Index, SmallInteger, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, PreciseState, State, StateColumn

LIVE = text("jobs.state in ('validating_files', 'queued', 'running', 'paused')")
"""The jobs that have not ended, in the words of the index `ix_jobs_live`: bound to a parameter, PostgreSQL
could not see that the index holds all of them."""

PRECISE_STATE = """
CASE
    WHEN ((state = 'running'::job_state) AND cancel_requested) THEN 'cancelling'::text
    WHEN ((state = 'running'::job_state) AND pause_requested) THEN 'pausing'::text
    WHEN ((state = 'queued'::job_state) AND retrying) THEN 'retrying'::text
    WHEN (state = 'validating_files'::job_state) THEN 'validating_files'::text
    WHEN (state = 'queued'::job_state) THEN 'queued'::text
    WHEN (state = 'running'::job_state) THEN 'running'::text
    WHEN (state = 'paused'::job_state) THEN 'paused'::text
    WHEN (state = 'succeeded'::job_state) THEN 'succeeded'::text
    WHEN (state = 'failed'::job_state) THEN 'failed'::text
    ELSE 'cancelled'::text
END
"""

GRAMS = "job_grams(VARIADIC ARRAY[id, suffix, model, fine_tuned_model])"
"""All runs of three characters of a job's names: what a search for a part of one looks in (the function is
the migration's; the extension pg_trgm is not everywhere)."""


class Job(Base):
    """A fine-tuning job. `attempt` is the fencing token: only its holder may write for the job.

    `last_seq` numbers the job's events and step records in one series, allocated under the row's lock.
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    state: Mapped[State] = mapped_column(StateColumn)
    spec: Mapped[dict[str, Any]]
    """The resolved `ist_core.spec.JobSpec`, file ids in place of paths."""
    request: Mapped[dict[str, Any]]
    """The request as it came (for `method`, `integrations` and what differed from the defaults)."""
    request_id: Mapped[str | None]
    """The `x-request-id` of the answer that made the job, which the lines of its logs have."""
    provenance: Mapped[dict[str, Any] | None]
    """What its latest run was made with (`store.bundle.Provenance`)."""
    model: Mapped[str]
    training_file: Mapped[str] = mapped_column(ForeignKey("files.id"))
    validation_file: Mapped[str | None] = mapped_column(ForeignKey("files.id"))
    suffix: Mapped[str | None]
    # "metadata" is taken by SQLAlchemy's declarative base.
    user_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", server_default="{}")
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """Of the queued jobs, those with the highest are taken first."""

    attempt: Mapped[int] = mapped_column(server_default="0")
    losses: Mapped[int] = mapped_column(server_default="0")
    """How many of the attempts ended because the worker or its trainer was lost; a job given back in order is
    not one."""
    retrying: Mapped[bool] = mapped_column(server_default="false")
    """Queued because its last run broke off, not because it is new or was paused."""
    claimed_at: Mapped[datetime | None]
    """When its latest run began: the project that was served longest ago comes next."""
    worker: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    """When the queue last took a wake-up for the job; None: not yet, the scheduler sends it."""
    cancel_requested: Mapped[bool] = mapped_column(server_default="false")
    pause_requested: Mapped[bool] = mapped_column(server_default="false")
    precise_state: Mapped[PreciseState] = mapped_column(Text, Computed(PRECISE_STATE, persisted=True))
    """`state` with what is asked of the job, as clients see it."""

    last_seq: Mapped[int] = mapped_column(BigInteger, server_default="0")
    reported: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """How many items the trainer of the latest attempt has had written: where it goes on after a lost
    connection."""
    step: Mapped[int] = mapped_column(server_default="0")
    total_steps: Mapped[int | None]
    layers: Mapped[int | None]
    trained_tokens: Mapped[int | None] = mapped_column(BigInteger)
    started_at: Mapped[datetime | None]
    run_started_at: Mapped[datetime | None]
    """When the run that holds the job began; None: it is not running."""
    run_seconds: Mapped[float] = mapped_column(server_default="0")
    """How long the runs that are over took, together."""
    finished_at: Mapped[datetime | None]
    fine_tuned_model: Mapped[str | None]
    result_files: Mapped[list[str]] = mapped_column(server_default="[]")
    report: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    """`{code, message, param}` of a failed job."""

    __table_args__ = (
        # What a client lists: all, by state, by model, by both, by metadata, by a part of a name.
        Index("ix_jobs_project_id_created_at_id", "project_id", "created_at", "id"),
        Index("ix_jobs_listed_by_state", "project_id", "precise_state", "created_at", "id"),
        Index("ix_jobs_listed_by_model", "project_id", "model", "created_at", "id"),
        Index("ix_jobs_listed_by_both", "project_id", "model", "precise_state", "created_at", "id"),
        Index(
            "ix_jobs_metadata",
            "metadata",
            postgresql_using="gin",
            postgresql_ops={"metadata": "jsonb_path_ops"},
        ),
        # What the names of a job's checkpoints have of its id.
        Index("ix_jobs_short_id", text('lower("right"(id, 8))')),
        Index("ix_jobs_grams", text(GRAMS), postgresql_using="gin"),
        # The queue: its line, and the jobs that were woken longest ago or never.
        Index(
            "ix_jobs_line",
            "priority",
            "project_id",
            "created_at",
            "id",
            postgresql_where="state = 'queued'",
        ),
        Index(
            "ix_jobs_woken",
            text("COALESCE(sent_at, '-infinity'::timestamp with time zone)"),
            postgresql_where="state = 'queued'",
        ),
        Index(
            "ix_jobs_live",
            "state",
            "created_at",
            postgresql_where="state in ('validating_files', 'queued', 'running', 'paused')",
        ),
        Index("ix_jobs_project_id_claimed_at", "project_id", "claimed_at"),
        # What has been: counts, a month's minutes, how long the latest took.
        Index("ix_jobs_ended", "project_id", "state", postgresql_where="finished_at IS NOT NULL"),
        Index(
            "ix_jobs_started",
            "project_id",
            "started_at",
            postgresql_include=["run_seconds"],
            postgresql_where="started_at IS NOT NULL",
        ),
        Index("ix_jobs_succeeded", "finished_at", postgresql_where="state = 'succeeded'"),
    )
