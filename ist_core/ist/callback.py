"""IST in a transformers or TRL trainer: one callback for Trainer, SFTTrainer, DPOTrainer and their like.

    ist = IST(model)
    trainer = SFTTrainer(model=model, ...)
    ist.attach(trainer)

The probe is the trainer's own loss (`compute_loss`) on rows of its evaluation set. The state of IST lies in
the trainer's `trainer_state.json`, so `trainer.train(resume_from_checkpoint=...)` continues it exactly.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from ist_core.errors import IstError
from ist_core.ist.distributed import is_distributed
from ist_core.ist.probe import BatchProbe

if TYPE_CHECKING:
    from ist_core.ist.engine import IST
    from ist_core.ist.selection import IstState

_NAME = "IstCallback"


def attach(ist: IST, trainer: Trainer, *, probe_rows: int) -> None:
    """Add IST to `trainer`, whose model must be the one that `ist` was made with.

    Args:
        probe_rows: how many rows of the evaluation set probes go around in.

    Raises:
        IstError: if the trainer trains another model, or DDP is told not to expect frozen layers.
    """
    if trainer.model is not ist.model:
        raise IstError(
            "the trainer trains another model than the one IST was made with (with peft_config it makes its "
            "own); make IST from the trainer's: IST(trainer.model).attach(trainer)",
            param="model",
        )
    if is_distributed() and trainer.args.ddp_find_unused_parameters is False:
        raise IstError(
            "frozen layers have no gradients, so DDP must look for unused parameters: leave "
            "ddp_find_unused_parameters out, or set it to True",
            param="ddp_find_unused_parameters",
        )
    trainer.add_callback(IstCallback(ist, trainer, probe_rows=probe_rows))


class IstCallback(TrainerCallback, ExportableState):
    """Runs IST around a trainer's optimizer steps; `attach` makes one."""

    def __init__(self, ist: IST, trainer: Trainer, *, probe_rows: int) -> None:
        """Keep both; the probe's batches are made when training begins."""
        self._ist = ist
        self._trainer = trainer
        self._probe_rows = probe_rows

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Make the probe, and take up the state of a run that is resumed."""
        probe = self._probe() if self._ist.spec.probes else None
        optimizer = kwargs["optimizer"]
        if isinstance(optimizer, AcceleratedOptimizer):
            optimizer = optimizer.optimizer
        self._ist.begin(probe=probe, total_steps=state.max_steps, optimizer=optimizer)
        if state.global_step > 0:
            self._ist.load_state_dict(_stored(state))

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Probe if due and select; called once an optimizer step, before its first micro-batch."""
        self._ist.begin_step()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Count the step."""
        self._ist.end_step()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Make every adapter trainable again."""
        self._ist.release()

    def state(self) -> dict[str, Any]:
        """Return what the trainer writes into `trainer_state.json`."""
        return {"args": {}, "attributes": {"ist": self._ist.state_dict()}}

    def _probe(self) -> BatchProbe[Any]:
        """Make a probe of the evaluation set's first rows, or, without one, of training rows."""
        trainer = self._trainer
        # Loaders draw from torch's generator, whose state belongs to the training.
        with torch.random.fork_rng():
            if trainer.eval_dataset is None:
                if self._ist.spec.mode == "standard":
                    warnings.warn(
                        "the trainer has no eval_dataset, so IST probes layer importance on training rows; "
                        "held-out rows tell more",
                        stacklevel=2,
                    )
                loader, size = trainer.get_train_dataloader(), trainer.args.train_batch_size
            else:
                loader, size = trainer.get_eval_dataloader(), trainer.args.eval_batch_size
            batches = list(itertools.islice(loader, math.ceil(self._probe_rows / size)))
        count = math.ceil(self._ist.spec.probe_batch_size / size)
        return BatchProbe(self._ist.model, batches, self._loss, count)

    def _loss(self, model: nn.Module, batch: Any) -> Tensor:
        with self._trainer.compute_loss_context_manager(), _metrics_kept(self._trainer):
            loss = self._trainer.compute_loss(model, dict(batch))
        return loss[0] if isinstance(loss, tuple) else loss


@contextmanager
def _metrics_kept(trainer: Trainer) -> Iterator[None]:
    """Keep TRL's running metrics as they are: its `compute_loss` adds to them what a probe sees."""
    metrics = vars(trainer).get("_metrics")
    if metrics is None:
        yield
        return
    before = {mode: {name: list(values) for name, values in found.items()} for mode, found in metrics.items()}
    try:
        yield
    finally:
        for mode, found in metrics.items():
            found.clear()
            found.update(before.get(mode, {}))


def _stored(state: TrainerState) -> IstState:
    """Return IST's state from a loaded checkpoint."""
    callbacks: Any = state.stateful_callbacks
    found = callbacks.get(_NAME) if isinstance(callbacks, dict) else None
    if not isinstance(found, dict):
        raise IstError(
            "the checkpoint holds no state of IST, so it cannot be continued exactly; resume from one that "
            "was written with IST attached, or start anew",
            param="resume_from_checkpoint",
        )
    stored: IstState = found["attributes"]["ist"]
    return stored
