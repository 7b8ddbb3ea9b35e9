"""IST: decides which layers are updated in a step, and learns from probes which layers matter."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from ist_core.errors import IstError
from ist_core.ist.distributed import check_same_seed
from ist_core.ist.freezing import LayerFreezer, release_holder
from ist_core.ist.layers import adapter_layers, decoder_layers
from ist_core.ist.optimizer_state import OptimizerState
from ist_core.ist.policies import make_policy
from ist_core.ist.probe import BatchProbe, Probe, evaluating
from ist_core.ist.record import IstRecord
from ist_core.ist.sampler import LayerSampler
from ist_core.ist.scorers import ProbeReport, make_scorer
from ist_core.ist.truncation import Truncation
from ist_core.spec import IstSpec

_SAMPLER_BYTES = 5056
"""The state of torch's CPU generator."""


class IstState(TypedDict):
    """What `IST.state_dict` returns: all that later draws and scores depend on; plain JSON."""

    version: int
    step: int
    probes: int
    scores: list[float]
    active: list[int]
    held_until: int
    sampler: str


class IST:
    """Importance-aware Sparse Tuning of a peft model; knows layers and a loss, no trainer.

    In a loop of your own, with `probe` a list of held-out batches and `loss(model, batch)` their mean loss:

        ist = IST(model, probe=batches, loss=loss, total_steps=1000)
        for batch in loader:
            with ist.step():
                loss(model, batch).backward()
                optimizer.step()
                optimizer.zero_grad()

    One `step` holds one optimizer step with all its micro-batches: the selection never changes inside. With a
    transformers or TRL trainer: `IST(model).attach(trainer)`, see `ist_core.ist.callback`.

    Args:
        model: has trainable adapters of any peft method that works per layer.
        spec: policy, scorer and their numbers; by default those of `IstSpec()`.
        probe: held-out batches, or a `Probe`; may be given to `begin`. Policies without scores need none.
        loss: mean loss of a batch, when `probe` is a list of batches.
        total_steps: optimizer steps of the whole run; decides the automatic warm-up. May be given to `begin`.
        optimizer: whose state `spec.optimizer_state` is applied to; may be given to `begin`.
        seed: of the draws; the same on every rank of a distributed run.

    Raises:
        AdapterError: if the model has no adapters that can be updated layer by layer.
        IstError: if there are too few layers to choose among, or the probe set is empty.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: IstSpec | None = None,
        *,
        probe: Probe | Sequence[Any] | None = None,
        loss: Callable[[nn.Module, Any], Tensor] | None = None,
        total_steps: int | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        seed: int = 42,
    ) -> None:
        self.model = model
        self.spec = spec or IstSpec()
        release_holder(model)
        self.layers = adapter_layers(model)
        self.depth = len(decoder_layers(model)[1])
        """Decoder layers of the model, with or without adapters."""
        if len(self.layers) < 2:
            raise IstError(
                f"sparse tuning chooses among layers, and this model has {len(self.layers)} with adapters; "
                "set ist to null to train it whole"
            )
        self.update_count = max(1, math.floor(self.spec.update_fraction * len(self.layers)))
        self._policy = make_policy(self.spec, layers=len(self.layers), count=self.update_count)
        self._scorer = make_scorer(self.spec, self.layers)
        self._freezer = LayerFreezer(self.layers, model)
        self._truncation = Truncation(model)
        self._seed = seed
        self._sampler = LayerSampler(seed)
        self._scores = torch.zeros(len(self.layers), dtype=torch.float64)
        self._probabilities: tuple[float, ...] | None = None
        self._active: tuple[int, ...] = tuple(range(len(self.layers)))
        self._step = self._probes = self._held_until = 0
        self._probe: Probe | None = None
        self._optimizer: OptimizerState | None = None
        self._total_steps: int | None = None
        self._begun = False
        self.record: IstRecord | None = None
        """What is known of the latest step."""
        if isinstance(probe, Sequence):
            if loss is None:
                raise IstError(
                    "probe is a list of batches, so give their loss too: loss(model, batch)", param="loss"
                )
            probe = BatchProbe(model, probe, loss)
        self._prepare(probe=probe, total_steps=total_steps, optimizer=optimizer)

    @property
    def importance(self) -> tuple[float, ...]:
        """One score a layer; higher is more important."""
        return tuple(self._scores.tolist())

    @property
    def active(self) -> tuple[int, ...]:
        """Positions of the layers that the latest selection left trainable, ascending."""
        return self._active

    @property
    def warmup_steps(self) -> int:
        """Steps that update every layer before the policy selects.

        Raises:
            IstError: if it is to be a share of the steps and their number is not known.
        """
        if self.spec.mode == "paper":
            return 0
        if self.spec.warmup_steps != "auto":
            return self.spec.warmup_steps
        if not self.spec.uses_scores:
            return 0
        if self._total_steps is None:
            raise IstError(
                "warmup_steps 'auto' is a share of all steps: give total_steps, or a number of warmup_steps",
                param="total_steps",
            )
        return math.ceil(self._total_steps / 10)

    @property
    def hold(self) -> int:
        """How many steps a selection is kept."""
        return self._policy.hold if self.spec.hold == "auto" else self.spec.hold

    def begin(
        self,
        *,
        probe: Probe | None = None,
        total_steps: int | None = None,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        """Check that all is there before the first step; called by itself when that step begins.

        Raises:
            IstError: if the policy looks at scores and there is no probe, or ranks differ in their seeds.
        """
        self._prepare(probe=probe, total_steps=total_steps, optimizer=optimizer)
        if self.spec.uses_scores and self._probe is None:
            raise IstError(
                f"the policy {self.spec.policy!r} needs held-out examples to probe importance on: give IST "
                "probe=[batch, ..] and loss, or use the policy 'random'",
                param="probe",
            )
        _ = self.warmup_steps
        check_same_seed(self._seed)
        self._truncation.hold()
        self._begun = True

    @contextmanager
    def step(self) -> Iterator[IstRecord]:
        """Probe if due, select the layers of the next optimizer step, and count the step at the end.

        A step that ends in an exception is not counted.
        """
        record = self.begin_step()
        yield record
        self.end_step()

    def begin_step(self) -> IstRecord:
        """Do what `step` does on its way in."""
        if not self._begun:
            self.begin()
        started = time.perf_counter()
        probe = self._probe_if_due()
        probed = time.perf_counter()
        self._select()
        self._freezer.hold(self._active)
        if self._optimizer is not None:
            self._optimizer.select(self._active)
        self.record = self._describe(probe, probed - started, time.perf_counter() - started)
        return self.record

    def end_step(self) -> None:
        """Do what `step` does on its way out."""
        self._step += 1

    def release(self) -> None:
        """Make every adapter trainable again and let go of the model: training with IST is over."""
        self._freezer.release()
        self._truncation.release()
        self._begun = False

    def attach(self, trainer: Any, *, probe_rows: int = 64) -> None:
        """Add IST to a transformers or TRL trainer; see `ist_core.ist.callback.attach`."""
        from ist_core.ist.callback import attach

        attach(self, trainer, probe_rows=probe_rows)

    def state_dict(self) -> IstState:
        """Return all that later draws and scores depend on; call it between steps."""
        return {
            "version": 1,
            "step": self._step,
            "probes": self._probes,
            "scores": self._scores.tolist(),
            "active": list(self._active),
            "held_until": self._held_until,
            "sampler": self._sampler.state_dict(),
        }

    def load_state_dict(self, state: IstState) -> None:
        """Continue exactly where the state was taken.

        Raises:
            IstError: if the state is of another version, or of a model with another number of layers.
        """
        if state["version"] != 1 or len(state["scores"]) != len(self.layers):
            found = f"version {state['version']} and {len(state['scores'])} layers"
            raise IstError(f"the IST state has {found}, and this run version 1 and {len(self.layers)} layers")
        self._scores = torch.tensor(state["scores"], dtype=torch.float64)
        self._probabilities = None
        self._active = tuple(state["active"])
        self._step, self._probes, self._held_until = state["step"], state["probes"], state["held_until"]
        self._sampler.load_state_dict(state["sampler"])

    def _prepare(
        self, *, probe: Probe | None, total_steps: int | None, optimizer: torch.optim.Optimizer | None
    ) -> None:
        """Take what is given; keep what is not."""
        self._probe = probe or self._probe
        self._total_steps = total_steps or self._total_steps
        if optimizer is not None:
            self._optimizer = OptimizerState(optimizer, self.layers, self.spec.optimizer_state)

    def _probe_if_due(self) -> ProbeReport | None:
        due = self._step > 0 and self._step % self.spec.probe_interval == 0
        if self._probe is None or not (self.spec.uses_scores and due):
            return None
        with evaluating(self.model), self._freezer.all_trainable():
            self._scores, report = self._scorer.score(self._scores, self._probe, self._probes, self._sampler)
        self._probes += 1
        self._probabilities = None
        return report

    def _select(self) -> None:
        if self._step < self.warmup_steps:
            self._active = tuple(range(len(self.layers)))
        elif self._step >= self._held_until:
            self._active = self._policy.draw(self._scores, self._sampler)
            self._held_until = self._step + self.hold

    def _describe(self, probe: ProbeReport | None, probe_seconds: float, seconds: float) -> IstRecord:
        if self._probabilities is None:
            self._probabilities = tuple(self._policy.inclusion(self._scores).tolist())
        held = self._scores.numel() * self._scores.element_size() + _SAMPLER_BYTES
        return IstRecord(
            step=self._step,
            layers=tuple(layer.index for layer in self.layers),
            active=self._active,
            warming_up=self._step < self.warmup_steps,
            scores=self.importance,
            probabilities=self._probabilities,
            entropy=_entropy(self._probabilities),
            backward_depth=self.depth - self.layers[self._active[0]].index,
            probe=probe,
            seconds=seconds,
            probe_seconds=probe_seconds if probe else 0.0,
            bytes=held + (probe.tensor_bytes if probe else 0),
        )


def _entropy(probabilities: Sequence[float]) -> float:
    """Return the entropy of the normalised probabilities over that of uniform ones."""
    total = sum(probabilities)
    shares = [value / total for value in probabilities if value > 0.0]
    return -sum(share * math.log(share) for share in shares) / math.log(len(probabilities))
