"""A linear module with bottleneck adapters on it, in series or in parallel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from zlib import crc32

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from ist_core.bottleneck.config import BottleneckConfig, NonLinearity, Variant

ACTIVATIONS: dict[NonLinearity, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}
UNMERGEABLE = (
    "Bottleneck adapters cannot be merged: their response is not linear in the input, so no weight matrix "
    "equals base plus adapter. Keep the adapter loaded next to its base model, or call unload() to drop it."
)


class BottleneckLinear(nn.Module, BaseTunerLayer):
    """Adds scaling * up(f(down(.))) to a base module that maps features to features.

    A parallel adapter reads the module's input; a series adapter reads the output that the base module and
    the active adapters before it have made. The base module's parameters are never touched.
    """

    # PEFT freezes, switches, moves, saves and deletes what these two tuples name, keyed by adapter.
    adapter_layer_names = ("bottleneck_down", "bottleneck_up")
    other_param_names = (
        "bottleneck_dropout",
        "bottleneck_variant",
        "bottleneck_activation",
        "bottleneck_scaling",
    )

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: BottleneckConfig, key: str) -> None:
        """Wrap `base_layer`, the model's module named `key`, and put its first adapter on it.

        Raises:
            TypeError: the module is not linear.
        """
        super().__init__()
        self.base_layer = base_layer
        self.in_features, self.out_features = linear_shape(self.get_base_layer(), key)
        self.bottleneck_down = nn.ModuleDict()
        self.bottleneck_up = nn.ModuleDict()
        self.bottleneck_dropout = nn.ModuleDict()
        self.bottleneck_variant: dict[str, Variant] = {}
        self.bottleneck_activation: dict[str, Callable[[Tensor], Tensor]] = {}
        self.bottleneck_scaling: dict[str, float] = {}
        self.merged_adapters: list[str] = []
        self._disable_adapters = False
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config, key)

    def update_layer(self, adapter_name: str, config: BottleneckConfig, key: str) -> None:
        """Put one more adapter on the module, on the base module's device; `key` as in the constructor."""
        source_features = self.in_features if config.variant == "parallel" else self.out_features
        down = Projection(source_features, config.bottleneck_size)
        up = Projection(config.bottleneck_size, self.out_features)
        draw_weights(down, up, config, key)
        self.bottleneck_down[adapter_name] = down
        self.bottleneck_up[adapter_name] = up
        self.bottleneck_dropout[adapter_name] = nn.Dropout(config.dropout)
        self.bottleneck_variant[adapter_name] = config.variant
        self.bottleneck_activation[adapter_name] = ACTIVATIONS[config.non_linearity]
        self.bottleneck_scaling[adapter_name] = config.scaling
        self._move_adapter_to_device_of_base_layer(adapter_name)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Map features of shape [..., in_features] to [..., out_features], in the base module's dtype."""
        base = cast("Tensor", self.base_layer(x, *args, **kwargs))
        if self.disable_adapters:
            return base
        output = base
        for name in self.active_adapters:
            if name in self.bottleneck_down:
                parallel = self.bottleneck_variant[name] == "parallel"
                output = output + self._response(name, x if parallel else output)
        # Summed in the wider of the two dtypes and rounded once.
        return output.to(base.dtype)

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Refuse: no weight matrix equals base plus adapter."""
        raise ValueError(UNMERGEABLE)

    def unmerge(self) -> None:
        """Refuse: nothing was ever merged."""
        raise ValueError(UNMERGEABLE)

    def _response(self, name: str, source: Tensor) -> Tensor:
        down = cast("nn.Linear", self.bottleneck_down[name])
        hidden = self.bottleneck_activation[name](down(self._cast_input_dtype(source, down.weight.dtype)))
        response: Tensor = self.bottleneck_up[name](self.bottleneck_dropout[name](hidden))
        return response * self.bottleneck_scaling[name]


class Projection(nn.Linear):
    """A linear map whose weights `draw_weights` sets: making one leaves torch's RNG alone."""

    def reset_parameters(self) -> None:
        """Leave the weights as they were allocated."""


def linear_shape(module: nn.Module, key: str) -> tuple[int, int]:
    """Return (in_features, out_features) of a linear module; `key` is its name, for the error.

    Raises:
        TypeError: the module is neither torch's Linear (quantized ones are subclasses) nor GPT-2's Conv1D.
    """
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, Conv1D):
        return module.nx, module.nf
    raise TypeError(
        f"{key} is a {type(module).__name__}: bottleneck adapters need a Linear or Conv1D module. "
        "Name only such modules in target_modules, or use 'all-linear'."
    )


@torch.no_grad()
def draw_weights(down: nn.Linear, up: nn.Linear, config: BottleneckConfig, key: str) -> None:
    """Draw `down` uniformly (Kaiming, as torch's Linear) and set `up` and the biases to zero.

    With `config.init_seed` the draw depends on the seed and the module's name alone; with
    `config.init_weights` off, `up` is drawn as well.
    """
    if down.weight.is_meta:
        return  # low_cpu_mem_usage: the weights come from a file
    generator = None
    if config.init_seed is not None:
        generator = torch.Generator(down.weight.device).manual_seed(config.init_seed ^ crc32(key.encode()))
    for projection in (down, up):
        nn.init.kaiming_uniform_(projection.weight, a=5**0.5, generator=generator)
        nn.init.zeros_(projection.bias)
    if config.init_weights:
        nn.init.zeros_(up.weight)
