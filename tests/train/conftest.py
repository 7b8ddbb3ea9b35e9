"""Tiny models and data for training runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.tiny_model import make_tiny_model


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors run far faster on one thread, the more so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama of four layers in a folder."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def chat_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty conversations that can be learnt."""
    path = tmp_path_factory.mktemp("data") / "chat.jsonl"
    path.write_text("".join(json.dumps(chat(index)) + "\n" for index in range(40)), encoding="utf-8")
    return path


def chat(index: int) -> dict[str, object]:
    """Return one conversation; rows differ in length."""
    question, answer = "count " + "one " * (index % 5), f"number {index % 10}"
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
