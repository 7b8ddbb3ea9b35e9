"""Direct Preference Optimization (Rafailov et al., 2023, arXiv 2305.18290), by TRL's DPOTrainer.

    loss of a pair = -log sigmoid(beta * (log pi(y_w|x) / ref(y_w|x) - log pi(y_l|x) / ref(y_l|x)))

The reference is the base model: the same model with its adapters switched off. TRL tokenises, collates and
computes the loss; steps, selection and checkpoints are the engine's own, as for every other method.

    x  input messages    y_w  preferred answer    y_l  non-preferred answer    pi  model    ref  base model
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
from datasets import Dataset
from isthmus.dataset.jsonl import MAX_PROBLEMS
from isthmus.dataset.preferences import PreferenceRow
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedTokenizerBase
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from ist_core.batches import needs_few_widths
from ist_core.encoding import render
from ist_core.errors import DatasetError, Problem
from ist_core.models.quiet import no_progress_bars
from ist_core.objectives.objective import Measure
from ist_core.seeds import callers_random_kept
from ist_core.spec import DpoSpec, JobSpec
from ist_core.widths import PAIRS_STEP

_METRICS = {
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
    "rewards/accuracies": "reward_accuracy",
    "rewards/margins": "reward_margin",
}
"""What TRL calls its means over a batch, and what step records call them."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One encoded preference pair."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]
    truncated: bool

    @property
    def length(self) -> int:
        """Tokens of the longer of the two conversations."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Pairs as TRL's collator makes them: first the chosen conversations, then the rejected ones."""

    inputs: dict[str, Tensor]
    size: int
    weight: int


class Preference:
    """The DPO loss of preference pairs.

    Args:
        model: with adapters that have no response yet, so that it is its own reference.
        folder: an existing one that TRL's trainer may call its own; it writes nothing.

    Raises:
        DatasetError: if the chat template refuses a row, or a prompt alone fills `max_length`.
    """

    accuracy = "reward_accuracy"

    def __init__(
        self,
        model: PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        spec: JobSpec,
        training: Sequence[PreferenceRow],
        validation: Sequence[PreferenceRow] | None,
        *,
        folder: Path,
    ) -> None:
        self._device = model.device
        with callers_random_kept(), no_progress_bars(), _no_mapping_bars():
            self._trainer = DPOTrainer(
                model=model,
                args=_config(spec, folder, model),
                train_dataset=_dataset(training, tokenizer),
                eval_dataset=None if validation is None else _dataset(validation, tokenizer),
                processing_class=tokenizer,
            )
        # TRL keeps a copy of the adapters for reference; without one it switches the adapters off instead.
        model.delete_adapter("ref")
        self.training = _pairs(self._trainer.train_dataset, training, spec, "training_file")
        self.validation = None
        if validation is not None:
            self.validation = _pairs(self._trainer.eval_dataset, validation, spec, "validation_file")

    def settle(self, depth: int) -> None:
        """Keep nothing: TRL's loss goes through the whole model, and pads on the left."""

    @property
    def settled(self) -> None:
        """Nothing is kept."""
        return None

    def collate(self, items: Sequence[Pair]) -> PairBatch:
        """Return the pairs as one batch, padded to the longest."""
        rows = [
            {
                "prompt_ids": list(pair.prompt),
                "chosen_ids": list(pair.chosen),
                "rejected_ids": list(pair.rejected),
            }
            for pair in items
        ]
        inputs = {name: value.to(self._device) for name, value in self._trainer.data_collator(rows).items()}
        return PairBatch(inputs, size=int(inputs["attention_mask"].sum()), weight=len(items))

    def summed_loss(self, batch: PairBatch) -> Tensor:
        """Return the sum of the pairs' losses."""
        mean: Tensor = self._trainer.compute_loss(  # type: ignore[no-untyped-call]  # TRL has no types here
            self._trainer.model, batch.inputs
        )
        return mean * batch.weight

    @torch.no_grad()
    def measure(self, batch: PairBatch) -> Measure:
        """Return the sum of the pairs' losses, and of how many the preferred answer has the higher reward."""
        loss = self.summed_loss(batch).item()
        share = self._collected()["eval"]["rewards/accuracies"][-1]
        return Measure(loss, round(share * batch.weight))

    def take_metrics(self) -> dict[str, float]:
        """Return TRL's rewards in nats, as means over the training batches since the last call."""
        collected = self._collected()
        means = {
            ours: sum(collected["train"][theirs]) / len(collected["train"][theirs])
            for theirs, ours in _METRICS.items()
            if collected["train"].get(theirs)
        }
        for metrics in collected.values():
            metrics.clear()
        return means

    def _collected(self) -> dict[str, dict[str, list[float]]]:
        """What TRL notes of each batch, by the mode of the model."""
        noted: dict[str, dict[str, list[float]]] = vars(self._trainer)["_metrics"]
        return noted


@contextmanager
def _no_mapping_bars() -> Iterator[None]:
    """Keep datasets from drawing progress bars into a service's logs."""
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _config(spec: JobSpec, folder: Path, model: PeftModel) -> DPOConfig:
    if not isinstance(spec.method, DpoSpec):
        raise TypeError(f"the method is {spec.method.type}, and this is dpo")
    return DPOConfig(
        str(folder),
        beta=spec.method.beta,
        max_length=spec.max_length,
        pad_to_multiple_of=PAIRS_STEP if needs_few_widths(model.device, model.dtype) else None,
        disable_dropout=spec.adapter.dropout == 0.0,
        seed=spec.seed,
        activation_checkpointing=False,
        bf16=False,  # the base model has its number format already
        report_to=[],
        use_cpu=not torch.cuda.is_available(),
    )


def _dataset(rows: Sequence[PreferenceRow], tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Return the rows as TRL reads them, once the chat template has taken each of them."""
    conversations: list[dict[str, Any]] = []
    for row in rows:
        prompt = [{"role": message.role, "content": message.content} for message in row.messages]
        answers = [
            {"role": "assistant", "content": answer.content} for answer in (row.preferred, row.rejected)
        ]
        for answer in answers:
            render(tokenizer, [*prompt, answer], row.line)
        conversations.append(
            {"prompt": prompt, "chosen": answers[:1], "rejected": answers[1:], "line": row.line}
        )
    return Dataset.from_list(conversations)


def _pairs(encoded: Dataset, rows: Sequence[PreferenceRow], spec: JobSpec, param: str) -> list[Pair]:
    """Return TRL's encoded rows; it has left out those whose prompt fills `max_length`, which are refused."""
    kept = set(encoded["line"])
    reason = f"its input alone has {spec.max_length} tokens or more; shorten it or raise max_length"
    problems = [Problem(row.line, "input", reason) for row in rows if row.line not in kept]
    if problems:
        raise DatasetError(problems[:MAX_PROBLEMS], total=len(problems), param=param)
    pairs = []
    for row in encoded:
        prompt, chosen, rejected = (tuple(row[f"{part}_ids"]) for part in ("prompt", "chosen", "rejected"))
        longest = len(prompt) + max(len(chosen), len(rejected))
        pairs.append(Pair(prompt, chosen, rejected, truncated=longest > spec.max_length))
    return pairs
