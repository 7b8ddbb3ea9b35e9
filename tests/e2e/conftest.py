"""One stack for all end-to-end tests, with a tiny random model in its models folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import service
from tests.tiny_model import make_tiny_model

LAYERS = 4


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[service.Service]:
    data_dir = tmp_path_factory.mktemp("stack")
    # The embedded PostgreSQL runs as a user of its own when the tests run as root.
    data_dir.chmod(0o755)
    make_tiny_model(data_dir / "models" / "tiny", layers=LAYERS)
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
