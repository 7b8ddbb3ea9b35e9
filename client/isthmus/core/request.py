"""A request, before there is a connection: its path, query, body and the key that makes it safe to repeat."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias
from urllib.parse import quote

from isthmus.errors import IsthmusError

Value: TypeAlias = str | int | float | bool | Sequence[str] | None
Query: TypeAlias = Mapping[str, Value]
"""A sequence stands for its name repeated; what is None is left out."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file's bytes for a form: from a path, from memory, or from an open binary file."""

    name: str
    source: Path | bytes | IO[bytes]
    """An open file is sent from its beginning, at each try."""

    @classmethod
    def of(cls, file: str | Path | bytes | IO[bytes], name: str | None) -> Upload:
        """What `files.create(file=..)` takes. Raises IsthmusError for a file that cannot be read twice."""
        if isinstance(file, (str, Path)):
            path = Path(file)
            if not path.is_file():
                raise IsthmusError(f"file: {path} is no file; give the path of a data file, or an open one")
            return cls(name or path.name, path)
        if isinstance(file, bytes):
            return cls(name or "data", file)
        if not file.seekable():
            raise IsthmusError("file: cannot be read twice; open a file on disk, or give its bytes")
        own = getattr(file, "name", None)
        return cls(name or (Path(own).name if isinstance(own, str) else "data"), file)


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the API. `path` begins with a slash and is quoted already."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    query: Query = field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None
    upload: tuple[str, Upload] | None = None
    """The form's file: its field's name, and its bytes."""
    headers: Mapping[str, str] = field(default_factory=dict)
    read_timeout: float | None = None
    """Seconds between two pieces of the answer, where that is another than the client's timeout."""

    def with_query(self, **query: str | int | None) -> Request:
        """The same with more in the query."""
        return replace(self, query={**self.query, **query})

    def with_headers(self, **headers: str) -> Request:
        """The same with more headers; an underscore in a name is a hyphen."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **named})

    def repeatable(self) -> Request:
        """The same with an idempotency key, if it changes something: its repetitions carry the same."""
        if self.method != "POST" or "Idempotency-Key" in self.headers:
            return self
        return self.with_headers(Idempotency_Key=f"isthmus-{uuid.uuid4()}")


def get(path: str, /, **query: Value) -> Request:
    """A GET; what is None stays out of the query."""
    return Request("GET", path, {name: value for name, value in query.items() if value is not None})


def post(path: str, json: Mapping[str, Any] | None = None) -> Request:
    """A POST with a JSON body, or with none."""
    return Request("POST", path, json=json)


def delete(path: str) -> Request:
    """A DELETE."""
    return Request("DELETE", path)


def part(identifier: str) -> str:
    """An id as one part of a path. Raises IsthmusError for one that would lead elsewhere."""
    if not identifier or identifier in (".", ".."):
        raise IsthmusError(f"not an id: {identifier!r}")
    return quote(identifier, safe=":")


def told(**values: Any) -> dict[str, Any]:
    """A body of what was given: None is left out."""
    return {name: value for name, value in values.items() if value is not None}
