"""Tiny models of every family that the planner knows, and what autograd keeps of them."""

from __future__ import annotations

import itertools
import re
import weakref
from dataclasses import dataclass
from typing import Any, cast

import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto import CONFIG_MAPPING

from benchmarks.ist_matrix.models import SHAPE, quiet
from ist_core.adapters import add_adapters
from ist_core.planner.config import Config
from ist_core.planner.families import shape_of
from ist_core.planner.shape import ModelShape
from ist_core.spec import BottleneckSpec, LoraSpec

LAYERS = 3
WIDE = {"hidden_size": 64, "intermediate_size": 160, "num_key_value_heads": 2}
HEADS = {"head_dim": 16}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": WIDE | {"tie_word_embeddings": True},
    "mistral": WIDE,
    "qwen2": WIDE,
    "qwen3": WIDE | HEADS | {"attention_bias": True},
    "olmo2": WIDE,
    "smollm3": WIDE,
    "gemma": WIDE | HEADS,
    "phi3": WIDE,
    "gpt2": {"n_embd": 64, "n_head": 4, "n_layer": LAYERS, "n_positions": 64},
    "gpt_neox": {"hidden_size": 64, "intermediate_size": 160},
    "mixtral": WIDE | {"num_local_experts": 4},
    "qwen3_moe": WIDE | HEADS | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
}
ROWS, LENGTH = 4, 32

_INSIDE = re.compile(r"\.(?:layers|h)\.\d+\.")
_CAUSAL: Any = AutoModelForCausalLM


@dataclass(frozen=True)
class Kept:
    """Bytes that autograd keeps of each layer."""

    layers: tuple[int, ...]
    total: int


def make_model(
    family: str, dtype: torch.dtype = torch.float32, **more: Any
) -> tuple[PreTrainedModel, ModelShape]:
    """Return the family's tiny model, and its shape as its config tells it."""
    config = CONFIG_MAPPING[family](**(SHAPE | FAMILIES[family] | more))
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        model = _CAUSAL.from_config(config, dtype=dtype)
    return cast("PreTrainedModel", model.requires_grad_(False)), shape_of(Config(config.to_dict()))


def adapted(model: PreTrainedModel, spec: LoraSpec | BottleneckSpec) -> PeftModel:
    """Put the spec's adapters on a model, and switch it to training."""
    with quiet():
        found = add_adapters(model, spec, seed=0)
    found.train()
    return found


class _Box:
    """A tensor that autograd keeps, and the module that was computing."""

    def __init__(self, tensor: Tensor, module: str, order: int) -> None:
        self.tensor = tensor
        self.module = module
        self.order = order


def kept_by(model: PeftModel, *, padded: bool) -> Kept:
    """Run a forward pass, and return what autograd keeps of it beside the model's own parameters."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    boxes: weakref.WeakSet[_Box] = weakref.WeakSet()
    now = [""]
    order = itertools.count()
    hooks = [
        module.register_forward_pre_hook(lambda _, __, name=name: now.__setitem__(0, name))
        for name, module in model.named_modules()
        # A module with a hook takes no fast path, and which layer it is, the layer's own hook tells.
        if not _INSIDE.search(name)
    ]

    def pack(tensor: Tensor) -> _Box:
        box = _Box(tensor, now[0], next(order))
        boxes.add(box)
        return box

    tokens = torch.randint(4, 60, (ROWS, LENGTH), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(ROWS, LENGTH, dtype=torch.long)
    if padded:
        mask[0, -LENGTH // 4 :] = 0
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box.tensor):
        logits = model(input_ids=tokens, attention_mask=mask, use_cache=False).logits
    storages: dict[int, tuple[str, int]] = {}
    # What several layers keep, as the rotary tables, is the first one's.
    for box in sorted(boxes, key=lambda box: box.order):
        storage = box.tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages.setdefault(storage.data_ptr(), (box.module, storage.nbytes()))
    for hook in hooks:
        hook.remove()
    del logits
    layers = [0] * LAYERS
    for module, size in storages.values():
        if match := re.search(r"\.(?:layers|h)\.(\d+)(?:\.|$)", module):
            layers[int(match[1])] += size
    return Kept(tuple(layers), sum(size for _, size in storages.values()))
