"""The live parts of a run that its steps change, and how they are taken and put back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ist_core.ist import IST, AdapterLayer, IstState
from ist_core.optimization import load_moments, moments
from ist_core.seeds import random_state, set_random_state

_OPTIMIZER = "optimizer/"
_RANDOM = "random/"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a step changes even when it is broken off before its update: IST's and torch's random state."""

    ist: IstState | None
    random: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Model, optimizer and IST of a run."""

    model: PeftModel
    tokenizer: PreTrainedTokenizerBase
    layers: Sequence[AdapterLayer]
    optimizer: torch.optim.Optimizer
    ist: IST | None
    device: torch.device
    best: dict[str, Tensor] = field(default_factory=dict)
    """The adapter's weights at its lowest validation loss, named as PEFT saves them, in main memory; empty
    unless they are to be the result."""
    names: dict[Tensor, str] = field(init=False, repr=False)
    """Those of the model's parameters; looking through the model for them takes longer than writing them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", {value: name for name, value in self.model.named_parameters()})

    def snapshot(self) -> Snapshot:
        """Return what a checkpoint of this moment needs beside the weights; to be taken between two steps."""
        return Snapshot(self.ist.state_dict() if self.ist else None, random_state(self.device))

    def tensors(self, snapshot: Snapshot) -> dict[str, Tensor]:
        """Return the optimizer's moments and the snapshot's random state by name, ready to be saved."""
        optimizer = moments(self.optimizer, self.names)
        return _prefixed(_OPTIMIZER, optimizer) | _prefixed(_RANDOM, snapshot.random)

    def load_tensors(self, found: dict[str, Tensor]) -> None:
        """Take up what `tensors` returned."""
        load_moments(self.optimizer, self.model, _unprefixed(_OPTIMIZER, found))
        set_random_state(_unprefixed(_RANDOM, found), self.device)

    def keep_best(self) -> None:
        """Keep the adapter as it is now for the result."""
        weights = get_peft_model_state_dict(self.model, save_embedding_layers=False)
        self.best.update({name: value.to("cpu", copy=True) for name, value in weights.items()})

    def load_adapter(self, found: dict[str, Tensor]) -> bool:
        """Take up an adapter's weights, named as PEFT saves them; False: they are of another model."""
        wanted = get_peft_model_state_dict(self.model, save_embedding_layers=False)
        if _shapes(found) != _shapes(wanted):
            return False
        set_peft_model_state_dict(self.model, found)
        return True


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in tensors.items()}


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in tensors.items()}


def _unprefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
