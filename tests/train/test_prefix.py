"""Settled layers that are passed by: the same numbers, fewer layers, and exact when resumed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import Tensor

from ist_core.batches import Batch, collate
from ist_core.encoding import Example
from ist_core.hidden_states import HiddenStates
from ist_core.ist import adapter_layers, decoder_layers
from ist_core.kernels import FastPaths
from ist_core.loss import summed_loss, supervised_logits
from ist_core.prefix import FAMILIES, Prefix, can_be_passed
from ist_core.spec import LoraSpec
from tests.train.runs import in_one, in_pieces, make_spec, weights_of
from tests.unit.ist_core.planner.models import adapted, make_model

IST = {"policy": "static", "update_fraction": 0.5, "warmup_steps": 3}
DEPTH = 2
CPU = torch.device("cpu")
ROWS = [
    Example(tuple(range(4, 4 + length)), (False, *[True] * (length - 1)), truncated=False)
    for length in (9, 5, 7)
]


def _batch() -> Batch:
    return collate(ROWS, pad=0, device=CPU)


def _settled(family: str) -> PeftModel:
    """Return a model whose adapters say something, and of whose layers the lowest are frozen."""
    model = adapted(make_model(family)[0], LoraSpec(rank=4))
    torch.manual_seed(1)
    for index, layer in enumerate(adapter_layers(model)):
        for parameter in layer.parameters:
            torch.nn.init.normal_(parameter, std=0.1)
            parameter.requires_grad_(index >= DEPTH)
    return model


def _prefix(model: PeftModel, *, limit: int | None = None) -> Prefix:
    def alone(row: tuple[int, ...]) -> Tensor:
        return torch.tensor([row])

    return Prefix(model, DEPTH, alone=alone, folder=None, limit=limit)


def _gradients(model: PeftModel) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_losses_and_gradients_are_those_of_the_whole_model(family: str, fast: bool) -> None:
    model, batch = _settled(family), _batch()
    if fast:
        FastPaths(model)
    whole = summed_loss(model, batch)
    whole.backward()  # type: ignore[no-untyped-call]  # torch has no types here
    expected = _gradients(model)
    prefix = _prefix(model)
    for _ in range(2):  # made, then read
        with prefix.passed(batch.rows, width=batch.tokens.shape[1]):
            loss = summed_loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]  # as above
        assert loss.item() == pytest.approx(whole.item(), rel=1e-6)
        found = _gradients(model)
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5)
    assert prefix.rows == len(ROWS)


def test_settled_layers_do_nothing_while_they_are_passed_by() -> None:
    model, batch = _settled("llama"), _batch()
    prefix = _prefix(model)
    called: list[int] = []
    for index, layer in enumerate(decoder_layers(model)[1]):
        layer.get_submodule("mlp").register_forward_hook(lambda *_, index=index: called.append(index))
    for _ in range(2):
        called.clear()
        with prefix.passed(batch.rows, width=batch.tokens.shape[1]):
            summed_loss(model, batch)
    assert set(called) == {2}
    called.clear()
    summed_loss(model, batch)
    assert set(called) == {0, 1, 2}


def test_it_is_the_whole_model_again_when_released() -> None:
    model, batch = _settled("llama"), _batch()
    expected = supervised_logits(model, batch)
    prefix = _prefix(model)
    prefix.release()
    assert torch.equal(supervised_logits(model, batch), expected)


@pytest.mark.parametrize("spec", [LoraSpec(rank=4, dropout=0.1), LoraSpec(rank=4)], ids=["drops", "keeps"])
def test_what_is_drawn_anew_each_time_cannot_be_kept(spec: LoraSpec) -> None:
    assert can_be_passed(adapted(make_model("llama")[0], spec)) == (spec.dropout == 0)
    assert not can_be_passed(adapted(make_model("gpt2")[0], LoraSpec(rank=4)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_hidden_states_come_back_as_they_went(dtype: torch.dtype, tmp_path: Path) -> None:
    kept = HiddenStates(tmp_path, size=8, dtype=dtype)
    states = torch.randn(3, 8).to(dtype)
    assert kept.put((1, 2, 3), states)
    assert kept.put((4,), states[:1])
    found = kept.get((1, 2, 3))
    assert found is not None
    assert torch.equal(found, states)
    assert kept.get((3, 2, 1)) is None
    assert not list(tmp_path.iterdir()), "a file that would stay behind"


def test_what_has_no_room_is_not_kept(tmp_path: Path) -> None:
    kept = HiddenStates(tmp_path, size=8, dtype=torch.float32, limit=100)
    assert kept.put((1, 2, 3), torch.zeros(3, 8))
    assert not kept.put((4,), torch.zeros(1, 8))
    assert len(kept) == 1


def test_a_run_learns_the_same(
    tiny_folder: Path, chat_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(tiny_folder, chat_file, ist=IST, n_epochs=3)
    in_one(spec, tmp_path / "kept")
    monkeypatch.setattr("ist_core.objectives.supervised.can_be_passed", lambda _: False)
    in_one(spec, tmp_path / "plain")
    kept, plain = weights_of(tmp_path / "kept"), weights_of(tmp_path / "plain")
    for name, weight in plain.items():
        torch.testing.assert_close(kept[name], weight, rtol=1e-3, atol=1e-5)


def test_a_full_disk_changes_no_weight(
    tiny_folder: Path, chat_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(tiny_folder, chat_file, ist=IST, n_epochs=3)
    whole = in_one(spec, tmp_path / "whole")
    monkeypatch.setattr(HiddenStates, "put", lambda *_: False)
    assert in_one(spec, tmp_path / "full") == whole


def test_a_resumed_run_ends_with_the_same_weights(tiny_folder: Path, chat_file: Path, tmp_path: Path) -> None:
    spec = make_spec(tiny_folder, chat_file, ist=IST, n_epochs=3, precision="bfloat16")
    assert in_pieces(spec, tmp_path / "pieces", [2, 7, 12]) == in_one(spec, tmp_path / "whole")
