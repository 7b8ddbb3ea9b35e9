"""LISA (Pan et al., 2024, arXiv 2403.17919): embeddings, output layer and a few whole layers, drawn evenly.

No adapters: the layers' own weights are trained. Two layers at a time, kept for 20 steps, as in the paper.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM

from benchmarks.trainer.contenders.plain_loop import loss_of, padded, read
from benchmarks.trainer.turns import Turns

LAYERS, HOLD = 2, 20
RATE = 1e-5


def main() -> None:
    """Train, a step a turn."""
    turns = Turns()
    work = read()
    model: Any = AutoModelForCausalLM.from_pretrained(work.model, dtype=torch.float32)
    layers = list(model.model.layers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    model.train()
    turns.ready(model)
    step = 0
    while (number := turns.wait()) is not None:
        if step % HOLD == 0:
            model.model.layers.requires_grad_(False)
            for index in torch.randperm(len(layers))[:LAYERS].tolist():
                layers[index].requires_grad_(True)
        examples = work.batches[number]
        loss = loss_of(model, padded(examples, work.pad))
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        tokens = sum(example.length for example in examples)
        turns.done(examples=len(examples), tokens=tokens, loss=loss.item())
    turns.end()


if __name__ == "__main__":
    main()
