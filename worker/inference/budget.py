"""The inference process's share of the machine: it yields to training, and holds no more than it may."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import sys

import torch

from ist_core.catalog import ModelSource
from ist_core.errors import PlanUnavailable
from ist_core.planner import read_config, shape_of
from ist_core.planner.devices import machine_memory
from store.settings import Settings
from worker.inference.refused import Refused

SHARE = 3
"""Of the memory it may hold one part in so many, when nobody says how much."""
MOST_CACHE_TOKENS = 32_768
LEAST_CACHE_TOKENS = 512
SUNK_BYTES = 256 * 1024**2
"""Beside weights and cache: activations, adapters, the allocator's own."""

logger = logging.getLogger(__name__)


def share_of(settings: Settings) -> int:
    """Limit this process; returns how many bytes of its device's memory it may hold."""
    torch.set_num_threads(settings.chat_threads or max(1, (os.cpu_count() or 1) // 2))
    if not torch.cuda.is_available():
        return settings.chat_memory_bytes or machine_memory() // SHARE
    whole = torch.cuda.mem_get_info()[1]
    memory = min(settings.chat_memory_bytes or whole // SHARE, whole)
    torch.cuda.set_per_process_memory_fraction(memory / whole)
    return memory


def cache_tokens(source: ModelSource, memory_bytes: int) -> int:
    """How many tokens of conversations fit beside the weights of a base model.

    Raises:
        Refused: if the weights leave no room for them.
    """
    width = 2 if torch.cuda.is_available() else 4
    try:
        shape = shape_of(read_config(source))
    except PlanUnavailable as error:
        logger.warning("the memory that %s needs is not known: %s", source.name, error.message)
        return MOST_CACHE_TOKENS
    weights = shape.parameters * width
    fitting = (memory_bytes - weights - SUNK_BYTES) // (2 * shape.layers * shape.kv_width * width)
    if fitting < LEAST_CACHE_TOKENS:
        raise Refused(
            400,
            "model_too_large",
            f"model: the weights of {source.name} take {weights / 2**30:.1f} GiB, and the inference process "
            f"may hold {memory_bytes / 2**30:.1f} GiB; name a smaller model, or raise "
            "ISTHMUS_CHAT_MEMORY_BYTES",
            param="model",
        )
    return min(MOST_CACHE_TOKENS, fitting)


def give_memory_back() -> None:
    """Return to the system what no object needs any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
