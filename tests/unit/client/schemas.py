"""Compares JSON schemas with the SDK's types."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import (
    IO,
    Any,
    Literal,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from pydantic import BaseModel, JsonValue

NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
FILE = (Path, bytes, IO)
KINDS_OF_JSON = {"string", "integer", "number", "boolean", "null", "array", "object"}


@dataclass(frozen=True)
class Schema:
    """A JSON schema within its document."""

    raw: Mapping[str, Any]
    document: Mapping[str, Any]

    def alternatives(self) -> list[Schema]:
        """What it may be, with references followed."""
        if "$ref" in self.raw:
            name = self.raw["$ref"].rsplit("/", 1)[1]
            return Schema(self.document["components"]["schemas"][name], self.document).alternatives()
        for key in ("anyOf", "oneOf", "allOf"):
            if key in self.raw:
                return [inner for raw in self.raw[key] for inner in Schema(raw, self.document).alternatives()]
        return [self]

    def kinds(self) -> set[str]:
        """The JSON types it may have; for anything at all: all of them."""
        return {kind for inner in self.alternatives() for kind in inner._own_kinds()}

    def values(self) -> set[Any]:
        """The values that it names."""
        named = [inner.raw.get("enum", [inner.raw.get("const")]) for inner in self.alternatives()]
        return {value for values in named for value in values if value is not None}

    def properties(self) -> dict[str, Schema]:
        """The fields of an object; of several kinds of object, those of all, each by all its schemas."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for inner in self.alternatives():
            for name, raw in inner.raw.get("properties", {}).items():
                found.setdefault(name, []).append(raw)
        return {name: Schema({"anyOf": raws}, self.document) for name, raws in found.items()}

    def required(self) -> set[str]:
        """The fields that are always there."""
        objects = [inner.raw for inner in self.alternatives() if "properties" in inner.raw]
        return set.intersection(*(set(raw.get("required", ())) for raw in objects))

    def within(self, key: Literal["items", "additionalProperties"]) -> list[Schema]:
        """What an array's items, or an object's values, may be."""
        found = [inner.raw[key] for inner in self.alternatives() if isinstance(inner.raw.get(key), Mapping)]
        return [Schema(raw, self.document) for raw in found]

    def _own_kinds(self) -> set[str]:
        if "type" in self.raw:
            return {self.raw["type"]}
        if named := self.values():
            return {NAMES[type(value)] for value in named}
        return KINDS_OF_JSON


def differences(schema: Schema, annotation: Any, where: str, *, request: bool = False) -> list[str]:
    """How a type of the SDK differs from a schema; an answer may be taken more leniently than it is given."""
    options = _options(annotation)
    if any(option in (Any, object) for option in options):
        return []
    if any(option in FILE or get_origin(option) in FILE for option in options):
        return [] if "string" in schema.kinds() else [f"{where}: a file in the SDK alone"]
    found = _kinds_differ(schema, options, where, request=request)
    found += _values_differ(schema, options, where)
    for option in options:
        found += _structures_differ(schema, option, where, request=request)
    if records := [option for option in options if _is_record(option)]:
        found += _fields_differ(schema, records, where, request=request)
    return found


def _kinds_differ(schema: Schema, options: list[Any], where: str, *, request: bool) -> list[str]:
    ours, theirs = {_kind(option) for option in options}, schema.kinds()
    if theirs == {"null"}:  # a place for what does not exist yet
        return []
    if not request and theirs != KINDS_OF_JSON:
        ours -= {"null"} - theirs  # left out by an older service
    theirs -= {"integer"} if "number" in theirs else set()
    ours -= {"integer"} if "number" in ours else set()
    if request:
        theirs, ours = theirs - {"null"}, ours - {"null"}
    if ours == theirs:
        return []
    return [
        f"{where}: {', '.join(sorted(ours))} in the SDK, {', '.join(sorted(theirs))} in the specification"
    ]


def _values_differ(schema: Schema, options: list[Any], where: str) -> list[str]:
    ours = {value for option in options if get_origin(option) is Literal for value in get_args(option)}
    theirs = schema.values()
    if ours == theirs or (not ours and len(theirs) == 1):  # `object` names itself
        return []
    return [f"{where}: {sorted(map(str, ours ^ theirs))} on one side alone"]


def _structures_differ(schema: Schema, option: Any, where: str, *, request: bool) -> list[str]:
    origin, arguments = get_origin(option), get_args(option)
    if origin in (list, Sequence):
        inner, mark, parts = arguments[0], "[]", schema.within("items")
    elif origin in (dict, Mapping):
        inner, mark, parts = arguments[1], "{}", schema.within("additionalProperties")
    else:
        return []
    return [text for part in parts for text in differences(part, inner, where + mark, request=request)]


def _fields_differ(schema: Schema, records: list[Any], where: str, *, request: bool) -> list[str]:
    ours: dict[str, list[Any]] = {}
    for record in records:
        for name, hint in _fields(record).items():
            ours.setdefault(name, []).append(hint)
    theirs = schema.properties()
    ignored = set() if request else {"first_id", "last_id", "object"}
    found = [
        f"{where}: the SDK has no field {name}" for name in sorted(theirs.keys() - ours.keys() - ignored)
    ]
    found += [
        f"{where}: the specification has no field {name}" for name in sorted(ours.keys() - theirs.keys())
    ]
    if request:
        needed = set.intersection(*(needed_keys(record) for record in records))
        found += [f"{where}: only one side needs {name}" for name in sorted(needed ^ schema.required())]
    for name in sorted(ours.keys() & theirs.keys()):
        hint = Union[tuple(ours[name])]  # noqa: UP007  # of a list
        found += differences(theirs[name], hint, f"{where}.{name}", request=request)
    return found


def needed_keys(record: Any) -> set[str]:
    """The keys that a TypedDict must have; `__required_keys__` cannot read annotations that are texts."""
    hints = get_type_hints(record, include_extras=True)
    return {name for name, hint in hints.items() if record.__total__ or get_origin(hint) is Required}


def _options(annotation: Any) -> list[Any]:
    """What an annotation may be, its unions taken apart."""
    if annotation is JsonValue:
        return [Any]
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return [option for argument in get_args(annotation) for option in _options(argument)]
    if origin is Required:
        return _options(get_args(annotation)[0])
    return [annotation]


def _kind(option: Any) -> str:
    origin = get_origin(option)
    if origin is Literal:
        return NAMES[type(get_args(option)[0])]
    if origin in (list, Sequence):
        return "array"
    if origin in (dict, Mapping) or _is_record(option):
        return "object"
    return NAMES[option]


def _is_record(option: Any) -> bool:
    return is_typeddict(option) or (isinstance(option, type) and issubclass(option, BaseModel))


def _fields(record: Any) -> dict[str, Any]:
    if is_typeddict(record):
        return get_type_hints(record)
    return {name: field.annotation for name, field in record.model_fields.items()}
