"""Fields of OpenAI's without use here: taken where they ask for nothing, else refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError, PydanticOmit, core_schema

UNSUPPORTED = "unsupported_parameter"
"""The code of the refusal."""


@dataclass(frozen=True, eq=False)  # or typing would take False and 0 for one, and keep the first
class Unsupported:
    """Annotates a field that may be null, or one of the values that ask for nothing."""

    harmless: tuple[Any, ...] = ()
    instead: str = "remove it"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Take what is harmless as null."""
        del source, handler
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> NoReturn:
        """Keep the field out of the specification: there is nothing to ask for. Raises PydanticOmit."""
        del schema, handler
        raise PydanticOmit

    def _check(self, value: Any) -> None:
        # 0 is not false, although Python says so.
        if value is not None and not any(
            type(value) is type(known) and value == known for known in self.harmless
        ):
            raise PydanticCustomError(UNSUPPORTED, "is not supported; {instead}", {"instead": self.instead})


def is_unsupported(field: FieldInfo) -> bool:
    """Whether a field of a model is one of these."""
    return any(isinstance(mark, Unsupported) for mark in field.metadata)
