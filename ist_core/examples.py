"""The encoded examples of a job: what is trained on, and what is held out for importance probes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from ist_core import dataset
from ist_core.dataset import ChatRow
from ist_core.encoding import Example, encode
from ist_core.records import Message
from ist_core.seeds import stream
from ist_core.spec import JobSpec

_HELD_OUT_SHARE = 20
"""One row in so many of the training file is held out for probes when there is no validation file."""
_MOST_HELD_OUT = 64


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a job's files."""

    training: list[ChatRow]
    validation: list[ChatRow] | None


@dataclass(frozen=True, slots=True)
class Examples:
    """A job's encoded examples, and what the user should know about them."""

    training: list[Example]
    probe: list[Example]
    """Importance probes look at these; empty without IST."""
    messages: list[Message]


def load_rows(spec: JobSpec) -> Rows:
    """Read the job's files; needs no model, so a bad line is found before anything heavy starts.

    Raises:
        DatasetError: if a file or any line of it cannot be used.
    """
    validation = spec.validation_file
    return Rows(
        training=dataset.load(Path(spec.training_file)),
        validation=dataset.load(Path(validation), param="validation_file") if validation else None,
    )


def encode_rows(rows: Rows, spec: JobSpec, tokenizer: PreTrainedTokenizerBase) -> Examples:
    """Return the job's examples; with IST, probe examples are never trained on if that can be had.

    Raises:
        DatasetError: if a row does not fit the model's chat template or `max_length`.
    """
    training = encode(rows.training, tokenizer, max_length=spec.max_length)
    messages = []
    if cut := sum(example.truncated for example in training):
        text = f"{cut} of {len(training)} training rows are longer than {spec.max_length} tokens and were cut"
        messages.append(Message(text, "warn", {"truncated_rows": cut, "max_length": spec.max_length}))
    if spec.ist is None:
        return Examples(training, [], messages)
    if rows.validation is not None:
        probe = encode(rows.validation, tokenizer, max_length=spec.max_length, param="validation_file")
        text = f"Layer importance is probed on the {len(probe)} rows of the validation file"
    elif len(training) == 1:
        probe = training
        text = "The training file has one row only, so layer importance is probed on that row"
    else:
        training, probe = _hold_out(training, spec.seed)
        text = f"{len(probe)} rows of the training file are held out to probe layer importance on"
    messages.append(Message(text, data={"probe_rows": len(probe), "training_rows": len(training)}))
    return Examples(training, probe, messages)


def _hold_out(examples: list[Example], seed: int) -> tuple[list[Example], list[Example]]:
    count = min(_MOST_HELD_OUT, max(1, len(examples) // _HELD_OUT_SHARE))
    order = torch.randperm(len(examples), generator=stream(seed, "held out")).tolist()
    held = set(order[:count])
    kept = [example for index, example in enumerate(examples) if index not in held]
    return kept, [examples[index] for index in sorted(held)]
