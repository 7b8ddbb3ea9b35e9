"""A job that names no policy: all layers first, then those nearest the output, scored without probes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ist_core import IST, IstSpec, JobSpec, Message
from ist_core.stepper import Stepper
from tests.train import trainers
from tests.train.runs import in_one, in_pieces, make_spec, run, steps_of

pytestmark = trainers.QUIET
LAYERS, STEPS, WARMUP = 4, 40, 10
"""Of the tiny model; of four epochs of the file; and a quarter of them."""


def _spec(tiny_folder: Path, chat_file: Path) -> JobSpec:
    return make_spec(tiny_folder, chat_file, ist={}, n_epochs=4)


def test_a_job_warms_up_settles_and_is_never_probed(
    tiny_folder: Path, chat_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes: list[int] = []
    monkeypatch.setattr(Stepper, "parts", lambda _, number: probes.append(number))
    _, emitted = run(_spec(tiny_folder, chat_file), tmp_path)
    records = steps_of(emitted)
    assert len(records) == STEPS
    assert all(record.active == tuple(range(LAYERS)) for record in records[:WARMUP])
    (kept,) = {record.active for record in records[WARMUP:]}
    assert kept == tuple(range(LAYERS - len(kept), LAYERS))
    assert 0 < len(kept) < LAYERS
    assert len({record.importance for record in records[: WARMUP + 1]}) > 1, (
        "training's gradients move the scores"
    )
    assert probes == []
    texts = [item.text for item in emitted if isinstance(item, Message)]
    assert sum("settled" in text for text in texts) == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["settled"]["layers"] == LAYERS - len(kept)
    assert report["layer_updates"] == [STEPS if layer in kept else WARMUP for layer in range(LAYERS)]


def test_a_job_stopped_before_at_and_after_its_settling_ends_with_the_same_weights(
    tiny_folder: Path, chat_file: Path, tmp_path: Path
) -> None:
    spec = _spec(tiny_folder, chat_file)
    stops = [WARMUP - 3, WARMUP, WARMUP + 1, STEPS - 4]
    assert in_pieces(spec, tmp_path / "pieces", stops) == in_one(spec, tmp_path / "whole")


@pytest.mark.parametrize("make", [trainers.plain, trainers.sft, trainers.dpo])
def test_a_trainer_of_ones_own_needs_no_more_than_attach(
    make: trainers.Make, tiny_folder: Path, tmp_path: Path
) -> None:
    model = trainers.adapted(tiny_folder)
    ist = IST(model)
    assert ist.spec == IstSpec()
    trainer = make(model, tiny_folder, tmp_path)
    ist.attach(trainer)
    trainer.train()
    assert any(score != 0.0 for score in ist.importance), "the optimizer's gradients were seen"
    kept = ist.active
    assert kept == tuple(range(LAYERS - len(kept), LAYERS))
    assert 0 < len(kept) < LAYERS
