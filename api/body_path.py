"""Where in a body a fault is: pydantic's location read against the body's model, unions and all."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from api.unsupported import is_unsupported

Path = Sequence[str | int]
UNIONS = frozenset({typing.Union, types.UnionType, typing.Annotated})
KEY_MARK = "[key]"  # pydantic's name for a fault of the key itself


def field_path(model: type[BaseModel] | None, place: Path) -> list[str | int]:
    """`place` without the names that pydantic adds for the branches of a union."""
    return _walk(model, place)[0]


def known_keys(model: type[BaseModel] | None, place: Path) -> list[str]:
    """The keys that the object at the end of `place` may have: those of the branch that pydantic took."""
    fields = _walk(model, place)[1].fields
    return sorted(name for name, field in fields.items() if not is_unsupported(field))


@dataclass(frozen=True, slots=True)
class _Holder:
    """What may stand at a place: one of some models, or an object with any keys."""

    models: tuple[type[BaseModel], ...] = ()
    discriminator: str | None = None
    """The field whose value says which of the models it is."""
    is_free: bool = False

    @property
    def fields(self) -> dict[str, FieldInfo]:
        return {name: field for model in self.models for name, field in model.model_fields.items()}

    def branch(self, name: str) -> type[BaseModel] | None:
        """The model that pydantic means by `name` in a location that goes into a union: a tag or a class."""
        if len(self.models) == 1:
            return None
        return next((model for model in self.models if name in self._names(model)), None)

    def at(self, name: str) -> _Holder:
        """What may stand under one of the keys."""
        field = self.fields.get(name)
        if field is None:
            return _Holder()
        tag = field.discriminator if isinstance(field.discriminator, str) else None
        return _Holder(tuple(_models_in(field.annotation)), tag, _holds_dict(field.annotation))

    def _names(self, model: type[BaseModel]) -> tuple[Any, ...]:
        if self.discriminator is None:
            return (model.__name__,)
        return get_args(model.model_fields[self.discriminator].annotation)


def _walk(model: type[BaseModel] | None, place: Path) -> tuple[list[str | int], _Holder]:
    """The path in the body that pydantic's `place` means, and what stands at its end."""
    path: list[str | int] = []
    here = _Holder(tuple(_models_in(model)))
    for part in place:
        if part == KEY_MARK:
            continue
        if isinstance(part, int) or here.is_free:
            path.append(part)
        elif taken := here.branch(part):
            here = _Holder((taken,))
        elif here.models:
            path.append(part)
            here = here.at(part)
    return path, here


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation names: alone, in a union or in a list, whose places are numbers."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in UNIONS or get_origin(annotation) is list:
        return [model for part in get_args(annotation) for model in _models_in(part)]
    return []


def _holds_dict(annotation: Any) -> bool:
    if get_origin(annotation) in UNIONS:
        return any(_holds_dict(part) for part in get_args(annotation))
    return get_origin(annotation) is dict
