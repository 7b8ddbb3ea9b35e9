"""How long a run takes: its floating-point operations over what the device is expected to do a second.

Operations of a step on N = B T tokens, n of them learnt; P multiplications of a token in a layer's base
modules, A in its adapters, and 2 h d T in attention, for queries times keys and weights times values:

    forward    2 N (L - p c) (P + A + 2 h d T) + 2 n H V
    backward   2 N depth (P + A + 4 h d T) + 2 N active A + 2 n H V      frozen weights need no gradient
    again      2 N a (P + A + 2 h d T)           a layers compute again before they go backward
    probes     every T_p steps K forward passes (suppression), or one forward and one full backward (gate)

    evaluation one forward pass for each measured row; of both models, one of each prompt, and one of each
               token of an answer, which gets a third of the rate: it reads all weights for few tokens

    seconds = steps * (operations / (u * rate) + launches)     u: a share of the device's rate, as a range
            + evaluation / (u * rate)

c layers that have settled (ist_core/planner/passed.py) are left out of the share p of the steps, and where a
validation row is measured again.

A job that has run before on the same base model and device tells the rate: then u * rate is what it reached,
and the range is a quarter either way.

    L  layers    H  hidden    V  vocabulary    h  heads    d  head_dim    B, T  micro-batch and padded length
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ist_core.planner.adapters import LayerAdapters
from ist_core.planner.devices import Device
from ist_core.planner.judging import Judging
from ist_core.planner.lengths import MicroBatch
from ist_core.planner.passed import Passed
from ist_core.planner.selections import Selection, Selections
from ist_core.planner.shape import ModelShape
from ist_core.spec import IstSpec, JobSpec

_SHARES = {"cpu": (0.4, 0.8, 1.6), "cuda": (0.15, 0.3, 0.5)}
"""Of what a CPU's cores are taken to do (ist_core/planner/devices.py), of a GPU's data sheet: low, expected,
high."""
_MEASURED = (0.8, 1.0, 1.25)
_LAUNCH_SECONDS = {"cpu": 0.0, "cuda": 1.5e-3}
"""Of one layer forward and backward, however few tokens there are."""
_REWRITTEN = 0.6
"""A forward pass without adapters and gradients, as DPO's reference needs, over one with them."""


_WRITING = 0.3
"""Of the rate of training: answers are written a token at a time."""


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """What a finished job on the same base model and device reached."""

    tokens_per_second: float
    operations_per_token: float
    """By `operations`, of that job's own spec."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long training and evaluation take, without the model's loading."""

    low: float
    expected: float
    high: float


def operations(
    spec: JobSpec,
    shape: ModelShape,
    adapters: LayerAdapters,
    chosen: Selections,
    mean: MicroBatch,
    *,
    again: float,
    passed: Passed | None,
    probed: int,
) -> float:
    """Return the floating-point operations of a mean step, its share of the probes included.

    Args:
        mean: its micro-batches; there are `batch_size / mean.rows` of them.
        again: layers that compute again.
        passed: the layers that are passed by; None: none.
        probed: rows of a probe.
    """
    left_out = passed.share * passed.layers if passed else 0.0
    forward = _sequences(spec) * _forward(shape, adapters, mean, left_out=left_out)
    backward = _backward(shape, adapters, chosen.mean, mean)
    backward += again * _layer_forward(shape, adapters, mean)
    if spec.method.type == "dpo":
        backward = 2 * backward
    micro_batches = math.ceil(spec.batch_size / mean.rows)
    return micro_batches * (forward + backward) + _probes(spec.ist, shape, adapters, mean, probed)


@dataclass(frozen=True, slots=True)
class JudgingWork:
    """What a job's evaluation has the device do."""

    operations: float
    """Of measurements and of reading prompts."""
    writing: float
    """Operations of writing answers, a token at a time."""
    writes: int
    """Tokens that are written one after the other."""


def judging_work(
    spec: JobSpec,
    shape: ModelShape,
    adapters: LayerAdapters,
    judged: Judging,
    mean: MicroBatch,
    *,
    passed: Passed | None,
) -> JudgingWork:
    """Return the work of a job's evaluation; `mean` is a mean micro-batch of its rows."""
    left_out = judged.again / judged.measured * passed.layers if passed and judged.measured else 0.0
    forward = _sequences(spec) * _forward(shape, adapters, mean, left_out=left_out) / mean.rows
    operations = judged.measured * forward
    answering = judged.answering
    if answering is None:
        return JudgingWork(operations, 0.0, 0)
    prompts = MicroBatch(2 * answering.questions, answering.prompt, 2 * answering.questions, padded=True)
    token = MicroBatch(1, 1, 1, padded=False)
    written = 2 * answering.questions * answering.tokens
    return JudgingWork(
        operations + _forward(shape, adapters, prompts),
        written * _forward(shape, adapters, token),
        answering.writes,
    )


def _sequences(spec: JobSpec) -> float:
    """Forward passes over a row: a pair is two conversations, each read by its reference, too."""
    return 2 * (1 + _REWRITTEN) if spec.method.type == "dpo" else 1.0


def seconds(
    spec: JobSpec,
    shape: ModelShape,
    device: Device,
    *,
    step_operations: float,
    judged: JudgingWork,
    steps: int,
    micro_batches: int,
    passed: Passed | None,
    measured: MeasuredRun | None,
) -> Seconds:
    """Return how long `steps` steps take, and the evaluation with them."""
    if measured is not None:
        rate = measured.tokens_per_second * measured.operations_per_token
        launches, shares = 0.0, _MEASURED
    else:
        rate = device.rate(spec.precision)
        layers = shape.layers - (passed.left_out * passed.layers if passed else 0.0)
        launches, shares = micro_batches * layers * _LAUNCH_SECONDS[device.kind], _SHARES[device.kind]
    work = steps * step_operations + judged.operations + judged.writing / _WRITING
    # A token is a layer's forward pass alone, and so are rows in a layer that is passed by later.
    alone = judged.writes * shape.layers + (passed.batches * passed.layers if passed and not measured else 0)
    fixed = steps * launches + alone * _LAUNCH_SECONDS[device.kind] / 2
    slow, middle, fast = (work / (share * rate) + fixed for share in shares)
    return Seconds(fast, middle, slow)


def _forward(
    shape: ModelShape, adapters: LayerAdapters, batch: MicroBatch, *, left_out: float = 0.0
) -> float:
    """Operations of a forward pass, `left_out` layers of it left out."""
    layers = (shape.layers - left_out) * _layer_forward(shape, adapters, batch)
    return layers + 2 * batch.learnt * shape.hidden * shape.vocabulary


def _layer_forward(shape: ModelShape, adapters: LayerAdapters, batch: MicroBatch) -> float:
    attention = 2 * shape.query_width * batch.length
    return 2 * batch.tokens * (_multiplications(shape) + adapters.multiplications + attention)


def _backward(shape: ModelShape, adapters: LayerAdapters, selection: Selection, batch: MicroBatch) -> float:
    attention = 4 * shape.query_width * batch.length
    passing = selection.depth * (_multiplications(shape) + adapters.multiplications + attention)
    layers = passing + selection.active * adapters.multiplications
    return 2 * batch.tokens * layers + 2 * batch.learnt * shape.hidden * shape.vocabulary


def _multiplications(shape: ModelShape) -> float:
    linear = sum(linear.inputs * linear.outputs for linear in shape.linears)
    return linear + 3 * shape.mlp.experts_per_token * shape.mlp.size * shape.hidden


def _probes(
    ist: IstSpec | None, shape: ModelShape, adapters: LayerAdapters, mean: MicroBatch, probed: int
) -> float:
    if ist is None or not ist.probes or not probed:
        return 0.0
    batches = probed / mean.rows
    forward = _forward(shape, adapters, mean)
    whole = forward + _backward(shape, adapters, Selection(shape.layers, shape.layers), mean)
    suppression = ist.candidates * forward if ist.scorer != "gate" else 0.0
    gates = whole if ist.scorer != "suppression" else 0.0
    return batches * (suppression + gates) / ist.probe_interval
