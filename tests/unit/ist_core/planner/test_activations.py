"""What autograd keeps, counted against autograd itself."""

from __future__ import annotations

import pytest
import torch

from ist_core.ist import adapter_layers
from ist_core.kernels import FastPaths
from ist_core.planner.activations import kept_bytes
from ist_core.planner.adapters import layer_adapters
from ist_core.spec import BottleneckSpec, LoraSpec
from tests.unit.ist_core.planner.models import FAMILIES, LENGTH, ROWS, adapted, kept_by, make_model

CLOSE = 0.03
"""What is left uncounted: rotary tables, routing indices, statistics of norms."""
SPECS: dict[str, LoraSpec | BottleneckSpec] = {
    "some modules": LoraSpec(rank=4, target_modules=("q_proj", "v_proj")),
    "dropout": LoraSpec(rank=4, dropout=0.1),
    "dora": LoraSpec(rank=4, dora=True),
    "dora with dropout": LoraSpec(rank=4, dora=True, dropout=0.1),
    "parallel": BottleneckSpec(type="bottleneck", size=8),
    "series": BottleneckSpec(type="bottleneck", size=8, variant="series"),
    "gelu with dropout": BottleneckSpec(type="bottleneck", size=8, non_linearity="gelu", dropout=0.1),
}
FORMATS = [torch.float32, torch.bfloat16]


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize("padded", [False, True], ids=["even", "padded"])
@pytest.mark.parametrize("dtype", FORMATS, ids=["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(family: str, dtype: torch.dtype, padded: bool, fast: bool) -> None:
    _check(family, LoraSpec(rank=4), dtype, padded=padded, fast=fast)


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize("dtype", FORMATS, ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", SPECS)
def test_every_adapter(name: str, dtype: torch.dtype, fast: bool) -> None:
    _check("llama", SPECS[name], dtype, padded=not fast, fast=fast)


def _check(
    family: str, spec: LoraSpec | BottleneckSpec, dtype: torch.dtype, *, padded: bool, fast: bool
) -> None:
    """Compare the lowest layer, a layer in between that is not selected, and one that is."""
    base, shape = make_model(family, dtype)
    model = adapted(base, spec)
    for parameter in adapter_layers(model)[1].parameters:
        parameter.requires_grad_(False)
    if fast:
        FastPaths(model)
    width = torch.empty(0, dtype=dtype).element_size()
    kept = kept_bytes(
        shape,
        layer_adapters(shape, spec),
        width=width,
        padded=padded,
        length=LENGTH,
        training=True,
        on_cpu=fast,
    )
    tokens = ROWS * LENGTH
    expected = (
        tokens * (kept.passing + kept.selected - kept.entering) + kept.fixed,
        tokens * kept.passing + kept.fixed,
        tokens * (kept.passing + kept.selected) + kept.fixed,
    )
    assert kept_by(model, padded=padded).layers == pytest.approx(expected, rel=CLOSE)


def test_a_frozen_layer_below_keeps_nothing() -> None:
    base, _ = make_model("llama")
    model = adapted(base, LoraSpec(rank=4))
    for layer in adapter_layers(model)[:2]:
        for parameter in layer.parameters:
            parameter.requires_grad_(False)
    assert kept_by(model, padded=True).layers[:2] == (0, 0)
