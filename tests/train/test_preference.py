"""Whole runs of `train` with method dpo: TRL's loss, the engine's steps."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from isthmus.dataset.preferences import load
from peft import PeftModel
from torch import Tensor
from torch.nn.functional import logsigmoid
from transformers import AutoModelForCausalLM, AutoTokenizer

from ist_core import JobSpec, Started
from ist_core.adapters import add_adapters
from ist_core.errors import DatasetError
from ist_core.evaluation_spec import EvaluationSpec
from ist_core.objectives.preference import Preference
from ist_core.records import Emitted, Message
from tests.train import trainers
from tests.train.runs import DRAWN, in_one, in_pieces, make_spec, run, steps_of, weights_of

pytestmark = trainers.QUIET


@pytest.fixture(scope="module")
def pairs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty preference pairs of different lengths."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    path.write_text("".join(json.dumps(_pair(number)) + "\n" for number in range(40)), encoding="utf-8")
    return path


def _pair(number: int, question: str = "") -> dict[str, object]:
    asked = question or "count " + "one " * (number % 5)
    return {
        "input": {"messages": [{"role": "user", "content": asked}]},
        "preferred_output": [{"role": "assistant", "content": f"number {number % 10}"}],
        "non_preferred_output": [{"role": "assistant", "content": f"no {number % 7} at all"}],
    }


def _spec(tiny_folder: Path, pairs_file: Path, **changes: object) -> JobSpec:
    ist = DRAWN | {"probe_interval": 3, "warmup_steps": 2, "update_fraction": 0.5}
    return make_spec(tiny_folder, pairs_file, **({"method": {"type": "dpo"}, "ist": ist} | changes))


def _texts(emitted: list[Emitted]) -> list[str]:
    return [item.text for item in emitted if isinstance(item, Message)]


def test_a_run_learns_the_preference_and_tells(tiny_folder: Path, pairs_file: Path, tmp_path: Path) -> None:
    result, emitted = run(_spec(tiny_folder, pairs_file, micro_batch_size=2), tmp_path)
    steps = steps_of(emitted)
    started = emitted[0]
    assert isinstance(started, Started)
    assert (started.total_steps, started.examples, result.steps) == (20, 38, 20)
    # Before the first update the model is its own reference.
    assert steps[0].metrics["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert steps[0].metrics["reward_margin"] == pytest.approx(0.0, abs=1e-6)
    assert steps[-1].metrics["loss"] < 0.6
    assert steps[-1].metrics["reward_margin"] > 0.1
    assert steps[-1].metrics["reward_accuracy"] == 1.0
    assert steps[-1].metrics["reward_margin"] == pytest.approx(
        steps[-1].metrics["reward_chosen"] - steps[-1].metrics["reward_rejected"], abs=1e-6
    )
    assert [len(record.active) for record in steps] == [4, 4] + [2] * 18
    assert any(score != 0.0 for score in steps[-1].importance)
    assert any("2 rows of the training file are held out" in text for text in _texts(emitted))
    report = json.loads((tmp_path / result.report).read_text())
    assert report["spec"]["method"] == {"type": "dpo", "beta": 0.1}


def test_nothing_is_kept_of_layers_that_settle(tiny_folder: Path, pairs_file: Path, tmp_path: Path) -> None:
    static = {"policy": "static", "update_fraction": 0.5}
    _, emitted = run(_spec(tiny_folder, pairs_file, ist=static, max_steps=13), tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["settled"] is None
    assert not [text for text in _texts(emitted) if "settled" in text]


def test_the_saved_adapter_prefers_the_preferred_answers(
    tiny_folder: Path, pairs_file: Path, tmp_path: Path
) -> None:
    """With plain peft, and no trace of TRL's reference adapter."""
    result, _ = run(_spec(tiny_folder, pairs_file), tmp_path)
    adapter = tmp_path / result.adapter_dir
    assert not (adapter / "ref").exists()
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    base = AutoModelForCausalLM.from_pretrained(tiny_folder)

    def margin(model: torch.nn.Module) -> float:
        asked = {"role": "user", "content": "count one "}
        good = _answer_logp(model, tokenizer, asked, "number 1")
        return float(good - _answer_logp(model, tokenizer, asked, "no 1 at all"))

    before = margin(base)
    assert margin(PeftModel.from_pretrained(base, adapter)) > before + 0.5


def _answer_logp(model: torch.nn.Module, tokenizer: object, asked: dict[str, str], answer: str) -> Tensor:
    """The log-probability of an answer, token by token, from the logits of the whole conversation."""
    render = tokenizer.apply_chat_template  # type: ignore[attr-defined]  # transformers' tokenizers have it
    prompt = render([asked], add_generation_prompt=True, return_dict=True)["input_ids"]
    whole = render([asked, {"role": "assistant", "content": answer}], return_dict=True)["input_ids"]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([whole])).logits[0].float().log_softmax(-1)
    start = next(at for at, (a, b) in enumerate(zip([*prompt, -1], whole, strict=False)) if a != b)
    return torch.stack([logits[at - 1, whole[at]] for at in range(start, len(whole))]).sum()


@pytest.mark.parametrize("beta", [0.1, 0.7])
def test_the_loss_is_the_papers(tiny_folder: Path, pairs_file: Path, tmp_path: Path, beta: float) -> None:
    """Against the equation, computed from plain logits with and without the adapters."""
    spec = _spec(tiny_folder, pairs_file, method={"type": "dpo", "beta": beta})
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    model = add_adapters(AutoModelForCausalLM.from_pretrained(tiny_folder), spec.adapter, seed=0)
    rows = load(pairs_file)[:6]
    objective = Preference(model, tokenizer, spec, rows, None, folder=tmp_path)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    model.eval()
    expected = 0.0
    for row in rows:
        asked = {"role": "user", "content": row.messages[0].content}
        ratios = []
        for answer in (row.preferred.content, row.rejected.content):
            ours = _answer_logp(model, tokenizer, asked, answer)
            with model.disable_adapter():
                reference = _answer_logp(model, tokenizer, asked, answer)
            ratios.append(ours - reference)
        expected -= float(logsigmoid(beta * (ratios[0] - ratios[1])))
    batch = objective.collate(objective.training)
    assert objective.summed_loss(batch).item() == pytest.approx(expected, rel=1e-4)
    assert abs(expected / len(rows) - math.log(2)) > 1e-3


@pytest.mark.parametrize("scorer", ["suppression", "gate"])
def test_a_stopped_run_ends_as_one_that_never_stopped(
    tiny_folder: Path, pairs_file: Path, tmp_path: Path, scorer: str
) -> None:
    ist = {"probe_interval": 3, "warmup_steps": 2, "update_fraction": 0.5, "scorer": scorer}
    adapter = {"rank": 4, "dropout": 0.1}
    spec = _spec(tiny_folder, pairs_file, ist=ist, adapter=adapter, micro_batch_size=2, max_steps=11)
    assert in_pieces(spec, tmp_path / "pieces", [7]) == in_one(spec, tmp_path / "whole")


def test_accumulation_equals_one_batch(tiny_folder: Path, pairs_file: Path, tmp_path: Path) -> None:
    spec = _spec(tiny_folder, pairs_file, max_steps=4)
    _, whole = run(spec, tmp_path / "whole")
    _, parts = run(spec.model_copy(update={"micro_batch_size": 1}), tmp_path / "parts")
    for one, many in zip(steps_of(whole), steps_of(parts), strict=True):
        assert many.metrics["loss"] == pytest.approx(one.metrics["loss"], rel=1e-4)
        assert many.active == one.active


def test_a_validation_file_is_what_is_probed(tiny_folder: Path, pairs_file: Path, tmp_path: Path) -> None:
    spec = _spec(tiny_folder, pairs_file, validation_file=str(pairs_file), max_steps=4)
    _, emitted = run(spec, tmp_path)
    assert any("the 40 rows of the validation file" in text for text in _texts(emitted))


def test_validation_pairs_are_measured_and_asked_for_answers(
    tiny_folder: Path, pairs_file: Path, tmp_path: Path
) -> None:
    judged = _spec(
        tiny_folder,
        pairs_file,
        validation_file=str(pairs_file),
        max_steps=4,
        evaluation={"interval": 2, "loss_rows": 8, "full_rows": 16, "rows": 2, "max_new_tokens": 3},
    )
    result, emitted = run(judged, tmp_path / "judged")
    told = [record.metrics for record in steps_of(emitted)]
    assert [name in told[1] for name in ("valid_loss", "full_valid_loss")] == [True, True]
    assert told[3]["full_valid_loss"] < told[1]["full_valid_loss"] < math.log(2)
    assert 0 <= told[3]["full_valid_reward_accuracy"] <= 1
    found = json.loads((tmp_path / "judged" / result.report).read_text())["evaluation"]
    # Before the first update the model is its own reference.
    assert found["valid_loss"]["before"] == pytest.approx(math.log(2), abs=1e-6)
    assert found["valid_reward_accuracy"]["before"] == 0.0
    samples = [json.loads(line) for line in (tmp_path / "judged" / "samples.jsonl").read_text().splitlines()]
    assert [sample["expected"] for sample in samples] == [f"number {(s['row'] - 1) % 10}" for s in samples]
    run(judged.model_copy(update={"evaluation": EvaluationSpec(full_rows=0)}), tmp_path / "plain")
    judged_weights, weights = weights_of(tmp_path / "judged"), weights_of(tmp_path / "plain")
    assert all(torch.equal(judged_weights[name], value) for name, value in weights.items())


def test_truncation_is_told_and_a_prompt_that_fills_the_window_is_refused(
    tiny_folder: Path, pairs_file: Path, tmp_path: Path
) -> None:
    long = tmp_path / "long.jsonl"
    long.write_text(pairs_file.read_text() + json.dumps(_pair(1, "word " * 20)) + "\n", encoding="utf-8")
    _, emitted = run(_spec(tiny_folder, long, max_length=110, max_steps=1), tmp_path / "out")
    warned = [item for item in emitted if isinstance(item, Message) and item.level == "warn"]
    assert [item.data["truncated_rows"] for item in warned] == [1]
    with pytest.raises(DatasetError, match=r"line 41, input: its input alone has 100 tokens or more"):
        run(_spec(tiny_folder, long, max_length=100, max_steps=1), tmp_path / "out")


def test_chat_rows_are_refused(tiny_folder: Path, chat_file: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="line 1: is a chat row; a row is"):
        run(_spec(tiny_folder, chat_file), tmp_path)
