"""Exports: models in the formats of other software, kept for download or pushed to a Hub."""

from __future__ import annotations

from typing import Any, Literal, Required, TypedDict

from isthmus.types.base import Identified, Lenient
from isthmus.types.jobs import ENDED, Artifact

ModelFormat = Literal["adapter", "merged", "gguf_f16", "gguf_q8_0"]
ExportStatus = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]


class HubParams(TypedDict, total=False):
    """A repository of a Hub to push to; `private` is of one that is made now."""

    type: Required[Literal["hub"]]
    repo_id: Required[str]
    private: bool
    token: str | None
    """None: the worker's own `HF_TOKEN`."""


class ExportParams(TypedDict, total=False):
    """What `models.exports.create` takes beside the model."""

    format: Required[ModelFormat]
    destination: HubParams | None
    """None: it is kept by the service, for download."""


class ExportError(Lenient):
    """Why an export failed."""

    code: str
    message: str
    param: str | None = None


class HubDestination(Lenient):
    """Where an export is pushed to; `url` is of the commit, once there is one."""

    type: str = "hub"
    repo_id: str
    private: bool = False
    url: str | None = None


class ExportFields(Identified):
    """An export's fields; `isthmus.Export` and `isthmus.AsyncExport` have methods, too."""

    object: str = "model.export"
    model: str
    job_id: str = ""
    format: ModelFormat | str
    destination: HubDestination | None = None
    status: ExportStatus | str
    progress: str | None = None
    """What is being done, for a person."""
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    error: ExportError | None = None
    bytes: int = 0
    """Of all files that the service keeps; one that is pushed keeps none."""
    files: list[Artifact] = []
    manifest: dict[str, Any] | None = None
    """What was made, and how it was compared with the model that was trained."""

    @property
    def ended(self) -> bool:
        """Whether it has succeeded, failed or been cancelled."""
        return self.status in ENDED
