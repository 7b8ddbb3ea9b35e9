"""The same request with the same seed is the same text, whatever else is asked at that time."""

from __future__ import annotations

from pathlib import Path

import pytest

from ist_core.inference import ChatRequest
from tests.unit.ist_core.inference.talks import ask, new_engine, talk


def asked(name: str, adapter: Path | None, *, seed: int | None = 11, top_p: float = 0.9) -> ChatRequest:
    return ask(name, "hello", adapter=adapter, temperature=1.2, top_p=top_p, seed=seed, n=2, max_tokens=40)


@pytest.mark.parametrize("name", [None, "dora"])
@pytest.mark.parametrize("top_p", [0.9, 1.0])
def test_a_seed_gives_the_same_text_whatever_else_is_in_the_batch(
    talker: Path, adapters: dict[str, Path], name: str | None, top_p: float
) -> None:
    adapter = adapters[name] if name else None
    alone = talk(new_engine(talker), [asked("mine", adapter, top_p=top_p)])
    others = [
        ask("one", "count one two", temperature=1.0, adapter=adapters["lora"]),
        ask("two", "you " * 50, temperature=1.0, max_tokens=9),
    ]
    engine = new_engine(talker, prefill_tokens=32)
    crowd = talk(engine, [*others, asked("mine", adapter, top_p=top_p), ask("three", "{}")], between=2)
    for index in (0, 1):
        assert crowd["mine", index].text == alone["mine", index].text
    assert alone["mine", 0].text != alone["mine", 1].text


def test_another_seed_or_none_gives_another_text(talker: Path) -> None:
    engine = new_engine(talker)
    texts = [
        answer.text
        for seed in (11, 12, None, None)
        for answer in talk(engine, [asked("mine", None, seed=seed)]).values()
    ]
    assert len(set(texts)) == 8
