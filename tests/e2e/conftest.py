"""One stack for all end-to-end tests, with a tiny random model in its models folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e import service
from tests.tiny_model import make_tiny_model

LAYERS = 4


@contextmanager
def data_folder() -> Iterator[Path]:
    """A folder that other users can enter, as PostgreSQL's must be able to when the tests run as root.

    Not pytest's: every pytest that starts closes the folder that they share to other users.
    """
    with TemporaryDirectory(prefix="isthmus-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with data_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def stack() -> Iterator[service.Service]:
    with data_folder() as folder:
        yield from _running(folder)


def _running(data_dir: Path) -> Iterator[service.Service]:
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
