"""Settled layers that are passed by: the same numbers, fewer layers, and exact when resumed."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor

from ist_core.batches import Batch, collate
from ist_core.encoding import Example
from ist_core.hidden_states import Tokens
from ist_core.ist import adapter_layers, decoder_layers
from ist_core.kernels import FastPaths
from ist_core.kernels.packing import can_pack
from ist_core.loss import summed_loss, supervised_logits
from ist_core.prefix import Prefix, can_be_passed, read_together
from ist_core.records import Checkpointed, Message
from ist_core.settled import FAMILIES
from ist_core.spec import LoraSpec
from tests.train.disks import fail_writing
from tests.train.runs import in_one, in_pieces, make_spec, run, weights_of
from tests.unit.ist_core.planner.models import adapted, make_model

IST = {"policy": "static", "update_fraction": 0.5, "warmup_steps": 3}
DEPTH, HIDDEN = 2, 32
CPU = torch.device("cpu")
ROWS = [
    Example(tuple(range(4, 4 + length)), (False, *[True] * (length - 1)), truncated=False)
    for length in (9, 5, 7)
]


def _batch(*, packed: bool = False) -> Batch:
    return collate(ROWS, pad=0, device=CPU, packed=packed)


def _unlearnt(model: PeftModel, rows: Sequence[Tokens]) -> Batch:
    """Return a batch of the rows as a run makes it: packed, if the model can read that."""
    examples = [Example(row, (False,) * len(row), truncated=False) for row in rows]
    return collate(examples, pad=0, device=CPU, packed=can_pack(model))


def _settled(family: str) -> PeftModel:
    """Return a model whose adapters say something, and of whose layers the lowest are frozen."""
    model = adapted(make_model(family)[0], LoraSpec(rank=4))
    torch.manual_seed(1)
    for index, layer in enumerate(adapter_layers(model)):
        for parameter in layer.parameters:
            torch.nn.init.normal_(parameter, std=0.1)
            parameter.requires_grad_(index >= DEPTH)
    return model


def _prefix(
    model: PeftModel, *, groups: Sequence[tuple[Tokens, ...]] = (), limit: int | None = None
) -> Prefix:
    def batch_of(rows: Sequence[Tokens]) -> Batch:
        return _unlearnt(model, rows)

    return Prefix(model, DEPTH, collate=batch_of, groups=groups, folder=None, limit=limit)


def _report(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text())


def _gradients(model: PeftModel) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


@pytest.mark.parametrize("together", [1, 2, 3])
@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_losses_and_gradients_are_those_of_the_whole_model(family: str, fast: bool, together: int) -> None:
    model = _settled(family)
    batch = _batch(packed=fast and can_pack(model))
    if fast:
        FastPaths(model)
    whole = summed_loss(model, batch)
    whole.backward()  # type: ignore[no-untyped-call]  # torch has no types here
    expected = _gradients(model)
    prefix = _prefix(model, groups=read_together(batch.rows, together))
    for _ in range(2):  # made, then read
        with prefix.passed(batch):
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
        with prefix.passed(batch):
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


def test_rows_are_read_beside_the_same_ones_whatever_batch_asks_for_them() -> None:
    model, rows = _settled("llama"), _batch().rows
    groups = read_together(rows, 2)
    assert groups == [(rows[1], rows[2]), (rows[0],)]
    assert read_together(reversed(rows * 2), 2) == groups
    first, second = _prefix(model, groups=groups), _prefix(model, groups=groups)
    for prefix, order in ((first, [rows[1]]), (second, [rows[0], rows[2], rows[1]])):
        with prefix.passed(_unlearnt(model, order)):
            pass
    assert (first.rows, second.rows) == (2, 3), "what is read beside a row is kept with it"


def test_only_rows_that_can_be_kept_are_read_together() -> None:
    model, batch = _settled("llama"), _batch()
    token = 4 * model.config.hidden_size
    prefix = _prefix(model, groups=[batch.rows[:1], batch.rows[1:]], limit=(9 + 5) * token)
    read: list[int] = []
    model.get_input_embeddings().register_forward_hook(lambda _, given, __: read.append(len(given[0])))
    with prefix.passed(batch):
        assert read == [1, 1, 1], "the second group has no room, so its rows are read alone"
    assert (prefix.rows, prefix.bytes) == (2, (9 + 5) * token)


@pytest.mark.parametrize("spec", [LoraSpec(rank=4, dropout=0.1), LoraSpec(rank=4)], ids=["drops", "keeps"])
def test_what_is_drawn_anew_each_time_cannot_be_kept(spec: LoraSpec) -> None:
    assert can_be_passed(adapted(make_model("llama")[0], spec)) == (spec.dropout == 0)
    assert not can_be_passed(adapted(make_model("gpt2")[0], LoraSpec(rank=4)))
    noisy, _ = make_model("mixtral", router_jitter_noise=0.1)
    assert not can_be_passed(adapted(noisy, LoraSpec(rank=4)))


def test_a_run_learns_the_same(
    tiny_folder: Path, chat_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(tiny_folder, chat_file, ist=IST)
    in_one(spec, tmp_path / "kept")
    monkeypatch.setattr("ist_core.objectives.supervised.can_be_passed", lambda _: False)
    in_one(spec, tmp_path / "plain")
    kept, plain = weights_of(tmp_path / "kept"), weights_of(tmp_path / "plain")
    for name, weight in plain.items():
        torch.testing.assert_close(kept[name], weight, rtol=1e-3, atol=1e-5)


def test_a_disk_that_fills_up_changes_no_weight(
    tiny_folder: Path, chat_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(tiny_folder, chat_file, ist=IST)
    whole = in_one(spec, tmp_path / "whole")
    fail_writing(monkeypatch, errno.ENOSPC, after=7)
    assert in_one(spec, tmp_path / "full") == whole
    rows = {name: _report(tmp_path / name)["settled"]["rows"] for name in ("whole", "full")}
    assert rows == {"whole": 10, "full": 7}, "the rows of the file are four times the same ten"


def test_a_run_tells_once_that_layers_have_settled_and_what_it_keeps(
    tiny_folder: Path, chat_file: Path, tmp_path: Path
) -> None:
    spec = make_spec(tiny_folder, chat_file, ist=IST)
    _, emitted = run(spec, tmp_path)
    told = [item for item in emitted if isinstance(item, Message) and "settled" in item.text]
    assert told == [
        Message(
            "Layers 0 to 1 have settled: what they make of a row is made once and kept",
            data={"step": 3, "layers": DEPTH},
        )
    ]
    # A checkpoint is told of when it is whole.
    texts = [
        item.text if isinstance(item, Message) else ""
        for item in emitted
        if not isinstance(item, Checkpointed)
    ]
    assert "Warm-up" in texts[texts.index(told[0].text) - 1]
    settled = _report(tmp_path)["settled"]
    assert (settled["layers"], settled["rows"]) == (DEPTH, 10)
    assert settled["bytes"] > 10 * HIDDEN * 4
    assert settled["bytes"] % (HIDDEN * 4) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"ist": {**IST, "policy": "random"}, "max_steps": 16},
        {"ist": IST, "max_steps": 15},
        {"ist": IST, "adapter": {"rank": 4, "dropout": 0.1}, "max_steps": 16},
        {"ist": None, "max_steps": 2},
    ],
    ids=["goes on drawing", "too few steps", "drops out", "no IST"],
)
def test_a_run_that_keeps_nothing_says_so(
    tiny_folder: Path, chat_file: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    _, emitted = run(make_spec(tiny_folder, chat_file, **changes), tmp_path)
    assert _report(tmp_path)["settled"] is None
    assert not [item for item in emitted if isinstance(item, Message) and "settled" in item.text]


def test_a_resumed_run_ends_with_the_same_weights(tiny_folder: Path, chat_file: Path, tmp_path: Path) -> None:
    spec = make_spec(tiny_folder, chat_file, ist=IST, precision="bfloat16")
    assert in_pieces(spec, tmp_path / "pieces", [3, 4, 12]) == in_one(spec, tmp_path / "whole")
