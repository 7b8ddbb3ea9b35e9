"""What is wrong with a request, in words for its sender: the field by its path, the nearest known key."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

_Loc = Sequence[str | int]
UNIONS = frozenset({typing.Union, types.UnionType, typing.Annotated})
KEY_MARK = "[key]"  # pydantic's name for a fault of the key itself


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
    place = first["loc"][1:] if first["loc"][0] in {"body", "query", "path"} else first["loc"]
    if not place:
        return _whole_body(first, request)
    path = field_path(model, place) if first["loc"][0] == "body" else list(place)
    param = dotted(path)
    if first["type"] == "extra_forbidden":
        return RequestProblem(unknown_key(model, path), param, "unknown_parameter")
    if first["type"] == "missing":
        return RequestProblem(f"{param}: is required", param, "missing_parameter")
    reasons = [_reason(item) for item in errors if _same_field(model, item["loc"][1:], path, first)]
    return RequestProblem(f"{param}: {', or '.join(dict.fromkeys(reasons))}", param, "invalid_value")


def body_model(endpoint: Any) -> type[BaseModel] | None:
    """The model that an endpoint's `body` is validated with."""
    annotation = typing.get_type_hints(endpoint).get("body")
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def field_path(model: type[BaseModel] | None, place: _Loc) -> list[str | int]:
    """`place` without the names that pydantic adds for the branches of a union."""
    path: list[str | int] = []
    here: Any = model
    for part in place:
        candidates = models_in(here)
        names = {name for candidate in candidates for name in candidate.model_fields}
        if part == KEY_MARK:
            continue
        if isinstance(part, int) or here is dict:
            path.append(part)
        elif candidates and (part in names or part not in {c.__name__ for c in candidates}):
            path.append(part)
            here = next((c.model_fields[part].annotation for c in candidates if part in c.model_fields), None)
            if _holds_dict(here):
                here = dict
    return path


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation names, alone or in a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in UNIONS:
        return [model for part in get_args(annotation) for model in models_in(part)]
    return []


def unknown_key(model: type[BaseModel] | None, path: _Loc) -> str:
    """A refusal of the key at the end of `path` that names the nearest known key, or all of them."""
    known = known_keys(model, path[:-1])
    nearest = difflib.get_close_matches(str(path[-1]), known, n=1)
    advice = f"did you mean {nearest[0]!r}?" if nearest else f"known keys: {', '.join(known)}"
    return f"{dotted(path)}: unknown key; {advice}"


def known_keys(model: type[BaseModel] | None, path: _Loc) -> list[str]:
    """The keys that the object at `path` may have."""
    candidates = models_in(model)
    for part in path:
        fields = [c.model_fields[str(part)].annotation for c in candidates if part in c.model_fields]
        candidates = [found for annotation in fields for found in models_in(annotation)]
    return sorted({name for candidate in candidates for name in candidate.model_fields})


def dotted(path: _Loc) -> str:
    """`adapter.target_modules[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _whole_body(first: dict[str, Any], request: Request) -> RequestProblem:
    if first["type"] == "missing":
        return RequestProblem("The body is empty; send a JSON object", None, "missing_body")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or media_type.endswith("+json")
    return RequestProblem(_reason(first), None, "invalid_value", wrong_type=not is_json)


def _same_field(model: type[BaseModel] | None, place: _Loc, path: _Loc, first: dict[str, Any]) -> bool:
    if first["loc"][0] != "body":
        return list(place) == list(path)
    return field_path(model, place) == list(path)


def _holds_dict(annotation: Any) -> bool:
    if get_origin(annotation) in UNIONS:
        return any(_holds_dict(part) for part in get_args(annotation))
    return get_origin(annotation) is dict


def _reason(item: dict[str, Any]) -> str:
    """Pydantic's sentence in our voice: `must be greater than 0`."""
    text = str(item["msg"]).removeprefix("Value error, ")
    if text.startswith("Input should be "):
        return "must be " + text.removeprefix("Input should be ")
    return text[0].lower() + text[1:] if text.startswith(("String should", "Input ")) else text
