"""Who takes part."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

TARGETS = ("q_proj", "k_proj", "v_proj", "up_proj", "down_proj")
RANK = 16
LEARNING_RATE = 5e-4
LATER, PROBES = "later epochs", "probes"
"""How names end of contenders that know their rows already, and of those that probe importance."""
LAYERS = 30
"""Of SmolLM2-135M."""
PROBE_EVERY = 3
"""Steps between probes while speed is measured: fewer than in a job, so that a few steps hold some."""
Program = Literal["ours", "sft", "trainer", "paper_ist", "lisa"]


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of fine-tuning: a program of `contenders/`, and what it is told."""

    name: str
    program: Program
    keys: dict[str, Any] = field(default_factory=dict)
    later: bool = False
    """Whether it is timed on rows that it has seen before, as in a job's later epochs."""

    @property
    def slug(self) -> str:
        """The name as a file's."""
        return re.sub(r"\W+", "-", self.name).strip("-").lower()


OURS = "LoRA"
"""The one that all others are compared with: our own LoRA of all layers."""
LORA_AGAIN = "LoRA, all layers again"
"""The same, with all layers computing again for the backward pass."""
TRL_DEFAULT = "TRL SFTTrainer, defaults"
PAPER = "paper's IST, naive"


def ours(precision: str) -> list[Contender]:
    """Return our contenders: LoRA first, then IST by policy and density; some layers compute again."""
    found = [
        _ours(OURS, precision),
        *(_ours(f"LoRA, {LAYERS - kept} layers again", precision, kept=kept) for kept in (16, 8)),
        _ours(LORA_AGAIN, precision, kept=0),
    ]
    for share in (0.5, 0.25):
        static = {"policy": "static", "update_fraction": share}
        # Without a warm-up, all scores are equal, and settling selects what static does.
        found += [
            _ours(f"IST static {share}", precision, static),
            _ours(f"IST static {share}, {LATER}", precision, static, later=True),
        ]
    found.append(_ours("IST static 0.25, all again", precision, {"policy": "static"}, kept=0))
    for policy in ("contiguous", "depth", "importance", "random"):
        ist = {"policy": policy, "update_fraction": 0.25}
        kept = math.floor(0.25 * LAYERS)
        found.append(_ours(f"IST {policy} 0.25", precision, ist))
        found.append(_ours(f"IST {policy} 0.25, others again", precision, ist, kept=kept))
    return found


def probing(precision: str) -> list[Contender]:
    """Return IST with scores that are probed, as the paper has them: how much of the time that takes."""
    return [
        _ours(
            f"IST importance 0.25, {scorer} {PROBES}",
            precision,
            {"policy": "importance", "update_fraction": 0.25, "scorer": scorer},
        )
        for scorer in ("suppression", "gate")
    ]


SETTLED = "IST static 0.5"
"""What the default policy is after its warm-up."""
SETTLING = "IST settling 0.5"
LORA_HALVED, SETTLING_HALVED = f"{OURS}, half its memory", f"{SETTLING}, half of LoRA's memory"
CAPPED = {LORA_HALVED: OURS, SETTLING_HALVED: SETTLING}
"""Contenders under a memory cap of half of LoRA's peak, and those whose weights they end with."""
KEPT = {LORA_HALVED: (4, 4), SETTLING_HALVED: (4, 7)}
"""Layers that keep their activations, in a warm-up and after it: as many as stay below the cap."""
STUDIED: Mapping[str, Mapping[str, Any] | None] = MappingProxyType(
    {
        OURS: None,
        SETTLING: {"policy": "settling", "update_fraction": 0.5},
        "IST static 0.25": {"policy": "static", "update_fraction": 0.25},
        "IST random 0.25": {"policy": "random", "update_fraction": 0.25},
    }
)
"""LoRA, the policy of a job that names none, and the two controls (static, and random: RST)."""


def studied(precision: str) -> dict[str, dict[str, Any]]:
    """Return the contenders of the quality study, and what their jobs are told."""
    found: dict[str, dict[str, Any]] = {}
    for name, ist in STUDIED.items():
        # As a job has them: warm-up and scores are part of what is compared.
        found[name] = {"ist": None if ist is None else {**ist}, "precision": precision}
    for name, like in CAPPED.items():
        found[name] = {**found[like], "kept": KEPT[name]}
    return found


def _ours(
    name: str,
    precision: str,
    ist: dict[str, Any] | None = None,
    *,
    kept: int | None = None,
    later: bool = False,
) -> Contender:
    # A job's first steps may update all layers; what a step takes afterwards is what is compared.
    chosen = None if ist is None else {"warmup_steps": 0, "probe_interval": PROBE_EVERY, **ist}
    phases = None if kept is None else (kept, kept)
    keys = {"ist": chosen, "precision": precision, "kept": phases, "later": later}
    return Contender(name, "ours", keys, later=later)


def peers() -> list[Contender]:
    """Return the others, each as its own documentation has it."""
    return [
        Contender(TRL_DEFAULT, "sft"),
        Contender("transformers.Trainer + peft", "trainer"),
        Contender(PAPER, "paper_ist"),
        Contender("LISA, two whole layers", "lisa"),
    ]


def trl_candidates() -> list[Contender]:
    """Return the configurations of SFTTrainer among which its best is looked for on this machine."""
    plain = {"gradient_checkpointing": False}
    return [
        Contender("TRL, no checkpointing, float32", "sft", {**plain, "bf16": False}),
        Contender("TRL, no checkpointing, bfloat16 autocast", "sft", {**plain, "bf16": True}),
        Contender("TRL, no checkpointing, bfloat16 weights", "sft", {**plain, "dtype": "bfloat16"}),
        Contender("TRL, padding-free, float32", "sft", {**plain, "bf16": False, "padding_free": True}),
        Contender(
            "TRL, padding-free, bfloat16 weights",
            "sft",
            {**plain, "dtype": "bfloat16", "padding_free": True},
        ),
    ]
