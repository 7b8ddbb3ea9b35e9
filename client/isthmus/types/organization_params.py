"""What the admins' calls take."""

from __future__ import annotations

from typing import TypedDict


class QuotaParams(TypedDict, total=False):
    """New limits of a project: None lifts one, and one that is left out stays as it is."""

    max_jobs: int | None
    """Jobs queued and running at once."""
    max_bytes: int | None
    """Bytes of files and of models' artifacts."""
    max_minutes: int | None
    """Minutes of training in a calendar month (UTC)."""
    max_requests_per_minute: int | None
