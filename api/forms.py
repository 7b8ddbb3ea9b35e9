"""Multipart forms with one file: read after the key is checked, and refused by the name of the field."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from fastapi import Request
from starlette.datastructures import FormData, UploadFile

from api.errors import ApiError, bad_request

MAX_NAME = 255
TEXT_BYTES = 64 * 1024


@asynccontextmanager
async def read_form(request: Request, fields: Collection[str]) -> AsyncIterator[FormData]:
    """The form of a request that has no other fields than these, and each once.

    Read by the route, not by a declared parameter, so that the key is checked before the body is taken. The
    file goes to a temporary file as it comes in.
    """
    names = " and ".join(fields)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise ApiError(
            415, f"Send multipart/form-data with the fields {names}", code="unsupported_media_type"
        )
    async with request.form(max_files=1, max_fields=8, max_part_size=TEXT_BYTES) as form:
        for name in sorted(form):
            if name not in fields:
                raise bad_request(
                    f"{name[:80]}: not supported; the fields are {names}",
                    param=name[:80],
                    code="unknown_parameter",
                )
            if len(form.getlist(name)) > 1:
                raise bad_request(f"{name}: given more than once", param=name, code="repeated_parameter")
        yield form


def file_field(form: FormData, name: str) -> UploadFile:
    """The field that is a file."""
    file = form.get(name)
    if not isinstance(file, UploadFile):
        raise bad_request(
            f"{name}: is required, and is a file with a name", param=name, code="missing_parameter"
        )
    return file


def text_field(form: FormData, name: str) -> str | None:
    """A field that is a text, or None."""
    value = form.get(name)
    if isinstance(value, UploadFile):
        raise bad_request(f"{name}: must be a text, not a file", param=name, code="invalid_value")
    return value


def safe_name(name: str | None) -> str:
    """A file name without folders and control characters, at most 255 characters long."""
    last = re.split(r"[/\\]", name or "")[-1]
    printable = "".join(character for character in last if character.isprintable()).strip()
    return printable[-MAX_NAME:] if printable.strip(".") else "upload.jsonl"
