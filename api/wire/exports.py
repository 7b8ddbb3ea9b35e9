"""Exports of models on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from api.wire.common import Identified, RequestModel, WireModel, unix, unix_or_none
from api.wire.series import ArtifactObject
from store.exports import ExportFormat, Push
from store.tables import Export, ExportState

ExportStatus = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,94}[A-Za-z0-9]"


class HubRequest(RequestModel):
    """A repository of a Hub that the files go to; it is made if it is not there."""

    type: Literal["hub"]
    repo_id: str = Field(
        pattern=rf"^{_NAME}/{_NAME}$",
        max_length=193,
        description="`namespace/name`",
        examples=["team/tickets"],
    )
    private: bool = True
    """Of a repository that is made now; one that is there stays as it is."""
    token: Annotated[
        str | None,
        Field(
            pattern=r"^[\x21-\x7e]+$",
            max_length=512,
            repr=False,
            json_schema_extra={"writeOnly": True},
            description="What the Hub takes for a write; used once, and never shown again. Without one, the "
            "worker's own `HF_TOKEN`",
        ),
    ] = None

    def push(self) -> Push:
        """As the store has it."""
        return Push(self.repo_id, self.private, self.token)


class ExportRequest(RequestModel):
    """A format, and where it goes."""

    format: ExportFormat
    """`adapter` needs a destination: without one, it is downloaded as the model's archive."""
    destination: HubRequest | None = None
    """None: it is kept here, for download."""


class ExportErrorObject(WireModel):
    """Why an export failed."""

    code: str
    message: str
    param: str | None


class HubObject(WireModel):
    """A Hub repository; `url` is of the commit, once there is one."""

    type: Literal["hub"] = "hub"
    repo_id: str
    private: bool
    url: str | None


class ExportObject(Identified):
    """A model in another format: under way, ready, or pushed."""

    object: Literal["model.export"] = "model.export"
    model: str
    job_id: str
    format: ExportFormat
    destination: HubObject | None
    status: ExportStatus
    progress: str | None
    """What is being done, for a person."""
    created_at: int
    started_at: int | None
    finished_at: int | None
    error: ExportErrorObject | None
    bytes: int
    """Of all files that are kept here; one that is pushed keeps none."""
    files: list[ArtifactObject]
    manifest: dict[str, Any] | None
    """What was made, and how it was compared with the model that was trained."""


class DeletedExport(WireModel):
    """An export that is gone."""

    id: str
    object: Literal["model.export"] = "model.export"
    deleted: Literal[True] = True


def export_object(export: Export) -> ExportObject:
    """An export."""
    return ExportObject(
        id=export.id,
        model=export.model,
        job_id=export.job_id,
        format=export.format,
        destination=_hub_object(export),
        status=status_of(export),
        progress=export.progress,
        created_at=unix(export.created_at),
        started_at=unix_or_none(export.started_at),
        finished_at=unix_or_none(export.finished_at),
        error=None if export.error is None else ExportErrorObject.model_validate(export.error),
        bytes=export.bytes,
        files=[ArtifactObject.model_validate(file) for file in export.files],
        manifest=export.manifest,
    )


def status_of(export: Export) -> ExportStatus:
    """Its state with what is asked of it."""
    if export.state is ExportState.RUNNING and export.cancel_requested:
        return "cancelling"
    return export.state.value


def _hub_object(export: Export) -> HubObject | None:
    if export.repo_id is None:
        return None
    return HubObject(repo_id=export.repo_id, private=export.private, url=export.url)
