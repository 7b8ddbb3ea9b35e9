"""`Idempotency-Key`: a request that is sent again is answered as it was the first time, and done once.

The answer is written in the request's own transaction, so a crash leaves both or neither. It is sealed with
the key, of which the table has only the hash: it may hold a secret that is shown once.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, BinaryIO, TypeVar, cast

from cryptography.fernet import Fernet
from fastapi import Depends, FastAPI, Header, Request, Response
from pydantic import BaseModel

from api.auth import Caller, require_admin
from api.errors import bad_request
from api.services import OpenServices
from api.transaction import AdminTx, Tx
from store.database import Database
from store.idempotency import Answered, find_answer, keep_answer
from store.objects import CHUNK_BYTES
from store.tenant import Tenant

REPLAYED = "idempotent-replayed"

Answer = TypeVar("Answer", bound=BaseModel)
KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Sent again within 24 hours with the same body, the request is answered as at first, "
        f"and not done again (`{REPLAYED}: true`)",
    ),
]


class Repeated(Exception):
    """The request has been answered before."""

    def __init__(self, body: bytes) -> None:
        super().__init__("answered before")
        self.body = body


def install(app: FastAPI) -> None:
    """Answer repeated requests."""
    app.add_exception_handler(Repeated, _answer_again)


class Once:
    """Sees to it that a request with a key is done once; without a key it does nothing."""

    def __init__(self, tenant: Tenant, database: Database, route: str, key: str | None) -> None:
        self._tenant = tenant
        self._database = database
        self._route = route
        self._key = None if key is None else key.encode()
        self._fingerprint: str | None = None

    def check(self, fingerprint: str) -> None:
        """Raise Repeated if the request has been answered, or ApiError if the key was used for another."""
        self._fingerprint = fingerprint
        self.look()

    def check_form(self, fields: Mapping[str, str | None], file: BinaryIO) -> None:
        """The same for a form: its fields and its file count, not the boundary, which differs each time."""
        if self._key is None:
            return
        digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
        file.seek(0)
        self.check(digest.hexdigest())

    def look(self) -> None:
        """As `check`, once more: of two requests at once, the other may have been answered by now."""
        if self._key is None or self._fingerprint is None:
            return
        with self._database.session() as session:  # sees what others commit, whatever becomes of the request
            tenant = Tenant(session, self._tenant.project_id)
            found = find_answer(tenant, self._route, _name(self._key))
        if found is None:
            return
        if found.fingerprint != self._fingerprint:
            raise bad_request(
                "Idempotency-Key: was used on this route with another body; a new request needs a new key",
                param="Idempotency-Key",
                code="idempotency_key_reused",
            )
        raise Repeated(_seal(self._key).decrypt(found.answer))

    def keep(self, answer: Answer) -> Answer:
        """Write the answer in the request's transaction, as its last act; raises as `check`."""
        if self._key is None or self._fingerprint is None:
            return answer
        sealed = _seal(self._key).encrypt(answer.model_dump_json().encode()).decode()
        answered = Answered(self._fingerprint, sealed)
        if not keep_answer(self._tenant, self._route, _name(self._key), answered):
            self.look()
            raise RuntimeError("an answer under the same key was there, and is gone")
        return answer

    def guard(self) -> Iterator[Once]:
        """Hand this to a route; what fails because the same request was first is answered as that was."""
        try:
            yield self
        except Repeated:
            raise
        except Exception:
            self.look()
            raise


async def body_hash(request: Request) -> str:
    """The SHA-256 of a JSON body, or of none."""
    return hashlib.sha256(await request.body()).hexdigest()


BodyHash = Annotated[str, Depends(body_hash)]


def get_once(
    request: Request, services: OpenServices, tx: Tx, body: BodyHash, key: KeyHeader = None
) -> Iterator[Once]:
    """Of a request with a JSON body by a project's key."""
    once = Once(tx.tenant, services.database, _route(request), key)
    once.check(body)
    yield from once.guard()


def get_form_once(request: Request, services: OpenServices, tx: Tx, key: KeyHeader = None) -> Iterator[Once]:
    """Of a request with a form: the route calls `check_form` when it has it."""
    yield from Once(tx.tenant, services.database, _route(request), key).guard()


def get_admin_once(
    request: Request,
    services: OpenServices,
    caller: Annotated[Caller, Depends(require_admin)],
    tx: AdminTx,
    body: BodyHash,
    key: KeyHeader = None,
) -> Iterator[Once]:
    """Of a request by an admin, whose own project the `Idempotency-Key` belongs to."""
    tenant = Tenant(tx.session, caller.holder.project_id)
    once = Once(tenant, services.database, _route(request), key)
    once.check(body)
    yield from once.guard()


JsonOnce = Annotated[Once, Depends(get_once, scope="function")]
FormOnce = Annotated[Once, Depends(get_form_once, scope="function")]
AdminOnce = Annotated[Once, Depends(get_admin_once, scope="function")]


def _answer_again(request: Request, repeated: Exception) -> Response:
    del request
    body = cast("Repeated", repeated).body
    return Response(body, media_type="application/json", headers={REPLAYED: "true"})


def _route(request: Request) -> str:
    return f"{request.method} {request.url.path}"


def _name(key: bytes) -> str:
    """What the table knows a key by."""
    return hashlib.sha256(b"name" + key).hexdigest()


def _seal(key: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"seal" + key).digest()))
