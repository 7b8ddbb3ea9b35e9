"""What routes ask for, as short names."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from api.services import OpenServices as OpenServices
from api.transaction import AdminTx as AdminTx
from api.transaction import Tx as Tx
from api.wire.common import ErrorBody

ERRORS: dict[int | str, dict[str, object]] = {
    400: {"model": ErrorBody, "description": "The request cannot be done as it is; `param` names the field"},
    401: {"model": ErrorBody, "description": "No API key, or one that is wrong, revoked or expired"},
    403: {"model": ErrorBody, "description": "The key lacks the scope that this needs"},
    404: {"model": ErrorBody, "description": "No such object in the key's project"},
    429: {"model": ErrorBody, "description": "Too many requests (Retry-After says when), or a quota is full"},
    "4XX": {"model": ErrorBody, "description": "The request is refused"},
    "5XX": {"model": ErrorBody, "description": "The server failed, or a part of it is away"},
}

Identifier = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9-]+$")]
After = Annotated[
    str | None, Query(max_length=64, pattern=r"^[A-Za-z0-9-]+$", description="The id of the last item seen")
]
Limit = Annotated[int, Query(ge=1, le=100)]
