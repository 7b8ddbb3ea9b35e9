"""What all tables share: naming, types, the states of a job."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import DateTime, Enum, Integer, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase


class State(enum.StrEnum):
    """A job's precise state; `status` on the wire is derived from it (OpenAI's enum has no `paused`)."""

    VALIDATING_FILES = "validating_files"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


PreciseState = Literal[
    "validating_files",
    "queued",
    "retrying",
    "running",
    "pausing",
    "cancelling",
    "paused",
    "succeeded",
    "failed",
    "cancelled",
]
"""A job's state with what is asked of it and why it is queued, as clients see it."""


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
