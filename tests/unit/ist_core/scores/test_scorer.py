"""Each score by its definition, and the scores that a spec asks for."""

from __future__ import annotations

from typing import Any

import pytest

from ist_core.errors import EvaluationError
from ist_core.evaluation_spec import EvaluationSpec
from ist_core.scores import make_scorers
from ist_core.scores.json_scores import JsonFields, ValidJson
from ist_core.scores.naming import Choice, Regex
from ist_core.scores.text_scores import ExactMatch, RougeL

TICKET = '{"kind": "bug", "team": {"name": "web", "ids": [1, 2]}, "open": true}'


@pytest.mark.parametrize(("answer", "worth"), [("Paris", 1), (" Paris\n", 1), ("paris", 0), ("Paris.", 0)])
def test_exact_match_looks_past_white_space_alone(answer: str, worth: float) -> None:
    assert ExactMatch().score(answer, "Paris") == worth


@pytest.mark.parametrize(
    ("answer", "worth"),
    [(TICKET, 1), ("null", 1), ("[1]", 1), ("{", 0), ("Here: {}", 0), ("NaN", 0), ("", 0), ("[" * 10**5, 0)],
)
def test_valid_json_is_json_and_nothing_else(answer: str, worth: float) -> None:
    assert ValidJson().score(answer, "{}") == worth


@pytest.mark.parametrize(
    ("answer", "worth"),
    [
        (TICKET, 1),
        ('{"open": true, "team": {"ids": [1.0, 2], "name": "web"}, "kind": "bug", "more": 0}', 1),
        ('{"kind": "bug"}', 0.25),
        ('{"kind": "bug", "team": {"name": "api", "ids": [2, 1]}, "open": true}', 0.5),
        ('{"kind": "Bug", "team": "web", "open": 1}', 0),
        ('{"team.name": "web"}', 0),
        ("[]", 0),
        ("kind: bug", 0),
    ],
)
def test_json_fields_is_the_share_of_leaves_that_are_right(answer: str, worth: float) -> None:
    assert JsonFields().score(answer, TICKET) == worth


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ("B", "B"),
        ("The answer is B, not C.", "B"),
        ("b", "nothing"),
        ("Band A", "A"),
        ("AB", "nothing"),
        ("**C**", "C"),
    ],
)
def test_choice_takes_the_first_that_stands_alone(answer: str, named: str) -> None:
    scorer = Choice(["A", "B", "C"])
    assert {name: scorer.score(answer, name) for name in "ABC"} == {name: name == named for name in "ABC"}


def test_choices_of_words_may_be_written_in_either_case_and_hold_one_another() -> None:
    scorer = Choice(["spam", "not spam", "c++", "巴黎"])
    assert scorer.score("It is NOT SPAM.", "not spam") == 1
    assert scorer.score("It is NOT SPAM.", "spam") == 0
    assert scorer.score("I like C++", "c++") == 1
    assert scorer.score("答案是巴黎。", "巴黎") == 1
    assert scorer.applies("The label is Spam")
    assert not scorer.applies("spammer")


def test_regex_compares_what_it_captures() -> None:
    scorer = Regex(r"label: (\w+)")
    assert scorer.score("I think label: bug, label: fix", "label: bug!") == 1
    assert scorer.score("label: fix", "label: bug") == 0
    assert scorer.score("bug", "label: bug") == 0
    assert not scorer.applies("bug")


@pytest.mark.parametrize(
    ("answer", "expected", "worth"),
    [
        # 2 LCS / (words of both): rouge-score says the same of these, to the last digit.
        ("the cat sat on the mat", "the cat is on the mat", 10 / 12),
        ("police kill the gunman", "police killed the gunman", 6 / 8),
        ("The gunman, the police kill!", "police killed the gunman", 4 / 9),
        ("", "a word", 0),
        ("straße groß", "STRASSE klein", 1 / 2),
        ("我去巴黎", "我去柏林", 4 / 8),
    ],
)
def test_rouge_l_is_the_f_measure_of_the_common_subsequence(answer: str, expected: str, worth: float) -> None:
    assert RougeL().score(answer, expected) == pytest.approx(worth)


def made(asked: list[str], everything: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    scorers = make_scorers(EvaluationSpec.model_validate(fields), asked, everything or asked)
    return {str(name): scorer for name, scorer in scorers.items()}


def test_choices_that_are_not_named_are_the_expected_answers() -> None:
    scorer = made(["yes"], ["yes", "No", "no", "YES"], scores=["choice"])["choice"]
    assert scorer.score("No, never", "no") == 1


@pytest.mark.parametrize("answers", [["one"] * 5, [f"answer {number}" for number in range(51)]])
def test_too_few_or_too_many_expected_answers_are_no_choices(answers: list[str]) -> None:
    with pytest.raises(EvaluationError, match="different expected answers, so they are no choices") as caught:
        made(answers, scores=["choice"])
    assert caught.value.param == "evaluation.choices"


@pytest.mark.parametrize(
    ("score", "more"),
    [
        ("json_fields", {}),
        ("valid_json", {}),
        ("choice", {"choices": ["A", "B"]}),
        ("regex", {"pattern": r"\d"}),
        ("rouge_l", {}),
    ],
)
def test_a_score_that_goes_with_no_row_is_refused(score: str, more: dict[str, Any]) -> None:
    with pytest.raises(EvaluationError, match=rf"the score {score} needs .* none of the 2 rows has one"):
        made(["?", "!"], scores=["exact_match", score], **more)
