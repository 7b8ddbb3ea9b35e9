"""Rules of settled layers: when what they make of a row is worth keeping, and of which models (no torch).

Both the engine (`ist_core/prefix.py`) and the planner go by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FAMILIES = frozenset(
    {"gemma", "llama", "mistral", "mixtral", "olmo2", "phi3", "qwen2", "qwen3", "qwen3_moe", "smollm3"}
)
"""Families whose layers hand on one tensor, and get nothing else that depends on the layers below."""

SHARE_SLACK = 1e-9
"""Of a share of the importance, by which sums of equal parts miss it in rounding."""

_WORTH_KEEPING = 1.25
"""Epochs after the warm-up from which on it pays to keep what settled layers make of a row: it is made of
rows that are not needed yet, too."""

_RANDOM = ("drop", "jitter")


def worth_keeping(*, steps: int, warmup_steps: int, batch_size: int, rows: int) -> bool:
    """Whether rows come again often enough in the steps after the warm-up.

    Args:
        steps: of the whole run.
        rows: that are trained on.
    """
    return (steps - warmup_steps) * batch_size >= _WORTH_KEEPING * rows


def draws_at_random(config: Mapping[str, Any]) -> bool:
    """Whether a base model with this config draws random numbers in training: then no row stays the same."""
    return any(
        isinstance(value, float) and value > 0
        for name, value in config.items()
        if any(word in name for word in _RANDOM)
    )
