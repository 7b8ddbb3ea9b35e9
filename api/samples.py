"""A job's samples, read from object storage line by line: a page of those that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Literal

import orjson

from api.wire.samples import SampleObject, SampleScore
from store.paging import Page, UnknownCursor, page_of

Wanted = Literal["wrong", "improved", "worsened"]
SAMPLES = "samples.jsonl"
"""The artifact, one sample a line."""

Choose = Callable[[SampleObject], bool]


def sample_page(
    lines: Iterable[bytes], *, after: str | None, limit: int, choose: Choose
) -> Page[SampleObject]:
    """The samples behind `after` that are chosen, as many as `limit`; no line behind them is read.

    Raises UnknownCursor.
    """
    told = map(orjson.loads, lines)
    if after is not None and not any(_id(sample) == after for sample in told):
        raise UnknownCursor(after)
    return page_of(list(islice(filter(choose, map(_sample, told)), limit + 1)), limit)


def chooser(only: Wanted | None, score: str | None) -> Choose:
    """Tells whether a sample is asked for: by one score or, without a name, by the mean of all of them."""

    def choose(sample: SampleObject) -> bool:
        base, tuned = _worth(sample, score)
        match only:
            case None:
                return True
            case "wrong":
                return tuned is not None and tuned < 1
            case "improved":
                return base is not None and tuned is not None and tuned > base
            case "worsened":
                return base is not None and tuned is not None and tuned < base

    return choose


def _id(told: dict[str, Any]) -> str:
    return f"sample-{told['row']}"


def _sample(told: dict[str, Any]) -> SampleObject:
    return SampleObject.model_validate({**told, "id": _id(told)})


def _worth(sample: SampleObject, score: str | None) -> tuple[float | None, float | None]:
    """What the answers of the base model and the tuned one are worth."""
    scores = [told for name, told in sample.scores.items() if score in (None, name)]
    return _mean(scores, lambda told: told.base), _mean(scores, lambda told: told.tuned)


def _mean(scores: list[SampleScore], value: Callable[[SampleScore], float | None]) -> float | None:
    known = [found for found in map(value, scores) if found is not None]
    return sum(known) / len(known) if known else None
