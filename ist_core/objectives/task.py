"""From a job's rows to what its steps need: encoded examples and the loss on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from isthmus.dataset.chat_rows import ChatRow
from isthmus.dataset.preferences import PreferenceRow
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from ist_core.encoding import encode
from ist_core.examples import Examples, Rows, arrange
from ist_core.objectives.objective import BatchT, ItemT, Objective
from ist_core.objectives.supervised import Supervised
from ist_core.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Task(Generic[ItemT, BatchT]):
    """What a job's method makes of its rows."""

    objective: Objective[ItemT, BatchT]
    examples: Examples[ItemT]


def make_task(
    rows: Rows, spec: JobSpec, model: PeftModel, tokenizer: PreTrainedTokenizerBase, *, folder: Path
) -> Task[Any, Any]:
    """Return the task of the spec's method; `folder` exists; what is put there has no name.

    Raises:
        DatasetError: if a row does not fit the model's chat template or `max_length`.
    """
    match spec.method.type:
        case "supervised":
            return _supervised(rows, spec, model, tokenizer, folder)
        case "dpo":
            return _preference(rows, spec, model, tokenizer, folder)


def _supervised(
    rows: Rows, spec: JobSpec, model: PeftModel, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> Task[Any, Any]:
    training = encode(_chats(rows.training), tokenizer, max_length=spec.max_length)
    validation = None
    if rows.validation is not None:
        chats = _chats(rows.validation)
        validation = encode(chats, tokenizer, max_length=spec.max_length, param="validation_file")
    cut = sum(example.truncated for example in training)
    objective = Supervised(
        model,
        pad=tokenizer.pad_token_id,
        device=model.device,
        training=training,
        together=spec.micro_batch_size or spec.batch_size,
        folder=folder,
    )
    return Task(objective, arrange(training, validation, spec, truncated=cut))


def _preference(
    rows: Rows, spec: JobSpec, model: PeftModel, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> Task[Any, Any]:
    # TRL takes seconds to load, and supervised jobs need none of it.
    from ist_core.objectives.preference import Preference

    validation = None if rows.validation is None else _preferences(rows.validation)
    objective = Preference(model, tokenizer, spec, _preferences(rows.training), validation, folder=folder)
    cut = sum(pair.truncated for pair in objective.training)
    return Task(objective, arrange(objective.training, objective.validation, spec, truncated=cut))


def _chats(rows: Sequence[ChatRow | PreferenceRow]) -> list[ChatRow]:
    return [row for row in rows if isinstance(row, ChatRow)]


def _preferences(rows: Sequence[ChatRow | PreferenceRow]) -> list[PreferenceRow]:
    return [row for row in rows if isinstance(row, PreferenceRow)]
