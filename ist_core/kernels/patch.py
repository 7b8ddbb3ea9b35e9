"""Puts the fast paths into a model, module by module, and takes them out again.

A module keeps its own forward for everything that its fast path is not made for: another device, dropout, a
padding mask, a cache, adapters that are no plain LoRA. Which one it is, is decided in each call, so that
suppression, switched-off adapters and generation work as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from peft import PeftModel
from peft.tuners.lora import Linear
from torch import Tensor, nn

from ist_core.kernels.attention import LONGEST, PaddedRows, rotary_attention
from ist_core.kernels.families import base_of, is_hooked, known_classes
from ist_core.kernels.forwards import Forward, replace
from ist_core.kernels.lora import Projection, lora_linear
from ist_core.kernels.mlp import gated_mlp
from ist_core.kernels.norm import rms_norm
from ist_core.kernels.packing import packed_rows


class FastPaths:
    """The fast paths of a model; in place from construction to `release`.

    Args:
        model: with its adapters. Of unknown families, linear modules alone are changed.
    """

    def __init__(self, model: PeftModel) -> None:
        self._restore: list[Callable[[], None]] = []
        classes = known_classes(base_of(model))
        for module in model.modules():
            plain = module.forward
            match classes.get(type(module)):
                case "norm":
                    self._set(module, _norm(module, plain))
                case "mlp":
                    self._set(module, _mlp(module, plain))
                case "attention":
                    self._set(module, _attention(module, plain))
                case _ if type(module) in (Linear, nn.Linear):
                    self._set(module, _linear(module, plain))

    @property
    def changed(self) -> int:
        """How many modules have a fast path."""
        return len(self._restore)

    def release(self) -> None:
        """Give every module its own forward back."""
        for restore in self._restore:
            restore()
        self._restore = []

    def _set(self, module: nn.Module, forward: Forward) -> None:
        self._restore.append(replace(module, forward))


def _norm(module: Any, plain: Forward) -> Forward:
    def forward(hidden_states: Tensor) -> Tensor:
        if not _usable(hidden_states) or module.weight.requires_grad:
            found: Tensor = plain(hidden_states)
            return found
        return rms_norm(hidden_states, module.weight, module.variance_epsilon)

    return forward


def _mlp(module: Any, plain: Forward) -> Forward:
    silu = module.config.hidden_act in ("silu", "swish")

    def forward(x: Tensor) -> Tensor:
        if silu and _usable(x):
            parts = [_projection(part) for part in (module.gate_proj, module.up_proj, module.down_proj)]
            gate, up, down = parts
            if gate and up and down:
                return gated_mlp(x, gate, up, down)
        found: Tensor = plain(x)
        return found

    return forward


def _attention(module: Any, plain: Forward) -> Forward:
    def forward(hidden_states: Tensor, position_embeddings: Any = None, *args: Any, **kwargs: Any) -> Any:
        packed = packed_rows()
        layout = packed or PaddedRows(*hidden_states.shape[:2])
        usable = (
            _usable(hidden_states)
            and layout.length <= LONGEST
            # The mask that comes with packed rows keeps them apart.
            and (packed is not None or kwargs.get("attention_mask") is None)
            and not args
            and kwargs.get("past_key_values") is None
            and not (module.training and module.attention_dropout)
        )
        if not usable:
            return plain(hidden_states, position_embeddings, *args, **kwargs)
        q, k, v = (part(hidden_states) for part in (module.q_proj, module.k_proj, module.v_proj))
        cos, sin = position_embeddings
        mixed = rotary_attention(q, k, v, cos, sin, head_dim=module.head_dim, layout=layout)
        return module.o_proj(mixed), None

    return forward


def _linear(module: nn.Module, plain: Forward) -> Forward:
    def forward(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        projection = _projection(module) if not (args or kwargs) and _usable(x) else None
        if projection is None:
            found: Tensor = plain(x, *args, **kwargs)
            return found
        return lora_linear(x, projection)

    return forward


def _usable(x: Tensor) -> bool:
    return x.device.type == "cpu"


def _projection(module: nn.Module) -> Projection | None:
    """Return the weights of a linear module, if all that it computes is told by them."""
    if type(module) is nn.Linear:
        frozen = not module.weight.requires_grad and not is_hooked(module)
        return Projection(module.weight, module.bias, None, None, 0.0) if frozen else None
    if type(module) is not Linear or module.merged or is_hooked(module):
        return None
    base = module.base_layer
    if type(base) is not nn.Linear or base.weight.requires_grad or is_hooked(base):
        return None
    active = [name for name in module.active_adapters if name in module.lora_A]
    if module.disable_adapters or not active:
        return Projection(base.weight, base.bias, None, None, 0.0)
    name = active[0]
    a, b = module.lora_A[name], module.lora_B[name]
    dropout = module.lora_dropout[name]
    plain = isinstance(dropout, nn.Identity) or not dropout.training
    if len(active) > 1 or module.lora_variant or not plain or b.bias is not None:
        return None
    return Projection(base.weight, base.bias, a.weight, b.weight, module.scaling[name])
