"""A job's spec: from a YAML or JSON file, flags on top of it, single settings on top of both."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from isthmus.cli.exits import UsageFault

STDIN = "-"
FLOAT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")


class Loader(yaml.SafeLoader):
    """Plain values only. `1e-3` is a number, a date is a text, and no key comes twice."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(rf"^{FLOAT.pattern}$"), list("-+0123456789.")
)


def _unique_keys(loader: Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.value in seen:
            raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} comes twice", key.start_mark)
        seen.add(key.value)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


Loader.add_constructor("tag:yaml.org,2002:map", _unique_keys)


def read_spec(place: str) -> dict[str, Any]:
    """A spec from a file or, for `-`, from stdin; YAML or JSON. Raises UsageFault."""
    try:
        text = sys.stdin.read() if place == STDIN else Path(place).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageFault(f"{place}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageFault(f"{place}: cannot be read (it is no UTF-8 text)") from error
    name = "stdin" if place == STDIN else place
    found = parse(text, name)
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise UsageFault(f"{name}: a spec is a mapping, such as `model: NAME`; this is {_kind(found)}")
    return found


def parse(text: str, name: str) -> Any:
    """YAML, of which JSON is a part, as plain values that JSON can hold. Raises UsageFault."""
    try:
        found = yaml.load(text, Loader)  # noqa: S506  # a SafeLoader
        json.dumps(found, allow_nan=False)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageFault(f"{name}{line}: {error.problem}") from error
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise UsageFault(f"{name}: {error}") from error
    return found


def merge(spec: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`more` on top of `spec`; a mapping is merged into a mapping, all else takes the place of what was."""
    merged = dict(spec)
    for key, value in more.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def settings(given: Sequence[str]) -> dict[str, Any]:
    """`ist.policy=random` as `{"ist": {"policy": "random"}}`, the values as in YAML. Raises UsageFault."""
    spec: dict[str, Any] = {}
    for text in given:
        path, equals, value = text.partition("=")
        names = path.split(".")
        if not equals or not all(names):
            raise UsageFault(f"--set: {text!r} is no KEY=VALUE, such as ist.policy=random")
        setting: Any = parse(value, f"--set {path}")
        for name in reversed(names):
            setting = {name: setting}
        spec = merge(spec, setting)
    return spec


def place_hyperparameters(spec: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters into the spec: to the method's own where it has some or needs some (`beta`)."""
    if not given:
        return spec
    method: dict[str, Any] = spec.get("method") or {}
    kind = method.get("type", "supervised")
    own = method.get(kind)
    if "beta" not in given and not (isinstance(own, dict) and own.get("hyperparameters")):
        return merge(spec, {"hyperparameters": dict(given)})
    above = spec.get("hyperparameters") or {}
    rest = {key: value for key, value in spec.items() if key != "hyperparameters"}
    return merge(rest, {"method": {"type": kind, kind: {"hyperparameters": {**above, **given}}}})


def _kind(value: object) -> str:
    return {"NoneType": "empty", "list": "a list", "str": "a text"}.get(type(value).__name__, repr(value))
