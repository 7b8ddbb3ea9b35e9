"""Compares an export with the trained model by their logits on the same tokens.

    t, e = logits of trained model and export, [positions, vocabulary], float32, less each position's mean
    d = |e - t|      largest = max d      mean = mean d      spread = std t
    divergence = mean over positions of KL(softmax t || softmax e), in nats
    top-1 = share of positions with argmax t = argmax e

The mean of a position is taken away because softmax does not see it. An export passes when largest / spread,
mean / spread, divergence and top-1 are within the tolerance of how its weights are stored.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ist_core.export.manifest import Check, Tolerance

TOLERANCES = {
    "float32": Tolerance(largest=2e-3, mean=1e-4, divergence=1e-6, top1=0.99),
    "float16": Tolerance(largest=0.05, mean=5e-3, divergence=1e-4, top1=0.97),
    "bfloat16": Tolerance(largest=0.5, mean=0.04, divergence=1e-2, top1=0.9),
    "q8_0": Tolerance(largest=0.8, mean=0.08, divergence=3e-2, top1=0.9),
}
"""By how the weights are stored. Rounding alone stays well below; docs/exports.md has measured values."""


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
    pairs = [(_centred(left), _centred(right)) for left, right in zip(trained, exported, strict=True)]
    positions = sum(len(left) for left, _ in pairs)
    count = sum(left.numel() for left, _ in pairs)
    differences = [(left - right).abs() for left, right in pairs]
    largest = max(difference.max().item() for difference in differences)
    mean = sum(difference.sum(dtype=torch.float64).item() for difference in differences) / count
    divergence = sum(_divergence(left, right) for left, right in pairs) / positions
    agreed = sum(int((left.argmax(-1) == right.argmax(-1)).sum()) for left, right in pairs)
    spread = torch.cat([left.flatten() for left, _ in pairs]).std().item()
    tolerance = TOLERANCES[weights]
    passed = (
        tokens_agree
        and largest <= tolerance.largest * spread  # never true of NaN
        and mean <= tolerance.mean * spread
        and divergence <= tolerance.divergence
        and agreed >= tolerance.top1 * positions
    )
    return Check(
        prompts=prompts,
        positions=positions,
        largest_difference=largest,
        mean_difference=mean,
        spread=spread,
        mean_divergence=divergence,
        top1_agreement=agreed / positions,
        tokens_agree=tokens_agree,
        tolerance=tolerance,
        verdict="passed" if passed else "failed",
    )


def _centred(logits: Tensor) -> Tensor:
    return logits - logits.mean(-1, keepdim=True)


def _divergence(trained: Tensor, exported: Tensor) -> float:
    """Return the sum over positions."""
    targets, inputs = (functional.log_softmax(logits.double(), -1) for logits in (trained, exported))
    return functional.kl_div(inputs, targets, reduction="sum", log_target=True).item()
