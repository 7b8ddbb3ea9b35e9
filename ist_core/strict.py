"""The base of every part of a spec: frozen, without unknown keys, and with errors that name their field."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

CONFLICT = "conflict"
"""The type of pydantic's error for fields that do not go together."""


def whole_numbers(value: Any) -> Any:
    """Return an object with integers in place of floats such as 3.0, which JSON does not tell apart."""
    if not isinstance(value, dict):
        return value
    return {
        key: int(item) if isinstance(item, float) and item.is_integer() else item
        for key, item in value.items()
    }


class Strict(BaseModel):
    """A frozen model that refuses unknown keys and values of another type.

    A misspelt key is an error, never a silent default; neither `true` nor `"1"` is a number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _whole_numbers(cls, value: Any) -> Any:
        return whole_numbers(value)


def conflict(param: str, reason: str) -> PydanticCustomError:
    """Return the error of fields that do not go together, to be raised by a validator of the whole spec.

    Args:
        param: the field to change, by its path in the spec; pydantic keeps it as `ctx["param"]`.
    """
    return PydanticCustomError(CONFLICT, "{reason}", {"param": param, "reason": reason})
