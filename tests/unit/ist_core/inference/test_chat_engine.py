"""The chat engine beside transformers' own `generate`: rows that join, leave and are cancelled."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path
from unittest.mock import Mock

import pytest

from ist_core.inference import ChatMessage, ChatRequest
from tests.unit.ist_core.inference.talks import Answer, Answers, add, ask, decode, generate, new_engine, talk

QUESTIONS = [
    "hello",
    "count one two three four five six",
    "you " * 40,
    "{}",
    "what is the capital of France?",
]


@pytest.fixture(scope="module")
def expected(talker: Path) -> dict[str, str]:
    """What transformers answers to each question alone."""
    return {text: decode(talker, generate(talker, text)) for text in QUESTIONS}


def test_the_questions_have_answers_worth_comparing(expected: dict[str, str]) -> None:
    assert len(set(expected.values())) == len(QUESTIONS)
    assert all(len(set(text)) > 5 for text in expected.values())


@pytest.mark.parametrize("text", QUESTIONS)
def test_a_greedy_answer_is_the_one_of_transformers(
    talker: Path, expected: dict[str, str], text: str
) -> None:
    (answer,) = talk(new_engine(talker), [ask("a", text)]).values()
    assert answer.text == expected[text]
    assert (answer.last.finish_reason, answer.last.completion_tokens) == ("length", 24)


@pytest.mark.parametrize("between", [0, 1, 3, 10])
def test_requests_in_one_batch_are_answered_as_alone(
    talker: Path, expected: dict[str, str], between: int
) -> None:
    """They join while others run, at other lengths: before, beside and over what is there."""
    answers = talk(new_engine(talker), [ask(text, text) for text in QUESTIONS], between=between)
    assert {name: answer.text for (name, _), answer in answers.items()} == expected


@pytest.mark.parametrize("rows", [1, 2])
def test_more_requests_than_rows_wait_for_their_turn(
    talker: Path, expected: dict[str, str], rows: int
) -> None:
    answers = talk(new_engine(talker, max_batch=rows), [ask(text, text) for text in QUESTIONS])
    assert {name: answer.text for (name, _), answer in answers.items()} == expected
    if rows == 1:
        assert [name for name, _ in answers] == QUESTIONS


def test_rows_of_all_lengths_come_and_go_for_long(talker: Path) -> None:
    """Many more tokens than the cache has columns: what is alive is moved, and rows take others' places."""
    tokens = [5, 90, 17, 3, 60, 33, 1, 80, 12, 45]
    texts = [QUESTIONS[turn % len(QUESTIONS)] for turn in range(len(tokens))]
    whole = {text: generate(talker, text, tokens=max(tokens)) for text in QUESTIONS}
    engine = new_engine(talker, max_batch=3)
    requests = [
        ask(str(turn), text, max_tokens=count)
        for turn, (text, count) in enumerate(zip(texts, tokens, strict=True))
    ]
    answers = talk(engine, requests, between=2)
    for turn, (text, count) in enumerate(zip(texts, tokens, strict=True)):
        assert answers[str(turn), 0].text == decode(talker, whole[text][:count]), turn
        assert answers[str(turn), 0].last.completion_tokens == count


def test_a_long_answer_may_begin_beside_a_short_one(talker: Path) -> None:
    """The cache was made for the short one, and is far too small for the other."""
    engine = new_engine(talker)
    answers = talk(
        engine, [ask("short", "hello", max_tokens=9), ask("long", "{}", max_tokens=200)], between=4
    )
    assert answers["long", 0].text == decode(talker, generate(talker, "{}", tokens=200))
    assert answers["long", 0].last.completion_tokens == 200


def test_a_long_prompt_is_read_in_parts_while_others_are_answered(
    talker: Path, expected: dict[str, str]
) -> None:
    engine = new_engine(talker, prefill_tokens=16)
    engine.submit(ask("first", "hello"))
    while not engine.step():
        pass
    engine.submit(ask("long", QUESTIONS[2]))
    steps = [engine.step() for _ in range(5)]
    assert all({delta.request_id for delta in deltas} <= {"first"} for deltas in steps)
    assert sum(map(len, steps)) > 1
    assert talk(engine)["long", 0].text == expected[QUESTIONS[2]]


def test_the_choices_of_a_request_share_its_prompt(talker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = new_engine(talker, prefill_tokens=512)
    run = Mock(wraps=engine._forward.run)
    monkeypatch.setattr(engine._forward, "run", run)
    answers = talk(engine, [ask("a", "hello", n=3, temperature=1.0, seed=1)])
    assert sorted(answers) == [("a", 0), ("a", 1), ("a", 2)]
    assert len({answer.text for answer in answers.values()}) == 3
    (prompt,) = {answer.last.prompt_tokens for answer in answers.values()}
    assert [len(call.args[0][0]) for call in run.call_args_list] == [prompt] + [1] * 23


def test_a_cancelled_request_says_no_more_wherever_it_is(talker: Path, expected: dict[str, str]) -> None:
    engine = new_engine(talker, max_batch=3, prefill_tokens=16)
    for name in ("runs", "runs too", "fills", "waits", "goes on"):
        engine.submit(ask(name, QUESTIONS[2] if name == "fills" else "hello"))
    while sum(delta.request_id == "runs too" for delta in engine.step()) == 0:
        pass
    engine.step()
    for name in ("runs", "fills", "waits", "nobody"):
        engine.cancel(name)
    answers = talk(engine)
    assert {name for name, _ in answers} == {"runs too", "goes on"}
    assert answers["goes on", 0].text == expected["hello"]


def test_all_that_runs_can_be_cancelled_and_the_engine_goes_on(
    talker: Path, expected: dict[str, str]
) -> None:
    engine = new_engine(talker)
    engine.submit(ask("a", "hello"))
    engine.step()
    engine.cancel("a")
    assert engine.idle
    assert talk(engine, [ask("b", "{}")])["b", 0].text == expected["{}"]


def test_the_end_tokens_are_those_of_the_generation_config_too(talker: Path, tmp_path: Path) -> None:
    tokens = generate(talker, "hello")
    ending = next(token for at, token in enumerate(tokens) if at > 3 and token not in tokens[:at])
    folder = shutil.copytree(talker, tmp_path / "ending")
    path = folder / "generation_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"eos_token_id": [config["eos_token_id"], ending]}))
    (answer,) = talk(new_engine(folder), [ask("a", "hello")]).values()
    at = tokens.index(ending)
    assert answer.text == decode(talker, tokens[:at])
    assert (answer.last.finish_reason, answer.last.completion_tokens) == ("stop", at + 1)


def test_a_stop_string_ends_a_choice_and_is_not_part_of_it(talker: Path, expected: dict[str, str]) -> None:
    whole = expected["hello"]
    stop = whole[6:10]
    (answer,) = talk(new_engine(talker), [ask("a", "hello", stop=("never", stop))]).values()
    assert answer.text == whole[: whole.index(stop)]
    assert answer.last.finish_reason == "stop"
    assert answer.last.completion_tokens < 24


def test_text_that_was_held_back_is_shown_when_an_answer_has_all_its_tokens(
    talker: Path, expected: dict[str, str]
) -> None:
    whole = expected["{}"]
    (answer,) = talk(new_engine(talker), [ask("a", "{}", stop=(whole[-3:] + "never",))]).values()
    assert (answer.text, answer.last.finish_reason) == (whole, "length")
    assert answer.last.text.endswith(whole[-3:])


def test_without_max_tokens_an_answer_has_the_default_or_what_the_window_leaves(talker: Path) -> None:
    answers = talk(new_engine(talker, default_max_tokens=7), [ask("a", "hello", max_tokens=None)])
    assert answers["a", 0].last.completion_tokens == 7
    long = "you " * 155
    (answer,) = talk(new_engine(talker), [ask("a", long, max_tokens=None)]).values()
    assert answer.last.prompt_tokens + answer.last.completion_tokens == 512


def test_an_engine_says_whether_there_is_something_to_do(talker: Path) -> None:
    engine = new_engine(talker)
    assert engine.idle
    assert engine.step() == []
    engine.submit(ask("a", "hello", max_tokens=1))
    assert not engine.idle
    (delta,) = engine.step()
    assert (delta.finish_reason, delta.completion_tokens) == ("length", 1)
    assert engine.idle


def test_a_conversation_has_all_roles(talker: Path) -> None:
    messages = [("system", "Be brief."), ("user", "hello"), ("assistant", "hi"), ("user", "count")]
    request = ChatRequest("a", None, [ChatMessage(*message) for message in messages], max_tokens=3)
    (answer,) = talk(new_engine(talker), [request]).values()
    shorter = ChatRequest("b", None, request.messages[:2], max_tokens=3)
    (other,) = talk(new_engine(talker), [shorter]).values()
    assert answer.last.prompt_tokens > other.last.prompt_tokens


def test_the_cache_budget_lets_requests_wait(talker: Path, expected: dict[str, str]) -> None:
    """Room for two or three short ones, or for the long one alone."""
    engine = new_engine(talker, max_cache_tokens=180)
    for text in QUESTIONS:
        engine.submit(ask(text, text))
    answers: Answers = defaultdict(Answer)
    rows = []
    while not engine.idle:
        add(answers, engine.step())
        lengths = engine._cache.lengths
        rows.append(len(lengths))
        assert len(lengths) * max(lengths, default=0) <= 180
    assert {name: answer.text for (name, _), answer in answers.items()} == expected
    assert max(rows) in {2, 3}
