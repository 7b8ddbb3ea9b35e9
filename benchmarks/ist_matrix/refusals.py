"""The methods of peft that do not work per layer, and what IST has to say to each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel
from transformers import T5Config, T5ForConditionalGeneration

from benchmarks.ist_matrix.methods import Fields, config_class
from benchmarks.ist_matrix.models import SHAPE, adapt, make_model, quiet, target

PROMPT = "learns a prompt for the whole model"
SHARED = "share trained weights"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A method that IST refuses."""

    kind: str
    """peft's name of the method."""
    reason: str
    """Part of the error's message."""
    fields: Callable[[str, Path], Fields]
    """Of the config, for a family; the folder is empty and may be used."""

    def make(self, family: str, folder: Path) -> PeftModel:
        """Return the family's model, adapted by this method."""
        fields = {"task_type": "CAUSAL_LM", **self.fields(family, folder)}
        return adapt(make_model(family), config_class(self.kind)(**fields))


def make_t5() -> PeftModel:
    """Return an encoder-decoder with LoRA: the model itself is refused, for having two stacks of layers."""
    config = T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    lora = LoraConfig(target_modules=["q", "v"], task_type="SEQ_2_SEQ_LM")
    return adapt(T5ForConditionalGeneration(config), lora)


def _prompt(kind: str, **fields: Any) -> Refusal:
    return Refusal(kind, PROMPT, lambda *_: {"num_virtual_tokens": 4} | fields)


def _shared(kind: str, **fields: Any) -> Refusal:
    return Refusal(kind, SHARED, lambda family, _: {"target_modules": target(family).linears} | fields)


def _xlora(family: str, folder: Path, *, train: bool) -> Fields:
    lora = LoraConfig(target_modules=target(family).linears[:1], task_type="CAUSAL_LM")
    with quiet():
        adapt(make_model(family), lora).save_pretrained(str(folder))
    adapters = {"0": str(folder), "1": str(folder)}
    return {"hidden_size": SHAPE["hidden_size"], "adapters": adapters, "use_trainable_adapters": train}


_CPT = {"cpt_token_ids": [4, 5], "cpt_mask": [1, 1], "cpt_tokens_type_mask": [1, 2]}
REFUSALS: dict[str, Refusal] = {
    "prompt tuning": _prompt("PROMPT_TUNING"),
    "multitask prompt tuning": _prompt("MULTITASK_PROMPT_TUNING", num_tasks=2, num_ranks=1),
    "P-tuning": _prompt("P_TUNING", encoder_hidden_size=8),
    "prefix tuning": _prompt("PREFIX_TUNING"),
    "cartridge": _prompt("CARTRIDGE"),
    "CPT": Refusal("CPT", PROMPT, lambda *_: _CPT),
    "adaption prompt": Refusal(
        "ADAPTION_PROMPT", "is no peft adapter module", lambda *_: {"adapter_len": 4, "adapter_layers": 2}
    ),
    "trainable tokens": Refusal(
        "TRAINABLE_TOKENS", "no adapter on a layer", lambda *_: {"token_indices": [5]}
    ),
    "X-LoRA": Refusal("XLORA", "by one classifier", lambda *to: _xlora(*to, train=False)),
    "X-LoRA, adapters too": Refusal("XLORA", "by one classifier", lambda *to: _xlora(*to, train=True)),
    "Lily": _shared("LILY", r=4),
    "TinyLoRA": _shared("TINYLORA"),
    "UniLoRA": _shared("UNILORA", r=4),
    "VB-LoRA": _shared("VBLORA", r=4, num_vectors=8, vector_length=8),
    "Shadow": Refusal("SHADOW", "as a whole", lambda *_: {}),
}
