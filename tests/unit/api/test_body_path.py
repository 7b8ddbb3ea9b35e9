"""Where in a body a fault is, whatever unions pydantic went through to find it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.body_path import field_path, known_keys


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Cat(Strict):
    kind: Literal["cat"] = "cat"
    lives: Annotated[int, Field(ge=1)] = 9


class Dog(Strict):
    kind: Literal["dog"]
    tricks: list[str] = []


class Left(Strict):
    x: int


class Right(Strict):
    y: int


class Body(Strict):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] = Cat()
    side: Left | Right | None = None
    wait: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    notes: dict[str, int] = {}


@pytest.mark.parametrize(
    ("body", "path", "keys"),
    [
        ({"pet": {"kind": "cat", "lives": 0}}, ["pet", "lives"], ["kind", "lives"]),
        ({"pet": {"kind": "dog", "tricks": ["sit", 3]}}, ["pet", "tricks", 1], []),
        ({"pet": {"kind": "dog", "dog": 1}}, ["pet", "dog"], ["kind", "tricks"]),
        ({"pet": {"kind": "cat", "Cat": 1}}, ["pet", "Cat"], ["kind", "lives"]),
        ({"side": {"z": 1}}, ["side", "x"], ["x"]),
        ({"wait": "long"}, ["wait"], []),
        ({"notes": {"Cat": "x"}}, ["notes", "Cat"], []),
        ({"pets": 1}, ["pets"], ["notes", "pet", "side", "wait"]),
    ],
)
def test_a_place_is_read_without_the_names_of_branches(
    body: dict[str, Any], path: list[str | int], keys: list[str]
) -> None:
    with pytest.raises(ValidationError) as caught:
        Body.model_validate(body)
    place = caught.value.errors()[0]["loc"]
    assert field_path(Body, place) == path
    assert known_keys(Body, place[:-1]) == keys
