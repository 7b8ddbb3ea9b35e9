"""A job's stream over connections that break: nothing lost, nothing twice."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from isthmus.core.effects import Answer, Effect, Open
from isthmus.core.stream import AWAY_SECONDS, Cursor, follow
from isthmus.errors import AuthenticationFailed, ConnectionFailed, NotFound, ServerError, UnexpectedAnswer
from isthmus.resources.job_requests import stream

from tests.unit.client.script import Connection, Piece, Script, refusal, retries

GOOD = Answer(200, {"content-type": "text/event-stream"})
BROKEN = ConnectionFailed("reset by peer")
END = json.dumps({"type": "end"})


def _job(last_seq: int, seq: int = 0) -> str:
    return json.dumps({"seq": seq, "type": "job", "data": {"id": "ftjob-1", "last_seq": last_seq}})


def _step(seq: int) -> str:
    return json.dumps({"seq": seq, "type": "step", "data": {"step": seq, "time": 0.0}})


def _event(seq: int) -> str:
    return json.dumps({"seq": seq, "type": "event", "data": {"id": f"ftevent-{seq}"}})


def _part(kind: str, part_of: int) -> str:
    return json.dumps({"part_of": part_of, "type": kind, "data": {}})


def _error(kind: str, code: str) -> str:
    error = {"message": "no", "type": kind, "param": None, "code": code}
    return json.dumps({"type": "error", "error": error})


def _follow(script: Script, after: int = 0) -> list[tuple[str, int | None]]:
    script.run(follow(stream("ftjob-1"), retries(), Cursor(after)))
    return _shown(script)


def _shown(script: Script) -> list[tuple[str, int | None]]:
    return [(frame["type"], frame.get("seq", frame.get("part_of"))) for frame in script.emitted]


def test_a_whole_stream_in_one_connection() -> None:
    script = Script([Connection(GOOD, [_job(2), _event(1), _step(2), _job(3, seq=2), END])])
    assert _follow(script) == [("job", 0), ("event", 1), ("step", 2), ("job", 2)]
    assert script.requests[0].query == {"after": 0}
    assert script.sleeps == []


@pytest.mark.parametrize("broken", [[], [BROKEN]], ids=["closed", "reset"])
def test_a_broken_stream_goes_on_after_the_last_number(broken: list[Piece]) -> None:
    first = Connection(GOOD, [_job(2), _event(1), _step(2), *broken])
    second = Connection(GOOD, [_job(2, seq=2), _step(3), END])
    script = Script([first, second])
    assert _follow(script) == [("job", 0), ("event", 1), ("step", 2), ("step", 3)]
    assert [request.query["after"] for request in script.requests] == [0, 2]


def test_what_a_service_repeats_is_shown_once() -> None:
    script = Script([Connection(GOOD, [_step(1), _step(2)]), Connection(GOOD, [_step(2), _step(3), END])])
    assert _follow(script) == [("step", 1), ("step", 2), ("step", 3)]


def test_the_job_of_a_new_connection_is_shown_when_it_tells_more() -> None:
    script = Script([Connection(GOOD, [_job(0), _event(1)]), Connection(GOOD, [_job(1, seq=1), END])])
    assert _follow(script) == [("job", 0), ("event", 1), ("job", 1)]


def test_a_part_waits_for_what_it_is_a_part_of() -> None:
    first = Connection(GOOD, [_part("checkpoint", 1), BROKEN])
    second = Connection(GOOD, [_part("checkpoint", 1), _event(1), _part("evaluation", 2)])
    third = Connection(GOOD, [_part("evaluation", 2), _step(2), END])
    assert _follow(Script([first, second, third])) == [
        ("checkpoint", 1),
        ("event", 1),
        ("evaluation", 2),
        ("step", 2),
    ]


def test_a_stream_can_begin_later() -> None:
    script = Script([Connection(GOOD, [_step(8), END])])
    assert _follow(script, after=7) == [("step", 8)]
    assert script.requests[0].query == {"after": 7}


def test_a_frame_of_a_later_service_is_shown() -> None:
    news = json.dumps({"type": "news", "text": "hello"})
    assert _follow(Script([Connection(GOOD, [news, END])])) == [("news", None)]


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationFailed), (404, NotFound)])
def test_a_refusal_ends_the_stream_at_once(status: int, kind: type[Exception]) -> None:
    script = Script([Connection(GOOD, [_step(1), BROKEN]), refusal(status)])
    with pytest.raises(kind):
        _follow(script)
    assert _shown(script) == [("step", 1)]


def test_a_key_that_dies_meanwhile_ends_the_stream() -> None:
    script = Script([Connection(GOOD, [_step(1), _error("authentication_error", "invalid_api_key")])])
    with pytest.raises(AuthenticationFailed):
        _follow(script)


def test_trouble_that_may_pass_is_waited_out() -> None:
    away = _error("server_error", "database_unavailable")
    script = Script(
        [refusal(503, retry_after="2"), Connection(GOOD, [_step(1), away]), Connection(GOOD, [_step(2), END])]
    )
    assert _follow(script) == [("step", 1), ("step", 2)]
    assert script.sleeps == [2.0, 0.5]


def test_a_service_that_stays_away_is_told_after_minutes() -> None:
    script = Script([ConnectionFailed("refused")] * 100)
    with pytest.raises(ConnectionFailed, match="refused"):
        _follow(script)
    assert AWAY_SECONDS <= sum(script.sleeps) < AWAY_SECONDS + 10
    failing = Script([refusal(500)] * 100)
    with pytest.raises(ServerError):
        _follow(failing)


def test_progress_renews_the_patience() -> None:
    breaks = [Connection(GOOD, [_step(n), BROKEN]) for n in range(1, 200)]
    script = Script([*breaks, Connection(GOOD, [END])])
    assert len(_follow(script)) == 199
    assert set(script.sleeps) == {0.5}


def test_a_job_that_waits_for_long_is_followed_through_any_number_of_breaks() -> None:
    idle = [Connection(GOOD, [_job(0), BROKEN]) for _ in range(200)]
    script = Script([*idle, Connection(GOOD, [_step(1), END])])
    assert _follow(script) == [("job", 0), ("step", 1)]
    assert script.sleeps[-1] == 8.0  # a service that cuts off all connections at once is not flooded


def test_what_is_no_frame_is_told() -> None:
    with pytest.raises(UnexpectedAnswer):
        _follow(Script([Connection(GOOD, ["hello"])]))
    with pytest.raises(UnexpectedAnswer):
        _follow(Script([Connection(GOOD, ["[1]"])]))


@pytest.mark.parametrize("seed", range(20))
def test_random_breaks_lose_nothing_and_show_nothing_twice(seed: int) -> None:
    """A service with a history, each connection cut off anywhere."""
    chance = random.Random(seed)  # noqa: S311
    history = [_step(seq) if chance.random() < 0.7 else _event(seq) for seq in range(1, 60)]
    with_parts: list[list[str]] = [
        [_part("checkpoint", seq), frame] if chance.random() < 0.3 else [frame]
        for seq, frame in enumerate(history, 1)
    ]
    script = _Service(with_parts, chance)
    script.run(follow(stream("ftjob-1"), retries(), Cursor()))
    expected = [json.loads(text) for group in with_parts for text in group]
    assert [frame for frame in script.emitted if frame["type"] != "job"] == expected


class _Service(Script):
    """Answers every connection from its cursor on, and cuts it off after some frames."""

    def __init__(self, groups: list[list[str]], chance: random.Random) -> None:
        super().__init__([])
        self._groups = groups
        self._chance = chance

    def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, Open):
            after = effect.request.query["after"]
            assert isinstance(after, int)
            frames = [_job(len(self._groups), seq=after)]
            frames += [text for group in self._groups[after:] for text in group] + [END]
            cut = self._chance.randint(1, 12)
            ending: list[Piece] = [BROKEN] if self._chance.random() < 0.5 else []
            self.outcomes = [Connection(GOOD, frames if cut >= len(frames) else [*frames[:cut], *ending])]
        return super()._perform(effect)
