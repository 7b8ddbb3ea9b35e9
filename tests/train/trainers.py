"""Tiny transformers and TRL trainers, all on the same model and rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

QUIET = [
    # peft 0.21 and TRL 1.16 use names that transformers 5.23 has replaced.
    pytest.mark.filterwarnings("ignore:.*is deprecated and will be removed in v6:FutureWarning"),
]
Make = Callable[..., Trainer]
COMMON: dict[str, Any] = {
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "max_steps": 10,
    "learning_rate": 1e-2,
    "weight_decay": 0.1,
    "report_to": [],
    "save_steps": 3,
    "use_cpu": True,
    "bf16": False,
    "disable_tqdm": True,
    "eval_strategy": "steps",
    "eval_steps": 5,
    "logging_steps": 5,
}


def adapted(folder: Path, **fields: Any) -> PeftModel:
    """Return the tiny Llama of `folder` with LoRA (and dropout) on every linear module of its layers."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        # peft 0.21 asks for an attribute that transformers 5.23 has renamed.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        torch.manual_seed(0)
        config = LoraConfig(r=4, lora_dropout=0.1, target_modules="all-linear", **fields)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config)
    assert isinstance(model, PeftModel)
    return model


def plain(model: PeftModel, folder: Path, output: Path, **changes: Any) -> Trainer:
    """Make a `transformers.Trainer`."""
    tokenizer = _tokenizer(folder)
    rows = Dataset.from_list([dict(tokenizer(f"count {number % 10} one two")) for number in range(40)])

    def collate(examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = dict(tokenizer.pad(examples, return_tensors="pt"))
        return {**batch, "labels": batch["input_ids"].clone()}

    arguments = TrainingArguments(str(output), **(COMMON | changes))
    return Trainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        eval_dataset=rows.select(range(8)),
        data_collator=collate,
    )


def sft(model: PeftModel, folder: Path, output: Path, **changes: Any) -> Trainer:
    """Make TRL's `SFTTrainer`."""
    rows = Dataset.from_list([{"messages": [_question(number), _answer(number)]} for number in range(40)])
    return SFTTrainer(
        model=model,
        args=SFTConfig(str(output), **(COMMON | changes)),
        train_dataset=rows,
        eval_dataset=rows.select(range(8)),
        processing_class=_tokenizer(folder),
    )


def dpo(model: PeftModel, folder: Path, output: Path, **changes: Any) -> Trainer:
    """Make TRL's `DPOTrainer`."""
    rows = Dataset.from_list(
        [
            {"prompt": [_question(number)], "chosen": [_answer(number)], "rejected": [_answer(number + 1)]}
            for number in range(40)
        ]
    )
    return DPOTrainer(
        model=model,
        args=DPOConfig(str(output), **(COMMON | changes)),
        train_dataset=rows,
        eval_dataset=rows.select(range(8)),
        processing_class=_tokenizer(folder),
    )


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _question(number: int) -> dict[str, str]:
    return {"role": "user", "content": "count " + "one " * (number % 5)}


def _answer(number: int) -> dict[str, str]:
    return {"role": "assistant", "content": f"number {number % 10}"}
