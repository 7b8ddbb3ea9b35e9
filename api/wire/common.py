"""Shapes that every resource shares: bodies, errors, pages, times."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ist_core.strict import whole_numbers

Item = TypeVar("Item", bound=BaseModel)
Named = TypeVar("Named", bound="Identified")


class WireModel(BaseModel):
    """An answer. All its fields are always there, so the schema calls them required."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class RequestModel(BaseModel):
    """A body that refuses unknown keys, values of another type, and numbers that are no numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _whole_numbers(cls, value: Any) -> Any:
        return whole_numbers(value)


class ChangeModel(RequestModel):
    """A body of changes: what is left out, or null, stays as it is, and something is there."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(
                f"the body is empty; name what is to change: {', '.join(type(self).model_fields)}"
            )
        return self

    def changes(self) -> dict[str, Any]:
        """What is to change, by name."""
        return self.model_dump(exclude_none=True)


class ErrorDetail(WireModel):
    """What went wrong, for a person (`message`) and for a program (`type`, `code`, `param`)."""

    message: str
    type: str
    param: str | None
    """The field that is at fault, with dots between its parts: `adapter.rank`."""
    code: str | None


class ErrorBody(WireModel):
    """The body of every answer of 400 and above."""

    error: ErrorDetail


class ListOf(WireModel, Generic[Item]):
    """A page: ask for the next one with `after` = the id of its last item."""

    object: Literal["list"] = "list"
    data: list[Item]
    has_more: bool


class Identified(WireModel):
    """An answer that has an id, for the cursors of lists."""

    id: str


class ListWithEnds(ListOf[Item], Generic[Item]):
    """A page that also names its first and last items."""

    first_id: str | None
    last_id: str | None


def with_ends(data: list[Named], *, has_more: bool) -> ListWithEnds[Named]:
    """A page of these items."""
    first, last = (data[0].id, data[-1].id) if data else (None, None)
    return ListWithEnds(data=data, has_more=has_more, first_id=first, last_id=last)


def unix(moment: datetime) -> int:
    """Whole Unix seconds, as OpenAI writes times."""
    return int(moment.timestamp())


def unix_or_none(moment: datetime | None) -> int | None:
    """Whole Unix seconds of a moment that may not have come."""
    return None if moment is None else unix(moment)


Limit = Annotated[int, Field(ge=1, le=100)]
