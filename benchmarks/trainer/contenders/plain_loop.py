"""What the contenders without a library of their own share: a loop on plain transformers and peft."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.trainer import workload
from benchmarks.trainer.contenders.hf_data import IGNORED
from benchmarks.trainer.workload import Workload
from ist_core.encoding import Example


def read() -> Workload:
    """Return the workload that the program was started with."""
    return workload.read(Path(sys.argv[1]))


def padded(examples: list[Example], pad: int) -> dict[str, Tensor]:
    """Return a batch as transformers' models take it."""
    width = max(example.length for example in examples)
    tokens = torch.full((len(examples), width), pad)
    labels = torch.full((len(examples), width), IGNORED)
    mask = torch.zeros((len(examples), width), dtype=torch.long)
    for place, example in enumerate(examples):
        row = torch.tensor(example.tokens)
        tokens[place, : len(row)] = row
        labels[place, : len(row)] = torch.where(torch.tensor(example.supervised), row, IGNORED)
        mask[place, : len(row)] = 1
    return {"input_ids": tokens, "labels": labels, "attention_mask": mask}


def loss_of(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Return the model's own mean loss: logits at every position."""
    loss: Tensor = model(**batch, use_cache=False).loss
    return loss
