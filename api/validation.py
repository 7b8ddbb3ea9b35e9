"""What is wrong with a request, in words for its sender: the field by its path, the nearest known key."""

from __future__ import annotations

import difflib
import typing
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from api.body_path import Path, field_path, known_keys
from api.unsupported import UNSUPPORTED
from ist_core.strict import CONFLICT

NOT_AN_OBJECT = frozenset({"model_type", "model_attributes_type", "dict_type"})


@dataclass(frozen=True, slots=True)
class RequestProblem:
    """The first thing that is wrong with a request."""

    message: str
    param: str | None
    code: str
    wrong_type: bool = False
    """The body is not JSON at all, by its content type."""


def read_validation_error(error: RequestValidationError, request: Request) -> RequestProblem:
    """The first problem of a request: all that is said about its field, in one sentence."""
    errors = error.errors()
    model = body_model(request.scope["endpoint"])
    first = errors[0]
    if first["type"] == "json_invalid":
        reason = f"The body is not valid JSON: {first['ctx']['error']} at character {first['loc'][1]}"
        return RequestProblem(reason, None, "invalid_json")
    place = first["loc"][1:] if first["loc"][0] in {"body", "query", "path", "header"} else first["loc"]
    if not place:
        return _whole_body(first, request)
    path = field_path(model, place) if first["loc"][0] == "body" else list(place)
    param = dotted(path)
    if first["type"] == "extra_forbidden":
        known = known_keys(model, place[:-1])
        return RequestProblem(unknown_key(path, known), param, "unknown_parameter")
    if first["type"] == "missing":
        return RequestProblem(f"{param}: is required", param, "missing_parameter")
    if first["type"] == UNSUPPORTED:
        return RequestProblem(f"{param}: {first['msg']}", param, UNSUPPORTED)
    if first["type"] == CONFLICT:
        return RequestProblem(first["msg"], first["ctx"]["param"], "conflicting_parameters")
    if first["type"] == "union_tag_invalid":
        return _wrong_tag(first, path)
    reasons = [_reason(item) for item in errors if _same_field(model, item["loc"][1:], path, first)]
    return RequestProblem(f"{param}: {', or '.join(dict.fromkeys(reasons))}", param, "invalid_value")


def body_model(endpoint: Any) -> type[BaseModel] | None:
    """The model that an endpoint's `body` is validated with."""
    annotation = typing.get_type_hints(endpoint).get("body")
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def unknown_key(path: Path, known: list[str]) -> str:
    """A refusal of the key at the end of `path` that names the nearest known key, or all of them."""
    nearest = difflib.get_close_matches(str(path[-1]), known, n=1)
    advice = f"did you mean {nearest[0]!r}?" if nearest else f"known keys: {', '.join(known)}"
    return f"{dotted(path)}: unknown key; {advice}"


def dotted(path: Path) -> str:
    """`adapter.target_modules[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _whole_body(first: dict[str, Any], request: Request) -> RequestProblem:
    if first["type"] == "missing":
        return RequestProblem("The body is empty; send a JSON object", None, "missing_body")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or media_type.endswith("+json")
    return RequestProblem(_reason(first), None, "invalid_value", wrong_type=not is_json)


def _wrong_tag(first: dict[str, Any], path: Path) -> RequestProblem:
    """The key that says which kind of object it is names none of them."""
    param = dotted([*path, first["ctx"]["discriminator"].strip("'")])
    tags = first["ctx"]["expected_tags"].replace("'", "")
    return RequestProblem(f"{param}: must be one of {tags}", param, "invalid_value")


def _same_field(model: type[BaseModel] | None, place: Path, path: Path, first: dict[str, Any]) -> bool:
    if first["loc"][0] != "body":
        return list(place) == list(path)
    return field_path(model, place) == list(path)


def _reason(item: dict[str, Any]) -> str:
    """Pydantic's sentence in our voice: `must be greater than 0`."""
    if item["type"] in NOT_AN_OBJECT:
        return "must be an object"
    text = str(item["msg"]).removeprefix("Value error, ")
    if text.startswith("Input should be "):
        return "must be " + text.removeprefix("Input should be ")
    return text[0].lower() + text[1:] if text.startswith(("String should", "Input ")) else text
