"""The keys that open the API: the bootstrap key of the settings, those of the table, and their cookies."""

from __future__ import annotations

import hmac
from collections.abc import Collection

from sqlalchemy.orm import Session

from api.cookies import Cookie, CookieSigner
from store.keys import SCOPES, Holder, alive, digest, use_key, use_key_by_id
from store.projects import DEFAULT_PROJECT, get_project
from store.secret_file import service_secret
from store.settings import Settings

BOOTSTRAP = "bootstrap"
"""The id of the key of ISTHMUS_API_KEY, which is in no table: to revoke it, change the setting."""


class KeyRing:
    """Tells who holds a key."""

    def __init__(self, bootstrap_key: str | None, cookies: CookieSigner) -> None:
        self._bootstrap = None if bootstrap_key is None else digest(bootstrap_key)
        self._cookies = cookies

    @classmethod
    def of(cls, settings: Settings) -> KeyRing:
        """The key ring of a service; makes the cookies' secret when there is none yet."""
        key = settings.api_key
        return cls(None if key is None else key.get_secret_value(), CookieSigner(service_secret(settings)))

    def by_key(self, session: Session, key: str) -> Holder | None:
        """Who holds this key; None: it is none that is alive."""
        sha256 = digest(key)
        if self._bootstrap is not None and hmac.compare_digest(sha256, self._bootstrap):
            return self._bootstrap_holder(session)
        return use_key(session, sha256)

    def by_cookie(self, session: Session, value: str, *, now: float) -> Holder | None:
        """Who holds the key that bought this cookie; None: a bad cookie, or the key is dead by now."""
        key_id = self._cookies.key_id(value, now=now)
        if key_id is None:
            return None
        holder = self._bootstrap_holder(session) if key_id == BOOTSTRAP else use_key_by_id(session, key_id)
        return holder if holder is not None and self._cookies.proves(value, holder) else None

    def make_cookie(self, holder: Holder, *, now: float) -> Cookie:
        """A cookie for the dashboard."""
        return self._cookies.make(holder, now=now)

    def dead(self, session: Session, key_ids: Collection[str]) -> frozenset[str]:
        """Those of these keys, which were good a while ago, that are so no more; by their ids."""
        of_table = frozenset(key_ids) - {BOOTSTRAP}
        return of_table - alive(session, of_table) if of_table else of_table

    def _bootstrap_holder(self, session: Session) -> Holder | None:
        project = get_project(session, DEFAULT_PROJECT)
        if self._bootstrap is None or project is None:
            return None
        return Holder(
            key_id=BOOTSTRAP,
            project_id=project.id,
            scopes=frozenset(SCOPES),
            sha256=self._bootstrap,
            expires_at=None,
            max_requests_per_minute=project.max_requests_per_minute,
        )
