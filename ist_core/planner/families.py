"""From a model's config to its shape, family by family.

Every family here is compared with transformers' own model in `tests/unit/ist_core/planner`: parameters and
adapters exactly, what autograd keeps within a few per cent. A family that is not here is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from ist_core.errors import PlanUnavailable
from ist_core.planner.config import Config
from ist_core.planner.shape import Linear, Mlp, ModelShape, Norms

_KEPT_BY = {"silu": 1.0, "swish": 1.0, "gelu": 1.0, "gelu_pytorch_tanh": 1.0, "relu": 1.0, "gelu_new": 4.0}
"""How many tensors autograd keeps of each non-linearity; gelu_new is written out in single operations."""
_HEAD_DIM = {"qwen3": 128, "qwen3_moe": 128, "gemma": 256}
"""What a family takes where its config says nothing; the others take H / h."""


def shape_of(config: Config) -> ModelShape:
    """Return the shape that a config describes.

    Raises:
        PlanUnavailable: if its family is not known here, or a key is missing or of another type.
    """
    builder = _BUILDERS.get(config.family)
    if builder is None:
        known = ", ".join(sorted(_BUILDERS))
        raise PlanUnavailable(
            f"cannot plan for a model of the family {config.family!r}; planned are: {known}"
        )
    shape = builder(config)
    return replace(shape, random=config.random or shape.dropout > 0 or shape.attention_dropout > 0)


def _llama(config: Config) -> ModelShape:
    """Llama, and those that differ from it in biases or norms only."""
    family, hidden, heads = (
        config.family,
        config.integer("hidden_size"),
        config.integer("num_attention_heads"),
    )
    kv_heads = config.integer("num_key_value_heads", heads)
    head_dim = config.integer("head_dim", _HEAD_DIM.get(family, hidden // heads))
    queries, keys = heads * head_dim, kv_heads * head_dim
    size = config.integer("intermediate_size")
    biased = config.flag("attention_bias", False)
    qkv_bias, out_bias = biased or family == "qwen2", biased
    mlp_bias = config.flag("mlp_bias", False)
    norms = Norms("rms", on_heads=family == "qwen3", whole_heads=family == "olmo2", before=family != "olmo2")
    return ModelShape(
        family=family,
        hidden=hidden,
        layers=config.integer("num_hidden_layers"),
        vocabulary=config.integer("vocab_size"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        linears=(
            Linear("q_proj", hidden, queries, "norm1", qkv_bias),
            Linear("k_proj", hidden, keys, "norm1", qkv_bias),
            Linear("v_proj", hidden, keys, "norm1", qkv_bias),
            Linear("o_proj", queries, hidden, "attention", out_bias),
            Linear("gate_proj", hidden, size, "norm2", mlp_bias),
            Linear("up_proj", hidden, size, "norm2", mlp_bias),
            Linear("down_proj", size, hidden, "mlp", mlp_bias),
        ),
        extra=norms.count * hidden + _head_norms(norms, queries, keys, head_dim),
        outer=_embeddings(config, hidden, tied=family in ("gemma", "smollm3")) + hidden,
        norms=norms,
        mlp=Mlp(
            size, gated=True, kept=2.0 + _kept(config, "hidden_act", "hidden_activation", default="silu")
        ),
        attention_dropout=config.fraction("attention_dropout"),
        context=config.optional("max_position_embeddings"),
        stored_bytes=config.stored_bytes,
    )


def _phi3(config: Config) -> ModelShape:
    """Llama with fused projections."""
    shape = _llama(config)
    hidden, size = shape.hidden, shape.mlp.size
    linears = (
        Linear("o_proj", shape.query_width, hidden, "attention"),
        Linear("qkv_proj", hidden, shape.query_width + 2 * shape.kv_width, "norm1"),
        Linear("gate_up_proj", hidden, 2 * size, "norm2"),
        Linear("down_proj", size, hidden, "mlp"),
    )
    return replace(shape, linears=linears, dropout=config.fraction("resid_pdrop"))


def _mixture(config: Config) -> ModelShape:
    """Llama's attention; the experts are bare parameters, which adapters leave alone."""
    family = config.family
    if config.holds("mlp_only_layers") or config.integer("decoder_sparse_step", 1) != 1:
        raise PlanUnavailable(
            f"cannot plan for a {family} model of which some layers are no mixture of experts"
        )
    dense = _llama(config)
    size = dense.mlp.size if family == "mixtral" else config.integer("moe_intermediate_size")
    experts = config.optional("num_local_experts") or config.integer("num_experts")
    mlp = replace(
        dense.mlp, size=size, experts=experts, experts_per_token=config.integer("num_experts_per_tok")
    )
    norms = replace(dense.norms, on_heads=family == "qwen3_moe")
    return replace(
        dense,
        linears=tuple(linear for linear in dense.linears if linear.reads in ("norm1", "attention")),
        norms=norms,
        mlp=mlp,
        extra=norms.count * dense.hidden
        + _head_norms(norms, dense.query_width, dense.kv_width, dense.head_dim)
        + experts * (3 * size * dense.hidden + dense.hidden),
    )


def _gpt2(config: Config) -> ModelShape:
    hidden, heads, positions = (
        config.integer("n_embd"),
        config.integer("n_head"),
        config.integer("n_positions"),
    )
    size = config.integer("n_inner", 4 * hidden)
    return ModelShape(
        family="gpt2",
        hidden=hidden,
        layers=config.integer("n_layer"),
        vocabulary=config.integer("vocab_size"),
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        linears=(
            Linear("c_attn", hidden, 3 * hidden, "norm1", bias=True),
            Linear("c_proj", hidden, hidden, "attention", bias=True),
            Linear("c_fc", hidden, size, "norm2", bias=True),
            Linear("c_proj", size, hidden, "mlp", bias=True),
        ),
        extra=4 * hidden,
        outer=_embeddings(config, hidden, tied=True) + positions * hidden + 2 * hidden,
        norms=Norms("layer"),
        mlp=Mlp(size, gated=False, kept=_kept(config, "activation_function", default="gelu_new")),
        dropout=config.fraction("resid_pdrop", 0.1),
        attention_dropout=config.fraction("attn_pdrop", 0.1),
        context=positions,
        stored_bytes=config.stored_bytes,
    )


def _gpt_neox(config: Config) -> ModelShape:
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    size, bias = config.integer("intermediate_size"), config.flag("attention_bias", True)
    return ModelShape(
        family="gpt_neox",
        hidden=hidden,
        layers=config.integer("num_hidden_layers"),
        vocabulary=config.integer("vocab_size"),
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        linears=(
            Linear("query_key_value", hidden, 3 * hidden, "norm1", bias),
            Linear("dense", hidden, hidden, "attention", bias),
            Linear("dense_h_to_4h", hidden, size, "norm2", bias=True),
            Linear("dense_4h_to_h", size, hidden, "mlp", bias=True),
        ),
        extra=4 * hidden,
        outer=_embeddings(config, hidden, tied=False) + 2 * hidden,
        norms=Norms("layer"),
        mlp=Mlp(size, gated=False, kept=_kept(config, "hidden_act", default="gelu")),
        dropout=config.fraction("hidden_dropout"),
        attention_dropout=config.fraction("attention_dropout"),
        parallel_residual=config.flag("use_parallel_residual", True),
        context=config.optional("max_position_embeddings"),
        stored_bytes=config.stored_bytes,
    )


def _embeddings(config: Config, hidden: int, *, tied: bool) -> int:
    """Parameters of the input embeddings and of an output layer of its own; `tied` where nothing is said."""
    matrices = 1 if config.flag("tie_word_embeddings", tied) else 2
    return matrices * config.integer("vocab_size") * hidden


def _head_norms(norms: Norms, queries: int, keys: int, head_dim: int) -> int:
    if norms.whole_heads:
        return queries + keys
    return 2 * head_dim if norms.on_heads else 0


def _kept(config: Config, *keys: str, default: str) -> float:
    name = config.text(*keys, default=default)
    if name not in _KEPT_BY:
        raise PlanUnavailable(
            f"cannot plan for the non-linearity {name!r}; planned are: {', '.join(_KEPT_BY)}"
        )
    return _KEPT_BY[name]


_BUILDERS: Mapping[str, Callable[[Config], ModelShape]] = MappingProxyType(
    {
        **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "olmo2", "smollm3", "gemma"), _llama),
        **dict.fromkeys(("mixtral", "qwen3_moe"), _mixture),
        "phi3": _phi3,
        "gpt2": _gpt2,
        "gpt_neox": _gpt_neox,
    }
)
