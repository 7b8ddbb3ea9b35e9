"""Who asks, and whether they may: a bearer of a key, or the dashboard by its cookie."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from fastapi import Security
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.requests import HTTPConnection

from api.cookies import COOKIE
from api.errors import ApiError, unauthorized
from api.services import OpenServices, Services
from store.keys import Holder, Scope

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, and what they showed."""

    holder: Holder
    by: Literal["key", "cookie"]


def identify(connection: HTTPConnection, services: Services) -> Caller | None:
    """Who asks; None: nobody we know. A wrong bearer key is not mended by a good cookie."""
    header = connection.headers.get("authorization")
    if header is not None:
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return None
        with services.database.statements() as session:
            holder = services.keys.by_key(session, key.strip())
        return None if holder is None else Caller(holder, "key")
    cookie = connection.cookies.get(COOKIE)
    if cookie is None:
        return None
    with services.database.statements() as session:
        holder = services.keys.by_cookie(session, cookie, now=time.time())
    return None if holder is None else Caller(holder, "cookie")


def is_same_origin(connection: HTTPConnection) -> bool:
    """Whether a browser sent this from our own page; no other site can forge these two headers."""
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = connection.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == connection.headers.get("host")


def cross_origin() -> ApiError:
    """A cookie that another site's page made a browser send."""
    return ApiError(
        403, "The dashboard's cookie works from the dashboard's own pages only", code="cross_origin"
    )


def insufficient_scope(holder: Holder, needed: Scope) -> ApiError:
    """A key that is good, but not for this."""
    has = ", ".join(sorted(holder.scopes)) or "none"
    make = f"python -m api.admin keys create --name NAME --project {holder.project_id} --scopes {needed}"
    return ApiError(
        403,
        f"This needs a key with the scope {needed!r}; this one has: {has}. Use another key, or have an admin "
        f"make one (`{make}`)",
        code="insufficient_scope",
    )


def admit(connection: HTTPConnection, services: Services, *, needs: Scope, from_own_page: bool) -> Caller:
    """The caller, who may do this; raises ApiError. `from_own_page`: a cookie counts only from our page.

    The answer, whatever it is, then tells how many requests the key has left.
    """
    caller = identify(connection, services)
    if caller is None:
        raise unauthorized()
    rate = services.rates.count(caller.holder)
    if rate is not None:
        connection.state.answer_headers = rate.headers
        if not rate.allowed:
            raise rate.error()
    if caller.by == "cookie" and from_own_page and not is_same_origin(connection):
        raise cross_origin()
    if needs not in caller.holder.scopes:
        raise insufficient_scope(caller.holder, needs)
    return caller


# The two schemes are there for the OpenAPI document.
ByKey = Annotated[object, Security(HTTPBearer(auto_error=False, scheme_name="ApiKey"))]
ByCookie = Annotated[object, Security(APIKeyCookie(name=COOKIE, auto_error=False, scheme_name="Session"))]


def require_key(
    connection: HTTPConnection,
    services: OpenServices,
    bearer: ByKey,
    cookie: ByCookie,
) -> Caller:
    """The caller of a route on a project's own things: read for a look, write for a change."""
    del bearer, cookie
    changes = connection.scope["method"] not in SAFE_METHODS
    return admit(connection, services, needs="write" if changes else "read", from_own_page=changes)


def require_reader(
    connection: HTTPConnection,
    services: OpenServices,
    bearer: ByKey,
    cookie: ByCookie,
) -> Caller:
    """The caller of a route that changes nothing, though it takes a body."""
    del bearer, cookie
    return admit(connection, services, needs="read", from_own_page=True)


def require_admin(
    connection: HTTPConnection,
    services: OpenServices,
    bearer: ByKey,
    cookie: ByCookie,
) -> Caller:
    """The caller of a route on projects, keys and quotas."""
    del bearer, cookie
    changes = connection.scope["method"] not in SAFE_METHODS
    return admit(connection, services, needs="admin", from_own_page=changes)
