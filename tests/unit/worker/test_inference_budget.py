"""The inference process's share of memory: how much of a conversation fits beside the weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ist_core.catalog import ModelSource
from store.settings import Settings
from worker.inference.budget import (
    LEAST_CACHE_TOKENS,
    MOST_CACHE_TOKENS,
    SUNK_BYTES,
    cache_tokens,
    share_of,
)
from worker.inference.refused import Refused

LAYERS, KV_WIDTH, WIDTH = 4, 2 * 16, 4
CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 400,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
}
PER_TOKEN = 2 * LAYERS * KV_WIDTH * WIDTH
PARAMETERS = 400 * 64 + LAYERS * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 160 + 2 * 64) + 64

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="these are the numbers of a CPU")


def source(folder: Path, **changed: object) -> ModelSource:
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changed}))
    return ModelSource("folder", "tiny", str(folder))


def test_what_the_weights_leave_is_for_conversations(tmp_path: Path) -> None:
    weights = PARAMETERS * WIDTH + SUNK_BYTES
    assert cache_tokens(source(tmp_path), weights + 1000 * PER_TOKEN) == 1000
    assert cache_tokens(source(tmp_path), weights + 10**9) == MOST_CACHE_TOKENS


def test_a_model_without_room_is_refused_with_what_to_raise(tmp_path: Path) -> None:
    memory = PARAMETERS * WIDTH + SUNK_BYTES + (LEAST_CACHE_TOKENS - 1) * PER_TOKEN
    with pytest.raises(Refused, match="raise ISTHMUS_CHAT_MEMORY_BYTES") as refused:
        cache_tokens(source(tmp_path), memory)
    assert (refused.value.status, refused.value.code, refused.value.param) == (
        400,
        "model_too_large",
        "model",
    )


def test_a_model_that_nobody_can_reckon_is_tried(tmp_path: Path) -> None:
    assert cache_tokens(source(tmp_path, model_type="unheard-of"), 10**9) == MOST_CACHE_TOKENS


@pytest.fixture
def threads() -> Iterator[None]:
    """What a test sets is undone."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_the_share_is_the_one_of_the_settings(tmp_path: Path) -> None:
    settings = Settings(
        database_url="postgresql://nowhere/none",
        redis_url="redis://nowhere",
        data_dir=tmp_path,
        chat_threads=1,
    )
    assert share_of(settings.model_copy(update={"chat_memory_bytes": 12345})) == 12345
    assert share_of(settings) > 2**20
    assert torch.get_num_threads() == 1
