"""Peak memory of a run, by part, in bytes.

    peak = runtime + libraries + data + max(loading, held + max(step, probe, answers))
    held = weights + adapters + gradients + optimizer
    step = (1 + c) kept + max(logits, transient)

A step is at its peak when the backward pass begins: all that autograd keeps is there, and beside it the
logits, their softmax and its gradient (12 n V: float32, at the n learnt positions only; of known families
those of a chunk at a time: ist_core/planner/fast_paths.py) or what one layer needs while it computes. `kept`
(ist_core/planner/activations.py) is of the worst selection of the run: all layers in a warm-up of w of n
batches, which is expected to meet the (n + 1) / (w + 1)-th longest of them, or what later steps select, which
meet the longest; whichever takes more.

c is what the allocator wastes: batches come in many lengths, and a freed block is seldom as large as the next
one that is asked for (ist_core/allocator.py halves it); less in bfloat16, whose tensors come in two sizes.
Both are measured: docs/planner.md. torch's CUDA allocator wastes little; there a tenth of everything is set
aside for it.

A model stored in the format that it is trained in is mapped into memory, and costs nothing more to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ist_core.planner.activations import Kept, kept_bytes
from ist_core.planner.adapters import LayerAdapters
from ist_core.planner.devices import Device
from ist_core.planner.fast_paths import logits_bytes
from ist_core.planner.judging import Answering
from ist_core.planner.lengths import MicroBatch
from ist_core.planner.phases import Phase
from ist_core.planner.selections import Selection, Selections
from ist_core.planner.shape import ModelShape
from ist_core.spec import JobSpec

_RUNTIME = {"cpu": 400_000_000, "cuda": 500_000_000}
"""Python with torch, transformers and peft loaded; on a GPU its context."""
_LIBRARIES = 75_000_000
"""The tokenizer, the model's code and the buffers of matrix products (CPU)."""
_PAIRS_LIBRARIES = 90_000_000
"""TRL and datasets, which only preference pairs load (CPU)."""
_HOLES = {4: 0.45, 2: 0.3}
"""c, by the width of the base model's elements (CPU)."""
_CUDA_SPARE = 0.1
_TOKEN_BYTES = 56
"""Of the training data: a token is a Python number in a tuple, and a flag in another."""
_CONVERTED = 1.5
"""Peak of the conversion of a GGUF file, over its float32 weights."""
_TILE = (4096, 32_768)
"""Tokens and words of the tiles that TRL computes DPO's logits in."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of each part of a run; `peak` is what the device needs."""

    runtime: int
    """What the process takes before it has a job."""
    libraries: int
    data: int
    weights: int
    adapters: int
    gradients: int
    optimizer: int
    activations_worst: int
    """Kept by autograd at the worst selection with the longest micro-batch."""
    activations_mean: int
    """The same at the mean selection and the mean micro-batch."""
    logits: int
    """Logits, softmax and gradient at the learnt positions that are looked at together."""
    transient: int
    """What one layer needs while it computes; alternates with `logits`."""
    probe: int
    """What an importance probe needs at its peak; alternates with a step."""
    answers: int
    """What both models need to answer validation rows: keys and values, and what a prompt is read with;
    alternates with a step."""
    loading: int
    """Peak while the model is loaded; alternates with training."""
    allocator: int
    """What the allocator is expected to waste in a step at the worst selection."""

    @property
    def step(self) -> int:
        """Bytes of a step beside what is held all the time."""
        return self.activations_worst + max(self.logits, self.transient)

    @property
    def held(self) -> int:
        """Bytes that are there from the first step to the last."""
        return self.weights + self.adapters + self.gradients + self.optimizer

    @property
    def job(self) -> int:
        """Peak bytes of tensors and data, the allocator's waste left out (what CUDA's counters show)."""
        training = self.held + max(self.step, self.probe, self.answers)
        return self.libraries + self.data + max(self.loading, training)

    @property
    def above_runtime(self) -> int:
        """Peak bytes beside the process's own."""
        training = self.held + max(self.step + self.allocator, self.probe, self.answers)
        return self.libraries + self.data + max(self.loading, training)

    @property
    def peak(self) -> int:
        """Peak bytes of the process on the device."""
        return self.runtime + self.above_runtime


def memory_of(
    spec: JobSpec,
    shape: ModelShape,
    adapters: LayerAdapters,
    device: Device,
    *,
    phases: Sequence[Phase],
    mean: Phase,
    probe: MicroBatch | None,
    chosen: Selections,
    answering: Answering | None,
    tokens: float,
    converts: bool,
) -> Memory:
    """Return the memory of a run at the worst of its phases, by part.

    Args:
        phases: one or more.
        mean: what most steps are like.
        probe: the largest micro-batch of a probe; None: nothing is probed.
        answering: None: nothing is answered.
        tokens: of all the rows.
        converts: whether the run converts a GGUF file first.
    """
    width = device.width(spec.precision)
    pairs = 2 if spec.method.type == "dpo" else 1
    weights = width * shape.parameters
    on_cpu = device.kind == "cpu"
    # The best adapters are kept in main memory, where they are to be the result.
    adapter_sets = 2 if spec.select_checkpoint == "best" and on_cpu else 1

    def kept(phase: Phase) -> int:
        layer = _kept(spec, shape, adapters, width, phase.batch, on_cpu=on_cpu)
        tokens, inputs = pairs * phase.batch.tokens, width * shape.hidden
        return _activations(layer, phase.selection, tokens, inputs, phase.kept)

    def of(phase: Phase) -> Memory:
        selection, batch = phase.selection, phase.batch
        activations = kept(phase)
        return Memory(
            runtime=_RUNTIME[device.kind],
            libraries=_LIBRARIES + (_PAIRS_LIBRARIES if pairs == 2 else 0) if on_cpu else 0,
            data=round(_TOKEN_BYTES * tokens) if on_cpu else 0,
            weights=weights,
            adapters=adapter_sets * shape.layers * adapters.bytes,
            gradients=round(selection.active * adapters.bytes),
            optimizer=_moment_layers(spec, phase, chosen, device) * adapters.moment_bytes,
            activations_worst=activations,
            activations_mean=kept(mean),
            logits=_logits(spec, shape, width, batch),
            transient=_transient(shape, adapters, width, pairs * batch.tokens),
            probe=(
                0
                if probe is None
                else _probe(spec, shape, adapters, width, probe, stored=phase.kept, on_cpu=on_cpu)
            ),
            answers=0 if answering is None else _answers(shape, adapters, width, answering),
            loading=_loading(shape, width, converts) if on_cpu else weights,
            allocator=round(_HOLES[width] * activations) if on_cpu else 0,
        )

    found = [of(phase) for phase in phases]
    worst = max(
        found, key=lambda memory: memory.gradients + memory.optimizer + memory.step + memory.allocator
    )
    return worst if on_cpu else _with_spare(worst)


def _kept(
    spec: JobSpec,
    shape: ModelShape,
    adapters: LayerAdapters,
    width: int,
    batch: MicroBatch,
    *,
    on_cpu: bool,
    training: bool = True,
) -> Kept:
    # Only preference pairs are padded on the left, where a mask is needed.
    padded = batch.padded and spec.method.type == "dpo"
    length = round(batch.length)
    return kept_bytes(
        shape, adapters, width=width, padded=padded, length=length, training=training, on_cpu=on_cpu
    )


def _activations(kept: Kept, selection: Selection, tokens: float, inputs: int, stored: int | None) -> int:
    """Bytes that autograd keeps.

    Args:
        inputs: bytes a token of a layer's input.
        stored: layers that keep their activations, those that are updated first; None: all.
    """
    depth, active = selection.depth, selection.active
    if stored is None or stored >= depth:
        a_token = depth * kept.passing + active * kept.selected - kept.entering
        return round(tokens * a_token + depth * kept.fixed)
    # One layer at a time is computed again, and keeps all of it meanwhile.
    whole = stored + 1
    updated = min(active, stored) + 1
    a_token = whole * kept.passing + updated * kept.selected + (depth - stored) * inputs
    return round(tokens * a_token + whole * kept.fixed)


def _moment_layers(spec: JobSpec, phase: Phase, chosen: Selections, device: Device) -> int:
    """Layers whose moments are on the device at once; offloaded ones are in the main memory, as on a CPU."""
    policy = "keep" if spec.ist is None else spec.ist.optimizer_state
    if phase.settled or policy == "reset" or (policy == "offload" and device.kind == "cuda"):
        return round(phase.selection.active)
    return chosen.updated


def _logits(spec: JobSpec, shape: ModelShape, width: int, batch: MicroBatch) -> int:
    if spec.method.type == "dpo":
        return 12 * min(round(2 * batch.tokens), _TILE[0]) * min(shape.vocabulary, _TILE[1])
    found = logits_bytes(shape, width, batch.learnt)
    return round(12 * batch.learnt * shape.vocabulary if found is None else found)


def _transient(shape: ModelShape, adapters: LayerAdapters, width: int, tokens: float) -> int:
    """The widest module: its base's output, and its adapter's in float32, before and after they are added."""
    widest = max(linear.outputs for linear in shape.linears)
    dora = 0
    if adapters.spec.type == "lora" and adapters.spec.dora:
        # The product B A and its sum with the base weight, from an identity matrix.
        dora = max(4 * (3 * target.inputs * target.outputs + target.inputs**2) for target in adapters.targets)
    return round(tokens * widest * (2 * width + 8)) + dora


def _probe(
    spec: JobSpec,
    shape: ModelShape,
    adapters: LayerAdapters,
    width: int,
    batch: MicroBatch,
    *,
    stored: int | None,
    on_cpu: bool,
) -> int:
    """Suppression goes forward only; gates go backward through all layers, with all adapters' gradients."""
    pairs = 2 if spec.method.type == "dpo" else 1
    beside = max(_logits(spec, shape, width, batch), _transient(shape, adapters, width, pairs * batch.tokens))
    if spec.ist is None or spec.ist.scorer == "suppression":
        return beside
    whole = Selection(shape.layers, shape.layers)
    kept = _kept(spec, shape, adapters, width, batch, on_cpu=on_cpu, training=False)
    activations = _activations(kept, whole, pairs * batch.tokens, width * shape.hidden, stored)
    return activations + beside + shape.layers * adapters.bytes


def _answers(shape: ModelShape, adapters: LayerAdapters, width: int, answering: Answering) -> int:
    """The keys and values, and the larger of a prompt's widest module and the logits of the next tokens.

    A validation batch needs no more than a step does: it keeps nothing for a backward pass.
    """
    reading = _transient(shape, adapters, width, answering.at_once * answering.longest_prompt)
    logits = 12 * answering.at_once * shape.vocabulary
    return answering.cache_bytes(shape, width) + max(reading, logits)


def _loading(shape: ModelShape, width: int, converts: bool) -> int:
    stored = 4 if converts else shape.stored_bytes
    peak = shape.parameters * (width if stored == width else stored + width)
    return max(peak, round(_CONVERTED * 4 * shape.parameters)) if converts else peak


def _with_spare(memory: Memory) -> Memory:
    return replace(memory, allocator=round(_CUDA_SPARE * memory.job))
