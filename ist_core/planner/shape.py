"""The shape of a decoder-only model: what its parameters, activations and FLOPs are counted from.

H  hidden      L  layers      V  vocabulary      d  head_dim      h  heads      g  kv_heads

parameters = L * (sum over linears of in * out (+ out) + extra) + outer
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Source = Literal["norm1", "norm2", "attention", "mlp"]
"""What a linear module reads: the output of a norm (before attention, before the MLP), of attention, or of
the MLP's non-linear part. Modules that read the same tensor share it."""


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear module of each decoder layer; adapters are put on these."""

    name: str
    """Its last name, such as `q_proj`; two modules of a layer may share it."""
    inputs: int
    outputs: int
    reads: Source
    bias: bool = False

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.inputs * self.outputs + (self.outputs if self.bias else 0)


@dataclass(frozen=True, slots=True)
class Norms:
    """The norms of a decoder layer."""

    kind: Literal["rms", "layer"]
    """rms: computed by transformers in float32 steps; layer: torch's fused LayerNorm."""
    count: int = 2
    """Of width H."""
    on_heads: bool = False
    """Queries and keys are normed too, head by head."""
    whole_heads: bool = False
    """Queries and keys are normed over all their heads at once."""
    before: bool = True
    """The layer's input is normed, not the output of its two parts."""


@dataclass(frozen=True, slots=True)
class Mlp:
    """The feed-forward part of a decoder layer."""

    size: int
    """I: features between up and down; of one expert in a mixture."""
    gated: bool
    """down(f(gate x) * (up x)), else down(f(up x))."""
    kept: float
    """Tensors of I features that autograd keeps of f and of the product with it."""
    experts: int = 0
    """0: no mixture. Experts are bare parameters without adapters."""
    experts_per_token: int = 0


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Everything that a plan needs to know of a base model."""

    family: str
    """transformers' `model_type`."""
    hidden: int
    layers: int
    vocabulary: int
    heads: int
    kv_heads: int
    head_dim: int
    linears: tuple[Linear, ...]
    extra: int
    """Parameters of a layer that are in no linear module: norms, experts, routers."""
    outer: int
    """Parameters outside the layers: embeddings, positions, the last norm, an untied output layer."""
    norms: Norms
    mlp: Mlp
    dropout: float = 0.0
    """The model's own, on attention's and the MLP's outputs."""
    attention_dropout: float = 0.0
    random: bool = False
    """Whether training it draws random numbers of any kind."""
    parallel_residual: bool = False
    """Attention and MLP read the same input, so the layer's input is normed twice."""
    context: int | None = None
    """The longest input it was made for, in tokens; None: not said."""
    stored_bytes: int = 4
    """Bytes of one parameter in the files it is loaded from."""

    @property
    def layer_parameters(self) -> int:
        """Parameters of one decoder layer."""
        return sum(linear.parameters for linear in self.linears) + self.extra

    @property
    def parameters(self) -> int:
        """Parameters of the whole model."""
        return self.layers * self.layer_parameters + self.outer

    @property
    def query_width(self) -> int:
        """h * d"""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """g * d"""
        return self.kv_heads * self.head_dim
