"""transformers' own Trainer on a peft model, with its defaults."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch
from datasets import Dataset
from peft import get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
)

from benchmarks.trainer import workload
from benchmarks.trainer.contenders.hf_data import TakeTurns, lora, rows
from benchmarks.trainer.roster import LEARNING_RATE
from benchmarks.trainer.turns import Turns


def main() -> None:
    """Train, a step a turn."""
    turns = Turns()
    work, keys = workload.read(Path(sys.argv[1])), json.loads(sys.argv[2])
    base = AutoModelForCausalLM.from_pretrained(work.model, dtype=torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=len(work.batches[0]),
            learning_rate=LEARNING_RATE,
            train_sampling_strategy="sequential",
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=torch.cuda.is_available(),
            **keys,
        )
        trainer = Trainer(
            get_peft_model(base, lora()),
            arguments,
            train_dataset=Dataset.from_list(rows(work)),
            data_collator=DataCollatorForSeq2Seq(AutoTokenizer.from_pretrained(work.model)),
        )
        trainer.add_callback(TakeTurns(turns, work, base))
        trainer.train()


if __name__ == "__main__":
    main()
