"""The tables: projects, keys, files, jobs and what jobs leave behind (PostgreSQL 15 or later)."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Enum,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, REAL
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class State(enum.StrEnum):
    """A job's precise state; `status` on the wire is derived from it (OpenAI's enum has no `paused`)."""

    VALIDATING_FILES = "validating_files"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Base(DeclarativeBase):
    """Naming convention, so that migrations can name every constraint."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy declares it so
        str: Text,
        int: Integer,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: JSONB,
        list[dict[str, Any]]: JSONB,
    }


StateColumn = Enum(State, name="job_state", values_callable=lambda states: [state.value for state in states])


class Project(Base):
    """A tenant: whose the files, jobs, models and keys are, and how much it may have (None: no limit)."""

    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    name: Mapped[str]
    archived_at: Mapped[datetime | None]
    """Since when its keys are refused; its rows stay."""
    max_jobs: Mapped[int | None]
    """Jobs queued and running at once."""
    max_bytes: Mapped[int | None] = mapped_column(BigInteger)
    max_minutes: Mapped[int | None]
    """Minutes of training in a calendar month (UTC)."""
    max_requests_per_minute: Mapped[int | None]
    """Of each of its keys; None: the service's own limit."""


class ApiKey(Base):
    """A key of a project; only its SHA-256 is kept, for a key has all the entropy that it needs."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    name: Mapped[str]
    prefix: Mapped[str]
    """The key's first characters, to know it by."""
    sha256: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    """To the minute."""

    __table_args__ = (Index("ix_api_keys_project_id_created_at_id", "project_id", "created_at", "id"),)


class File(Base):
    """An uploaded or produced file; its bytes are the object `key`."""

    __tablename__ = "files"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    filename: Mapped[str]
    purpose: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    rows: Mapped[int | None]
    """Examples in a data file; None for results."""
    format: Mapped[str] = mapped_column(server_default="chat")
    """What the rows of a data file are (`ist_core.rows.FormatName`); says nothing of results."""
    container: Mapped[str | None]
    """`jsonl`, `csv` or `parquet`; None for results."""
    validation: Mapped[dict[str, Any] | None]
    """What the check found: `{rows, duplicates, warnings: [{line, path, reason}], total_warnings}`."""
    key: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    """Since when it is gone for clients; the row stays for the jobs that name it."""
    purged_at: Mapped[datetime | None]
    """Since when its bytes are gone, too."""

    __table_args__ = (
        Index("ix_files_project_id_created_at_id", "project_id", "created_at", "id"),
        Index(
            "ix_files_expires_at",
            "expires_at",
            postgresql_where="expires_at IS NOT NULL AND deleted_at IS NULL",
        ),
        Index(
            "ix_files_unpurged",
            "deleted_at",
            postgresql_where="deleted_at IS NOT NULL AND purged_at IS NULL",
        ),
    )


class Upload(Base):
    """A file that comes in parts: `pending`, then `completed`, `cancelled` or `expired`."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    status: Mapped[str] = mapped_column(server_default="pending")
    filename: Mapped[str]
    purpose: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    """What its parts must add up to, as announced."""
    mime_type: Mapped[str]
    file_lifetime: Mapped[int | None]
    """Seconds from the file's creation to its end; None: it stays."""
    file_id: Mapped[str | None] = mapped_column(ForeignKey("files.id"))
    """The file that it became."""

    __table_args__ = (Index("ix_uploads_pending", "expires_at", postgresql_where="status = 'pending'"),)


class UploadPart(Base):
    """A part of an upload; its bytes are the object `key`. The row goes when the bytes are gone."""

    __tablename__ = "upload_parts"

    id: Mapped[str] = mapped_column(primary_key=True)
    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    bytes: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str]


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

    last_seq: Mapped[int] = mapped_column(BigInteger, server_default="0")
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
        Index("ix_jobs_project_id_created_at_id", "project_id", "created_at", "id"),
        Index("ix_jobs_ended", "project_id", "state", postgresql_where="finished_at IS NOT NULL"),
        Index("ix_jobs_project_id_claimed_at", "project_id", "claimed_at"),
        Index(
            "ix_jobs_live",
            "state",
            "created_at",
            postgresql_where="state in ('validating_files', 'queued', 'running', 'paused')",
        ),
    )


class Event(Base):
    """A line of a job's log; each state change is one, written in the same transaction."""

    __tablename__ = "events"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    level: Mapped[str]
    type: Mapped[str]
    """`message` or `metrics`, as on OpenAI's wire."""
    message: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(server_default="{}")


class StepRecord(Base):
    """One optimizer step of a job: a resumed job never shows a step twice (primary key)."""

    __tablename__ = "step_records"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    attempt: Mapped[int]
    time: Mapped[datetime]
    metrics: Mapped[dict[str, Any]]
    importance: Mapped[list[float]] = mapped_column(ARRAY(REAL))
    active: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    probabilities: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))
    """Each layer's chance to be selected; None: not told."""

    __table_args__ = (Index("ix_step_records_job_id_seq", "job_id", "seq", unique=True),)


class Checkpoint(Base):
    """A checkpoint of a job, as objects under `prefix`; an attempt that makes its step again replaces it."""

    __tablename__ = "checkpoints"

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    step: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    attempt: Mapped[int]
    metrics: Mapped[dict[str, Any]]
    """The step's, as in its record."""
    prefix: Mapped[str]
    files: Mapped[list[dict[str, Any]]]
    """Every object under `prefix`: `{path, bytes, sha256}`, path relative to it."""
    resumable: Mapped[bool] = mapped_column(server_default="true")
    """Whether all that a run needs to go on is there; False: the adapter alone is kept."""

    __table_args__ = (UniqueConstraint("job_id", "step"),)


class Webhook(Base):
    """An address that is told of the ends of a project's jobs, or of one of them."""

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    """None: of all the project's jobs."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    name: Mapped[str]
    url: Mapped[str]
    event_types: Mapped[list[str]]
    secret: Mapped[str]
    """`whsec_` and base64: what is signed with it must have it whole, so it cannot be kept as a hash."""

    __table_args__ = (Index("ix_webhooks_project_id_created_at_id", "project_id", "created_at", "id"),)


class WebhookDelivery(Base):
    """An event on its way to a webhook; its id is the same in every attempt, so a repeat can be told."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[str] = mapped_column(primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    event_type: Mapped[str]
    body: Mapped[str]
    """The very text that is signed and sent."""
    attempts: Mapped[int] = mapped_column(server_default="0")
    attempted_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    """None: delivered, or given up."""
    delivered_at: Mapped[datetime | None]
    status_code: Mapped[int | None]
    """Of the last answer; None: there was none."""
    error: Mapped[str | None]

    __table_args__ = (
        Index("ix_webhook_deliveries_webhook_id_created_at_id", "webhook_id", "created_at", "id"),
        Index("ix_webhook_deliveries_due", "next_attempt_at", postgresql_where="next_attempt_at IS NOT NULL"),
    )


class TunedModel(Base):
    """A model that a job made: a base model's name and an adapter under `prefix` in object storage."""

    __tablename__ = "tuned_models"

    id: Mapped[str] = mapped_column(primary_key=True)
    """`ft:BASE:ORG:SUFFIX:ID`, the name that `fine_tuned_model` shows."""
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    base_model: Mapped[str]
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    prefix: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    """Of all artifacts together."""
    artifacts: Mapped[list[dict[str, Any]]]
    """Every object under `prefix`: `{path, bytes, sha256}`, path relative to it."""
