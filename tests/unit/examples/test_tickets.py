"""The tickets data set: reproducible, held out for real, and in the form that a job takes."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from isthmus.dataset import chat_rows
from isthmus.dataset.chat_rows import ChatRow

from api.job_request import JobRequest, resolve
from examples.tickets import generate
from examples.tickets.generate import Draw, Ticket, write_date, write_message

FOLDER = Path(generate.__file__).parent
KEYS = ["intent", "product", "order_id", "quantity", "date", "urgency"]


@pytest.fixture(scope="module")
def train() -> list[ChatRow]:
    return chat_rows.load(FOLDER / "train.jsonl")


@pytest.fixture(scope="module")
def heldout() -> list[ChatRow]:
    return chat_rows.load(FOLDER / "heldout.jsonl")


def answers(rows: list[ChatRow]) -> list[dict[str, object]]:
    return [json.loads(row.messages[-1].content) for row in rows]


def test_the_script_rewrites_the_committed_files(tmp_path: Path) -> None:
    copy = tmp_path / "generate.py"
    copy.write_bytes((FOLDER / "generate.py").read_bytes())
    subprocess.run([sys.executable, "-I", str(copy)], check=True)
    for name in ("train.jsonl", "heldout.jsonl"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()


def test_sizes(train: list[ChatRow], heldout: list[ChatRow]) -> None:
    assert (len(train), len(heldout)) == (800, 100)


def test_answers_are_compact_json_with_fixed_keys(train: list[ChatRow], heldout: list[ChatRow]) -> None:
    for row in train + heldout:
        text = row.messages[-1].content
        answer = json.loads(text)
        assert list(answer) == KEYS
        assert json.dumps(answer, separators=(",", ":")) == text
        assert answer["date"] is None or date.fromisoformat(answer["date"]).year == generate.YEAR
        assert answer["urgency"] in {"low", "normal", "high"}


def test_held_out_rows_are_new(train: list[ChatRow], heldout: list[ChatRow]) -> None:
    assert not {row.messages[1].content for row in train} & {row.messages[1].content for row in heldout}
    seen = {answer["order_id"] for answer in answers(train)} - {None}
    assert not seen & {answer["order_id"] for answer in answers(heldout)}


def test_some_held_out_combinations_were_never_trained_on(
    train: list[ChatRow], heldout: list[ChatRow]
) -> None:
    trained = {(answer["intent"], answer["product"]) for answer in answers(train)}
    new = [answer for answer in answers(heldout) if (answer["intent"], answer["product"]) not in trained]
    assert len(new) >= 5


def test_one_message_has_one_answer(train: list[ChatRow]) -> None:
    meanings: dict[str, set[str]] = {}
    for row in train:
        meanings.setdefault(row.messages[1].content, set()).add(row.messages[-1].content)
    assert all(len(found) == 1 for found in meanings.values())


@pytest.mark.parametrize("seed", range(30))
def test_what_a_ticket_says_is_in_its_message(seed: int) -> None:
    ticket = Ticket("refund", "lamp", "K4821", None, None, "high")
    message = write_message(ticket, Draw(seed)).lower()
    assert "k4821" in message
    assert any(cue in message for cue in generate.URGENCY["high"])
    assert not any(cue in message for cue in generate.URGENCY["low"])
    assert not any(month[:3] in message.replace("lamp", "") for month in generate.MONTHS if month != "march")


def test_dates_come_in_every_style() -> None:
    styles = {write_date(date(2025, 3, 3), Draw(seed)) for seed in range(100)}
    assert styles == {"march 3", "3 march", "mar 3rd", "the 3rd of march", "3.3.2025", "2025-03-03"}


def test_the_job_settings_are_a_valid_job() -> None:
    body = json.loads((FOLDER / "job.json").read_text())
    spec = resolve(JobRequest(training_file="file-1", **body), rows=800)
    assert spec.ist is not None
    assert spec.ist.update_fraction < 1
