"""AdaLoRA beside IST: a rank allocator that can do with layers that have no gradient, and can be resumed.

AdaLoRA (Zhang et al., 2023, arXiv 2303.10512) sums up each weight's importance |w * dL/dw| over the steps and
now and then sets the least important ranks of all layers to zero. peft's allocator fails at the first layer
without a gradient, and keeps its sums nowhere. Call `prepare` once, then `update_and_allocate` as ever:

    allocator = prepare(model)
    with ist.step():
        loss(model, batch).backward()
        optimizer.step()
        model.base_model.update_and_allocate(step)
        optimizer.zero_grad()

A layer's sums stay as they are while it is frozen. Cutting ranks is AdaLoRA's own act on the whole model: it
also sets ranks of layers to zero that IST has not selected in that step.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from peft import PeftModel
from peft.tuners.adalora import AdaLoraModel, RankAllocator
from torch import Tensor, nn

from ist_core.errors import AdapterError

AllocatorState = dict[str, dict[str, Tensor]]


def prepare(model: PeftModel) -> SparseRankAllocator:
    """Give an AdaLoRA model an allocator that skips frozen layers; call it before the first step.

    Raises:
        AdapterError: if the model's adapters are not AdaLoRA's.
    """
    tuner = model.base_model
    if not isinstance(tuner, AdaLoraModel):
        raise AdapterError("only AdaLoRA allocates ranks, and this model has other adapters")
    name = tuner.trainable_adapter_name
    config = tuner.peft_config[name]
    allocator = SparseRankAllocator(tuner.model, config, name)  # type: ignore[no-untyped-call]  # as peft's
    tuner.rankallocator = allocator
    return allocator


class SparseRankAllocator(RankAllocator):
    """peft's rank allocator for steps in which some layers have no gradient."""

    def update_ipt(self, model: nn.Module) -> None:
        """Update the importance of weights with a gradient; that of all others stays as it was."""
        for name, parameter in model.named_parameters():
            if "lora_" in name and self.adapter_name in name and name not in self.ipt:
                for sums in self._sums().values():
                    sums[name] = torch.zeros_like(parameter)
        super().update_ipt(_Selected(model))  # type: ignore[no-untyped-call]  # peft has no types here

    def state_dict(self) -> AllocatorState:
        """Return the sums; with the weights and the step they are all that later allocations depend on."""
        return {name: dict(sums) for name, sums in self._sums().items()}

    def load_state_dict(self, state: AllocatorState) -> None:
        """Continue exactly where the state was taken."""
        for name, sums in self._sums().items():
            sums.clear()
            sums.update(state[name])

    def _sums(self) -> AllocatorState:
        return {"ipt": self.ipt, "exp_avg_ipt": self.exp_avg_ipt, "exp_avg_unc": self.exp_avg_unc}


class _Selected:
    """A model as `update_ipt` looks at it: only the parameters that have a gradient."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield names and parameters."""
        return ((name, item) for name, item in self._model.named_parameters() if item.grad is not None)
