"""The batches that every contender trains on: encoded once, the same examples in the same order for all."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from isthmus.dataset import chat_rows
from transformers import PreTrainedTokenizerBase

from ist_core.batches import epoch_order
from ist_core.catalog import SMOLLM2, Catalog
from ist_core.encoding import Example, encode
from ist_core.models import default_cache, load_base_model
from ist_core.models.gguf import convert_gguf

ROOT = Path(__file__).parents[2]
TICKETS = ROOT / "examples" / "tickets"
REASONING = ROOT.parent / "shared" / "data" / "commonsense"
"""Rows of ARC, BoolQ and OpenBookQA as conversations; not in the repository, left out where it is absent."""
MAX_LENGTH = 256


@dataclass(frozen=True, slots=True)
class Workload:
    """Encoded examples of one data set."""

    name: str
    model: Path
    """The base model as a plain transformers folder."""
    pad: int
    batches: list[list[Example]]
    held_out: list[Example]

    def write(self, path: Path) -> None:
        """Store it for the contenders' processes."""
        content = {
            "name": self.name,
            "model": str(self.model),
            "pad": self.pad,
            "batches": [[_row(example) for example in batch] for batch in self.batches],
            "held_out": [_row(example) for example in self.held_out],
        }
        path.write_text(json.dumps(content), encoding="utf-8")


def read(path: Path) -> Workload:
    """Return what `Workload.write` stored."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return Workload(
        name=found["name"],
        model=Path(found["model"]),
        pad=found["pad"],
        batches=[[_example(row) for row in batch] for batch in found["batches"]],
        held_out=[_example(row) for row in found["held_out"]],
    )


def with_held_out(work: Workload, held_out: list[Example]) -> Workload:
    """Return the workload with other held-out rows."""
    return replace(work, held_out=held_out)


def data_sets(reasoning: Path = REASONING) -> dict[str, tuple[list[Path], list[Path]]]:
    """Return the data sets that are here: files to train on, and files held out."""
    found = {"tickets": ([TICKETS / "train.jsonl"], [TICKETS / "heldout.jsonl"])}
    if reasoning.is_dir():
        parts = (sorted(reasoning.glob("*.train.jsonl")), sorted(reasoning.glob("*.test.jsonl")))
        found = {"reasoning": parts, **found}
    return found


def make(
    name: str,
    files: tuple[list[Path], list[Path]],
    *,
    rows: int,
    held_out: int,
    batch_size: int,
    seed: int = 0,
    epochs: int = 1,
) -> Workload:
    """Encode `rows` rows of a data set and put them in the engine's own order (similar lengths together)."""
    source = Catalog().resolve(SMOLLM2)
    base = load_base_model(source, cache_dir=default_cache(), dtype=torch.float32, device=torch.device("cpu"))
    training, validation = (
        _encode(paths, base.tokenizer, rows=count, seed=seed)
        for paths, count in (
            (files[0], rows),
            (files[1], held_out),
        )
    )
    lengths = [example.length for example in training]
    order = [
        [training[index] for index in batch]
        for epoch in range(epochs)
        for batch in epoch_order(lengths, batch_size=batch_size, seed=seed, epoch=epoch)
        if len(batch) == batch_size
    ]
    folder = convert_gguf(Path(source.location), default_cache())
    return Workload(name, folder, base.tokenizer.pad_token_id, order, validation)


def _encode(paths: list[Path], tokenizer: PreTrainedTokenizerBase, *, rows: int, seed: int) -> list[Example]:
    chats = [row for path in paths for row in chat_rows.load(path, param=None)]
    # Rows are picked once, whatever else the seed decides.
    random.Random(0).shuffle(chats)  # noqa: S311  # no secret
    return encode(chats[: 2 * rows], tokenizer, max_length=MAX_LENGTH)[:rows]


def _row(example: Example) -> list[list[int]]:
    return [list(example.tokens), [int(learnt) for learnt in example.supervised]]


def _example(row: list[list[int]]) -> Example:
    tokens, learnt = row
    return Example(tuple(tokens), tuple(map(bool, learnt)), truncated=False)
