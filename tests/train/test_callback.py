"""IST in transformers.Trainer, TRL's SFTTrainer and DPOTrainer: the same callback, unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ist_core import IST, IstSpec
from ist_core.errors import IstError
from ist_core.ist import IstRecord, decoder_layers
from tests.train import trainers

pytestmark = trainers.QUIET
EVERY = pytest.mark.parametrize("make", [trainers.plain, trainers.sft, trainers.dpo])
SPEC = IstSpec(
    policy="importance", scorer="suppression", update_fraction=0.5, probe_interval=2, warmup_steps=2
)


class Watch(TrainerCallback):
    """Notes which layers' weights each step changed, and what IST said of it."""

    def __init__(self, ist: IST) -> None:
        self._ist = ist
        self._before: list[Tensor] = []
        self.changed: list[set[int]] = []
        self.records: list[IstRecord] = []

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the weights."""
        self._before = self._weights()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Compare them."""
        pairs = enumerate(zip(self._before, self._weights(), strict=True))
        self.changed.append({layer for layer, (before, after) in pairs if not torch.equal(before, after)})
        assert self._ist.record is not None
        self.records.append(self._ist.record)

    def _weights(self) -> list[Tensor]:
        return [
            torch.cat([parameter.detach().flatten().clone() for parameter in layer.parameters])
            for layer in self._ist.layers
        ]


def _trained(trainer: Trainer, ist: IST, **how: Any) -> Watch:
    ist.attach(trainer)
    watch = Watch(ist)
    trainer.add_callback(watch)
    trainer.train(**how)
    return watch


def _adapter(model: PeftModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if ".default." in name}


@EVERY
def test_each_step_changes_the_selected_layers_only(
    make: trainers.Make, tiny_folder: Path, tmp_path: Path
) -> None:
    """With two micro-batches a step, weight decay, dropout, and TRL's default gradient checkpointing."""
    model = trainers.adapted(tiny_folder)
    base = {name: value.clone() for name, value in model.named_parameters() if "lora_" not in name}
    ist = IST(model, SPEC)
    watch = _trained(make(model, tiny_folder, tmp_path), ist)
    assert watch.changed == [set(record.active) for record in watch.records]
    assert [len(changed) for changed in watch.changed] == [4, 4] + [2] * 8
    assert len({frozenset(changed) for changed in watch.changed}) > 2
    assert [record.probe is not None for record in watch.records] == [False, False] + [True, False] * 4
    assert any(score != 0.0 for score in watch.records[-1].scores)
    assert all(torch.equal(value, base[name]) for name, value in model.named_parameters() if name in base)
    assert all(parameter.requires_grad for layer in ist.layers for parameter in layer.parameters)


@EVERY
@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        SPEC.model_copy(update={"policy": "contiguous", "scorer": "combined", "hold": 4}),
        SPEC.model_copy(update={"policy": "random", "optimizer_state": "reset"}),
    ],
    ids=["importance", "contiguous", "random"],
)
def test_a_resumed_run_ends_with_the_same_weights_and_scores(
    make: trainers.Make, spec: IstSpec, tiny_folder: Path, tmp_path: Path
) -> None:
    whole = trainers.adapted(tiny_folder)
    ist = IST(whole, spec)
    _trained(make(whole, tiny_folder, tmp_path), ist)
    for checkpoint in ("checkpoint-3", "checkpoint-6"):
        part = trainers.adapted(tiny_folder)
        resumed = IST(part, spec, seed=7)  # the state brings its own draws
        trainer = make(part, tiny_folder, tmp_path)
        _trained(trainer, resumed, resume_from_checkpoint=str(tmp_path / checkpoint))
        assert resumed.state_dict() == ist.state_dict()
        expected, found = _adapter(whole), _adapter(part)
        assert all(torch.equal(expected[name], found[name]) for name in expected)


@contextmanager
def _layers_in_backward(model: PeftModel) -> Iterator[list[int]]:
    """Inside the block, count for each training forward pass the layers whose output needs a gradient."""
    counts: list[int] = []

    def count(_: object, __: object, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        if torch.is_grad_enabled() and model.training:
            counts[-1] += hidden.requires_grad

    stack = decoder_layers(model)[1]
    handles = [layer.register_forward_hook(count) for layer in stack]
    handles.append(model.register_forward_pre_hook(lambda *_: counts.append(0)))
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()


@EVERY
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_backward_pass_ends_at_the_lowest_selected_layer(
    make: trainers.Make, checkpointing: bool, tiny_folder: Path, tmp_path: Path
) -> None:
    model = trainers.adapted(tiny_folder)
    trainer = make(model, tiny_folder, tmp_path, gradient_checkpointing=checkpointing, max_steps=3)
    with _layers_in_backward(model) as counts:
        watch = _trained(trainer, IST(model, IstSpec(policy="static", update_fraction=0.5)))
    assert max(counts) == 2
    assert {record.backward_depth for record in watch.records} == {2}


@EVERY
def test_checkpointing_of_either_kind_changes_no_weight(
    make: trainers.Make, tiny_folder: Path, tmp_path: Path
) -> None:
    kinds: list[dict[str, Any]] = [
        {"gradient_checkpointing": False},
        {"gradient_checkpointing": True},
        {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}},
    ]
    weights = []
    for number, changes in enumerate(kinds):
        model = trainers.adapted(tiny_folder)
        _trained(make(model, tiny_folder, tmp_path / str(number), **changes), IST(model, SPEC))
        weights.append(_adapter(model))
    for other in weights[1:]:
        for name in other:
            torch.testing.assert_close(other[name], weights[0][name])


@pytest.mark.parametrize("make", [trainers.sft, trainers.dpo])
def test_probes_leave_no_trace_in_the_trainers_own_metrics(
    make: trainers.Make, tiny_folder: Path, tmp_path: Path
) -> None:
    """The evaluation at step 5 comes after two probes of suppressed models; its metrics are its own."""
    model = trainers.adapted(tiny_folder)
    trainer = make(model, tiny_folder, tmp_path, max_steps=5)
    _trained(trainer, IST(model, SPEC))
    told = next(entry for entry in trainer.state.log_history if "eval_loss" in entry)
    again = trainer.evaluate()
    for name in ("eval_entropy", "eval_mean_token_accuracy"):
        assert told[name] == again[name]


def test_probing_on_training_rows_is_said(tiny_folder: Path, tmp_path: Path) -> None:
    model = trainers.adapted(tiny_folder)
    trainer = trainers.plain(model, tiny_folder, tmp_path, eval_strategy="no")
    trainer.eval_dataset = None
    with pytest.warns(
        UserWarning, match="has no eval_dataset, so IST probes layer importance on training rows"
    ):
        watch = _trained(trainer, IST(model, SPEC))
    assert watch.records[2].probe is not None


def test_a_trainer_can_train_twice(tiny_folder: Path, tmp_path: Path) -> None:
    model = trainers.adapted(tiny_folder)
    trainer = trainers.plain(model, tiny_folder, tmp_path, max_steps=4)
    watch = _trained(trainer, IST(model, SPEC))
    trainer.train()
    assert watch.changed == [set(record.active) for record in watch.records]
    assert len(watch.changed) == 8


def test_mistakes_are_named(tiny_folder: Path, tmp_path: Path) -> None:
    model, other = trainers.adapted(tiny_folder), trainers.adapted(tiny_folder)
    with pytest.raises(IstError, match=r"IST\(trainer.model\).attach\(trainer\)") as caught:
        IST(model, SPEC).attach(trainers.plain(other, tiny_folder, tmp_path))
    assert caught.value.param == "model"
    trainers.plain(other, tiny_folder, tmp_path, max_steps=3).train()
    again = trainers.plain(model, tiny_folder, tmp_path)
    with pytest.raises(IstError, match="the checkpoint holds no state of IST"):
        _trained(again, IST(model, SPEC), resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
