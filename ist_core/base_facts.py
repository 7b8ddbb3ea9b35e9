"""What is known of a base model besides its weights: its licence, and where it is on the Hub (no torch)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import ModelCard, try_to_load_from_cache

from ist_core.catalog import SMOLLM2, ModelSource
from ist_core.errors import ModelError
from ist_core.planner.gguf_header import read_gguf_header

_HUB_IDS = {SMOLLM2: f"HuggingFaceTB/{SMOLLM2}"}
"""Of models whose files do not say it."""


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """What a card or a GGUF file says of a base model."""

    name: str
    """Its Hub id, or else its name here."""
    hub: bool
    """Whether `name` is a Hub id."""
    license: str | None
    file: str | None
    """A GGUF base model's file name."""
    tokenizer_rule: str | None
    """How a GGUF base model cuts text up before merging, by llama.cpp's name."""


def base_facts(source: ModelSource) -> BaseFacts:
    """Return what the base model's own files say; the network is not asked."""
    hub_id = source.location if source.kind == "hub" else _HUB_IDS.get(source.name)
    licence, file, rule = None, None, None
    if source.kind == "gguf":
        path = Path(source.location)
        metadata = _metadata(path)
        licence, file = metadata.get("general.license"), path.name
        rule = metadata.get("tokenizer.ggml.pre")
    else:
        licence = _card_license(source)
    return BaseFacts(hub_id or source.name, hub_id is not None, licence, file, rule)


def _metadata(path: Path) -> dict[str, str]:
    try:
        return {key: str(value) for key, value in read_gguf_header(path).metadata.items()}
    except ModelError:
        return {}  # converted once, and gone since: nothing is known


def _card_license(source: ModelSource) -> str | None:
    """Return the licence that the model's README names."""
    card: object = Path(source.location) / "README.md"
    if source.kind == "hub":
        card = try_to_load_from_cache(source.location, "README.md")
    if not isinstance(card, str | Path) or not Path(card).is_file():
        return None
    try:
        licence = ModelCard.load(card, ignore_metadata_errors=True).data.license
    except (OSError, ValueError):
        return None
    return licence if isinstance(licence, str) else None
