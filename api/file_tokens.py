"""How long a file's rows are for a model: counted once, and kept beside the file."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from isthmus.dataset import containers, formats

from api.services import Services
from ist_core.errors import Problem
from ist_core.token_counts import TokenCounts, count
from ist_core.tokenizer_files import TokenizerFiles, load_tokenizer
from store.tables import File
from store.token_counts import load_counts, save_counts


def kept_counts(services: Services, file: File, found: TokenizerFiles) -> TokenCounts | None:
    """What was counted before; None: nothing yet."""
    kept = load_counts(services.objects, file, found.sha256)
    return None if kept is None else _from_json(kept)


def count_tokens(services: Services, file: File, found: TokenizerFiles) -> TokenCounts:
    """What was counted before, or is now."""
    kept = kept_counts(services, file, found)
    if kept is not None:
        return kept
    known = tuple(formats.FORMATS.values())
    with services.objects.open(file.key) as stream:
        rows = containers.good_rows(stream, known)
        counts = count(rows, load_tokenizer(found), total=file.rows or 0)
    save_counts(services.objects, file, found.sha256, _to_json(counts))
    return counts


def _to_json(counts: TokenCounts) -> dict[str, Any]:
    return {
        "rows": counts.rows,
        "counted": counts.counted,
        "lengths": [[length, before, rows] for (length, before), rows in counts.lengths.items()],
        "refused": counts.refused,
        "problems": [asdict(problem) for problem in counts.problems],
    }


def _from_json(kept: dict[str, Any]) -> TokenCounts:
    lengths = Counter({(length, before): rows for length, before, rows in kept["lengths"]})
    problems = [Problem(**problem) for problem in kept["problems"]]
    return TokenCounts(**{**kept, "lengths": lengths, "problems": problems})
