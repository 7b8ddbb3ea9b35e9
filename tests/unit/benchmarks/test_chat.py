"""The chat benchmark measures what it says, on a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import chat
from ist_core.catalog import ModelSource
from tests.tiny_model import make_tiny_model


@pytest.mark.filterwarnings("ignore:Could not find a config file:UserWarning")
def test_all_is_measured_and_answers_are_those_of_generate(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "tiny", spread=0.2)
    found = chat.measure(ModelSource("folder", "tiny", str(folder)), rounds=1, tokens=4, counts=(1, 2))
    assert list(found["speeds"]) == [
        "generate, one by one",
        "generate with PEFT, one by one",
        "engine, 1 at once",
        "engine, 2 at once",
        "engine, 2 of 5 models",
    ]
    assert all(line["tokens_per_second"] > 0 for line in found["speeds"].values())
    assert found["answers_as_generate"] == {"same": 3, "of": 3}
    assert "first token" in chat.table(found)
