"""Measurements of the validation file while a run trains, and what follows from them."""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

from ist_core import JobSpec, Message
from ist_core.encoding import encode
from ist_core.errors import CheckpointError, TrainingDiverged
from ist_core.examples import load_rows
from ist_core.objectives.objective import Measure
from ist_core.objectives.supervised import Supervised
from ist_core.records import Checkpointed
from ist_core.validation import Figures, Validation
from tests.train.conftest import chat
from tests.train.runs import Outcome, in_one, in_pieces, make_spec, outcome_of, run, steps_of, weights_of

MEASURED = {"interval": 3, "loss_rows": 8}


@pytest.fixture(scope="module")
def validation_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve conversations that are not trained on."""
    path = tmp_path_factory.mktemp("data") / "validation.jsonl"
    path.write_text("".join(json.dumps(chat(index)) + "\n" for index in range(40, 52)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def spec(tiny_folder: Path, chat_file: Path, validation_file: Path) -> JobSpec:
    return make_spec(tiny_folder, chat_file, validation_file=str(validation_file), n_epochs=1)


@pytest.fixture(scope="module")
def rising(spec: JobSpec, tmp_path_factory: pytest.TempPathFactory) -> JobSpec:
    """A job whose validation loss falls at first and then rises: other answers are held out than learnt."""
    path = tmp_path_factory.mktemp("data") / "others.jsonl"
    rows = [[("user", "count"), ("assistant", "z" * (20 + number))] for number in range(12)]
    lines = [{"messages": [{"role": role, "content": text} for role, text in row]} for row in rows]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    values = {"learning_rate": 0.03, "schedule": "constant", "warmup_ratio": 0.0, "n_epochs": 2}
    return changed(spec, **values, evaluation=MEASURED, select_checkpoint="best", validation_file=str(path))


def changed(spec: JobSpec, **changes: Any) -> JobSpec:
    return JobSpec.model_validate(spec.model_dump() | changes)


def series(outcome: Outcome, name: str) -> dict[int, float]:
    """The values of a metric by their steps."""
    records: list[Any] = outcome.records
    return {step: metrics[name] for step, metrics, *_ in records if name in metrics}


def evaluation_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return dict(report["evaluation"])


def test_losses_come_at_the_interval_and_at_checkpoints_and_move_no_weight(
    spec: JobSpec, tmp_path: Path
) -> None:
    plain = in_one(changed(spec, evaluation={"full_rows": 0}), tmp_path / "plain")
    found = in_one(changed(spec, evaluation=MEASURED, checkpoint_interval=4), tmp_path / "measured")
    assert found.weights == plain.weights
    assert not series(plain, "full_valid_loss")
    assert list(series(found, "valid_loss")) == [3, 6, 9]
    assert list(series(found, "full_valid_loss")) == [4, 8, 10]
    for name in ("valid_mean_token_accuracy", "full_valid_mean_token_accuracy", "train_mean_token_accuracy"):
        assert all(0 <= share <= 1 for share in series(found, name).values())
    assert len(series(found, "train_mean_token_accuracy")) == 10
    table = {int(row["step"]): row["valid_loss"] for row in found.table}
    assert table[3] == str(series(found, "valid_loss")[3])
    assert table[4] == ""


def test_without_an_evaluation_checkpoints_and_the_end_are_measured(spec: JobSpec, tmp_path: Path) -> None:
    _, emitted = run(spec, tmp_path)
    assert all("full_valid_loss" in record.metrics for record in steps_of(emitted))
    told = [item.metrics for item in emitted if isinstance(item, Checkpointed)]
    assert told == [record.metrics for record in steps_of(emitted)[:-1]]
    [before] = [item for item in emitted if isinstance(item, Message) and "Before training" in item.text]
    found = evaluation_of(tmp_path)
    assert found["valid_loss"] == {
        "before": before.data["full_valid_loss"],
        "after": steps_of(emitted)[-1].metrics["full_valid_loss"],
    }
    assert (found["rows"], found["scores"], found["stopped_early"]) == (0, {}, False)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # by peft
def test_loss_and_accuracy_are_those_of_the_plain_model(spec: JobSpec, tmp_path: Path) -> None:
    run(changed(spec, max_steps=4), tmp_path)
    found = evaluation_of(tmp_path)
    base = AutoModelForCausalLM.from_pretrained(spec.model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "adapter")
    tuned = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    rows = load_rows(spec).validation
    assert rows is not None
    examples = encode(rows, tokenizer, max_length=spec.max_length)  # type: ignore[arg-type]  # chat rows
    for when in ("before", "after"):
        loss, right, count = 0.0, 0, 0
        with torch.no_grad(), tuned.disable_adapter() if when == "before" else nullcontext():
            for example in examples:
                tokens, supervised = torch.tensor(example.tokens), torch.tensor(example.supervised)[1:]
                logits = tuned(input_ids=tokens[None]).logits[0, :-1][supervised]
                targets = tokens[1:][supervised]
                loss += cross_entropy(logits, targets, reduction="sum").item()
                right += int((logits.argmax(-1) == targets).sum())
                count += len(targets)
        assert found["valid_loss"][when] == pytest.approx(loss / count, rel=1e-5)
        assert found["valid_mean_token_accuracy"][when] == pytest.approx(right / count)


def test_the_sample_is_drawn_by_the_seed_and_stays(spec: JobSpec, tmp_path: Path) -> None:
    often = {"interval": 1, "loss_rows": 2, "full_rows": 0}
    still = changed(spec, evaluation=often, learning_rate=1e-12, max_steps=3)
    losses = series(in_one(still, tmp_path / "one"), "valid_loss")
    assert max(losses.values()) - min(losses.values()) < 1e-4  # the rows are the same each time
    other = series(in_one(changed(still, seed=7), tmp_path / "other"), "valid_loss")
    assert abs(other[1] - losses[1]) > 1e-4


def test_the_best_checkpoint_is_the_result_however_often_the_run_was_stopped(
    rising: JobSpec, tmp_path: Path
) -> None:
    whole = in_one(rising, tmp_path / "whole")
    losses = series(whole, "full_valid_loss")
    best = min(losses, key=lambda step: losses[step])
    assert best not in (2, 16, 18, 20)
    found = evaluation_of(tmp_path / "whole")
    assert (found["best_step"], found["valid_loss"]["after"]) == (best, losses[best])
    assert whole.messages[-1].startswith(f"The adapter of step {best} is the result")
    folders = sorted(path.name for path in (tmp_path / "whole" / "checkpoints").iterdir())
    assert folders == [f"step-{step:06d}" for step in (best, 16, 18)]
    weights = weights_of(tmp_path / "whole" / "checkpoints" / f"step-{best:06d}")
    assert all(torch.equal(weights_of(tmp_path / "whole")[name], value) for name, value in weights.items())
    pieces = in_pieces(rising, tmp_path / "pieces", [best + 1, 15])
    assert asdict(pieces) == asdict(whole)


def test_early_stopping_ends_a_run_that_gets_no_better(rising: JobSpec, tmp_path: Path) -> None:
    much = {"patience": 2, "min_delta": 100.0}  # so no loss is lower than the first
    stopping = changed(rising, early_stopping=much, checkpoint_interval=4)
    whole = in_one(stopping, tmp_path / "whole")
    assert list(series(whole, "valid_loss")) == [3, 6, 9]
    assert list(series(whole, "full_valid_loss")) == [4, 8, 9]  # the end is measured in full
    assert "Stopped early: the validation loss was no lower in 2 measurements in a row" in whole.messages
    assert evaluation_of(tmp_path / "whole")["stopped_early"] is True
    assert asdict(in_pieces(stopping, tmp_path / "pieces", [4, 7])) == asdict(whole)


def test_a_stop_within_a_measurement_loses_none(
    spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step's record waits in the checkpoint: it is told with its losses when the run goes on."""
    measured = changed(spec, evaluation=MEASURED)
    whole = in_one(measured, tmp_path / "whole")
    begun: list[int] = []
    sample = Validation.sample

    def noticed(self: Validation[Any, Any]) -> Figures:
        begun.append(1)
        return sample(self)

    monkeypatch.setattr(Validation, "sample", noticed)
    result, first = run(measured, tmp_path / "first", should_stop=lambda: len(begun) == 2)
    assert (result.stopped, result.checkpoint) == (True, "checkpoints/step-000006")
    assert steps_of(first)[-1].step == 5
    _, last = run(measured, tmp_path / "last", resume_from=tmp_path / "first" / str(result.checkpoint))
    assert asdict(outcome_of(tmp_path / "last", first + last)) == asdict(whole)


def test_another_checkpoint_interval_is_another_run_where_it_decides_the_result(
    rising: JobSpec, tmp_path: Path
) -> None:
    result, _ = run(rising, tmp_path, should_stop=lambda: (tmp_path / "checkpoints/step-000002").exists())
    other = changed(rising, checkpoint_interval=3)
    with pytest.raises(CheckpointError, match="checkpoint_interval was None and is 3"):
        run(other, tmp_path / "other", resume_from=tmp_path / str(result.checkpoint))


def test_a_validation_loss_that_is_no_number_ends_the_run(
    spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Supervised, "measure", lambda self, batch: Measure(math.nan, 0))
    with pytest.raises(TrainingDiverged, match="the validation loss is nan; lower learning_rate"):
        run(spec, tmp_path)
