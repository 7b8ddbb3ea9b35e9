"""Families of models whose modules are known here."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

_FAMILIES: Mapping[str, str] = MappingProxyType({"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2"})
"""How transformers' class names begin, by a model's type."""
_ENDS: Mapping[str, str] = MappingProxyType(
    {
        "RMSNorm": "norm",
        "MLP": "mlp",
        "Attention": "attention",
        "DecoderLayer": "layer",
        "ForCausalLM": "model",
    }
)


def base_of(model: PeftModel) -> PreTrainedModel:
    """Return the model under the adapters, which peft types as a bare Module."""
    return cast("PreTrainedModel", model.get_base_model())


def known_classes(model: PreTrainedModel) -> dict[type[nn.Module], str]:
    """Return which of the family's classes is what; nothing of a family that is not known."""
    prefix = _FAMILIES.get(model.config.model_type)
    if prefix is None or type(model).__name__ != f"{prefix}ForCausalLM":
        return {}
    names = vars(sys.modules[type(model).__module__])
    return {names[f"{prefix}{end}"]: kind for end, kind in _ENDS.items()}


def is_hooked(module: nn.Module) -> bool:
    """Whether something looks at the module's calls, or changes what it returns."""
    return bool(module._forward_hooks or module._forward_pre_hooks)  # noqa: SLF001  # torch tells it nowhere else
