"""The same conversations train alike, whatever the format and container of their file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from isthmus.dataset.chat_rows import load

from tests.train.runs import make_spec, run, weights_of

Texts = list[tuple[str, str]]


def _csv(path: Path, texts: Texts) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerows(
            [("output", "input", "instruction"), *((answer, "", asked) for asked, answer in texts)]
        )


def _parquet(path: Path, texts: Texts) -> None:
    asked, answers = zip(*texts, strict=True)
    pq.write_table(pa.table({"prompt": asked, "completion": answers}), path)


def _sharegpt(path: Path, texts: Texts) -> None:
    talks = [[{"from": "human", "value": asked}, {"from": "gpt", "value": answer}] for asked, answer in texts]
    path.write_text("".join(json.dumps({"conversations": talk}) + "\n" for talk in talks))


@pytest.mark.parametrize("write", [_csv, _parquet, _sharegpt])
def test_a_format_makes_no_difference(
    tiny_folder: Path, chat_file: Path, tmp_path: Path, write: Callable[[Path, Texts], None]
) -> None:
    texts = [(row.messages[0].content, row.messages[1].content) for row in load(chat_file)]
    path = tmp_path / "training.jsonl"  # as the worker calls every file
    write(path, texts)
    weights = []
    for file in (chat_file, path):
        output = tmp_path / file.stem
        run(make_spec(tiny_folder, file, max_steps=2, n_epochs=1), output)
        weights.append(weights_of(output))
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
