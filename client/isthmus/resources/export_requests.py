"""The requests about one export, which `client.models.exports` and the export itself share."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from isthmus.core.download import Wanted, download_all, inside
from isthmus.core.effects import Operation
from isthmus.core.request import Request, delete, get, part, post
from isthmus.core.retries import Retries
from isthmus.errors import ExportUnsuccessful, IsthmusError
from isthmus.types.exports import ExportFields, ExportParams


def create(model: str, params: ExportParams) -> Request:
    """A new export, or the one that is there."""
    return post(_path(model), params)


def list_all(model: str, after: str | None, limit: int | None) -> Request:
    """A model's exports."""
    return get(_path(model), after=after, limit=limit)


def one(model: str, export_id: str) -> Request:
    """The export as it is."""
    return get(f"{_path(model)}/{part(export_id)}")


def cancel(model: str, export_id: str) -> Request:
    """Cancel it."""
    return post(f"{_path(model)}/{part(export_id)}/cancel")


def delete_one(model: str, export_id: str) -> Request:
    """Its end."""
    return delete(f"{_path(model)}/{part(export_id)}")


def archive(model: str, export_id: str) -> Request:
    """All its files as one tar."""
    return get(f"{_path(model)}/{part(export_id)}/content")


def download(export: ExportFields, folder: Path, name: str | None, retries: Retries) -> Operation[list[Path]]:
    """Save its files, or the one of this name, in a folder; returns where.

    Raises IsthmusError for an export that keeps no such file.
    """
    files = [file for file in export.files if name in {None, file.path}]
    if not files:
        held = ", ".join(file.path for file in export.files) or "nothing to download"
        raise IsthmusError(f"export {export.id} is {export.status} and has {held}")
    address = f"{_path(export.model)}/{part(export.id)}/files"
    wanted = [
        Wanted(get(f"{address}/{quote(file.path)}"), inside(folder, file.path), file.sha256) for file in files
    ]
    yield from download_all(wanted, retries)
    return [file.target for file in wanted]


def check_success(export: ExportFields) -> None:
    """Raise ExportUnsuccessful for an export that ended otherwise."""
    if export.status == "succeeded":
        return
    why = f": {export.error.message}" if export.error else ""
    raise ExportUnsuccessful(
        f"export {export.id} ended as {export.status}{why}",
        export_id=export.id,
        status=export.status,
        code=export.error.code if export.error else None,
    )


def _path(model: str) -> str:
    return f"/v1/models/{part(model)}/exports"
