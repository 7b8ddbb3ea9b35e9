"""Scores of answers that are to be JSON.

valid_json     1 if the answer is JSON and nothing else, else 0
json_fields    the share of the expected object's fields that the answer has with the same value; a field of
               an inner object counts for itself, a list as a whole; other fields of the answer do not matter
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NoReturn


class ValidJson:
    """The share of answers that a program could read."""

    def applies(self, expected: str) -> bool:
        """The expected answer must be JSON, too."""
        return is_json(expected)

    def score(self, answer: str, expected: str) -> float:
        """Return 1 or 0."""
        return float(is_json(answer))


class JsonFields:
    """The share of fields that are right."""

    def applies(self, expected: str) -> bool:
        """The expected answer must be an object with a field."""
        return bool(_fields(expected))

    def score(self, answer: str, expected: str) -> float:
        """Return the share; 0 for what is no JSON object."""
        wanted, found = _fields(expected), _fields(answer)
        return sum(path in found and found[path] == value for path, value in wanted.items()) / len(wanted)


def is_json(text: str) -> bool:
    """Whether a text is JSON and nothing else."""
    return _parsed(text) is not None


def _parsed(text: str) -> tuple[Any] | None:
    """Return the value in a tuple, for it may be null; None: the text is no JSON."""
    try:
        return (json.loads(text, parse_constant=_refuse),)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> NoReturn:
    """Python's reader takes NaN and Infinity, which JSON does not have."""
    raise ValueError(constant)


def _fields(text: str) -> dict[tuple[str, ...], str]:
    """Return the leaves of a JSON object by their paths, in a form that tells `1` and `true` apart."""
    parsed = _parsed(text)
    if parsed is None or not isinstance(parsed[0], dict):
        return {}
    return dict(_leaves((), parsed[0]))


def _leaves(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict) and (value or not path):
        for name, inner in value.items():
            yield from _leaves((*path, name), inner)
    else:
        yield path, json.dumps(_numbers(value), sort_keys=True)


def _numbers(value: Any) -> Any:
    """Return a value whose whole numbers are integers: 3 and 3.0 are one number."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_numbers(item) for item in value]
        case dict():
            return {name: _numbers(item) for name, item in value.items()}
        case _:
            return value
