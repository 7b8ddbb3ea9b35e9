"""Who takes part."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

TARGETS = ("q_proj", "k_proj", "v_proj", "up_proj", "down_proj")
RANK = 16
LEARNING_RATE = 5e-4
PROBE_EVERY = 3
"""Steps between probes while speed is measured: fewer than in a job, so that a few steps hold some."""
Program = Literal["ours", "sft", "trainer", "paper_ist", "lisa"]


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of fine-tuning: a program of `contenders/`, and what it is told."""

    name: str
    program: Program
    keys: dict[str, Any] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The name as a file's."""
        return re.sub(r"\W+", "-", self.name).strip("-").lower()


OURS = "LoRA"
"""The one that all others are compared with: our own LoRA of all layers."""
LORA_AGAIN = "LoRA, all layers again"
"""The same, with layers that compute again for the backward pass."""
TRL_DEFAULT = "TRL SFTTrainer, defaults"
TRL_BEST = "TRL SFTTrainer, best"
PAPER = "paper's IST, naive"


def ours(precision: str) -> list[Contender]:
    """Return our contenders: LoRA first, then IST by policy and density; some layers compute again."""
    found = [_ours(OURS, None, precision), _ours(LORA_AGAIN, None, precision, "all")]
    for policy, fraction in (
        ("static", 0.5),
        ("static", 0.25),
        ("contiguous", 0.5),
        ("contiguous", 0.25),
        ("depth", 0.25),
        ("importance", 0.5),
        ("importance", 0.25),
        ("random", 0.25),
    ):
        ist = {"policy": policy, "update_fraction": fraction}
        found.append(_ours(f"IST {policy} {fraction}", ist, precision))
        if policy != "static":  # of which no layer in the backward pass is unselected
            found.append(_ours(f"IST {policy} {fraction}, others again", ist, precision, "unselected"))
    found.append(_ours("IST static 0.25, all again", {"policy": "static"}, precision, "all"))
    gate = {"policy": "importance", "update_fraction": 0.25, "scorer": "gate"}
    return [*found, _ours("IST importance 0.25, gate", gate, precision)]


def _ours(name: str, ist: dict[str, Any] | None, precision: str, recompute: str = "none") -> Contender:
    # A job's first steps may update all layers; what a step takes afterwards is what is compared.
    chosen = None if ist is None else {"warmup_steps": 0, "probe_interval": PROBE_EVERY, **ist}
    return Contender(name, "ours", {"ist": chosen, "precision": precision, "recompute": recompute})


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
