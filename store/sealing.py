"""Secrets that a row must hold for a while, sealed with what is in no table."""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken

from store.secret_file import service_secret
from store.settings import Settings


class SealBroken(ValueError):
    """What is to be opened was sealed with another secret, or for another place."""


class Seal:
    """Seals texts with the service's secret: who reads the database alone can open none."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def of(cls, settings: Settings) -> Seal:
        """The seal of a service; makes its secret when there is none yet."""
        return cls(service_secret(settings))

    def close(self, place: str, text: str) -> str:
        """Seal a text; it opens at this place alone (the id of its row)."""
        return self._at(place).encrypt(text.encode()).decode()

    def open(self, place: str, sealed: str) -> str:
        """The text that was sealed for this place. Raises SealBroken."""
        try:
            return self._at(place).decrypt(sealed).decode()
        except InvalidToken:
            raise SealBroken(place) from None

    def _at(self, place: str) -> Fernet:
        key = hashlib.sha256(b"isthmus seal\0" + place.encode() + b"\0" + self._secret).digest()
        return Fernet(base64.urlsafe_b64encode(key))
