"""How a Llama-family model lies in a GGUF file: names, shapes and types of its tensors, and its numbers.

llama.cpp turns pairs of neighbouring features in attention, transformers pairs half a head apart. So the rows
of the query and key weights of `llama` change places, head by head: [2, d/2] -> [d/2, 2].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from gguf.quants import quant_shape_to_byte_shape
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from ist_core.errors import ExportUnsupported
from ist_core.export.prompts import window_of

_ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
}
"""By transformers' `model_type`."""
_ROPES = ("default", "linear", "llama3")
ROPE_FACTORS = "rope_freqs.weight"
"""The tensor of what each frequency of the positions is divided by."""


@dataclass(frozen=True, slots=True)
class PlacedTensor:
    """A tensor of the model and where it comes to lie."""

    name: str
    kind: Kind
    tensor: torch.Tensor
    heads: int | None = None
    """Whose rows change places; None: nobody's."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """What `array()` is made of; blocks are bytes."""
        return np.dtype({Kind.F32: np.float32, Kind.F16: np.float16, Kind.Q8_0: np.uint8}[self.kind])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `array()`."""
        shape = tuple(self.tensor.shape)
        return tuple(quant_shape_to_byte_shape(shape, self.kind)) if self.kind == Kind.Q8_0 else shape

    @property
    def bytes(self) -> int:
        """How many bytes `array()` takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def array(self) -> np.ndarray[Any, Any]:
        """Make what is written; only now a copy of the tensor."""
        tensor = self.tensor.detach().float().cpu()
        if self.heads is not None:
            halves = tensor.reshape(self.heads, 2, -1, *tensor.shape[1:])
            tensor = halves.transpose(1, 2).reshape(tensor.shape)
        made: np.ndarray[Any, Any] = gguf.quantize(tensor.numpy(), self.kind)
        return np.ascontiguousarray(made)


def architecture_of(config: PreTrainedConfig) -> gguf.MODEL_ARCH:
    """Return the GGUF architecture of a model.

    Raises:
        ExportUnsupported: if there is none, or it has no place for a part of the model.
    """
    family = config.model_type
    if family not in _ARCHITECTURES:
        known = ", ".join(sorted(_ARCHITECTURES))
        raise ExportUnsupported(f"GGUF is written for {known}; the model is {family}: export it as merged")
    if reason := _oddity(config):
        raise ExportUnsupported(
            f"the {family} model has {reason}, which GGUF has no place for: export it as merged"
        )
    return _ARCHITECTURES[family]


def place_tensors(model: PreTrainedModel, matrices: Kind) -> Iterator[PlacedTensor]:
    """Yield the model's tensors as they lie in the file; `matrices` says how all but vectors are stored.

    Raises:
        ExportUnsupported: for a tensor that the architecture has no name for.
    """
    config = model.config
    architecture = architecture_of(config)
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    heads = {}
    if architecture == gguf.MODEL_ARCH.LLAMA:
        heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    if (factors := _rope_factors(config)) is not None:
        yield PlacedTensor(ROPE_FACTORS, Kind.F32, factors)
    for key, tensor in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ExportUnsupported(f"GGUF has no name for the tensor {key}: export the model as merged")
        part = name.split(".")[-2]
        yield PlacedTensor(name, _kind(tensor, matrices), tensor, heads.get(part))


def add_numbers(writer: gguf.GGUFWriter, config: PreTrainedConfig) -> None:
    """Write the numbers that the architecture is made of."""
    writer.add_vocab_size(config.vocab_size)
    # No wider than attention looks back, because llama.cpp's looks back to the start.
    writer.add_context_length(window_of(config))
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    size = _head_size(config)
    writer.add_rope_dimension_count(size)
    writer.add_key_length(size)
    writer.add_value_length(size)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])


def _oddity(config: PreTrainedConfig) -> str | None:
    """Return what the model has that a GGUF file of its architecture cannot say."""
    values = config.to_dict()
    if values.get("attention_bias") or values.get("mlp_bias"):
        return "biases in attention or the MLP"
    if values.get("hidden_act") != "silu":
        return f"the activation {values.get('hidden_act')}"
    if values.get("use_sliding_window"):
        return "a sliding window"
    rope = config.rope_parameters["rope_type"]
    return None if rope in _ROPES else f"positions scaled by {rope}"


def _kind(tensor: torch.Tensor, matrices: Kind) -> Kind:
    if tensor.dim() == 1:
        return Kind.F32
    block, _ = gguf.GGML_QUANT_SIZES[matrices]
    return matrices if tensor.shape[-1] % block == 0 else Kind.F16


def _head_size(config: PreTrainedConfig) -> int:
    own = config.to_dict().get("head_dim")
    return int(own or config.hidden_size // config.num_attention_heads)


def _rope_factors(config: PreTrainedConfig) -> torch.Tensor | None:
    """Return what each frequency is divided by, [d/2]; None: nothing."""
    rope = config.rope_parameters
    if rope["rope_type"] != "llama3":
        return None
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    size = _head_size(config)
    plain = rope["rope_theta"] ** -(torch.arange(0, size, 2, dtype=torch.float32) / size)
    return torch.as_tensor(plain / scaled)
