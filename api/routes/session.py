"""`/session`: the dashboard trades a key for a cookie that its scripts cannot read."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import StringConstraints

from api.auth import cross_origin, identify, is_same_origin
from api.cookies import COOKIE
from api.errors import unauthorized
from api.routes.dependencies import ERRORS, OpenServices
from api.wire.common import RequestModel, WireModel

router = APIRouter(prefix="/session", tags=["session"], responses=ERRORS)


class SessionRequest(RequestModel):
    """The API key."""

    key: Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class SessionObject(WireModel):
    """Whether the caller is signed in."""

    authenticated: bool


@router.post("")
def sign_in(
    body: SessionRequest, request: Request, response: Response, services: OpenServices
) -> SessionObject:
    """Trade a key for a cookie of 30 days, which ends earlier when the key does."""
    with services.database.session() as session:
        holder = services.keys.by_key(session, body.key)
    if holder is None:
        raise unauthorized()
    cookie = services.keys.make_cookie(holder, now=time.time())
    response.set_cookie(
        COOKIE,
        cookie.value,
        max_age=cookie.seconds,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return SessionObject(authenticated=True)


@router.get("")
def look(request: Request, services: OpenServices) -> SessionObject:
    """Whether the caller is signed in; no error when not."""
    return SessionObject(authenticated=identify(request, services) is not None)


@router.delete("", status_code=204)
def sign_out(request: Request, response: Response, services: OpenServices) -> None:
    """Drop the cookie."""
    caller = identify(request, services)
    if caller is not None and caller.by == "cookie" and not is_same_origin(request):
        raise cross_origin()
    response.delete_cookie(COOKIE, secure=request.url.scheme == "https", httponly=True, samesite="strict")
