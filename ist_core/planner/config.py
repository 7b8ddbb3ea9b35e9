"""A model's config: read from its folder, its GGUF header or the Hub's cache, and its keys by type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from ist_core.catalog import ModelSource
from ist_core.errors import ModelError, PlanUnavailable
from ist_core.planner.gguf_header import GgufHeader, read_gguf_header
from ist_core.settled import draws_at_random

_WIDTHS = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
_GGUF_KEYS = {
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "block_count": "num_hidden_layers",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "context_length": "max_position_embeddings",
    "vocab_size": "vocab_size",
}
_GGUF_GPT2 = {
    "embedding_length": "n_embd",
    "feed_forward_length": "n_inner",
    "block_count": "n_layer",
    "attention.head_count": "n_head",
    "context_length": "n_positions",
    "vocab_size": "vocab_size",
}
_GGUF_FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "phi3", "gpt2", "gemma")


class Config:
    """The keys of a `config.json`, whose absence or type is refused by name."""

    def __init__(self, keys: Mapping[str, Any]) -> None:
        self._keys = keys

    @property
    def family(self) -> str:
        """transformers' `model_type`."""
        return str(self._keys.get("model_type"))

    def integer(self, key: str, default: int | None = None) -> int:
        """A number of 1 or more; `default` where the key is missing or null.

        Raises:
            PlanUnavailable: if there is none.
        """
        value = self._keys.get(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise PlanUnavailable(
                f"the model's config has {value!r} as {key}; it must be a whole number above 0"
            )
        return value

    def optional(self, key: str) -> int | None:
        """A number of 1 or more, or None where the key is missing or null."""
        return None if self._keys.get(key) is None else self.integer(key)

    def fraction(self, key: str, default: float = 0.0) -> float:
        """A number from 0 to below 1, such as a dropout."""
        value = self._keys.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise PlanUnavailable(
                f"the model's config has {value!r} as {key}; it must be a number from 0 to 1"
            )
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """A yes or no."""
        return bool(self._keys.get(key, default))

    @property
    def random(self) -> bool:
        """Whether training the model draws random numbers."""
        return draws_at_random(self._keys)

    def text(self, *keys: str, default: str) -> str:
        """The first of the keys that is there."""
        return next((str(self._keys[key]) for key in keys if self._keys.get(key)), default)

    def holds(self, key: str) -> bool:
        """Whether the key is there and neither null, zero nor empty."""
        return bool(self._keys.get(key))

    @property
    def stored_bytes(self) -> int:
        """Bytes of one parameter in the model's files."""
        return _WIDTHS.get(self.text("dtype", "torch_dtype", default="float32"), 4)


def read_config(source: ModelSource) -> Config:
    """Return the config of a base model without its weights.

    Of a Hub model that is not in the local cache only `config.json` is downloaded.

    Raises:
        ModelError: if it cannot be read.
    """
    match source.kind:
        case "folder":
            return _from_json(Path(source.location) / "config.json", source.name)
        case "gguf":
            return _from_gguf(read_gguf_header(Path(source.location)), source.name)
        case "hub":
            return _from_json(_hub_config(source.location), source.name)


def _from_json(path: Path, name: str) -> Config:
    try:
        keys = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"the config.json of {name!r} cannot be read: {error}") from error
    if not isinstance(keys, dict):
        raise ModelError(f"the config.json of {name!r} holds no JSON object")
    return Config(keys)


def _hub_config(repo: str) -> Path:
    cached = try_to_load_from_cache(repo, "config.json")
    if isinstance(cached, str):
        return Path(cached)
    try:
        return Path(hf_hub_download(repo, "config.json"))
    except (HfHubHTTPError, OfflineModeIsEnabled, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(f"the config.json of {repo!r} cannot be had from the Hub: {error}") from error


def _from_gguf(header: GgufHeader, name: str) -> Config:
    family = str(header.metadata.get("general.architecture"))
    if family not in _GGUF_FAMILIES:
        known = ", ".join(_GGUF_FAMILIES)
        raise PlanUnavailable(
            f"cannot plan for the GGUF file {name!r} of the family {family!r}; planned are: {known}"
        )
    if f"{family}.expert_count" in header.metadata:
        raise PlanUnavailable(f"cannot plan for the GGUF file {name!r}: it is a mixture of experts")
    names = _GGUF_GPT2 if family == "gpt2" else _GGUF_KEYS
    keys: dict[str, Any] = {
        ours: header.metadata[f"{family}.{theirs}"]
        for theirs, ours in names.items()
        if f"{family}.{theirs}" in header.metadata
    }
    keys.setdefault("vocab_size", header.lengths.get("tokenizer.ggml.tokens"))
    tied = "output.weight" not in header.tensors
    # It is converted once to a folder of float32 weights (ist_core/models/gguf.py).
    return Config({"model_type": family, "tie_word_embeddings": tied, "dtype": "float32", **keys})
