"""Training data that comes in, in one request or in parts: checked, stored, and given its row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, BinaryIO, Literal

from isthmus.dataset import formats
from isthmus.dataset.formats import DatasetSummary
from pydantic import Field, ValidationError

from api.errors import bad_request
from api.middleware import file_too_large
from api.services import Services
from api.transaction import ProjectTransaction
from api.wire.common import RequestModel
from store.files import file_key, new_file_id, receive_file
from store.objects import ObjectInfo
from store.quotas import check_bytes
from store.tables import File
from store.tenant import Tenant

FINE_TUNE = "fine-tune"
HOUR, MONTH = 3600, 30 * 24 * 3600


class ExpiresAfter(RequestModel):
    """When a file goes: so many seconds after it was made."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=HOUR, le=MONTH)]


@dataclass(frozen=True, slots=True)
class Incoming:
    """What is known of a file before its bytes are looked at."""

    filename: str
    purpose: str
    bytes: int
    lifetime: int | None


def check_purpose(purpose: str | None) -> str:
    """The purpose, which must be that of training data."""
    if not purpose:
        raise bad_request("purpose: is required, and is a text", param="purpose", code="missing_parameter")
    if purpose != FINE_TUNE:
        raise bad_request(
            f"purpose: {purpose[:40]!r} is not supported; supported: {FINE_TUNE}",
            param="purpose",
            code="invalid_purpose",
        )
    return purpose


def lifetime_of(anchor: str | None, seconds: str | None) -> int | None:
    """The seconds of a form's `expires_after[anchor]` and `expires_after[seconds]`; None: the file stays."""
    if anchor is None and seconds is None:
        return None
    given = {name: value for name, value in (("anchor", anchor), ("seconds", seconds)) if value is not None}
    try:
        return ExpiresAfter.model_validate(given, strict=False).seconds
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        wanted = "created_at" if name == "anchor" else f"a whole number from {HOUR:,} to {MONTH:,}"
        raise bad_request(
            f"expires_after[{name}]: must be {wanted}", param=f"expires_after[{name}]", code="invalid_value"
        ) from None


@dataclass(frozen=True, slots=True)
class Checked:
    """A file whose bytes are good and stored, but which has no row yet."""

    file_id: str
    stored: ObjectInfo
    contents: DatasetSummary


def receive(stream: BinaryIO, incoming: Incoming, services: Services, tx: ProjectTransaction) -> File:
    """Take a file in that comes in one request: see that there is room for it, check it, keep it."""
    if incoming.bytes > services.settings.max_file_bytes:
        raise file_too_large(services.settings.max_file_bytes)
    with services.database.session() as session:  # not the request's, which takes no connection until the end
        check_bytes(Tenant(session, tx.tenant.project_id), incoming.bytes)
    return write_row(store_checked(stream, incoming, services, tx), incoming, tx)


def store_checked(
    stream: BinaryIO, incoming: Incoming, services: Services, tx: ProjectTransaction
) -> Checked:
    """Check, then write the object; if the transaction comes to nothing, the object goes away again."""
    contents = formats.check(stream, name=incoming.filename, param="file")
    stream.seek(0)
    file_id = new_file_id()
    key = file_key(file_id)
    tx.after_rollback(lambda: services.objects.delete(key))
    return Checked(file_id, services.objects.put(key, stream), contents)


def write_row(checked: Checked, incoming: Incoming, tx: ProjectTransaction) -> File:
    """Write the row of a file that is stored; raises QuotaExceeded."""
    return receive_file(
        tx.tenant,
        file_id=checked.file_id,
        filename=incoming.filename,
        purpose=incoming.purpose,
        stored=checked.stored,
        contents=checked.contents,
        lifetime=incoming.lifetime,
    )
