"""What autograd keeps of one decoder layer between the forward and the backward pass, in bytes a token.

A layer at or above the lowest selected one is in the graph. Its base weights are frozen, so of a linear
module nothing is kept; of the others (e bytes an element, N = B T tokens, T padded):

    RMS norm           4 (H + 1), its input in float32        layer norm  e (H + 2)
    queries, keys      4 (h + g) (d + 1) where they are normed too
    attention          e d (2 h + 2 k) + 4 h: q, k, v, output, log-sum-exp; k = h with padding, else g
                       e T with padding: the mask, which each layer turns into numbers of its own
                       e d (h + g) where one module makes q, k and v: v is a view, which keeps the whole
                       with dropout: 4 (d (h + 2 g) + 3 h T), for it is written out in float32
    MLP                e I kept; of a mixture, as often as a token has experts, and e H for each of them
    dropout            its mask, e H on the CPU

A selected layer also keeps what its adapters read, in float32: a tensor that several modules read is kept
once when the base is float32 and nothing drops it out, and once for each module otherwise. LoRA also keeps
what B reads (4 r a module), DoRA each module's base output and LoRA's, a bottleneck what its non-linearity
makes.
A layer below the lowest selected one keeps nothing. On a CPU less is kept: ist_core/planner/fast_paths.py.

    H  hidden    h  heads    g  kv_heads    d  head_dim    I  mlp.size    B  micro-batch    T  padded length
"""

from __future__ import annotations

from dataclasses import dataclass

from ist_core.planner import fast_paths as fast_path
from ist_core.planner.adapters import LayerAdapters
from ist_core.planner.fast_paths import FastPaths, fast_paths
from ist_core.planner.shape import Linear, ModelShape
from ist_core.spec import BottleneckSpec

_FLOAT32 = 4
_ROUTING = 40
"""Indices and weights of one expert of one token."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes a token that autograd keeps of a layer that is in the graph."""

    passing: float
    """Of every such layer, selected or not."""
    selected: float
    """More, if its adapters are updated."""
    entering: float
    """Less, if it is the lowest one: its own input needs no gradient."""
    fixed: int = 0
    """Bytes of every such layer however few tokens there are: DoRA that drops out copies the base weights."""


def kept_bytes(
    shape: ModelShape,
    adapters: LayerAdapters,
    *,
    width: int,
    padded: bool,
    length: int,
    training: bool,
    on_cpu: bool = False,
) -> Kept:
    """Return what a layer keeps a token.

    Args:
        width: bytes of one element of the base model: 4 or 2.
        padded: whether attention gets a mask.
        length: T.
        training: whether dropout is on; it is off in probes.
        on_cpu: whether the fast paths of a CPU are in place.
    """
    fast = FastPaths()
    if on_cpu:
        fast = fast_paths(shape, adapters, padded=padded, length=length, training=training)
    dropped = training and adapters.spec.dropout > 0
    model_dropout = 2 * width * shape.hidden if training and shape.dropout else 0
    attention = (
        fast_path.attention_bytes(shape, width)
        if fast.attention
        else _attention(shape, width, padded=padded, length=length, training=training)
    )
    selected = (
        fast_path.selected_bytes(shape, adapters, width, fast)
        if fast.lora
        else _adapters_selected(adapters, width, dropped=dropped, kept=not fast.attention)
    )
    return Kept(
        passing=_norms(shape, width, fast)
        + attention
        + (fast_path.mlp_bytes(shape, width) if fast.mlp else _mlp(shape, width))
        + model_dropout
        + _adapters_passing(adapters, dropped=dropped),
        selected=selected,
        entering=_entering(shape, width, fast) + (_entering_dropout(shape, adapters) if dropped else 0),
        fixed=_dora_copies(adapters) if dropped and width < _FLOAT32 else 0,
    )


def _norms(shape: ModelShape, width: int, fast: FastPaths) -> float:
    count = shape.norms.count
    if fast.norms:
        return count * fast_path.norm_bytes(shape, width)
    if shape.norms.kind == "rms":
        return count * _FLOAT32 * (shape.hidden + 1) + _head_norms(shape)
    inputs = 1 if shape.parallel_residual else count
    return width * (inputs * shape.hidden + 2 * count)


def _head_norms(shape: ModelShape) -> float:
    norms = shape.norms
    width = shape.query_width + shape.kv_width
    if norms.whole_heads:
        return _FLOAT32 * (width + 2)
    return _FLOAT32 * (width + shape.heads + shape.kv_heads) if norms.on_heads else 0


def _entering(shape: ModelShape, width: int, fast: FastPaths) -> float:
    """What the norms of a layer's own input keep."""
    if fast.norms:
        return fast_path.norm_bytes(shape, width)
    if not shape.norms.before:
        return 0
    return _FLOAT32 * (shape.hidden + 1) if shape.norms.kind == "rms" else width * (shape.hidden + 2)


def _attention(shape: ModelShape, width: int, *, padded: bool, length: int, training: bool) -> float:
    queries, keys = shape.query_width, shape.kv_width
    if training and shape.attention_dropout:
        return _FLOAT32 * (queries + 2 * keys + 3 * shape.heads * length)
    repeated = padded and shape.kv_heads < shape.heads
    mask = width * length if padded else 0
    view = width * (queries + keys) if _fused(shape.linears) and not repeated else 0
    return width * 2 * (queries + (queries if repeated else keys)) + _FLOAT32 * shape.heads + mask + view


def _mlp(shape: ModelShape, width: int) -> float:
    mlp = shape.mlp
    if not mlp.experts:
        return width * mlp.size * mlp.kept
    each = width * (mlp.size * mlp.kept + shape.hidden) + _ROUTING
    return mlp.experts_per_token * each + _FLOAT32 * mlp.experts


def _adapters_passing(adapters: LayerAdapters, *, dropped: bool) -> float:
    """What adapters keep that only let the gradient through."""
    if isinstance(adapters.spec, BottleneckSpec):
        return _FLOAT32 * adapters.width * len(adapters.targets) * (2 if dropped else 1)
    return _FLOAT32 * sum(target.inputs for target in adapters.targets) if dropped else 0


def _adapters_selected(adapters: LayerAdapters, width: int, *, dropped: bool, kept: bool) -> float:
    """`kept`: attention keeps its output."""
    spec, targets = adapters.spec, adapters.targets
    wide = width == _FLOAT32
    if isinstance(spec, BottleneckSpec):
        series = spec.variant == "series"
        read = (
            sum(target.outputs for target in targets) if series else _inputs(targets, shared=wide, kept=kept)
        )
        # ReLU and tanh keep what they make, which is what the projection up reads.
        remade = dropped or spec.non_linearity in ("gelu", "silu")
        return _FLOAT32 * (read + (spec.size * len(targets) if remade else 0))
    outputs = sum(target.outputs for target in targets) if spec.dora else 0
    inputs = _inputs(targets, shared=wide and not dropped, kept=kept)
    base = (_FLOAT32 if dropped else width) * outputs
    return _FLOAT32 * (inputs + spec.rank * len(targets) + outputs) + base


def _entering_dropout(shape: ModelShape, adapters: LayerAdapters) -> float:
    """What LoRA's dropout keeps of a layer's own input."""
    if isinstance(adapters.spec, BottleneckSpec):
        return 0
    sources = ("norm1", "norm2") if shape.parallel_residual else ("norm1",)
    return _FLOAT32 * sum(target.inputs for target in adapters.targets if target.reads in sources)


def _dora_copies(adapters: LayerAdapters) -> int:
    if isinstance(adapters.spec, BottleneckSpec) or not adapters.spec.dora:
        return 0
    return _FLOAT32 * sum(target.inputs * target.outputs for target in adapters.targets)


def _inputs(targets: tuple[Linear, ...], *, shared: bool, kept: bool) -> int:
    """Features a token of what the adapters read, and nothing else keeps."""
    if not shared:
        return sum(target.inputs for target in targets)
    # Attention's output is kept already, unless it had to be copied.
    left_out = "attention" if kept and not _fused(targets) else ""
    return sum({target.reads: target.inputs for target in targets if target.reads != left_out}.values())


def _fused(linears: tuple[Linear, ...]) -> bool:
    """Whether one module makes queries, keys and values."""
    return sum(linear.reads == "norm1" for linear in linears) == 1
