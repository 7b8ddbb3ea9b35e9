"""Reads a PEFT adapter folder into blocks: LoRA (rslora and DoRA too) and bottleneck adapters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig, PeftConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils import PeftType
from peft.utils.other import get_pattern_key
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ist_core.artifacts import ADAPTER_WEIGHTS
from ist_core.bottleneck import BottleneckConfig
from ist_core.bottleneck.layer import linear_shape
from ist_core.catalog import ModelSource
from ist_core.errors import AdapterError
from ist_core.inference.blocks import Block
from ist_core.inference.mixer import Adapter
from ist_core.inference.requests import AdapterRef

_PREFIX = "base_model.model."
_KNOWN_OPTIONS = {
    *("r", "lora_alpha", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "lora_dropout"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "fan_in_fan_out"),
    *(field.name for field in fields(PeftConfig)),
}
"""LoRA's options that are followed, or that only describe; any other must be at its default."""
_PLAIN_STARTS = (True, False, "gaussian", "orthogonal")
"""Ways to draw a LoRA's first weights that leave the base model's own alone."""


def read_adapter(ref: AdapterRef, source: ModelSource, linears: Mapping[str, nn.Module]) -> Adapter:
    """Return the adapter of a folder, on the device of the modules that it is for.

    Args:
        linears: the base model's linear modules by name.

    Raises:
        AdapterError: if the folder is damaged, of another base model, or of a kind that cannot be served.
    """
    config = _config(ref)
    _check_base(ref, config, source)
    if isinstance(config, LoraConfig) and config.peft_type == PeftType.LORA:
        _check_options(ref, config)
    elif not isinstance(config, BottleneckConfig):
        kind = config.peft_type
        raise _fault(ref, f"is of PEFT's type {kind}; LoRA, DoRA and bottleneck adapters can be talked to")
    parts = _parts(ref, _tensors(ref))
    expected = {name for name in linears if check_target_module_exists(config, name)}
    if expected != set(parts):
        missing, foreign = sorted(expected - set(parts)), sorted(set(parts) - expected)
        what = f"lacks weights for {missing[0]}" if missing else f"has weights for {foreign[0]}"
        raise _fault(ref, f"{what}; it is damaged, or was made for another model than {source.name!r}")
    blocks = {}
    for name, tensors in parts.items():
        module = linears[name]
        device = cast("Tensor", module.weight).device
        own = {part: tensor.to(device, torch.float32) for part, tensor in tensors.items()}
        try:
            if isinstance(config, LoraConfig):
                blocks[name] = _lora(config, name, module, own)
            else:
                blocks[name] = _bottleneck(config, name, module, own)
        except (KeyError, ValueError) as error:
            raise _fault(ref, f"does not fit {name} of {source.name!r}: {error}") from error
    return Adapter(ref.name, blocks)


def _config(ref: AdapterRef) -> PeftConfig:
    # Checked here, because PEFT would look for the folder's name on the Hub.
    if not (ref.folder / "adapter_config.json").is_file():
        raise _fault(ref, "has no adapter_config.json; the folder is missing or damaged")
    try:
        config: PeftConfig = PeftConfig.from_pretrained(str(ref.folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _fault(ref, f"has an adapter_config.json that cannot be read: {error}") from error
    return config


def _check_base(ref: AdapterRef, config: PeftConfig, source: ModelSource) -> None:
    """Compare names without their folders and organizations: a model may have moved."""
    recorded = config.base_model_name_or_path
    names = {Path(name).name.lower() for name in (source.name, source.location)}
    if recorded and Path(recorded).name.lower() not in names:
        raise _fault(ref, f"was made for {Path(recorded).name!r}, not for {source.name!r}; use that model")


def _check_options(ref: AdapterRef, config: LoraConfig) -> None:
    plain = LoraConfig()
    values = vars(config)
    odd = [
        field.name
        for field in fields(LoraConfig)
        if field.name not in _KNOWN_OPTIONS | {"init_lora_weights"}
        and values[field.name] != vars(plain)[field.name]
    ]
    if config.init_lora_weights not in _PLAIN_STARTS:
        odd.append("init_lora_weights")
    if odd:
        raise _fault(ref, f"uses LoRA's option {odd[0]}, which cannot be served; merge it into its base")


def _tensors(ref: AdapterRef) -> dict[str, Tensor]:
    try:
        tensors = load_file(ref.folder / ADAPTER_WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise _fault(ref, f"has an {ADAPTER_WEIGHTS} that cannot be read: {error}") from error
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise _fault(ref, f"holds values in {name} that are no finite numbers; train it again")
    return tensors


def _parts(ref: AdapterRef, tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return the tensors by module and by their part in the adapter, such as `lora_A.weight`."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        at = max(name.find(f".{word}") for word in ("lora_", "bottleneck_"))
        if at < 0 or not name.startswith(_PREFIX):
            raise _fault(ref, f"holds {name}, which is no part of a LoRA or bottleneck adapter")
        parts.setdefault(name[len(_PREFIX) : at], {})[name[at + 1 :]] = tensor
    return parts


def _lora(config: LoraConfig, name: str, module: nn.Module, parts: dict[str, Tensor]) -> Block:
    """Return a LoRA's block; its scaling depends on patterns of names, as in PEFT."""
    a, b = parts.pop("lora_A.weight"), parts.pop("lora_B.weight")
    magnitude = parts.pop("lora_magnitude_vector") if config.use_dora else None
    rank = _by_pattern(config.rank_pattern or {}, name, config.r)
    alpha = _by_pattern(config.alpha_pattern or {}, name, config.lora_alpha)
    scaling = alpha / math.sqrt(rank) if config.use_rslora else alpha / rank
    features, written = linear_shape(module, name)
    _check_shapes({"lora_A": (a, (rank, features)), "lora_B": (b, (written, rank))}, parts)
    if magnitude is None:
        return Block(down=a.T, up=b.T * scaling)
    _check_shapes({"lora_magnitude_vector": (magnitude, (written,))}, parts)
    weight = cast("Tensor", module.weight).float()
    weight = weight.T if isinstance(module, Conv1D) else weight
    gain = magnitude / torch.linalg.norm(weight + scaling * (b @ a), dim=1)
    bias = cast("Tensor | None", module.bias)
    return Block(
        down=a.T,
        up=b.T * scaling * gain,
        gain=gain,
        shift=None if bias is None else (1 - gain) * bias.float(),
    )


def _by_pattern(patterns: Mapping[str, int], name: str, default: int) -> int:
    return patterns.get(get_pattern_key(list(patterns), name), default)


def _bottleneck(config: BottleneckConfig, name: str, module: nn.Module, parts: dict[str, Tensor]) -> Block:
    down, up = parts.pop("bottleneck_down.weight"), parts.pop("bottleneck_up.weight")
    down_bias, up_bias = parts.pop("bottleneck_down.bias"), parts.pop("bottleneck_up.bias")
    features, written = linear_shape(module, name)
    read, size = (features if config.variant == "parallel" else written), config.bottleneck_size
    shapes = {
        "bottleneck_down": (down, (size, read)),
        "bottleneck_down.bias": (down_bias, (size,)),
        "bottleneck_up": (up, (written, size)),
        "bottleneck_up.bias": (up_bias, (written,)),
    }
    _check_shapes(shapes, parts)
    return Block(
        down=down.T,
        up=up.T * config.scaling,
        reads="input" if config.variant == "parallel" else "output",
        activation=config.non_linearity,
        down_bias=down_bias,
        shift=up_bias * config.scaling,
    )


def _check_shapes(tensors: Mapping[str, tuple[Tensor, tuple[int, ...]]], rest: Mapping[str, Tensor]) -> None:
    for name, (tensor, shape) in tensors.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} has the shape {tuple(tensor.shape)}, and the model needs {shape}")
    if rest:
        raise ValueError(f"{next(iter(rest))} is not part of this kind of adapter")


def _fault(ref: AdapterRef, what: str) -> AdapterError:
    return AdapterError(f"the adapter {ref.name!r} {what}", param="model")
