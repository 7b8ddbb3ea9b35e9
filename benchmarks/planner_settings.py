"""The runs that the planner's memory is checked on: those its constants were fitted on, and others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from ist_core.catalog import SMOLLM2

PRECISIONS = ("float32", "bfloat16")
GPT2, LLAMA = "gpt2-40M", "llama-60M"
"""Random models that this benchmark makes; nothing of the planner was fitted on them."""
IN_BFLOAT16 = ("gate scorer", LLAMA)
"""Of the runs that no constant was fitted on, those that are made in bfloat16 too."""


@dataclass(frozen=True, slots=True)
class Case:
    """One run: a job's keys, and how long its rows are."""

    name: str
    length: int
    """The longest row, in tokens; the shortest has about half of it."""
    keys: dict[str, Any]
    fitted: bool = True
    """Whether the allocator's two constants were fitted on runs like it."""
    method: str = "supervised"
    steps: int = 4
    """At least so many optimizer steps: enough that a policy which draws has drawn what costs most."""

    @property
    def batch(self) -> int:
        """Examples a step."""
        return int(self.keys["batch_size"])

    @property
    def spec(self) -> dict[str, Any]:
        """The job without its file: one epoch, so that it meets its longest rows."""
        return {
            "model": SMOLLM2,
            "max_length": self.length,
            "n_epochs": 1,
            "method": {"type": self.method},
            **self.keys,
        }


def cases() -> list[Case]:
    """Return every run."""
    return [*_selections(), *_unseen(), *_sizes()]


def quick_cases() -> list[Case]:
    """Return two runs that take seconds: one that keeps every layer, one that keeps a quarter."""
    return [_case(2, 64, None, "float32"), _case(2, 64, ("static", 0.25), "bfloat16")]


def _selections() -> list[Case]:
    """Policies and fractions."""
    chosen = [("importance", 0.25), ("contiguous", 0.25), ("importance", 0.5), ("static", 0.5)]
    return [_case(4, 64, ist, "float32") for ist in chosen]


def _sizes() -> list[Case]:
    """Batch and length, with all layers and with the top quarter."""
    static = ("static", 0.25)
    return [
        _case(2, 64, None, "float32"),
        _case(4, 64, None, "float32"),
        _case(4, 64, static, "float32"),
        _case(4, 128, None, "float32"),
        _case(4, 128, None, "bfloat16"),
        _case(8, 128, static, "bfloat16"),
        _case(8, 128, ("contiguous", 0.25), "bfloat16", steps=40),
        _case(8, 128, ("importance", 0.25), "bfloat16", steps=40),
        _case(8, 128, None, "bfloat16", steps=40),
        _again(_case(8, 128, None, "bfloat16", steps=40)),
    ]


def _case(batch: int, length: int, ist: tuple[str, float] | None, precision: str, *, steps: int = 4) -> Case:
    told = "ist null" if ist is None else f"{ist[0]} {ist[1]}"
    keys: dict[str, Any] = {"batch_size": batch, "precision": precision, "ist": None}
    if ist is not None:
        keys["ist"] = {
            "policy": ist[0],
            "update_fraction": ist[1],
            "scorer": "suppression",
            "probe_interval": 2 if steps == 4 else 10,
        }
    return Case(f"batch {batch}, {length} tokens, {told}, {precision}", length, keys, steps=steps)


def _again(case: Case) -> Case:
    """The same with layers that compute again."""
    return replace(case, name=f"{case.name}, all layers again", keys={**case.keys, "recompute": "all"})


def _unseen() -> list[Case]:
    """Adapters, methods, lengths and models that no constant was fitted on."""
    plain: dict[str, Any] = {"batch_size": 4, "ist": None}
    gate = {"policy": "importance", "scorer": "gate", "probe_interval": 2}
    rows: list[tuple[str, int, dict[str, Any]]] = [
        ("rank 128", 64, {**plain, "adapter": {"rank": 128}}),
        ("dropout 0.1", 64, {**plain, "adapter": {"dropout": 0.1}}),
        ("DoRA", 64, {**plain, "adapter": {"dora": True}}),
        ("series bottleneck", 64, {**plain, "adapter": {"type": "bottleneck", "variant": "series"}}),
        ("batch 8 in micro-batches of 2", 64, {"batch_size": 8, "micro_batch_size": 2, "ist": None}),
        ("gate scorer", 64, {"batch_size": 4, "ist": gate}),
        (GPT2, 128, {**plain, "model": GPT2}),
        (LLAMA, 128, {**plain, "model": LLAMA}),
    ]
    found = [
        Case(f"{name}, {precision}", length, {**keys, "precision": precision}, fitted=False)
        for (name, length, keys), precision in product(rows, PRECISIONS)
        if precision == "float32" or name in IN_BFLOAT16
    ]
    keys = {**plain, "batch_size": 2, "precision": "float32"}
    return [*found, Case("dpo, float32", 64, keys, fitted=False, method="dpo")]
