"""What `manifest.json` of an exported model says: its files, where it comes from, and how its check went."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from ist_core.strict import Strict

MANIFEST = "manifest.json"

ExportFormat = Literal["merged", "gguf_f16", "gguf_q8_0"]
"""merged: safetensors for transformers and vLLM; the others: one file for llama.cpp and Ollama."""

WeightType = Literal["base", "float32", "bfloat16", "float16"]
"""How a merged export stores its weights; base: as the base model's files do."""


class FileEntry(Strict):
    """One file of the export; the manifest itself is not among them."""

    path: str
    """Relative to the export's folder, with `/` between its parts."""
    bytes: int
    sha256: str


class Origin(Strict):
    """What was exported."""

    base: str
    """The base model's name."""
    base_kind: Literal["folder", "gguf", "hub"]
    adapter_sha256: str
    """Of the adapter's weights."""
    method: str
    """The kind of adapter, as PEFT names it."""


class Tolerance(Strict):
    """The most that the export may differ; differences are shares of the check's `spread`."""

    largest: float
    mean: float
    divergence: float
    """In nats."""
    top1: float
    """The least share of positions at which both say the same next token."""


class Check(Strict):
    """How the export, loaded again from its files, answered next to the trained model (base and adapter)."""

    prompts: list[str]
    positions: int
    """Tokens at which the logits of all the vocabulary were compared."""
    largest_difference: float
    """Between two logits, each less the mean of its position, which softmax does not see."""
    mean_difference: float
    """Of the absolute differences."""
    spread: float
    """The standard deviation of the trained model's logits, which the tolerance is measured in."""
    mean_divergence: float
    """Of the exported model's next-token probabilities from the trained one's: Kullback-Leibler, in nats."""
    top1_agreement: float
    tokens_agree: bool
    """Whether the export's own tokenizer makes the same tokens of the prompts."""
    tolerance: Tolerance
    verdict: Literal["passed", "failed"]


class Manifest(Strict):
    """An export: what it is, and that it is what was trained."""

    version: Literal[1] = 1
    format: ExportFormat
    weights: str
    """What most of the weights are stored as: float32, bfloat16, float16 or q8_0."""
    parameters: int
    origin: Origin
    files: list[FileEntry]
    check: Check
    versions: dict[str, str]
    """Of Python and the packages that made it."""


def list_files(folder: Path) -> list[FileEntry]:
    """Return the files of `folder`, and of those in it, sorted by their paths."""
    entries = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            name = path.relative_to(folder).as_posix()
            entries.append(FileEntry(path=name, bytes=path.stat().st_size, sha256=digest))
    return entries
