"""What the fast paths of a CPU run (ist_core/kernels) keep of a layer, where they are in place.

    norms          (e H + 4) each: the input, in the model's own format, and its scale
    attention      e d (h + 2 g): rotated queries and keys, and values
    MLP            e 2 I: what gate and up made
    selected       e (H + ..), what the adapters read, once for those that read the same; e r for each module

What the loss needs beside it (n learnt positions), on every device:

    logits         min(n, c) V (4, and 2 in bfloat16) + e n H: those of c tokens, and the states' gradient

The letters are those of `ist_core/planner/activations.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ist_core.planner.adapters import LayerAdapters
from ist_core.planner.shape import ModelShape
from ist_core.spec import LoraSpec

_FAMILIES = frozenset({"llama", "mistral", "qwen2"})
"""As in ist_core/kernels/families.py; of other families only linear modules are changed."""
_CONV = frozenset({"gpt2"})
"""Families without linear modules: GPT-2's are convolutions."""
_LONGEST = 512
"""As in ist_core/kernels/attention.py."""
_CHUNK = 128
"""c, as in ist_core/kernels/cross_entropy.py."""
_SCALE = 4


@dataclass(frozen=True, slots=True)
class FastPaths:
    """Which parts of a layer take a fast path."""

    norms: bool = False
    attention: bool = False
    mlp: bool = False
    lora: bool = False


def fast_paths(
    shape: ModelShape, adapters: LayerAdapters, *, padded: bool, length: int, training: bool
) -> FastPaths:
    """Return what is in place in a run on a CPU.

    Args:
        padded: whether attention gets a mask.
    """
    spec = adapters.spec
    dropped = training and spec.dropout > 0
    lora = isinstance(spec, LoraSpec) and not spec.dora and not dropped and shape.family not in _CONV
    known = shape.family in _FAMILIES
    in_mlp = any(target.reads in ("norm2", "mlp") for target in adapters.targets)
    masked = padded or (training and shape.attention_dropout > 0)
    return FastPaths(
        norms=known,
        attention=known and length <= _LONGEST and not masked,
        mlp=known and (lora or not in_mlp),
        lora=lora,
    )


def norm_bytes(shape: ModelShape, width: int) -> float:
    """What one norm keeps a token."""
    return width * shape.hidden + _SCALE


def attention_bytes(shape: ModelShape, width: int) -> float:
    """What attention keeps a token."""
    return width * (shape.query_width + 2 * shape.kv_width)


def mlp_bytes(shape: ModelShape, width: int) -> float:
    """What the feed-forward part keeps a token."""
    return width * 2 * shape.mlp.size


def selected_bytes(shape: ModelShape, adapters: LayerAdapters, width: int, fast: FastPaths) -> float:
    """What plain LoRA keeps a token of a layer that is updated."""
    fused = sum(linear.reads == "norm1" for linear in shape.linears) == 1
    # Attention's output is kept already by torch's own attention, unless it had to be copied.
    kept = {"mlp"} if fast.mlp else set()
    if not (fast.attention or fused):
        kept.add("attention")
    read = {target.reads: target.inputs for target in adapters.targets if target.reads not in kept}
    return width * (sum(read.values()) + adapters.width * len(adapters.targets))


def logits_bytes(shape: ModelShape, width: int, learnt: float) -> float | None:
    """What the loss needs beside what is kept; None: the family's logits are all there at once."""
    if shape.family not in _FAMILIES:
        return None
    word = 4 if width == 4 else 4 + width
    return min(learnt, _CHUNK) * shape.vocabulary * word + width * learnt * shape.hidden
