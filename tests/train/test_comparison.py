"""What both models answer to validation rows, on a tiny model that learns one answer by heart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from isthmus.dataset.chat_rows import ChatMessage, ChatRow

from ist_core import JobSpec, Message, TrainResult, train
from ist_core.errors import EvaluationError
from ist_core.questions import questions_of
from ist_core.records import Emitted
from tests.train.runs import run, steps_of, weights_of

ANSWER = "[1]"
SCORES = ["exact_match", "valid_json", "regex", "rouge_l"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight questions of different lengths with one answer."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(line("say " + "so " * n) for n in range(8)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def spec(tiny_folder: Path, data: Path) -> JobSpec:
    values: dict[str, Any] = {
        "model": str(tiny_folder),
        "training_file": str(data),
        "validation_file": str(data),
        "adapter": {"rank": 16},
        "ist": None,
        "n_epochs": 50,
        "batch_size": 4,
        "learning_rate": 0.01,
        "evaluation": {"full_rows": 0, "rows": 5, "scores": SCORES, "pattern": r"\[(\d)\]"},
    }
    return JobSpec.model_validate(values)


@pytest.fixture(scope="module")
def finished(
    spec: JobSpec, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TrainResult, list[Emitted]]:
    folder = tmp_path_factory.mktemp("job")
    return folder, *run(spec, folder)


def line(question: str, answer: str = ANSWER) -> str:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": messages}) + "\n"


def changed(spec: JobSpec, **evaluation: Any) -> JobSpec:
    """The job with another evaluation, of two steps."""
    return JobSpec.model_validate(spec.model_dump() | {"evaluation": evaluation, "max_steps": 2})


def samples_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "samples.jsonl").read_text().splitlines()]


def test_the_tuned_model_gives_the_answer_that_it_learnt(
    finished: tuple[Path, TrainResult, list[Emitted]],
) -> None:
    folder, result, emitted = finished
    assert result.samples == "samples.jsonl"
    found = json.loads((folder / result.report).read_text())["evaluation"]
    assert found["rows"] == 5
    assert found["scores"].keys() == set(SCORES)
    assert {name: score["after"] for name, score in found["scores"].items()} == dict.fromkeys(SCORES, 1.0)
    assert all(score["before"] < 0.5 and score["rows"] == 5 for score in found["scores"].values())
    texts = [item.text for item in emitted if isinstance(item, Message)]
    assert "exact_match: 0.000 before training, 1.000 after it" in texts
    assert "Tuned model: 5 of 5 answers" in texts


def test_each_sample_has_the_question_both_answers_and_their_worth(
    finished: tuple[Path, TrainResult, list[Emitted]],
) -> None:
    samples = samples_of(finished[0])
    rows = [sample["row"] for sample in samples]
    assert rows == sorted(set(rows))
    for sample in samples:
        assert sample["input"] == [{"role": "user", "content": "say " + "so " * (sample["row"] - 1)}]
        assert sample["tuned"] == sample["expected"] == ANSWER != sample["base"]
        assert sample["scores"]["exact_match"] == {"base": 0.0, "tuned": 1.0}


def test_a_run_stopped_while_the_models_answer_goes_on_with_the_answers(
    spec: JobSpec, finished: tuple[Path, TrainResult, list[Emitted]], tmp_path: Path
) -> None:
    """It stops between two tokens, and its checkpoint has all the steps."""
    emitted: list[Emitted] = []
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += bool(steps_of(emitted)) and steps_of(emitted)[-1].step == 100
        return asked > 6

    result = train(spec, output_dir=tmp_path / "first", emit=emitted.append, should_stop=should_stop)
    assert (result.stopped, result.steps, result.samples) == (True, 100, None)
    assert result.checkpoint == "checkpoints/step-000100"
    assert not any("answers" in item.text for item in emitted if isinstance(item, Message))
    last, again = run(spec, tmp_path / "last", resume_from=tmp_path / "first" / result.checkpoint)
    assert steps_of(again) == []
    assert (last.stopped, last.checkpoint) == (False, None)
    assert samples_of(tmp_path / "last") == samples_of(finished[0])
    weights = weights_of(finished[0])
    assert all(torch.equal(weights_of(tmp_path / "last")[name], value) for name, value in weights.items())


def test_how_many_are_answered_at_once_changes_no_answer(
    spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = changed(spec, rows=4, max_new_tokens=6, full_rows=0)
    run(few, tmp_path / "together")
    monkeypatch.setattr("ist_core.answers.answer_batch", lambda kind, prompt, answer: 1)
    run(few, tmp_path / "alone")
    assert samples_of(tmp_path / "alone") == samples_of(tmp_path / "together")


@pytest.mark.parametrize(
    ("evaluation", "param"),
    [
        ({"rows": 1, "scores": ["choice"]}, "evaluation.choices"),
        ({"rows": 1, "scores": ["regex"], "pattern": "two"}, "evaluation.scores"),
    ],
)
def test_a_score_that_cannot_be_given_ends_the_run_before_its_first_step(
    evaluation: dict[str, Any], param: str, spec: JobSpec, tmp_path: Path
) -> None:
    emitted: list[Emitted] = []
    with pytest.raises(EvaluationError) as caught:
        train(changed(spec, **evaluation), output_dir=tmp_path, emit=emitted.append)
    assert caught.value.param == param
    assert emitted == []
    assert list(tmp_path.iterdir()) == []


def test_rows_with_too_long_a_question_are_not_asked(spec: JobSpec, data: Path, tmp_path: Path) -> None:
    """They are learnt from all the same: of a long conversation only the end is cut off."""
    turns = [("user", "hi"), ("assistant", "[0]"), ("user", "so " * 40), ("assistant", ANSWER)]
    long = {"messages": [{"role": role, "content": content} for role, content in turns]}
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text(json.dumps(long) + "\n" + line("say so"), encoding="utf-8")
    values = {"validation_file": str(mixed), "max_length": 100}
    short = JobSpec.model_validate(changed(spec, rows=2, max_new_tokens=1).model_dump() | values)
    run(short, tmp_path / "out")
    assert [sample["row"] for sample in samples_of(tmp_path / "out")] == [2]
    mixed.write_text(json.dumps(long) + "\n", encoding="utf-8")
    with pytest.raises(EvaluationError, match="no row .* within 100 tokens; set rows to 0, or raise max_len"):
        run(short, tmp_path / "none")


def test_what_a_conversation_asks_is_its_last_answer() -> None:
    def row(number: int, *turns: str) -> ChatRow:
        roles = {"u": "user", "a": "assistant"}
        return ChatRow(number, tuple(ChatMessage(roles[turn[0]], turn) for turn in turns))

    found = questions_of([row(1, "u1", "a1", "u2", "a2", "u3"), row(2, "a1"), row(4, "u1", "a1 ")])
    assert [(question.row, question.line, question.expected) for question in found] == [
        (1, 1, "a2"),
        (3, 4, "a1"),
    ]
    assert [message.content for message in found[0].messages] == ["u1", "a1", "u2"]
