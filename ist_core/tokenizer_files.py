"""A base model's tokenizer and chat template, read from its files (no torch: the API counts with it)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import try_to_load_from_cache
from tokenizers import Tokenizer

from ist_core.catalog import ModelSource
from ist_core.chat_template import FALLBACK_TEMPLATE, ChatTemplate
from ist_core.errors import TokenizerUnavailable
from ist_core.gguf_cache import converted_folder

TOKENIZER = "tokenizer.json"
FILES = (TOKENIZER, "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "config.json")
SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """The files of a tokenizer, and a hash that changes with any of them."""

    folder: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelTokenizer:
    """What turns a conversation into tokens, and how many the model was made for."""

    tokenizer: Tokenizer
    template: ChatTemplate
    window: int | None


def find_tokenizer(source: ModelSource, cache_dir: Path) -> TokenizerFiles:
    """Find the tokenizer's files of a base model.

    Raises:
        TokenizerUnavailable: if there is no `tokenizer.json`, or it is known only once a job has run.
    """
    folder = _folder(source, cache_dir)
    if not (folder / TOKENIZER).is_file():
        raise TokenizerUnavailable(
            f"the model {source.name!r} has no {TOKENIZER}; without it only a job counts tokens, "
            "and tells in its events how many rows were cut"
        )
    digest = hashlib.sha256()
    for name in FILES:
        path = folder / name
        data = path.read_bytes() if path.is_file() else b""
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return TokenizerFiles(folder, digest.hexdigest())


@lru_cache(maxsize=4)
def load_tokenizer(files: TokenizerFiles) -> ModelTokenizer:
    """Load a tokenizer; the last few are kept.

    Raises:
        TokenizerUnavailable: if the files cannot be read as a tokenizer with a chat template.
    """
    try:
        tokenizer = Tokenizer.from_file(str(files.folder / TOKENIZER))
    except Exception as error:  # tokenizers raises nothing narrower
        raise TokenizerUnavailable(f"{TOKENIZER} of the model cannot be read: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    config = _json(files.folder, "tokenizer_config.json")
    special = _special_tokens({**_json(files.folder, "special_tokens_map.json"), **config})
    source = _template(files.folder, config)
    if source is None and "eos_token" not in special:
        raise TokenizerUnavailable("the model's tokenizer has no chat template and no end-of-text token")
    try:
        template = ChatTemplate(source or FALLBACK_TEMPLATE, special)
    except jinja2.TemplateError as error:
        raise TokenizerUnavailable(f"the model's chat template cannot be read: {error}") from error
    return ModelTokenizer(tokenizer, template, _window(files.folder, config))


def _folder(source: ModelSource, cache_dir: Path) -> Path:
    if source.kind == "folder":
        return Path(source.location)
    if source.kind == "gguf":
        folder = converted_folder(Path(source.location), cache_dir)
        if not folder.is_dir():
            raise TokenizerUnavailable(
                f"the tokenizer of {source.name!r}, a GGUF file, can be read once a job has used the model: "
                "the first job converts it"
            )
        return folder
    cached = try_to_load_from_cache(source.location, TOKENIZER)
    if not isinstance(cached, str):
        raise TokenizerUnavailable(
            f"the tokenizer of {source.name!r} is not in the local Hub cache; it is once a job has used the "
            "model, if the API and the workers share HF_HOME"
        )
    return Path(cached).parent


def _json(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TokenizerUnavailable(f"{name} of the model cannot be read: {error}") from error
    return value if isinstance(value, dict) else {}


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """The special tokens by name; some are written as objects that say how they are matched."""
    found = {name: config.get(name) for name in SPECIAL}
    texts = {
        name: token.get("content") if isinstance(token, dict) else token for name, token in found.items()
    }
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _template(folder: Path, config: Mapping[str, Any]) -> str | None:
    """The template of plain chats: in a file of its own, or in the configuration, alone or with others."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    template = config.get("chat_template")
    if isinstance(template, list):
        template = next((item["template"] for item in template if item.get("name") == "default"), None)
    return template if isinstance(template, str) else None


def _window(folder: Path, config: Mapping[str, Any]) -> int | None:
    """How many positions the model was made for; None: it does not say."""
    model = _json(folder, "config.json")
    inner = model.get("text_config")
    text = inner if isinstance(inner, dict) else model
    sizes = [text.get("max_position_embeddings"), config.get("model_max_length")]
    known = [size for size in sizes if isinstance(size, int) and 0 < size < 2**31]
    return min(known) if known else None
