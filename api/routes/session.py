"""`/session`: the dashboard trades a key for a cookie that its scripts cannot read."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import StringConstraints

from api.auth import COOKIE, COOKIE_SECONDS, check, identify, unauthorized
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
    """Trade the key for a cookie of 30 days."""
    if not services.keys.accepts(body.key):
        raise unauthorized()
    response.set_cookie(
        COOKIE,
        services.keys.make_cookie(now=time.time()),
        max_age=COOKIE_SECONDS,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return SessionObject(authenticated=True)


@router.get("")
def look(request: Request, services: OpenServices) -> SessionObject:
    """Whether the caller is signed in; never an error."""
    return SessionObject(authenticated=identify(request, services.keys) is not None)


@router.delete("", status_code=204)
def sign_out(request: Request, response: Response, services: OpenServices) -> None:
    """Drop the cookie."""
    if identify(request, services.keys) is not None:
        check(request, services.keys, changes=True)
    response.delete_cookie(COOKIE, secure=request.url.scheme == "https", httponly=True, samesite="strict")
