"""IST as the paper's reference code runs it, written anew and naive on purpose.

Every step draws N_u layers by sigmoid(s), without replacement. Every T steps K sets of layers are suppressed
in turn and the loss of a batch of 16 is looked at. Logits at every position, padding, float32, no shortcuts;
what made the reference code fail (docs/ist.md) is not copied.
"""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from peft import get_peft_model
from peft.tuners.lora import Linear
from torch import nn
from transformers import AutoModelForCausalLM

from benchmarks.trainer.contenders.hf_data import lora
from benchmarks.trainer.contenders.plain_loop import loss_of, padded, read
from benchmarks.trainer.roster import LEARNING_RATE, PROBE_EVERY
from benchmarks.trainer.turns import Turns
from benchmarks.trainer.workload import Workload

CANDIDATES, PROBE_ROWS = 3, 16
BETA, RATE = 0.25, 10.0


class PaperIst:
    """Scores and selections of a model's layers."""

    def __init__(self, layers: list[nn.Module]) -> None:
        self._layers = layers
        self._scores = torch.zeros(len(layers))

    def select(self) -> None:
        """Draw the layers of the next step."""
        count = math.floor(0.25 * len(self._layers))
        chosen = set(torch.multinomial(torch.sigmoid(self._scores), count).tolist())
        for index, layer in enumerate(self._layers):
            for name, weight in layer.named_parameters():
                if "lora_" in name:
                    weight.requires_grad_(index in chosen)

    def score(self, model: nn.Module, batch: dict[str, torch.Tensor]) -> None:
        """Look at the loss with half of the layers suppressed, `CANDIDATES` times."""
        count = math.floor(0.5 * len(self._layers))
        sets = [torch.multinomial(torch.sigmoid(-self._scores), count).tolist() for _ in range(CANDIDATES)]
        rewards = []
        for chosen in sets:
            self._scale(chosen, BETA)
            with torch.no_grad():
                rewards.append(math.exp(-float(loss_of(model, batch))))
            self._scale(chosen, 1 / BETA)
        mean = sum(rewards) / len(rewards)
        for chosen, reward in zip(sets, rewards, strict=True):
            share = torch.sigmoid(self._scores[chosen])
            self._scores[chosen] -= RATE * (reward - mean) * share * (1 - share)

    def _scale(self, chosen: list[int], factor: float) -> None:
        for index in chosen:
            for module in self._layers[index].modules():
                if isinstance(module, Linear):
                    module.scaling["default"] *= factor


def main() -> None:
    """Train, a step a turn."""
    turns = Turns()
    work = read()
    base: Any = AutoModelForCausalLM.from_pretrained(work.model, dtype=torch.float32)
    model = get_peft_model(base, lora())
    ist = PaperIst(list(base.model.layers))
    optimizer = torch.optim.AdamW(
        [weight for weight in model.parameters() if weight.requires_grad], lr=LEARNING_RATE
    )
    model.train()
    turns.ready(base)
    step = 0
    while (number := turns.wait()) is not None:
        probed = _probe_if_due(ist, model, work, step)
        ist.select()
        examples = work.batches[number]
        loss = loss_of(model, padded(examples, work.pad))
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        tokens = sum(example.length for example in examples)
        turns.done(examples=len(examples), tokens=tokens, loss=loss.item(), probe_seconds=probed)
    turns.end()


def _probe_if_due(ist: PaperIst, model: nn.Module, work: Workload, step: int) -> float:
    if not step or step % PROBE_EVERY:
        return 0.0
    began = time.perf_counter()
    model.eval()
    ist.score(model, padded(work.held_out[:PROBE_ROWS], work.pad))
    model.train()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
