"""Packed rows: the same losses and gradients as rows that are padded, by fast paths and by plain modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor

from benchmarks.ist_matrix.models import quiet
from ist_core.batches import Batch, collate
from ist_core.encoding import Example
from ist_core.ist import decoder_layers
from ist_core.kernels import FastPaths
from ist_core.kernels.attention import LONGEST, PaddedRows
from ist_core.kernels.packing import PackedRows, can_pack
from ist_core.kernels.recompute import Recompute
from ist_core.loss import summed_loss
from ist_core.spec import LoraSpec
from tests.unit.ist_core.kernels.test_fast_paths import adapted, check_equal
from tests.unit.ist_core.planner.models import adapted as adapted_to
from tests.unit.ist_core.planner.models import make_model

CPU = torch.device("cpu")
KNOWN = ("llama", "mistral", "qwen2")
LENGTHS = (5, 21, 1, 16)
ROWS = [
    Example(tuple(range(3, 3 + length)), (False, *(True,) * (length - 1)), truncated=False)
    for length in LENGTHS
]


def _batch(*, packed: bool) -> Batch:
    return collate(ROWS, pad=0, device=CPU, packed=packed)


def _outcome(model: PeftModel, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    with quiet():
        loss = summed_loss(model, batch)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return loss.detach(), found


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
@pytest.mark.parametrize("family", KNOWN)
def test_losses_and_gradients_are_those_of_padded_rows(family: str, fast: bool) -> None:
    model = adapted(family)
    padded = _outcome(model, _batch(packed=False))
    if fast:
        FastPaths(model)
    check_equal(_outcome(model, _batch(packed=True)), padded)


def test_attention_takes_its_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted("llama")
    FastPaths(model)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("attention of packed rows went the common way")

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", refuse)
    _outcome(model, _batch(packed=True))
    with pytest.raises(AssertionError, match="common way"):
        model(input_ids=torch.ones(1, LONGEST + 1, dtype=torch.long))


def test_layers_that_compute_again_read_the_same_rows() -> None:
    model = adapted("llama")
    FastPaths(model)
    kept = _outcome(model, _batch(packed=True))
    stack = decoder_layers(model)[1]
    Recompute(stack, random=False).choose(range(len(stack)))
    check_equal(_outcome(model, _batch(packed=True)), kept, close=0)


def test_padding_is_left_out() -> None:
    batch = _batch(packed=True)
    assert batch.tokens.shape == (1, 48)
    assert batch.size == sum(LENGTHS)
    padded = _batch(packed=False)
    assert padded.tokens.shape == (4, 21)
    assert torch.equal(batch.targets, padded.targets)
    assert torch.equal(batch.tokens[0, batch.positions + 1], batch.targets)
    for start, row in zip(batch.starts, batch.rows, strict=True):
        assert tuple(batch.tokens[0, start : start + len(row)].tolist()) == row


def test_heads_lie_as_those_of_padded_rows() -> None:
    pack, heads, groups, features = PackedRows(LENGTHS), 6, 2, 4
    x = torch.randn(1, pack.size, heads, features)
    x[0, sum(LENGTHS) :] = 0
    rows = torch.zeros(len(LENGTHS), pack.length, heads, features)
    for row, (start, length) in enumerate(zip(pack.starts, LENGTHS, strict=True)):
        rows[row, :length] = x[0, start : start + length]
    tall = pack.tall(x, groups)
    assert torch.equal(tall, PaddedRows(len(LENGTHS), pack.length).tall(rows, groups))
    assert torch.equal(pack.flat(tall, groups), x)


def test_long_rows_are_padded() -> None:
    row = Example((1,) * (LONGEST + 1), (False,) * LONGEST + (True,), truncated=False)
    batch = collate([row, ROWS[0]], pad=0, device=CPU, packed=True)
    assert batch.packed is None
    assert batch.tokens.shape == (2, LONGEST + 1)


@pytest.mark.parametrize(
    ("family", "keys", "can"),
    [
        ("llama", {}, True),
        ("mistral", {"sliding_window": LONGEST}, True),
        ("mistral", {"sliding_window": 16}, False),
        ("qwen2", {"attention_dropout": 0.1}, False),
        ("qwen3", {}, False),
        ("gpt2", {}, False),
    ],
)
def test_only_models_whose_attention_is_known_read_packs(
    family: str, keys: dict[str, Any], can: bool
) -> None:
    base, _ = make_model(family, **keys)
    assert can_pack(adapted_to(base, LoraSpec(rank=4))) is can
