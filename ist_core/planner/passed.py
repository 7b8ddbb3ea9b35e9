"""Layers that settle and are passed by, once what they make of a row is kept (ist_core/prefix.py).

q      (S - w) / S           share of the steps that leave the c layers out of their micro-batches
p      (S - w - E) / S       share of the steps that come after the epoch in which each row's are made
disk   rows * tokens * H e   bytes

S  steps    w  steps of the warm-up    E  steps of an epoch    H  hidden    e  bytes of an element
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ist_core.planner.selections import Selections
from ist_core.planner.shape import ModelShape
from ist_core.settled import FAMILIES, worth_keeping
from ist_core.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Passed:
    """The layers that a run passes by."""

    layers: int
    """c, counted from the input."""
    left_out: float
    """q"""
    share: float
    """p"""
    batches: int
    """Forward passes of these layers in which the rows' states are made."""
    disk_bytes: int
    """What is kept of these rows, if there is room."""


def passed_by(
    spec: JobSpec,
    shape: ModelShape,
    chosen: Selections,
    *,
    steps: int,
    rows: int,
    tokens: float,
    width: int,
) -> Passed | None:
    """Return the layers that a run passes by; None: none, as the engine decides it.

    Args:
        rows: that are trained on.
        tokens: mean of a row.
        width: bytes of one element of the base model.
    """
    varies = shape.family not in FAMILIES or shape.random or spec.adapter.dropout > 0
    if not chosen.settled or spec.method.type != "supervised" or varies:
        return None
    warmup = chosen.warmup_steps
    if not worth_keeping(steps=steps, warmup_steps=warmup, batch_size=spec.batch_size, rows=rows):
        return None
    later = steps - warmup
    return Passed(
        layers=chosen.settled,
        left_out=later / steps,
        share=max(0, later - math.ceil(rows / spec.batch_size)) / steps,
        batches=math.ceil(rows / (spec.micro_batch_size or spec.batch_size)),
        disk_bytes=round(rows * tokens * shape.hidden * width),
    )
