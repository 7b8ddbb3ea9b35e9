"""Plans: what a job would need, before it is created."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from isthmus.types.base import Lenient
from isthmus.types.jobs import Hyperparameters
from isthmus.types.params import JobParams

Verdict = Literal["fits", "tight", "does_not_fit"]


class PlanParams(JobParams, total=False):
    """A job that is not created, and a device or a budget of memory for it."""

    device: str | None
    """`cpu`, or a GPU such as `l4` or `a100-80gb`; left out: where the latest job ran."""
    memory_bytes: int | None


class PlannedDevice(Lenient):
    """Where the job would run."""

    name: str
    kind: Literal["cpu", "cuda"] | str
    cores: int | None = None


class PlannedMemory(Lenient):
    """Bytes of each part."""

    runtime: int = 0
    libraries: int = 0
    data: int = 0
    weights: int = 0
    adapters: int = 0
    gradients: int = 0
    optimizer: int = 0
    activations_worst: int = 0
    """At the worst selection of layers and the longest rows."""
    activations_mean: int = 0
    logits: int = 0
    transient: int = 0
    probe: int = 0
    answers: int = 0
    """While both models answer rows of the validation file."""
    loading: int = 0
    allocator: int = 0


class PlannedEvaluation(Lenient):
    """What is measured on the validation file, and how much both models answer; a part of `seconds`."""

    measured_rows: int = 0
    """Rows whose loss is measured, in all measurements together."""
    answered_rows: int = 0
    """Rows that the base model and the tuned one answer."""
    answer_tokens: int | None = None
    """Of an answer at most."""


class PlannedSelection(Lenient):
    """Layers of a step: in the backward pass, and updated; means may be fractions."""

    depth: float
    active: float


class PlannedLengths(Lenient):
    """How long the training file's rows are, after `max_length`."""

    known: Literal["counted", "estimated", "limit"] | str
    rows: int
    mean: float
    longest: int


class PlannedSeconds(Lenient):
    """How long training and evaluation take, without the wait in the queue and the model's loading."""

    low: float
    expected: float
    high: float


class PlannedChange(Lenient):
    """The smallest change that would make the job fit."""

    fields: dict[str, JsonValue]
    """New values of the request's own keys."""
    text: str
    verdict: Verdict | str
    peak_bytes: int


class Plan(Lenient):
    """What a job would need on a device."""

    object: str = "fine_tuning.plan"
    model: str
    device: PlannedDevice
    verdict: Verdict | str
    """fits: a fifth of the peak is to spare; tight: less is; does_not_fit: the peak is over the budget."""
    peak_bytes: int
    budget_bytes: int
    memory: PlannedMemory
    precision: Literal["float32", "bfloat16"] | str
    hyperparameters: Hyperparameters
    micro_batch_size: int
    steps: int
    rows: int
    tokens: int
    seconds: PlannedSeconds
    evaluation: PlannedEvaluation | None = None
    """None: nothing is measured, as without a validation file."""
    lengths: PlannedLengths
    layers: int
    worst_selection: PlannedSelection
    mean_selection: PlannedSelection
    trainable_parameters: int
    total_parameters: int
    change: PlannedChange | None = None
    assumptions: list[str] = []
    """What the numbers rest on that is not known."""
