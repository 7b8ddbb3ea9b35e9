"""Compares an export with the trained model by their logits on the same tokens.

    d = |e - t|      e, t: logits of export and trained model, [positions, vocabulary], float32
    largest = max d      mean = mean d      spread = std t      top-1 = mean(argmax e == argmax t)

It passes when largest / spread, mean / spread and top-1 are within the tolerance of the weights' format.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ist_core.export.manifest import Check, Tolerance

TOLERANCES = {
    "float32": Tolerance(largest=2e-3, mean=1e-4, top1=0.99),
    "float16": Tolerance(largest=5e-2, mean=3e-3, top1=0.97),
    "bfloat16": Tolerance(largest=0.5, mean=3e-2, top1=0.9),
    "q8_0": Tolerance(largest=0.5, mean=3e-2, top1=0.9),
}
"""By how the weights are stored: rounding alone stays several times below, a wrong tensor is far above."""


@torch.inference_mode()
def ask(model: nn.Module, tokens: Sequence[Sequence[int]], device: torch.device) -> list[Tensor]:
    """Return the model's logits for each prompt, [positions, vocabulary], in float32 on the CPU."""
    answers = []
    for prompt in tokens:
        logits: Tensor = model(input_ids=torch.tensor([prompt], device=device)).logits
        answers.append(logits[0].float().cpu())
    return answers


def compare(
    trained: Sequence[Tensor],
    exported: Sequence[Tensor],
    *,
    prompts: list[str],
    tokens_agree: bool,
    weights: str,
) -> Check:
    """Return how far apart the answers are, and whether that is within the tolerance of `weights`.

    Args:
        trained, exported: logits of the same tokens, as `ask` returns them.
        tokens_agree: whether the export's own tokenizer makes these tokens, too; without it nothing passes.
    """
    largest, total, count, agreed, positions = 0.0, 0.0, 0, 0, 0
    for left, right in zip(trained, exported, strict=True):
        difference = (left - right).abs()
        largest = max(largest, difference.max().item()) if difference.isfinite().all() else math.inf
        total += difference.sum(dtype=torch.float64).item()
        count += difference.numel()
        agreed += int((left.argmax(-1) == right.argmax(-1)).sum())
        positions += len(left)
    tolerance = TOLERANCES[weights]
    # A vocabulary's width and length of a prompt are of no account: one number for all logits.
    spread = torch.cat([logits.flatten() for logits in trained]).std().item()
    mean, top1 = total / count, agreed / positions
    passed = (
        tokens_agree
        and largest <= tolerance.largest * spread
        and mean <= tolerance.mean * spread
        and top1 >= tolerance.top1
    )
    return Check(
        prompts=prompts,
        positions=positions,
        largest_difference=largest,
        mean_difference=mean,
        spread=spread,
        top1_agreement=top1,
        tokens_agree=tokens_agree,
        tolerance=tolerance,
        verdict="passed" if passed else "failed",
    )
