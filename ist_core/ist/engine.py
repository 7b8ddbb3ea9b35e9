"""IST: decides which layers are updated in a step, and learns from probes which layers matter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ist_core.errors import IstError
from ist_core.ist.distributed import check_same_seed
from ist_core.ist.freezing import LayerFreezer, release_holder
from ist_core.ist.layers import adapter_layers, decoder_layers
from ist_core.ist.optimizer_state import OptimizerState
from ist_core.ist.probe import BatchProbe, Probe, evaluating
from ist_core.ist.record import IstRecord, entropy
from ist_core.ist.scorers import GradientNorms, ProbeReport, Scorer, make_scorer
from ist_core.ist.selection import IstState, Selection
from ist_core.ist.truncation import Truncation
from ist_core.schedule import warmup_steps
from ist_core.spec import IstSpec


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
        self._selection = Selection(self.spec, layers=len(self.layers), seed=seed)
        scorer = make_scorer(self.spec, self.layers)
        self._scorer: Scorer | None = None if isinstance(scorer, GradientNorms) else scorer
        self._gradients = scorer if isinstance(scorer, GradientNorms) and self.spec.uses_scores else None
        self._watched: RemovableHandle | None = None
        self._seen_seconds = 0.0
        self._freezer = LayerFreezer(self.layers, model)
        self._truncation = Truncation(model)
        self._seed = seed
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
        return self._selection.scores

    @property
    def active(self) -> tuple[int, ...]:
        """Positions of the layers that the latest selection left trainable, ascending."""
        return self._selection.active

    @property
    def settled(self) -> int:
        """How many decoder layers, counted from the input, neither this step nor a later one updates."""
        return self.layers[self.active[0]].index if self._selection.settled else 0

    @property
    def update_count(self) -> int:
        """How many layers a step updates after the warm-up, as far as that is known."""
        return len(self.active) if self._selection.settled else self._selection.count

    @property
    def warmup_steps(self) -> int:
        """Steps that update every layer before the policy selects.

        Raises:
            IstError: if it is to be a share of the steps and their number is not known.
        """
        return warmup_steps(self.spec, self._total_steps)

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
        if self._gradients is not None and self._watched is None:
            raise IstError(
                "the scorer 'gradient' looks at what the optimizer is given: give IST the optimizer, or use "
                "the scorer 'suppression'",
                param="optimizer",
            )
        if self.spec.probes and self._probe is None:
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
        due = self._selection.scores_move(warmup_steps=self.warmup_steps)
        probe = self._score() if due else None
        probed = time.perf_counter()
        active = self._selection.select(warmup_steps=self.warmup_steps)
        self._freezer.hold(active)
        if self._optimizer is not None:
            self._optimizer.select(active, settled=self._selection.settled)
        seen, self._seen_seconds = self._seen_seconds, 0.0
        scored = seen + (probed - started if due else 0.0)
        self.record = self._describe(probe, scored, seen + time.perf_counter() - started)
        return self.record

    def end_step(self) -> None:
        """Do what `step` does on its way out."""
        self._selection.step += 1

    def release(self) -> None:
        """Make every adapter trainable again and let go of the model: training with IST is over."""
        self._freezer.release()
        self._truncation.release()
        if self._watched is not None:
            self._watched.remove()
            self._watched = None
        self._begun = False

    def attach(self, trainer: Any, *, probe_rows: int = 64) -> None:
        """Add IST to a transformers or TRL trainer; see `ist_core.ist.callback.attach`."""
        from ist_core.ist.callback import attach

        attach(self, trainer, probe_rows=probe_rows)

    def state_dict(self) -> IstState:
        """Return all that later draws and scores depend on; call it between steps."""
        state = self._selection.state_dict()
        if self._gradients is not None:
            state["gradients"] = self._gradients.state_dict()
        return state

    def load_state_dict(self, state: IstState) -> None:
        """Continue exactly where the state was taken.

        Raises:
            IstError: if the state is of another version, or of a model with another number of layers.
        """
        self._selection.load_state_dict(state)
        if self._gradients is not None:
            self._gradients.load_state_dict(state["gradients"])

    def _prepare(
        self, *, probe: Probe | None, total_steps: int | None, optimizer: torch.optim.Optimizer | None
    ) -> None:
        """Take what is given; keep what is not."""
        self._probe = probe or self._probe
        self._total_steps = total_steps or self._total_steps
        if optimizer is not None:
            self._optimizer = OptimizerState(optimizer, self.layers, self.spec.optimizer_state)
            self._watch(optimizer)

    def _watch(self, optimizer: torch.optim.Optimizer) -> None:
        """Look at the gradients that the optimizer is given in each step."""
        if (gradients := self._gradients) is None:
            return
        if self._watched is not None:
            self._watched.remove()

        def see(*_: object) -> None:
            started = time.perf_counter()
            gradients.see(self.active)
            self._seen_seconds += time.perf_counter() - started

        self._watched = optimizer.register_step_pre_hook(see)

    def _score(self) -> ProbeReport | None:
        if self._gradients is not None:
            self._selection.learn(self._gradients)
        # Suppressing layers that have settled would change what is kept of them.
        if self._scorer is None or self._probe is None or self._selection.settled:
            return None
        with evaluating(self.model), self._freezer.all_trainable():
            return self._selection.score(self._scorer, self._probe)

    def _describe(self, probe: ProbeReport | None, probe_seconds: float, seconds: float) -> IstRecord:
        selection = self._selection
        return IstRecord(
            step=selection.step,
            layers=tuple(layer.index for layer in self.layers),
            active=selection.active,
            warming_up=selection.step < self.warmup_steps,
            scores=selection.scores,
            probabilities=selection.probabilities,
            entropy=entropy(selection.probabilities),
            backward_depth=self.depth - self.layers[selection.active[0]].index,
            probe=probe,
            seconds=seconds,
            probe_seconds=probe_seconds,
            bytes=selection.bytes + (probe.tensor_bytes if probe else 0),
        )
