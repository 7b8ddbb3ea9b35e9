"""Identifiers as OpenAI's look: a prefix, a dash and random letters and digits."""

import secrets
import string

ALPHABET = string.ascii_letters + string.digits
LENGTH = 24


def new_id(prefix: str) -> str:
    """A new identifier, for example `ftjob-` and 24 random characters (143 bits)."""
    return f"{prefix}-{random_text(LENGTH)}"


def random_text(length: int, alphabet: str = ALPHABET) -> str:
    """`length` random characters from a cryptographic source."""
    return "".join(secrets.choice(alphabet) for _ in range(length))
