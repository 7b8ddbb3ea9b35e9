"""A plan on the wire: what a job would need on a device, and what to change so that it fits (ours)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from api.wire.common import WireModel
from api.wire.jobs import Hyperparameters
from ist_core.planner import Device, Memory, Plan
from ist_core.planner.advice import Change
from ist_core.planner.judging import Judging
from ist_core.planner.lengths import Known, Lengths
from ist_core.planner.plan import Verdict
from ist_core.planner.selections import Selection


class PlannedDevice(WireModel):
    """Where the job would run."""

    name: str
    kind: Literal["cpu", "cuda"]
    cores: int | None
    """Of a CPU."""


class PlannedMemory(WireModel):
    """Bytes of each part; docs/planner.md has the formula of each, and how they make the peak."""

    runtime: int
    """Python with its libraries, or the GPU's context: there before the job is."""
    libraries: int
    """The tokenizer, and the buffers of matrix products (CPU)."""
    data: int
    weights: int
    """Of the base model."""
    adapters: int
    gradients: int
    optimizer: int
    activations_worst: int
    """What autograd keeps at the worst selection of layers and the longest rows."""
    activations_mean: int
    """The same at the mean selection and rows of mean length."""
    logits: int
    """Logits, softmax and gradient at the learnt positions."""
    transient: int
    """What one layer needs while it computes; alternates with `logits`."""
    probe: int
    """An importance probe at its peak; alternates with a step."""
    answers: int
    """While both models answer rows of the validation file; alternates with a step."""
    loading: int
    """While the base model is loaded; alternates with training."""
    allocator: int
    """What the allocator is expected to waste."""


class PlannedEvaluation(WireModel):
    """What is measured on the validation file, and how much both models answer; a part of `seconds`."""

    measured_rows: int
    """Rows whose loss is measured, in all measurements together."""
    answered_rows: int
    """Rows that the base model and the tuned one answer."""
    answer_tokens: int | None
    """Of an answer at most; null: nothing is answered."""


class PlannedSelection(WireModel):
    """Layers of a step: in the backward pass, and updated; means may be fractions."""

    depth: float
    active: float


class PlannedLengths(WireModel):
    """How long the training file's rows are, after `max_length`."""

    known: Known
    """counted; estimated from the file's size; or limit: every row as long as may be."""
    rows: int
    mean: float
    longest: int


class PlannedSeconds(WireModel):
    """How long training and evaluation take, without the wait in the queue and the model's loading."""

    low: float
    expected: float
    high: float


class PlannedChange(WireModel):
    """The smallest change that would make the job fit."""

    fields: dict[str, JsonValue]
    """New values of the request's own keys."""
    text: str
    verdict: Verdict
    """With the change: `fits`, or `tight` where nothing makes it fit."""
    peak_bytes: int


class PlanObject(WireModel):
    """What a job would need on a device."""

    object: Literal["fine_tuning.plan"] = "fine_tuning.plan"
    model: str
    device: PlannedDevice
    verdict: Verdict
    """fits: a fifth of the peak is to spare; tight: less is; does_not_fit: the peak is over the budget."""
    peak_bytes: int
    budget_bytes: int
    memory: PlannedMemory
    precision: Literal["float32", "bfloat16"]
    """Of the base model."""
    hyperparameters: Hyperparameters
    """With numbers in place of `auto`."""
    micro_batch_size: int
    steps: int
    rows: int
    """Rows that are trained on: those held out for probes are not."""
    tokens: int
    """In all steps together, without padding."""
    seconds: PlannedSeconds
    evaluation: PlannedEvaluation | None
    """null: nothing is measured, as without a validation file."""
    lengths: PlannedLengths
    layers: int
    worst_selection: PlannedSelection
    mean_selection: PlannedSelection
    trainable_parameters: int
    total_parameters: int
    change: PlannedChange | None
    """null: the job fits as it is, or no change of these would make it fit."""
    assumptions: list[str] = Field(min_length=1)
    """What the numbers rest on that is not known."""


def planned_device(device: Device) -> PlannedDevice:
    """A device as its wire object."""
    return PlannedDevice(name=device.name, kind=device.kind, cores=device.cores or None)


def planned_memory(memory: Memory) -> PlannedMemory:
    """The parts as their wire object."""
    return PlannedMemory.model_validate(memory, from_attributes=True)


def planned_seconds(plan: Plan) -> PlannedSeconds:
    """The expected time, to a tenth of a second."""
    found = plan.seconds
    return PlannedSeconds(
        low=round(found.low, 1), expected=round(found.expected, 1), high=round(found.high, 1)
    )


def planned_evaluation(judging: Judging) -> PlannedEvaluation | None:
    """What is done with the validation file as its wire object."""
    answering = judging.answering
    if not judging.measured and answering is None:
        return None
    return PlannedEvaluation(
        measured_rows=judging.measured,
        answered_rows=answering.questions if answering else 0,
        answer_tokens=answering.tokens if answering else None,
    )


def planned_selection(selection: Selection) -> PlannedSelection:
    """A selection as its wire object."""
    return PlannedSelection(depth=round(selection.depth, 2), active=round(selection.active, 2))


def planned_lengths(lengths: Lengths) -> PlannedLengths:
    """Lengths as their wire object."""
    return PlannedLengths(
        known=lengths.known, rows=lengths.rows, mean=round(lengths.tokens, 1), longest=lengths.longest
    )


def planned_change(change: Change) -> PlannedChange:
    """A change as its wire object."""
    return PlannedChange(
        fields=change.values,
        text=str(change),
        verdict=change.plan.verdict,
        peak_bytes=change.plan.memory.peak,
    )
