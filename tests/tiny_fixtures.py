"""Fixtures that the engine's unit and training tests share; their conftest modules import them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.tiny_model import make_tiny_model


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny tensors run far faster on one thread, the more so on a busy machine; a module's fixtures, too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama of four layers, with tied embeddings, in a folder."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model")
