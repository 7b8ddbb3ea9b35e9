"""Regular expressions that users give: RE2's, whose time is linear in the text, whatever the pattern says."""

from __future__ import annotations

import re2

_MEMORY = 1 << 20
"""Bytes that RE2 may take for one pattern; a larger one is refused."""


class UserPattern:
    """A pattern in RE2's syntax.

    Raises:
        ValueError: with what RE2 does not take, in words that follow the name of the field.
    """

    def __init__(self, pattern: str) -> None:
        options = re2.Options()
        options.max_mem = _MEMORY
        options.log_errors = False
        try:
            self._compiled = re2.compile(pattern, options)
        except re2.error as error:
            reason = error.args[0].decode("utf-8", "replace")
            raise ValueError(
                "must be a regular expression as RE2 takes it, without look-around and back-references: "
                f"{reason}"
            ) from None
        except UnicodeEncodeError:
            raise ValueError("must be text, and holds half of a surrogate pair") from None

    def find(self, text: str) -> tuple[str | None, ...] | None:
        """Return what the first match in `text` captures, without groups the match itself; None: no match."""
        match = self._compiled.search(text)
        if match is None:
            return None
        groups: tuple[str | None, ...] = match.groups()
        return groups or (match.group(),)
