"""The rows and encoded examples of a job: what is trained on, and what is held out for importance probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from isthmus.dataset import chat_rows, preferences
from isthmus.dataset.chat_rows import ChatRow
from isthmus.dataset.preferences import PreferenceRow

from ist_core.records import Message
from ist_core.seeds import stream
from ist_core.spec import JobSpec

_HELD_OUT_SHARE = 20
"""One row in so many of the training file is held out for probes when there is no validation file."""
_MOST_HELD_OUT = 64

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a job's files: chat rows, or preference rows for `method: dpo`."""

    training: Sequence[ChatRow | PreferenceRow]
    validation: Sequence[ChatRow | PreferenceRow] | None


@dataclass(frozen=True, slots=True)
class Examples(Generic[ItemT]):
    """A job's encoded examples, and what the user should know about them."""

    training: list[ItemT]
    probe: list[ItemT]
    """Importance probes look at these; empty where nothing is probed."""
    messages: list[Message]
    validation: list[ItemT] | None = None
    """Of every row of the validation file, if there is one."""


def load_rows(spec: JobSpec) -> Rows:
    """Read the job's files; needs no model, so a bad line is found before anything heavy starts.

    Raises:
        DatasetError: if a file or any line of it cannot be used.
    """
    validation = spec.validation_file
    return Rows(
        training=_load(spec, spec.training_file, "training_file"),
        validation=_load(spec, validation, "validation_file") if validation else None,
    )


def _load(spec: JobSpec, path: str, param: str) -> Sequence[ChatRow | PreferenceRow]:
    if spec.method.type == "dpo":
        return preferences.load(Path(path), param=param)
    return chat_rows.load(Path(path), param=param)


def arrange(
    training: list[ItemT], validation: list[ItemT] | None, spec: JobSpec, *, truncated: int
) -> Examples[ItemT]:
    """Return the job's examples; with IST, probe examples are never trained on if that can be had.

    Args:
        truncated: how many training rows were cut.
    """
    messages = []
    if truncated:
        rows = f"{truncated} of {len(training)} training rows"
        text = f"{rows} are longer than {spec.max_length} tokens and were cut"
        messages.append(Message(text, "warn", {"truncated_rows": truncated, "max_length": spec.max_length}))
    if spec.ist is None or not spec.ist.probes:
        return Examples(training, [], messages, validation)
    if validation is not None:
        probe = validation
        text = f"Layer importance is probed on the {len(probe)} rows of the validation file"
    elif len(training) == 1:
        probe = training
        text = "The training file has one row only, so layer importance is probed on that row"
    else:
        training, probe = _hold_out(training, spec.seed)
        text = f"{len(probe)} rows of the training file are held out to probe layer importance on"
    messages.append(Message(text, data={"probe_rows": len(probe), "training_rows": len(training)}))
    return Examples(training, probe, messages, validation)


def _hold_out(examples: list[ItemT], seed: int) -> tuple[list[ItemT], list[ItemT]]:
    count = min(_MOST_HELD_OUT, max(1, len(examples) // _HELD_OUT_SHARE))
    order = torch.randperm(len(examples), generator=stream(seed, "held out")).tolist()
    held = set(order[:count])
    kept = [example for index, example in enumerate(examples) if index not in held]
    return kept, [examples[index] for index in sorted(held)]
