"""What a job tells while it runs: events and step records, numbered in one series."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, SmallInteger, func
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, REAL
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base


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


class StepRollup(Base):
    """What the records of one bucket of steps come to (`store.spans` has the levels); one that ends after the
    job's last step has no row yet. Derived: the records are the truth."""

    __tablename__ = "step_rollups"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True)
    step: Mapped[int]
    """The last one recorded in the bucket, and when that was."""
    time: Mapped[datetime]
    count: Mapped[int]
    """How many steps were recorded."""
    keys: Mapped[list[str]]
    """The metrics that the next four columns tell of, in order."""
    told: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    """How many of the steps told the metric."""
    mean: Mapped[list[float]] = mapped_column(ARRAY(DOUBLE_PRECISION))
    low: Mapped[list[float]] = mapped_column(ARRAY(DOUBLE_PRECISION))
    high: Mapped[list[float]] = mapped_column(ARRAY(DOUBLE_PRECISION))
    importance: Mapped[list[float]] = mapped_column(ARRAY(REAL))
    """Each layer's mean score."""
    updated: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    """In how many of the steps each layer was updated."""
    probabilities: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))
    """Each layer's mean chance, over the steps that told it."""
    probable: Mapped[int]
    """How many steps told it."""
