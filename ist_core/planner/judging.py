"""What a job's evaluation takes: measurements of the validation file, and answers of both models.

    measured   full rows * (1 before + one a checkpoint + 1 at the end) + sampled rows * one an interval,
               a forward pass each
    answers    2 models * rows * (a forward pass of the prompt + A passes of one token)
    cache      rows at once * (prompt + A) * 2 L g d e bytes: the keys and values of all layers

The file's rows are taken to be as long as the training file's, and every answer as long as it may be.

    A  tokens of an answer    L  layers    g  kv_heads    d  head_dim    e  bytes of an element
"""

from __future__ import annotations

from dataclasses import dataclass

from ist_core.answer_sizes import answer_batch, answer_tokens
from ist_core.evaluation_spec import EvaluationSpec
from ist_core.planner.devices import Device
from ist_core.planner.lengths import Lengths
from ist_core.planner.shape import ModelShape
from ist_core.schedule import checkpoint_interval
from ist_core.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Answering:
    """How both models answer."""

    questions: int
    """Of one model."""
    tokens: int
    """Of an answer at most."""
    prompt: float
    """Mean tokens of a prompt."""
    at_once: int
    longest_prompt: int

    @property
    def writes(self) -> int:
        """Tokens that both models write one after the other."""
        return 2 * -(-self.questions // self.at_once) * self.tokens

    def cache_bytes(self, shape: ModelShape, width: int) -> int:
        """Keys and values at the end of an answer, and a layer's once more while they grow."""
        cached = self.at_once * (self.longest_prompt + self.tokens)
        return round(2 * shape.kv_width * width * cached * (shape.layers + 1))


@dataclass(frozen=True, slots=True)
class Judging:
    """The evaluation of a job."""

    measured: int
    """Rows that go through the model to be measured, in all measurements together."""
    again: int
    """Those of them that had been measured before, since layers have settled: these are passed by."""
    answering: Answering | None


def judging(
    spec: JobSpec,
    lengths: Lengths,
    device: Device,
    *,
    steps: int,
    validation_rows: int | None,
    settled_after: int | None = None,
) -> Judging:
    """Return what the job's evaluation does; without a validation file, nothing.

    Args:
        settled_after: the step after which layers are passed by; None: none are.
    """
    if not validation_rows:
        return Judging(0, 0, None)
    evaluation = spec.evaluation or EvaluationSpec()
    full = validation_rows if evaluation.full_rows is None else min(validation_rows, evaluation.full_rows)
    sample = min(validation_rows, evaluation.loss_rows) if evaluation.interval else 0

    def rows(after: int, first: int) -> int:
        """Rows of the measurements later than a step, of each kind all but the `first` so many."""
        interval, often = checkpoint_interval(spec, steps), evaluation.interval or steps
        whole = 1 + (steps - 1) // interval - after // interval
        return full * max(0, whole - first) + sample * max(0, steps // often - after // often - first)

    again = 0 if settled_after is None else rows(settled_after, first=1)
    return Judging(full + rows(0, first=0), again, _answering(evaluation, lengths, device, validation_rows))


def _answering(
    evaluation: EvaluationSpec, lengths: Lengths, device: Device, validation_rows: int
) -> Answering | None:
    questions = min(evaluation.rows, validation_rows)
    if not questions:
        return None
    tokens = answer_tokens(evaluation, max(learnt for _, learnt in lengths.counts))
    longest = max(count - learnt for count, learnt in lengths.counts) or 1
    return Answering(
        questions,
        tokens,
        prompt=max(1.0, lengths.tokens - lengths.learnt),
        at_once=min(questions, answer_batch(device.kind, longest, tokens)),
        longest_prompt=longest,
    )
