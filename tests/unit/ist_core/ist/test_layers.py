"""Decoder layers are found by structure."""

import pytest
import torch
from peft import PeftModel
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
    with pytest.raises(AdapterError, match="layer 0 has no trainable adapter"):
        adapter_layers(tiny_lora.unload())
