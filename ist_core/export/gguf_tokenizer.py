"""A tokenizer as GGUF holds it: words by number, how text is cut up, merges, special tokens, chat template.

Llama-family models have one of two kinds in llama.cpp: `gpt2` (byte-level BPE), with a name for the rule that
cuts text up before merging, and `llama` (SentencePiece), where scores stand for merges: sooner is higher.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
from gguf import TokenType
from transformers import PreTrainedTokenizerBase
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

from ist_core.errors import ExportUnsupported

_RULES = ("llama-bpe", "qwen2", "tekken")
"""Names of rules that are one regular expression, which transformers knows by them."""
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True, slots=True)
class Words:
    """What a model's vocabulary is made of, by number."""

    texts: list[str]
    types: list[TokenType]


def add_tokenizer(
    writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerBase, *, size: int, rule: str | None
) -> None:
    """Write all that is told of the tokenizer.

    Args:
        size: rows of the model's embedding; numbers without a word get a placeholder.
        rule: how text is cut up before merging, by llama.cpp's name; None: it is told by the tokenizer's own.

    Raises:
        ExportUnsupported: if llama.cpp has no such tokenizer.
    """
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        content = json.loads((Path(folder) / "tokenizer.json").read_text(encoding="utf-8"))
        bytewise = _is_bytewise(content)
        special = gguf.SpecialVocab(folder, load_merges=bytewise, n_vocab=size)
    # As the tokenizer does, whatever its files say.
    special.add_special_token["bos"] = _begins_with(tokenizer, tokenizer.bos_token_id)
    special.add_special_token["eos"] = _ends_with(tokenizer, tokenizer.eos_token_id)
    words = _words(content, size, None if bytewise else tokenizer.unk_token)
    writer.add_tokenizer_model("gpt2" if bytewise else "llama")
    writer.add_tokenizer_pre((rule or _rule(content)) if bytewise else "default")
    writer.add_token_list(words.texts)
    writer.add_token_types(words.types)
    if not bytewise:
        writer.add_token_scores(list(_scores(content, words.texts)))
        writer.add_add_space_prefix(tokenizer.tokenize("a")[0] != "a")
    special.add_to_gguf(writer, quiet=True)


def _is_bytewise(content: dict[str, Any]) -> bool:
    model = content["model"]
    if model["type"] == "BPE" and model.get("byte_fallback"):
        return False
    if model["type"] == "BPE" and "ByteLevel" in json.dumps(content["decoder"]):
        return True
    raise ExportUnsupported(
        f"the tokenizer is of the kind {model['type']}, which GGUF's Llama models do not have (they have "
        "byte-level BPE and SentencePiece BPE): export the model as merged"
    )


def _rule(content: dict[str, Any]) -> str:
    """Return llama.cpp's name for how the tokenizer cuts text up before merging."""
    outer = content["pre_tokenizer"]
    parts = outer["pretokenizers"] if outer["type"] == "Sequence" else [outer]
    kinds = [part["type"] for part in parts]
    if kinds == ["ByteLevel"] and parts[0]["use_regex"]:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and parts[0]["individual_digits"] and parts[1]["use_regex"]:
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and not parts[1]["use_regex"]:
        pattern = parts[0]["pattern"].get("Regex")
        for name in _RULES:
            if pattern == GGUF_PRE_TOKENIZER_SPLITS[name]:
                return name
    raise ExportUnsupported(
        "the tokenizer cuts text up by a rule that is none of gpt-2, smollm, "
        f"{', '.join(_RULES)}, which llama.cpp has by these names: export the model as merged"
    )


def _words(content: dict[str, Any], size: int, unknown: str | None) -> Words:
    """Return the words by number; `unknown` is the token of the kind `llama` for what it cannot write."""
    texts = {number: text for text, number in content["model"]["vocab"].items()}
    added = {token["id"]: token for token in content["added_tokens"]}
    texts |= {number: token["content"] for number, token in added.items()}
    if max(texts) >= size:
        raise ExportUnsupported(
            f"the tokenizer has {max(texts) + 1} tokens and the model has embeddings for {size}: give the "
            "model's own tokenizer"
        )
    types = [_type(texts.get(number), added.get(number), unknown) for number in range(size)]
    spelled = [texts.get(number, f"[PAD{number}]") for number in range(size)]
    return Words(spelled, types)


def _type(text: str | None, added: dict[str, Any] | None, unknown: str | None) -> TokenType:
    if text is None:
        return TokenType.UNUSED
    if text == unknown:
        return TokenType.UNKNOWN
    if _BYTE.fullmatch(text):
        return TokenType.BYTE
    if added is None:
        return TokenType.NORMAL
    return TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED


def _scores(content: dict[str, Any], texts: list[str]) -> Iterator[float]:
    """Yield minus the place of the first merge that makes each word; what no merge makes comes last."""
    merges = content["model"]["merges"]
    places: dict[str, int] = {}
    for place, (left, right) in enumerate(merges):
        places.setdefault(left + right, place)
    for text in texts:
        yield -float(places.get(text, len(merges)))


def _begins_with(tokenizer: PreTrainedTokenizerBase, token: int | None) -> bool:
    return token is not None and tokenizer("a")["input_ids"][0] == token


def _ends_with(tokenizer: PreTrainedTokenizerBase, token: int | None) -> bool:
    return token is not None and tokenizer("a")["input_ids"][-1] == token
