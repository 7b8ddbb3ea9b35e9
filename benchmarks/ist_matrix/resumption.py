"""Third check: a run that is stopped, saved and loaded goes on exactly as one that never stopped."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from peft import PeftModel

from benchmarks.ist_matrix.case import Case, CheckFailed, optimizer_of, trainable
from benchmarks.ist_matrix.models import make_batch, quiet
from ist_core.ist import IST
from ist_core.spec import IstSpec

STEPS, STOP = 6, 3
SPEC = IstSpec(
    policy="importance",
    scorer="combined",
    update_fraction=0.34,
    probe_interval=2,
    candidates=2,
    warmup_steps=1,
)


class Run:
    """A training loop with IST, as a user writes it."""

    def __init__(self, case: Case, model: PeftModel) -> None:
        self.model = model
        self.optimizer = optimizer_of(model)
        probe = [make_batch(100), make_batch(101)]
        self.ist = IST(model, SPEC, probe=probe, loss=case.loss, total_steps=STEPS)
        self._case = case

    def train(self, numbers: Iterable[int]) -> None:
        """Take the steps of these numbers; each draws its randomness (dropout) from its number."""
        self.model.train()
        with torch.random.fork_rng(devices=[]):
            for number in numbers:
                torch.manual_seed(number)
                with self.ist.step():
                    self._case.loss(self.model, make_batch(number)).backward()  # type: ignore[no-untyped-call]  # torch has no types here
                    self.optimizer.step()
                    self.optimizer.zero_grad()


def exact_resumption(case: Case) -> None:
    """Save a run in its middle with peft's own means and go on with both.

    Raises:
        CheckFailed: if the loaded model answers differently, or the runs end differently.
    """
    whole = Run(case, case.make())
    whole.train(range(STOP))
    resumed = _resumed(case, whole)
    if not torch.equal(case.logits(whole.model), case.logits(resumed.model)):
        raise CheckFailed("the loaded model answers differently")
    for run in (whole, resumed):
        run.train(range(STOP, STEPS))
        run.ist.release()
    _compare(whole, resumed)


def _resumed(case: Case, run: Run) -> Run:
    moments = io.BytesIO()
    torch.save(run.optimizer.state_dict(), moments)
    state = json.dumps(run.ist.state_dict())
    with TemporaryDirectory() as folder:
        with quiet():
            run.model.save_pretrained(folder)
        resumed = Run(case, case.load(Path(folder)))
    moments.seek(0)
    resumed.optimizer.load_state_dict(torch.load(moments))
    resumed.ist.load_state_dict(json.loads(state))
    return resumed


def _compare(whole: Run, resumed: Run) -> None:
    if len(set(whole.ist.importance)) < 2:
        raise CheckFailed("the probes have not moved the scores, which shows little")
    if whole.ist.state_dict() != resumed.ist.state_dict():
        raise CheckFailed("IST ends in another state")
    first, second = trainable(whole.model), trainable(resumed.model)
    if first.keys() != second.keys():
        raise CheckFailed("the loaded model trains other weights")
    if wrong := [name for name in first if not torch.equal(first[name], second[name])]:
        raise CheckFailed(f"{len(wrong)} of {len(first)} weights end differently, such as {wrong[0]}")
