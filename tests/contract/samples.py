"""Samples and an evaluation as an engine leaves them."""

from __future__ import annotations

from typing import Any

EVALUATION: dict[str, Any] = {
    "rows": 3,
    "scores": {
        "exact_match": {"before": 1 / 3, "after": 2 / 3, "rows": 3},
        "rouge_l": {"before": 0.375, "after": 0.875, "rows": 2},
    },
    "valid_loss": {"before": 2.5, "after": 0.75},
    "valid_mean_token_accuracy": {"before": 0.25, "after": 0.75},
    "best_step": 10,
    "selected": "last",
    "stopped_early": False,
    "seconds": 4.5,
}


def sample(
    row: int, *, base: float = 0.0, tuned: float = 1.0, **scores: dict[str, float | None]
) -> dict[str, Any]:
    """A line of samples.jsonl, with the worth of both answers by `exact_match`."""
    return {
        "row": row,
        "input": [{"role": "user", "content": f"Say {row}."}],
        "expected": f"{row}!",
        "base": "Hm.",
        "tuned": f"{row}!" if tuned else "Um.",
        "scores": {"exact_match": {"base": base, "tuned": tuned}, **scores},
    }
