"""Who asks: a bearer of the API key, or the dashboard by its cookie (no session is stored anywhere)."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Annotated, Literal
from urllib.parse import urlsplit

from fastapi import Depends, Security
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.requests import HTTPConnection

from api.errors import ApiError
from api.services import Services, get_services

COOKIE = "isthmus_session"
COOKIE_SECONDS = 30 * 24 * 3600
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

Principal = Literal["key", "cookie"]


class KeyRing:
    """The API key, kept as its SHA-256 (it has all the entropy that it needs), and the cookies made of it."""

    def __init__(self, api_key: str) -> None:
        self._digest = hashlib.sha256(api_key.encode()).digest()

    def accepts(self, key: str) -> bool:
        """Whether `key` is the API key; takes the same time for every wrong one."""
        return hmac.compare_digest(
            hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest(), self._digest
        )

    def make_cookie(self, *, now: float) -> str:
        """A cookie's value: when it expires, and a signature over that."""
        expiry = int(now) + COOKIE_SECONDS
        return f"{expiry}.{self._sign(expiry)}"

    def accepts_cookie(self, value: str, *, now: float) -> bool:
        """Whether we made this cookie, with this API key, and it has not expired."""
        expiry, _, signature = value.partition(".")
        if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= 12 and signature.isascii()):
            return False
        return hmac.compare_digest(signature, self._sign(int(expiry))) and now < int(expiry)

    def _sign(self, expiry: int) -> str:
        return hmac.new(self._digest, f"isthmus session {expiry}".encode(), hashlib.sha256).hexdigest()


def identify(connection: HTTPConnection, keys: KeyRing) -> Principal | None:
    """Who asks; None: nobody we know. A wrong bearer key is not mended by a good cookie."""
    header = connection.headers.get("authorization")
    if header is not None:
        scheme, _, key = header.partition(" ")
        return "key" if scheme.lower() == "bearer" and keys.accepts(key.strip()) else None
    cookie = connection.cookies.get(COOKIE)
    return "cookie" if cookie is not None and keys.accepts_cookie(cookie, now=time.time()) else None


def is_same_origin(connection: HTTPConnection) -> bool:
    """Whether a browser sent this from our own page; no other site can forge these two headers."""
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = connection.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == connection.headers.get("host")


def unauthorized() -> ApiError:
    """No key, or a wrong one."""
    return ApiError(
        401,
        "Send the API key as `Authorization: Bearer KEY`, or sign in on the dashboard",
        code="invalid_api_key",
        headers={"WWW-Authenticate": "Bearer"},
    )


def cross_origin() -> ApiError:
    """A cookie that another site's page made a browser send."""
    return ApiError(
        403, "The dashboard's cookie works from the dashboard's own pages only", code="cross_origin"
    )


def check(connection: HTTPConnection, keys: KeyRing, *, changes: bool) -> None:
    """Raise ApiError unless the caller may do this; `changes`: by cookie, only from our own page."""
    principal = identify(connection, keys)
    if principal is None:
        raise unauthorized()
    if principal == "cookie" and changes and not is_same_origin(connection):
        raise cross_origin()


def require_key(
    connection: HTTPConnection,
    services: Annotated[Services, Depends(get_services)],
    bearer: Annotated[object, Security(HTTPBearer(auto_error=False, scheme_name="ApiKey"))],
    cookie: Annotated[object, Security(APIKeyCookie(name=COOKIE, auto_error=False, scheme_name="Session"))],
) -> None:
    """The dependency of every route under `/v1`; the two schemes are there for the OpenAPI document."""
    del bearer, cookie
    check(connection, services.keys, changes=connection.scope["method"] not in SAFE_METHODS)
