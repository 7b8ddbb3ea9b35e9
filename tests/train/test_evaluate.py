"""Scoring an adapter by generation, on a tiny model that has learnt one answer by heart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ist_core import JobSpec, LoraSpec, train
from ist_core.catalog import ModelSource
from ist_core.errors import AdapterError, DatasetError
from ist_core.evaluate import evaluate, main

ANSWER = "[1]"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight questions of different lengths with one answer, and no system prompt but the template's."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(line("say " + "so " * n, ANSWER) for n in range(8)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def adapter(tiny_folder: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("job")
    spec = JobSpec(
        model=str(tiny_folder),
        training_file=str(data),
        adapter=LoraSpec(rank=16),
        ist=None,
        n_epochs=50,
        batch_size=4,
        learning_rate=0.01,
    )
    return output / train(spec, output_dir=output).adapter_dir


@pytest.fixture
def source(tiny_folder: Path) -> ModelSource:
    return ModelSource("folder", "tiny", str(tiny_folder))


def line(question: str, answer: str, last: str = "assistant") -> str:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    if last == "user":
        messages.append({"role": "user", "content": "more"})
    return json.dumps({"messages": messages}) + "\n"


def test_the_tuned_model_gives_the_answer_it_learnt(source: ModelSource, adapter: Path, data: Path) -> None:
    lines: list[str] = []
    report = evaluate(source, adapter, data, progress=lines.append)
    assert (report.rows, report.exact_match_before, report.exact_match_after) == (8, 0.0, 1.0)
    assert (report.valid_json_before, report.valid_json_after) == (0.0, 1.0)
    assert [sample.input for sample in report.samples] == ["say " + "so " * n for n in range(8)]
    assert all(sample.tuned == sample.expected == ANSWER != sample.base for sample in report.samples)
    assert lines[-1] == "tuned model: 8 of 8 answers"


def test_padding_changes_no_answer(
    source: ModelSource, adapter: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = evaluate(source, adapter, data).samples
    monkeypatch.setattr("ist_core.answers.answer_batch", lambda kind, prompt, answer: 1)
    assert evaluate(source, adapter, data).samples == together


def test_an_answer_never_heard_of_scores_nothing(source: ModelSource, adapter: Path, tmp_path: Path) -> None:
    data = tmp_path / "other.jsonl"
    data.write_text(line("say so", "[2]") + line("say so so", f" {ANSWER}\n"))
    report = evaluate(source, adapter, data)
    assert report.exact_match_after == 0.5
    assert report.valid_json_after == 1.0


def test_a_row_that_asks_nothing_is_named(source: ModelSource, adapter: Path, tmp_path: Path) -> None:
    data = tmp_path / "bad.jsonl"
    data.write_text(line("a", "b") + json.dumps({"messages": [{"role": "assistant", "content": "b"}]}))
    with pytest.raises(DatasetError, match=r"line 2, messages: nothing stands before its only answer"):
        evaluate(source, adapter, data)


def test_what_follows_the_last_answer_is_not_asked(
    source: ModelSource, adapter: Path, tmp_path: Path
) -> None:
    data = tmp_path / "more.jsonl"
    data.write_text(line("say so", ANSWER, last="user"))
    assert evaluate(source, adapter, data).samples[0].input == "say so"


def test_a_folder_without_an_adapter_is_refused(source: ModelSource, data: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"holds no adapter_config\.json"):
        evaluate(source, tmp_path, data)


def test_an_adapter_of_another_model_is_refused(
    source: ModelSource, adapter: Path, data: Path, tmp_path: Path
) -> None:
    for file in adapter.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((adapter / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"r": 3}))
    with pytest.raises(AdapterError, match="does not fit 'tiny'"):
        evaluate(source, tmp_path, data)


def test_the_command_writes_the_report(
    tiny_folder: Path, adapter: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "evaluation.json"
    arguments = ["--model", str(tiny_folder), "--adapter", str(adapter), "--data", str(data)]
    assert main([*arguments, "--limit", "3", "--samples", "2", "--output", str(output)]) == 0
    written = json.loads(output.read_text())
    assert (written["rows"], written["exact_match_after"], len(written["samples"])) == (3, 1.0, 2)
    assert set(written["samples"][0]) == {"input", "expected", "base", "tuned"}
    assert "base model: 3 of 3 answers" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ["model", "adapter", "data"])
def test_the_command_says_in_one_line_what_is_wrong(
    wrong: str,
    tiny_folder: Path,
    adapter: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = {"model": str(tiny_folder), "adapter": str(adapter), "data": str(data)}
    values[wrong] = str(tmp_path / "nothing")
    arguments = [text for key, value in values.items() for text in (f"--{key}", value)]
    assert main([*arguments, "--output", str(tmp_path / "out.json")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out.json").exists()
