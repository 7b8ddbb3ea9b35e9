"""What all answers share: fields that are not known yet are kept, pages, deletions."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from isthmus.core.effects import Answer
from isthmus.errors import UnexpectedAnswer


class Lenient(BaseModel):
    """An answer. A field that this version does not know is an attribute all the same."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


class Identified(Lenient):
    """An answer with an id: an item of a list."""

    id: str


Model = TypeVar("Model", bound=Lenient)
Item = TypeVar("Item", bound=Identified)


class Page(Lenient, Generic[Item]):
    """One page of a list; `has_more` says whether there is another."""

    data: list[Item]
    has_more: bool = False


class Deleted(Lenient):
    """Something that is gone."""

    id: str
    object: str
    deleted: bool


def parse(answer: Answer, model: type[Model], context: object = None) -> Model:
    """An answer's body as a model; `context` binds jobs to their client. Raises UnexpectedAnswer."""
    try:
        return model.model_validate_json(answer.body, context=context)
    except ValueError as error:
        shown = answer.body[:200].decode(errors="replace")
        raise UnexpectedAnswer(f"not the answer of an Isthmus service ({error}): {shown}") from error
