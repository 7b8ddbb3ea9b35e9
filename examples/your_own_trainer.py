"""Adds IST to a TRL run: `python examples/your_own_trainer.py [--steps 60] [--model NAME_OR_FOLDER]`.

By default 60 steps on SmolLM2-135M-Instruct and the tickets data, some minutes on two CPU cores.
"""

import argparse
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from ist_core import IST, IstSpec
from ist_core.catalog import SMOLLM2, Catalog, resolve_path_or_name
from ist_core.models import default_cache, load_base_model

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=60)
parser.add_argument("--model", default=SMOLLM2)
options = parser.parse_args()

source = resolve_path_or_name(options.model, Catalog())
base = load_base_model(source, cache_dir=default_cache(), dtype=torch.float32, device=torch.device("cpu"))
model = get_peft_model(base.model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))
tickets = Path(__file__).parent / "tickets"
trainer = SFTTrainer(
    model=model,
    args=SFTConfig(
        "out",
        max_steps=options.steps,
        learning_rate=2e-3,
        report_to=[],
        save_strategy="no",
        use_cpu=not torch.cuda.is_available(),
    ),
    train_dataset=Dataset.from_json(str(tickets / "train.jsonl")),
    eval_dataset=Dataset.from_json(str(tickets / "heldout.jsonl")),
    processing_class=base.tokenizer,
)

ist = IST(model, IstSpec(update_fraction=0.5, probe_interval=20))  # IST is
ist.attach(trainer)  # these two lines
trainer.train()

for layer, score in enumerate(ist.importance):
    print(f"layer {layer:2d}  {score:+.2f}  {'#' * round(20 * max(score, 0))}")
