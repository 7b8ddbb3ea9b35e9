"""Whose turn it is among base models that are asked for."""

from __future__ import annotations

from store.chat_orders import Waiting
from worker.inference.turns import TURN_SECONDS, Turns


def line(*bases: str) -> list[Waiting]:
    return [Waiting(f"{number}", "p", base) for number, base in enumerate(bases)]


def bases(chosen: list[Waiting]) -> list[str]:
    return [request.base for request in chosen]


def test_the_oldest_request_brings_all_of_its_base() -> None:
    turns = Turns()
    assert turns.next([], running=False, now=0.0) == []
    chosen = turns.next(line("a", "b", "a"), running=False, now=0.0)
    assert [request.id for request in chosen] == ["0", "2"]
    assert turns.base == "a"


def test_a_base_keeps_its_turn_while_it_lasts() -> None:
    turns = Turns()
    turns.next(line("a"), running=False, now=0.0)
    assert bases(turns.next(line("b", "a"), running=True, now=TURN_SECONDS - 1)) == ["a"]
    assert bases(turns.next(line("b", "a"), running=False, now=TURN_SECONDS - 1)) == ["a"]
    assert turns.next(line("b"), running=True, now=1.0) == []
    assert turns.base == "a"


def test_one_that_waits_comes_when_the_turn_is_over() -> None:
    turns = Turns()
    turns.next(line("a"), running=False, now=0.0)
    late = TURN_SECONDS
    assert turns.next(line("b", "a", "c"), running=True, now=late) == []
    assert bases(turns.next(line("b", "a", "c"), running=False, now=late)) == ["b"]
    assert bases(turns.next(line("a", "b", "c"), running=False, now=late + 1)) == ["b"]
    assert bases(turns.next(line("a", "b", "c"), running=False, now=2 * late)) == ["a"]


def test_one_that_waits_comes_when_nobody_asks_for_the_present_one() -> None:
    turns = Turns()
    turns.next(line("a"), running=False, now=0.0)
    assert bases(turns.next(line("b"), running=False, now=1.0)) == ["b"]


def test_a_base_that_nobody_waits_beside_goes_on_for_ever() -> None:
    turns = Turns()
    for hour in range(3):
        assert bases(turns.next(line("a"), running=hour > 0, now=3600.0 * hour)) == ["a"]


def test_of_each_project_the_oldest_comes_before_the_second_of_any() -> None:
    projects = ["busy", "busy", "busy", "calm", "busy", "calm"]
    waiting = [Waiting(f"{number}", project, "a") for number, project in enumerate(projects)]
    chosen = Turns().next(waiting, running=False, now=0.0)
    assert [request.id for request in chosen] == ["0", "3", "1", "5", "2", "4"]
