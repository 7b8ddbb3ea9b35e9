"""The workload as transformers' trainers read it, and a callback that takes turns."""

from __future__ import annotations

from typing import Any

from peft import LoraConfig
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from benchmarks.trainer.roster import RANK, TARGETS
from benchmarks.trainer.turns import Turns
from benchmarks.trainer.workload import Workload

IGNORED = -100


def lora() -> LoraConfig:
    """Return the adapters that every contender trains."""
    return LoraConfig(
        r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules=list(TARGETS), task_type="CAUSAL_LM"
    )


def rows(work: Workload) -> list[dict[str, list[int]]]:
    """Return the examples of all batches in order, with labels on what is learnt."""
    return [
        {
            "input_ids": list(example.tokens),
            "labels": [
                token if learnt else IGNORED
                for token, learnt in zip(example.tokens, example.supervised, strict=True)
            ],
        }
        for batch in work.batches
        for example in batch
    ]


class TakeTurns(TrainerCallback):
    """Holds a trainer before each step until its turn comes."""

    def __init__(self, turns: Turns, work: Workload, base: nn.Module) -> None:
        """Keep the conversation, and the batches it is about."""
        self._turns = turns
        self._work = work
        self._base = base

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The model is loaded."""
        self._turns.ready(self._base)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Wait; when there is no further turn, the step that has begun is the last one."""
        if self._turns.wait() is None:
            self._turns.end()
            raise SystemExit(0)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell what it took."""
        batch = self._work.batches[state.global_step - 1]
        self._turns.done(examples=len(batch), tokens=sum(item.length for item in batch), loss=0.0)
