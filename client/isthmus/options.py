"""How a client reaches its service: address, key, patience."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from isthmus.core.retries import Retries
from isthmus.errors import IsthmusError

DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT = 60.0
DEFAULT_RETRIES = 2


@dataclass(frozen=True, slots=True)
class Options:
    """What both clients are made with; None is read from the environment."""

    base_url: str
    api_key: str = field(repr=False)
    timeout: float
    """Seconds for each of: connecting (5 at most), sending a piece, waiting for a piece of the answer."""
    retries: Retries

    @classmethod
    def of(cls, base_url: str | None, api_key: str | None, *, timeout: float, max_retries: int) -> Options:
        """The options; `ISTHMUS_BASE_URL` and `ISTHMUS_API_KEY` for what is None. Raises IsthmusError."""
        url = base_url or os.environ.get("ISTHMUS_BASE_URL") or DEFAULT_URL
        key = api_key or api_key_from_environment()
        if not key:
            raise IsthmusError("no API key: give api_key=.., or set ISTHMUS_API_KEY")
        if not (key.isascii() and key.isprintable()):
            raise IsthmusError("api_key: holds a character that no key has (a line break?)")
        if max_retries < 0 or timeout <= 0:
            raise IsthmusError("max_retries must be 0 or more, and timeout more than 0 seconds")
        return cls(_checked(url), key.strip(), timeout, Retries(max_retries))


def api_key_from_environment() -> str | None:
    """The key in `ISTHMUS_API_KEY`; None: there is none, or an empty one."""
    return os.environ.get("ISTHMUS_API_KEY") or None


def _checked(url: str) -> str:
    """The service's address without `/v1`, which every path brings."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise IsthmusError(f"base_url: {url!r} is no address; it looks like {DEFAULT_URL}")
    return url.rstrip("/").removesuffix("/v1").rstrip("/")
