"""One stack for all end-to-end tests, with a tiny random model in its models folder, under two names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ist_core.catalog import SMOLLM2
from tests.e2e import service
from tests.open_folder import open_folder
from tests.tiny_model import make_tiny_model

LAYERS = 4


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def stack() -> Iterator[service.Service]:
    with open_folder() as folder:
        yield from _running(folder)


def _running(data_dir: Path) -> Iterator[service.Service]:
    tiny = make_tiny_model(data_dir / "models" / "tiny", layers=LAYERS)
    shutil.copytree(tiny, data_dir / "models" / SMOLLM2)  # in place of the real one, for the examples
    running = service.start(data_dir)
    yield running
    if running.process.poll() is None:
        running.interrupt()


@pytest.fixture(scope="session")
def training_file(stack: service.Service) -> str:
    rows = [
        {"messages": [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"{n}!"}]}
        for n in range(64)
    ]
    data = "\n".join(json.dumps(row) for row in rows).encode()
    return stack.client.files.create(file=("numbers.jsonl", data), purpose="fine-tune").id


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    return tmp_path
