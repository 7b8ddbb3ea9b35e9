"""Decoder layers are found by structure."""

import pytest
import torch
from peft import LoraConfig, PeftModel, PrefixTuningConfig, VBLoRAConfig, get_peft_model
from torch import nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    MixtralConfig,
    MixtralForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from ist_core.errors import AdapterError
from ist_core.ist import adapter_layers, decoder_layers
from ist_core.models import BaseModel

# peft 0.21 asks for an attribute that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def test_each_layer_has_its_own_adapters(tiny_lora: PeftModel) -> None:
    layers = adapter_layers(tiny_lora)
    assert [len(layer.modules) for layer in layers] == [7] * 4
    assert [len(layer.parameters) for layer in layers] == [14] * 4
    assert len({id(parameter) for layer in layers for parameter in layer.parameters}) == 56


def test_other_families_need_no_table() -> None:
    with torch.device("meta"):
        gpt2 = GPT2LMHeadModel(GPT2Config(n_layer=3, n_embd=8, n_head=2, vocab_size=32))
        mixtral = MixtralForCausalLM(
            MixtralConfig(
                vocab_size=32,
                hidden_size=8,
                intermediate_size=16,
                num_hidden_layers=3,
                num_attention_heads=2,
                num_key_value_heads=1,
                num_local_experts=2,
            )
        )
    assert (decoder_layers(gpt2)[0], len(decoder_layers(gpt2)[1])) == ("transformer.h", 3)
    assert (decoder_layers(mixtral)[0], len(decoder_layers(mixtral)[1])) == ("model.layers", 3)


def test_an_encoder_decoder_is_refused() -> None:
    with torch.device("meta"):
        model = T5ForConditionalGeneration(
            T5Config(d_model=8, d_kv=4, d_ff=16, num_layers=2, num_heads=2, vocab_size=32)
        )
    with pytest.raises(AdapterError, match="two stacks of layers"):
        decoder_layers(model)


def test_a_model_without_layers_or_adapters_is_refused(tiny_lora: PeftModel) -> None:
    with pytest.raises(AdapterError, match="no list of layers"):
        decoder_layers(nn.Linear(2, 2))
    with pytest.raises(AdapterError, match="call peft's get_peft_model on it first"):
        adapter_layers(tiny_lora.unload())


def test_layers_without_adapters_are_left_out_and_keep_their_numbers(tiny_base: BaseModel) -> None:
    model = get_peft_model(tiny_base.model, LoraConfig(target_modules=["q_proj"], layers_to_transform=[1, 3]))
    assert [layer.index for layer in adapter_layers(model)] == [1, 3]


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")
def test_adapters_on_no_layer_are_refused(tiny_base: BaseModel) -> None:
    model = get_peft_model(tiny_base.model, LoraConfig(target_modules=["lm_head"]))
    with pytest.raises(AdapterError, match=r"no adapter on a layer of .*layers is trainable"):
        adapter_layers(model)


def test_a_prompt_is_no_layer(tiny_base: BaseModel) -> None:
    model = get_peft_model(tiny_base.model, PrefixTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"))
    with pytest.raises(AdapterError, match="PREFIX_TUNING learns a prompt for the whole model"):
        adapter_layers(model)


def test_weights_that_layers_share_are_refused(tiny_base: BaseModel) -> None:
    config = VBLoRAConfig(target_modules=["q_proj"], num_vectors=4, vector_length=8, topk=1)
    with pytest.raises(AdapterError, match="vblora_vector_bank"):
        adapter_layers(get_peft_model(tiny_base.model, config))
