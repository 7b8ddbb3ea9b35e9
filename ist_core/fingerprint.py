"""What a run's numbers depend on, so that a checkpoint is only continued by the run that it is of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from ist_core.artifacts import versions
from ist_core.device import device_name
from ist_core.examples import Rows
from ist_core.records import JsonValue
from ist_core.spec import JobSpec

_ELSEWHERE = {
    "training_file",
    "validation_file",
    "checkpoint_interval",
    "on_out_of_memory",
    "time_limit_minutes",
    "micro_batch_size",
}
"""Fields of the spec that do not decide a run's numbers: where its data lies, how often it is saved, and when
it is broken off. The micro-batch decides the last digits only, as the environment does."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The spec, the data and the environment of a run."""

    spec: JobSpec
    data: dict[str, str]
    """The SHA-256 of the rows of each file."""
    environment: dict[str, str]
    """Device and versions, which decide the last digits only, and the number format, which decides more."""


def fingerprint(spec: JobSpec, rows: Rows, *, device: torch.device, dtype: torch.dtype) -> Fingerprint:
    """Return the fingerprint of a run that is about to begin, or to be resumed."""
    data = {"training_file": _digest(rows.training)}
    if rows.validation is not None:
        data["validation_file"] = _digest(rows.validation)
    environment = {
        "device": device_name(device),
        "precision": str(dtype).removeprefix("torch."),
        **{name: str(version) for name, version in versions().items()},
    }
    return Fingerprint(spec, data, environment)


def data_facts(identity: Fingerprint, rows: Rows) -> dict[str, JsonValue]:
    """Return how many rows each file of a run has, and their SHA-256."""
    counts = {"training_file": len(rows.training), "validation_file": len(rows.validation or ())}
    return {name: {"rows": counts[name], "sha256": digest} for name, digest in identity.data.items()}


def run_differences(was: Fingerprint, now: Fingerprint) -> list[str]:
    """Say in what respect `now` is another run than `was`; an empty list: it is the same."""
    elsewhere = _ELSEWHERE - {"checkpoint_interval"} if _looks_at_checkpoints(now.spec) else _ELSEWHERE
    before = dict(_flat("", was.spec.model_dump(mode="json", exclude=elsewhere)))
    after = dict(_flat("", now.spec.model_dump(mode="json", exclude=elsewhere)))
    names = [
        name for name in ("training_file", "validation_file") if was.data.get(name) != now.data.get(name)
    ]
    return [*_changes(before, after), *(f"the rows of {name} are not the same" for name in names)]


def environment_change(was: Fingerprint, now: Fingerprint) -> str | None:
    """Say what is different around the same run, such as torch's version, and what of it; None: nothing."""
    changes = "; ".join(_changes(_surroundings(was), _surroundings(now)))
    if not changes:
        return None
    if was.environment.get("precision") == now.environment.get("precision"):
        return f"in another environment, so the last digits may differ: {changes}"
    return (
        f"in another number format, so its numbers are not those of a run that never stopped: {changes}; "
        "a job whose precision is float32 or bfloat16, and not auto, keeps it on every machine"
    )


def _looks_at_checkpoints(spec: JobSpec) -> bool:
    """Whether what is measured at checkpoints decides which weights are the result."""
    sampled = spec.evaluation is not None and spec.evaluation.interval is not None
    return spec.select_checkpoint == "best" or (spec.early_stopping is not None and not sampled)


def _surroundings(run: Fingerprint) -> dict[str, str]:
    return {**run.environment, "micro_batch_size": str(run.spec.micro_batch_size or run.spec.batch_size)}


def _digest(rows: Iterable[object]) -> str:
    """Hash rows, which are dataclasses of plain values, by what they show."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(row).encode("utf-8", "backslashreplace") + b"\n")
    return digest.hexdigest()


def _flat(path: str, value: JsonValue) -> Iterator[tuple[str, JsonValue]]:
    """Yield the leaves of a JSON object with their dotted paths."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(f"{path}.{name}" if path else name, inner)
    else:
        yield path, value


def _changes(
    before: dict[str, JsonValue] | dict[str, str], after: dict[str, JsonValue] | dict[str, str]
) -> list[str]:
    return [
        f"{name} was {before.get(name)!r} and is {after.get(name)!r}"
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]
