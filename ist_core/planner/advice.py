"""The smallest change to a job that would make it fit, each candidate verified by planning it.

Tried in the order of what they cost the user:

    micro_batch_size   the same steps on the same data, a little slower
    precision          bfloat16: half the base model's bytes, fewer digits
    ist                only the layers nearest the output, then fewer of them: the model learns less a step
    max_length         rows are cut: data is lost

A change that costs more comes on top of the cheaper ones, which are taken back one by one where it fits
without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ist_core.planner.plan import Plan, Setting, Verdict, plan
from ist_core.spec import JobSpec

_FRACTIONS = (0.5, 0.25, 0.125, 0.0625, 0.03125)
_SHORTEST = 64
_RELIEF = 0.8
"""A run that ran out of memory is to need at most so much of what was predicted for it."""

Values = dict[str, Any]
Wanted = tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """New values of a spec's fields, by name, and the plan with them."""

    values: Values
    plan: Plan

    def __str__(self) -> str:
        """`set micro_batch_size to 2 and max_length to 512`."""
        named = [f"{name} to {_written(value)}" for name, value in self.values.items()]
        return "set " + " and ".join(named)


def best_change(spec: JobSpec, setting: Setting) -> Change | None:
    """Return the cheapest change that makes the job fit, or else fit tightly if it does not; None: none does.

    A job that fits as it is needs none.
    """
    now = plan(spec, setting).verdict
    if now == "fits":
        return None
    fitting = _cheapest(spec, setting, ("fits",))
    return fitting or (_cheapest(spec, setting, ("fits", "tight")) if now == "does_not_fit" else None)


def relief(spec: JobSpec, setting: Setting) -> Change | None:
    """Return what to change after the device ran out of memory, whatever was predicted; None: nothing."""
    device = setting.device
    if spec.recompute == "auto":
        # The next run will look at the same memory, and have no more layers compute again than this one.
        spec = spec.model_copy(update={"recompute": "none"})
    needed = plan(spec, setting).memory.peak
    less = min(device.memory_bytes, round(_RELIEF * needed))
    smaller = replace(setting, device=device.with_memory(less))
    return _cheapest(spec, smaller, ("fits", "tight"))


def _cheapest(spec: JobSpec, setting: Setting, wanted: Wanted) -> Change | None:
    for values in _candidates(spec, setting):
        if _plan(spec, values, setting).verdict in wanted:
            values = _without_needless(spec, values, setting, wanted)
            return Change(values, _plan(spec, values, setting))
    return None


def _plan(spec: JobSpec, values: Values, setting: Setting) -> Plan:
    return plan(JobSpec.model_validate(spec.model_dump() | values), setting)


def _candidates(spec: JobSpec, setting: Setting) -> Iterator[Values]:
    """Yield changes from the cheapest on."""
    sizes = _micro_batches(spec)
    yield from sizes
    base: Values = {}
    if setting.device.width(spec.precision) == 4 and _has_bfloat16(setting):
        base = {"precision": "bfloat16"}
        yield base
        yield from (size | base for size in sizes)
    if sizes:
        base = sizes[-1] | base
    for ist in _sparser(spec, setting):
        base = base | ist
        yield base
    longest = setting.lengths.cut(spec.max_length).longest
    length = 1 << (longest - 1).bit_length()
    while (length := length // 2) >= _SHORTEST:
        yield base | {"max_length": length}


def _micro_batches(spec: JobSpec) -> list[Values]:
    now = spec.micro_batch_size or spec.batch_size
    return [{"micro_batch_size": size} for size in range(now - 1, 0, -1) if spec.batch_size % size == 0]


def _has_bfloat16(setting: Setting) -> bool:
    return setting.device.kind == "cpu" or setting.device.bfloat16


def _sparser(spec: JobSpec, setting: Setting) -> Iterator[Values]:
    """Yield IST settings that keep ever fewer layers, those nearest the output."""
    layers = setting.shape.layers
    if layers < 2:
        return
    ist = spec.ist.model_dump() if spec.ist else {}
    now = spec.ist.update_fraction if spec.ist else 1.0
    if spec.ist and spec.ist.policy != "static":
        yield {"ist": _static(ist, now)}
    for fraction in _FRACTIONS:
        if fraction < now and fraction * layers >= 1:
            yield {"ist": _static(ist, fraction)}


def _static(ist: Values, fraction: float) -> Values:
    return {**ist, "mode": "standard", "policy": "static", "scorer": "suppression", "warmup_steps": 0} | {
        "update_fraction": fraction
    }


def _without_needless(spec: JobSpec, values: Values, setting: Setting, wanted: Wanted) -> Values:
    """Take back what is not needed, the dearest first, and make the micro-batch as large as it may be."""
    for name in ("ist", "precision"):
        fewer = {key: value for key, value in values.items() if key != name}
        if fewer and name in values and _plan(spec, fewer, setting).verdict in wanted:
            values = fewer
    if "micro_batch_size" not in values:
        return values
    rest = {key: value for key, value in values.items() if key != "micro_batch_size"}
    unchanged: list[Values] = [{}] if rest else []
    for size in unchanged + _micro_batches(spec):
        if _plan(spec, rest | size, setting).verdict in wanted:
            return size | rest
    return values


def _written(value: Any) -> str:
    if isinstance(value, dict):
        told = {key: value[key] for key in ("policy", "update_fraction") if key in value}
        return "{" + ", ".join(f"{key}: {item}" for key, item in told.items()) + "}"
    return str(value)
