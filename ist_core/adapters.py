"""Puts adapters on every decoder layer, through peft."""

from __future__ import annotations

import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ist_core.bottleneck import BottleneckConfig
from ist_core.errors import AdapterError
from ist_core.ist.layers import decoder_layers
from ist_core.spec import BottleneckSpec, LoraSpec


def add_adapters(model: PreTrainedModel, spec: LoraSpec | BottleneckSpec, *, seed: int) -> PeftModel:
    """Return `model` with adapters on linear modules of its decoder layers only; the base is frozen.

    Adapter weights are float32, also on a bfloat16 base; they depend on `seed` alone.

    Raises:
        AdapterError: if the model has no layers, or a target name is in none of them.
    """
    list_name, _ = decoder_layers(model)
    known = _linear_names(model, list_name)
    short = {name.rpartition(".")[2] for name in known}
    wanted = short if spec.target_modules is None else set(spec.target_modules)
    if unknown := sorted(wanted - short):
        names = ", ".join(sorted(short))
        reason = f"the model's layers have no linear module called {', '.join(map(repr, unknown))}"
        raise AdapterError(f"{reason}; they have {names}", param="adapter.target_modules")
    # Full names, because a bare name could also match a module outside the layers.
    targets = [name for name in known if name.rpartition(".")[2] in wanted]
    config = _lora(spec, targets) if isinstance(spec, LoraSpec) else _bottleneck(spec, targets)
    with torch.random.fork_rng(), warnings.catch_warnings():
        # peft 0.21 asks for an attribute that transformers 5.23 has renamed.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        torch.manual_seed(seed)
        adapted = get_peft_model(model, config)
    if not isinstance(adapted, PeftModel):
        raise AdapterError("peft made no PeftModel of this model")
    return adapted


def _lora(spec: LoraSpec, targets: list[str]) -> LoraConfig:
    return LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha if spec.alpha is not None else 2 * spec.rank,  # type: ignore[arg-type]  # peft divides it, a float is fine
        lora_dropout=spec.dropout,
        use_dora=spec.dora,
        use_rslora=spec.rslora,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )


def _bottleneck(spec: BottleneckSpec, targets: list[str]) -> BottleneckConfig:
    return BottleneckConfig(
        variant=spec.variant,
        bottleneck_size=spec.size,
        non_linearity=spec.non_linearity,
        scaling=spec.scaling,
        dropout=spec.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )


def _linear_names(model: PreTrainedModel, list_name: str) -> list[str]:
    """Return the full names of all linear modules inside the layer list, in the model's order."""
    names = [
        name
        for name, module in model.named_modules()
        if name.startswith(f"{list_name}.") and isinstance(module, nn.Linear | Conv1D)
    ]
    if not names:
        raise AdapterError("the model's layers hold no linear module to adapt")
    return names
