"""Lists that turn their pages by themselves."""

from __future__ import annotations

import pytest
from isthmus.core.effects import Answer
from isthmus.core.fetching import pages
from isthmus.core.request import get
from isthmus.errors import UnexpectedAnswer
from isthmus.types.base import Page
from isthmus.types.models import Model

from tests.unit.client.script import Script, answer, refusal, retries


def _page(*ids: str, has_more: bool) -> Answer:
    return answer({"object": "list", "data": [{"id": name} for name in ids], "has_more": has_more})


def _run(script: Script) -> list[list[str]]:
    script.run(pages(get("/v1/models", limit=2), Page[Model], retries()))
    return [[item.id for item in page.data] for page in script.emitted]


def test_the_next_page_begins_after_the_last_item() -> None:
    script = Script([_page("a", "b", has_more=True), _page("c", has_more=False)])
    assert _run(script) == [["a", "b"], ["c"]]
    assert [dict(request.query) for request in script.requests] == [{"limit": 2}, {"limit": 2, "after": "b"}]


def test_an_empty_list_is_one_empty_page() -> None:
    assert _run(Script([_page(has_more=False)])) == [[]]


def test_an_empty_page_ends_the_list_whatever_it_says() -> None:
    assert _run(Script([_page(has_more=True)])) == [[]]


def test_a_page_is_tried_again() -> None:
    script = Script([_page("a", has_more=True), refusal(503), _page("b", has_more=False)])
    assert _run(script) == [["a"], ["b"]]


def test_an_answer_of_another_service_is_told() -> None:
    with pytest.raises(UnexpectedAnswer, match="not the answer of an Isthmus service"):
        _run(Script([answer({"hello": "world"})]))
