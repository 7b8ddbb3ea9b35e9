"""What cannot be tuned layer by layer is refused, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig

from benchmarks.ist_matrix.case import CheckFailed
from benchmarks.ist_matrix.matrix import refusal
from benchmarks.ist_matrix.models import adapt, make_batch, make_model
from benchmarks.ist_matrix.refusals import REFUSALS, make_t5
from ist_core.errors import AdapterError
from ist_core.ist import IST, adapter_layers
from ist_core.ist.suppression import suppressed


@pytest.mark.parametrize("method", REFUSALS)
def test_methods_that_do_not_work_per_layer(method: str, tmp_path: Path) -> None:
    row = REFUSALS[method]
    with pytest.raises(AdapterError, match=row.reason):
        IST(row.make("llama", tmp_path))


def test_a_reason_names_the_method_and_a_way_out(tmp_path: Path) -> None:
    reason = refusal(REFUSALS["prompt tuning"].make("llama", tmp_path))
    assert reason.startswith("PROMPT_TUNING learns a prompt")
    assert reason.endswith("use a method that adapts every layer, such as LoRA")


def test_an_encoder_decoder() -> None:
    with pytest.raises(AdapterError, match="two stacks of layers"):
        IST(make_t5())


def test_what_is_taken_is_no_refusal() -> None:
    model = adapt(make_model("llama"), LoraConfig(target_modules=["q_proj"]))
    with pytest.raises(CheckFailed, match="IST takes it"):
        refusal(model)


def test_trained_weights_of_a_layer_without_adapters() -> None:
    """They would be trained in every step."""
    model = adapt(make_model("llama"), LoraConfig(target_modules=["q_proj"], layers_to_transform=[0, 1]))
    model.get_parameter("base_model.model.model.layers.2.mlp.up_proj.weight").requires_grad_(True)
    with pytest.raises(AdapterError, match=r"layers\.2 is no peft adapter module"):
        IST(model)


def test_a_whole_attention_trained_in_full_cannot_be_suppressed() -> None:
    model = adapt(make_model("llama"), LoraConfig(target_modules=["up_proj"], modules_to_save=["self_attn"]))
    with (
        torch.no_grad(),
        pytest.raises(AdapterError, match="returns a tuple, not one tensor"),
        suppressed(adapter_layers(model), 0.25),
    ):
        model(input_ids=make_batch(0))
