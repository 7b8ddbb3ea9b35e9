"""Model cards: in a finished run's adapter folder and in exports, with pictures and nothing of the data."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from ist_core.card import Names, read_run, write_card
from ist_core.catalog import ModelSource
from ist_core.spec import JobSpec
from tests.train.bottleneck_models import QUIET
from tests.train.exports import export, source_of
from tests.train.runs import make_spec, run

PNG = {"loss.png", "layers.png"}


@pytest.fixture(scope="module")
def trained(tiny_folder: Path, chat_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a finished run that was judged on its own training file."""
    folder = tmp_path_factory.mktemp("run")
    evaluation = {"rows": 4, "scores": ["exact_match"], "interval": 5, "max_new_tokens": 4}
    run(make_spec(tiny_folder, chat_file, validation_file=str(chat_file), evaluation=evaluation), folder)
    return folder


@dataclass(frozen=True)
class Card:
    """A card's front matter and its text."""

    data: dict[str, Any]
    text: str


def card_of(folder: Path) -> Card:
    """Load a card as the Hub's client does."""
    card: Any = ModelCard.load(folder / "README.md")
    return Card(card.data.to_dict(), card.text)


def change_report(trained: Path, folder: Path, **changes: Any) -> Path:
    """Copy a run's report and steps, with other values in the report."""
    report = json.loads((trained / "report.json").read_text()) | changes
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "steps.csv").write_bytes((trained / "steps.csv").read_bytes())
    return folder


def test_a_finished_run_has_a_card_in_its_adapter_folder(trained: Path, tiny_folder: Path) -> None:
    card = card_of(trained / "adapter")
    assert card.data["library_name"] == "peft"
    assert card.data["pipeline_tag"] == "text-generation"
    assert card.data["tags"] == ["isthmus", "importance-aware-sparse-tuning", "lora", "sft"]
    assert "base_model" not in card.data, "a folder's name is no Hub id"
    heads = re.findall(r"^## (.*)$", card.text, re.MULTILINE)
    assert heads == ["Results", "Layers", "Load", "Data", "Reproduce", "Time and memory"]
    assert f"LoRA adapter for `{tiny_folder.name}`" in card.text
    assert "[More Information Needed]" not in card.text


def test_the_card_has_the_scores_before_and_after(trained: Path) -> None:
    told = json.loads((trained / "report.json").read_text())["evaluation"]
    text = card_of(trained / "adapter").text
    score, loss = told["scores"]["exact_match"], told["valid_loss"]
    assert f"| exact_match (4 rows) | {score['before']:.3f} | {score['after']:.3f} |" in text
    assert f"| validation loss | {loss['before']:.3f} | {loss['after']:.3f} |" in text


def test_the_card_tells_the_data_by_its_hash_and_shows_no_row(trained: Path, chat_file: Path) -> None:
    data = json.loads((trained / "report.json").read_text())["data"]
    assert data["training_file"]["rows"] == data["validation_file"]["rows"] == 40
    text = (trained / "adapter" / "README.md").read_text()
    assert f"| training | 40 | `{data['training_file']['sha256']}` |" in text
    for line in chat_file.read_text().splitlines():
        for message in json.loads(line)["messages"]:
            assert message["content"] not in text
    assert str(chat_file) not in text
    assert str(chat_file.parent) not in text


def test_the_card_has_what_it_takes_to_train_again(trained: Path) -> None:
    text = card_of(trained / "adapter").text
    found = re.search(r"model_validate\(\n(.*?)\n\)\ntrain", text, re.DOTALL)
    assert found is not None
    spec = JobSpec.model_validate(ast.literal_eval(found[1].strip()))
    was = json.loads((trained / "report.json").read_text())["spec"]
    names = {"model", "training_file", "validation_file"}
    again = spec.model_dump(mode="json", exclude=names)
    assert again == {name: value for name, value in was.items() if name not in names}
    whole = re.search(r"```json\n(.*?)\n```", text, re.DOTALL)
    assert whole is not None
    assert json.loads(whole[1]) == again


def test_the_pictures_are_there_and_the_card_shows_them(trained: Path) -> None:
    text = card_of(trained / "adapter").text
    assert set(re.findall(r"!\[[^]]*\]\((.*?)\)", text)) == PNG
    for name in PNG:
        with Image.open(trained / "adapter" / name) as picture:
            colours = picture.convert("RGB").getcolors(maxcolors=10**6)
            assert picture.width > 800
            assert colours is not None
            assert len(colours) > 20, "something is drawn"


def test_the_same_run_makes_the_same_card(trained: Path, tiny_folder: Path, tmp_path: Path) -> None:
    write_card(tmp_path, read_run(trained), source_of(tiny_folder))
    again = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_card(tmp_path, read_run(trained), source_of(tiny_folder))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == again
    assert set(again) == {"README.md", *PNG}


def test_runs_without_scores_or_ist_have_shorter_cards(
    trained: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    spec = json.loads((trained / "report.json").read_text())["spec"]
    older = change_report(trained, tmp_path, evaluation=None, data=None, spec=spec | {"ist": None})
    write_card(tmp_path, read_run(older), source_of(tiny_folder))
    text = card_of(tmp_path).text
    assert "No held-out rows were scored." in text
    assert "## Layers" not in text
    assert "'ist': None" in text
    assert not (tmp_path / "layers.png").exists()


def test_layers_that_were_never_scored_are_not_ranked(
    trained: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    write_card(
        tmp_path, read_run(change_report(trained, tmp_path, importance=[0.0] * 4)), source_of(tiny_folder)
    )
    text = card_of(tmp_path).text
    assert "Each step updated 25% of the 4 layers." in text
    assert "matter most" not in text


def test_layers_that_settled_are_told(trained: Path, tiny_folder: Path, tmp_path: Path) -> None:
    spec = json.loads((trained / "report.json").read_text())["spec"]
    settled = spec | {"ist": spec["ist"] | {"policy": "settling"}}
    report = change_report(trained, tmp_path, spec=settled, layer_updates=[3, 3, 9, 9])
    write_card(tmp_path, read_run(report), source_of(tiny_folder))
    told = "All 4 layers were updated at first, and then the 2 nearest the output alone."
    assert told in card_of(tmp_path).text


def test_a_hub_model_is_named_as_the_base(trained: Path, tmp_path: Path) -> None:
    names = Names(model="ft:m:acme::x1", job="ftjob-1")
    write_card(tmp_path, read_run(trained), ModelSource("hub", "org/m", "org/m"), names=names)
    card = card_of(tmp_path)
    assert card.data["base_model"] == "org/m"
    assert card.data["base_model_relation"] == "adapter"
    assert "# ft:m:acme::x1\n" in card.text
    assert "/v1/fine_tuning/jobs/ftjob-1/reproduction" in card.text
    assert 'model="ft:m:acme::x1"' in card.text
    assert 'from_pretrained("org/m", dtype="float32")' in card.text


@pytest.mark.parametrize(
    ("form", "library", "words"),
    [
        ("merged", "transformers", 'AutoModelForCausalLM.from_pretrained("folder")'),
        ("gguf_q8_0", "gguf", "llama-server -m folder/tiny-Q8_0.gguf"),
    ],
)
def test_exports_have_a_card_of_their_format(
    trained: Path, tiny_folder: Path, tmp_path: Path, form: Any, library: str, words: str
) -> None:
    manifest = export(tiny_folder, trained / "adapter", form, tmp_path / "out", run=trained)
    card = card_of(tmp_path / "out")
    assert card.data["library_name"] == library
    assert words in card.text
    assert f"{manifest.check.top1_agreement:.1%} of the positions" in card.text
    listed = {entry.path: entry.sha256 for entry in manifest.files}
    assert listed["README.md"] == hashlib.sha256((tmp_path / "out" / "README.md").read_bytes()).hexdigest()
    assert listed.keys() >= PNG


@QUIET
def test_the_lines_that_load_a_model_work(
    trained: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(tiny_folder, trained / "adapter", "merged", tmp_path / "out", run=trained)
    answers = []
    for folder in (trained / "adapter", tmp_path / "out"):
        found = re.search(r"```python\n(from (?:peft|transformers) .*?)```", card_of(folder).text, re.DOTALL)
        assert found is not None
        code = (
            found[1].replace('"folder"', repr(str(folder))).replace("max_new_tokens=100", "max_new_tokens=3")
        )
        exec(code.replace(f'"{tiny_folder.name}"', repr(str(tiny_folder))), {})  # noqa: S102
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1] != ""
