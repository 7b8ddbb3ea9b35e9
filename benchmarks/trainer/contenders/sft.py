"""TRL's SFTTrainer with peft."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from benchmarks.trainer import workload
from benchmarks.trainer.contenders.hf_data import TakeTurns, lora, rows
from benchmarks.trainer.roster import LEARNING_RATE
from benchmarks.trainer.turns import Turns


def main() -> None:
    """Train as SFTTrainer does, a step a turn."""
    turns = Turns()
    work, keys = workload.read(Path(sys.argv[1])), json.loads(sys.argv[2])
    dtype = keys.pop("dtype", None)
    if dtype:
        keys.setdefault("bf16", False)  # the weights have that format already
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            folder,
            per_device_train_batch_size=len(work.batches[0]),
            learning_rate=LEARNING_RATE,
            max_length=None if keys.get("padding_free") else workload.MAX_LENGTH,
            train_sampling_strategy="sequential",
            dataset_kwargs={"skip_prepare_dataset": True},
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=torch.cuda.is_available(),
            **keys,
        )
        model = AutoModelForCausalLM.from_pretrained(work.model, dtype=getattr(torch, dtype or "float32"))
        trainer = SFTTrainer(
            model,
            args=config,
            train_dataset=Dataset.from_list(rows(work)),
            processing_class=AutoTokenizer.from_pretrained(work.model),
            peft_config=lora(),
        )
        trainer.add_callback(TakeTurns(turns, work, model))
        trainer.train()


if __name__ == "__main__":
    main()
