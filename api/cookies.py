"""The dashboard's cookies: which key they were bought with, until when, and a signature. None is stored."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from store.keys import Holder

COOKIE = "isthmus_session"
COOKIE_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie to hand out."""

    value: str
    seconds: int


class CookieSigner:
    """Makes cookies and knows its own again: `KEY_ID.EXPIRY.SIGNATURE`.

    The secret is in no table, so whoever reads the database, where the keys' SHA-256 are, can make none.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, holder: Holder, *, now: float) -> Cookie:
        """A cookie for who holds a key; it never outlives the key."""
        expiry = int(now) + COOKIE_SECONDS
        if holder.expires_at is not None:
            expiry = min(expiry, int(holder.expires_at.timestamp()))
        value = f"{holder.key_id}.{expiry}.{self._sign(holder, expiry)}"
        return Cookie(value, max(0, expiry - int(now)))

    def key_id(self, value: str, *, now: float) -> str | None:
        """The key that a cookie names, as yet unproven; None: it has expired, or is none of ours."""
        key_id, expiry, _ = _parts(value)
        return key_id if expiry > now else None

    def proves(self, value: str, holder: Holder) -> bool:
        """Whether we made this cookie, for the key of `holder`."""
        _, expiry, signature = _parts(value)
        return signature.isascii() and hmac.compare_digest(signature, self._sign(holder, expiry))

    def _sign(self, holder: Holder, expiry: int) -> str:
        # With the key's hash, so that the cookies of a bootstrap key end when another takes its place.
        text = f"isthmus session {holder.key_id} {holder.sha256} {expiry}"
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()


def _parts(value: str) -> tuple[str, int, str]:
    """Key id, expiry and signature; the expiry of what is no cookie has always passed."""
    key_id, _, rest = value.partition(".")
    expiry, _, signature = rest.partition(".")
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= 12):
        return "", 0, ""
    return key_id, int(expiry), signature
