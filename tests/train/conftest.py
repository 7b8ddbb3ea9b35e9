"""Tiny models and data for training runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tiny_fixtures import one_thread, tiny_folder

__all__ = ["one_thread", "tiny_folder"]


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
