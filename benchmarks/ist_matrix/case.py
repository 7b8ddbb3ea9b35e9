"""One cell's subject: a method's adapters on a family's model, and what the checks do with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from torch import Tensor, nn

from benchmarks.ist_matrix.methods import BROKEN, METHODS, Method
from benchmarks.ist_matrix.models import adapt, make_batch, make_model, quiet, target


class NotAvailable(Exception):
    """peft itself cannot put this method on this model; the message is peft's reason."""


class CheckFailed(Exception):
    """Something that must hold does not."""


@dataclass(frozen=True, slots=True)
class Case:
    """A method on a family's model; both by their names in the table."""

    method: str
    family: str

    @property
    def row(self) -> Method:
        """How the adapters are made."""
        return METHODS[self.method]

    def make(self, *, dtype: torch.dtype = torch.float32) -> PeftModel:
        """Return the adapted model; always the same weights.

        Raises:
            NotAvailable: if peft refuses.
        """
        base = make_model(self.family, dtype=dtype)
        try:
            model = adapt(base, self.row.config(target(self.family)))
        except Exception as error:
            raise NotAvailable(f"{type(error).__name__}: {error}") from error
        if not trainable(model):
            raise NotAvailable("peft leaves out every module: no weight is trainable")
        if (self.method, self.family) in BROKEN:
            self._expect_broken(model)
        return model

    def load(self, folder: Path) -> PeftModel:
        """Return the model with the adapters that `save_pretrained` wrote, ready to be trained on."""
        base = make_model(self.family)
        with torch.random.fork_rng(devices=[]), quiet():
            torch.manual_seed(2)
            return PeftModel.from_pretrained(base, str(folder), is_trainable=True)

    def loss(self, model: nn.Module, ids: Tensor) -> Tensor:
        """Return the model's mean loss on token ids."""
        loss: Tensor = model(input_ids=ids, labels=ids, **self.row.inputs).loss
        return loss

    def logits(self, model: nn.Module) -> Tensor:
        """Return what the model answers to the first batch, without dropout."""
        model.eval()
        with torch.no_grad():
            logits: Tensor = model(input_ids=make_batch(0), **self.row.inputs).logits
        return logits

    def _expect_broken(self, model: PeftModel) -> None:
        try:
            self.logits(model)
        except (RuntimeError, IndexError) as error:
            raise NotAvailable(f"fails without IST too, {type(error).__name__}: {error}") from error
        raise CheckFailed("peft has mended this: take it out of BROKEN (benchmarks/ist_matrix/methods.py)")


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


@torch.no_grad()
def perturb(model: nn.Module) -> None:
    """Move every trained weight away from its start, so that each adapter has a response."""
    generator = torch.Generator().manual_seed(7)
    for parameter in trainable(model).values():
        noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        parameter.add_(noise, alpha=0.1)


def optimizer_of(model: nn.Module) -> torch.optim.AdamW:
    """Return an optimizer that moves whatever has a gradient: by momentum and by weight decay."""
    return torch.optim.AdamW(trainable(model).values(), lr=1e-2, weight_decay=0.1)
