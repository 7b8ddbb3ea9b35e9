"""AdaLoRA allocates ranks while layers are frozen, and its allocation can be resumed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import AdaLoraConfig, LoraConfig, PeftModel
from torch import Tensor

from benchmarks.ist_matrix.case import trainable
from benchmarks.ist_matrix.models import adapt, make_batch, make_model
from ist_core.errors import AdapterError
from ist_core.ist import IST
from ist_core.ist.adalora import prepare
from ist_core.spec import IstSpec

STEPS, TINIT = 8, 3


class Run:
    def __init__(self) -> None:
        config = AdaLoraConfig(
            init_r=4,
            target_r=2,
            tinit=TINIT,
            tfinal=2,
            total_step=STEPS,
            target_modules=["q_proj", "up_proj"],
            task_type="CAUSAL_LM",
        )
        self.model = adapt(make_model("llama"), config)
        self.optimizer = torch.optim.AdamW(trainable(self.model).values(), lr=1e-2)
        self.ist = IST(self.model, IstSpec(policy="random", update_fraction=0.34, warmup_steps=0))

    def train(self, first: int, last: int) -> None:
        for number in range(first, last):
            with self.ist.step():
                ids = make_batch(number)
                self.model(input_ids=ids, labels=ids).loss.backward()
                self.optimizer.step()
                tuner: Any = self.model.base_model
                tuner.update_and_allocate(number)
                self.optimizer.zero_grad()


def ranks(model: PeftModel) -> dict[str, Tensor]:
    return {name: item != 0.0 for name, item in model.named_parameters() if "lora_E" in name}


def test_pefts_own_allocator_cannot() -> None:
    """Should this pass one day, `ist_core.ist.adalora` has had its time."""
    with pytest.raises(TypeError, match="NoneType"):
        Run().train(1, 3)


def test_ranks_are_cut_to_the_budget() -> None:
    run = Run()
    prepare(run.model)
    run.train(1, STEPS)
    kept = sum(int(mask.sum()) for mask in ranks(run.model).values())
    assert 0 < kept <= 2 * 6  # target_r in each of two modules of three layers


def test_a_frozen_layers_importance_stays_as_it_was() -> None:
    run = Run()
    allocator = prepare(run.model)
    run.train(0, TINIT)
    before = copy.deepcopy(allocator.state_dict())
    run.train(TINIT, TINIT + 1)
    after = allocator.state_dict()
    active = {f".layers.{run.ist.layers[place].index}." for place in run.ist.active}
    for name, sums in after["exp_avg_ipt"].items():
        changed = not torch.equal(sums, before["exp_avg_ipt"][name])
        assert changed == any(part in name for part in active)


def test_an_allocation_is_resumed_exactly() -> None:
    whole, resumed = Run(), Run()
    allocator = prepare(whole.model)
    whole.train(1, 5)
    resumed.model.load_state_dict(whole.model.state_dict())
    resumed.optimizer.load_state_dict(copy.deepcopy(whole.optimizer.state_dict()))
    resumed.ist.load_state_dict(whole.ist.state_dict())
    prepare(resumed.model).load_state_dict(copy.deepcopy(allocator.state_dict()))
    for run in (whole, resumed):
        run.train(5, STEPS)
        run.ist.release()
    first, second = trainable(whole.model), trainable(resumed.model)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_other_adapters_have_no_ranks_to_allocate() -> None:
    model = adapt(make_model("llama"), LoraConfig(target_modules=["q_proj"]))
    with pytest.raises(AdapterError, match="only AdaLoRA allocates ranks"):
        prepare(model)
