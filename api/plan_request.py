"""The body that asks for a plan: a job's, and where it would run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from api.job_request import JobRequest

MOST_BYTES = 2**50


class PlanRequest(JobRequest):
    """A job that is not created, and a device or a budget of memory for it.

    Without both: the device that the project's latest job ran on, else this machine's CPU.
    """

    device: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """`cpu`, or a GPU such as `l4`, `a100-80gb` or `NVIDIA H100 80GB HBM3`."""
    memory_bytes: Annotated[int, Field(ge=1, le=MOST_BYTES)] | None = None
    """The budget, in place of what the device has."""
