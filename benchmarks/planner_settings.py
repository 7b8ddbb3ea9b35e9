"""The runs that the planner's memory is checked on: those its constants were fitted on, and others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from ist_core.catalog import SMOLLM2

STEPS, EPOCHS = 4, 2
"""Runs of layers that are drawn go on for two epochs: a few draws would not meet their worst."""
PRECISIONS = ("float32", "bfloat16")
GPT2, LLAMA = "gpt2-40M", "llama-60M"
"""Random models that this benchmark makes; nothing of the planner was fitted on them."""


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
    max_steps: int | None = STEPS
    """None: all steps of two epochs."""

    @property
    def spec(self) -> dict[str, Any]:
        """The job without its file."""
        return {
            "model": SMOLLM2,
            "max_length": self.length,
            "max_steps": self.max_steps,
            "n_epochs": EPOCHS,
            "method": {"type": self.method},
            **self.keys,
        }


def cases() -> list[Case]:
    """Return every run, fitted ones first."""
    return [*_sizes(), *_selections(), *_unseen()]


def quick_cases() -> list[Case]:
    """Return two runs that take seconds: one that keeps every layer, one that keeps a quarter."""
    wanted = {"batch 4, 64 tokens, ist null, float32", "batch 2, 64 tokens, static 0.25, bfloat16"}
    return [case for case in _sizes() if case.name in wanted]


def _sizes() -> list[Case]:
    """Batch and length, with all layers and with the top quarter."""
    return [
        _case(batch, length, ist, precision)
        for precision, batch, length in product(PRECISIONS, (2, 4, 8), (64, 128))
        for ist in (None, ("static", 0.25))
    ]


def _selections() -> list[Case]:
    """Policies and fractions."""
    return [
        replace(_case(8, 128, (policy, fraction), precision), max_steps=None)
        for precision in PRECISIONS
        for policy in ("static", "importance", "contiguous")
        for fraction in (0.25, 0.5)
        if (policy, fraction) != ("static", 0.25)
    ]


def _case(batch: int, length: int, ist: tuple[str, float] | None, precision: str) -> Case:
    told = "ist null" if ist is None else f"{ist[0]} {ist[1]}"
    keys: dict[str, Any] = {"batch_size": batch, "precision": precision, "ist": None}
    if ist is not None:
        keys["ist"] = {"policy": ist[0], "update_fraction": ist[1], "probe_interval": 2}
    return Case(f"batch {batch}, {length} tokens, {told}, {precision}", length, keys)


def _unseen() -> list[Case]:
    """Adapters, methods, lengths and models that no constant was fitted on."""
    plain: dict[str, Any] = {"batch_size": 4, "ist": None}
    gate = {"policy": "importance", "scorer": "gate", "probe_interval": 2}
    rows: list[tuple[str, int, dict[str, Any]]] = [
        ("rank 128", 128, {**plain, "adapter": {"rank": 128}}),
        ("q and v only", 128, {**plain, "adapter": {"target_modules": ["q_proj", "v_proj"]}}),
        ("dropout 0.1", 128, {**plain, "adapter": {"dropout": 0.1}}),
        ("DoRA", 64, {**plain, "adapter": {"dora": True}}),
        ("parallel bottleneck", 128, {**plain, "adapter": {"type": "bottleneck"}}),
        ("series bottleneck", 128, {**plain, "adapter": {"type": "bottleneck", "variant": "series"}}),
        ("batch 8 in micro-batches of 2", 128, {"batch_size": 8, "micro_batch_size": 2, "ist": None}),
        ("gate scorer", 128, {"batch_size": 4, "ist": gate}),
        ("512 tokens", 512, {"batch_size": 2, "ist": None}),
        ("512 tokens, static 0.25", 512, {"batch_size": 2, "ist": {"policy": "static"}}),
        (GPT2, 128, {**plain, "model": GPT2}),
        (LLAMA, 256, {**plain, "model": LLAMA}),
    ]
    found = [
        Case(f"{name}, {precision}", length, {**keys, "precision": precision}, fitted=False)
        for (name, length, keys), precision in product(rows, PRECISIONS)
    ]
    pairs = [
        Case(f"dpo, {precision}", 128, {**plain, "batch_size": 2, "precision": precision}, False, "dpo")
        for precision in PRECISIONS
    ]
    return found + pairs
