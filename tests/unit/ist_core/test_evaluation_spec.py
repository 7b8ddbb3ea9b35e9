"""What a spec may say of a job's evaluation, and how what does not go together is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ist_core.patterns import UserPattern
from ist_core.spec import JobSpec


def spec(**fields: Any) -> JobSpec:
    return JobSpec.model_validate({"model": "m", "training_file": "t", "validation_file": "v"} | fields)


def test_a_spec_survives_json() -> None:
    made = spec(
        evaluation={
            "interval": 10,
            "rows": 5,
            "scores": ["choice", "regex"],
            "pattern": r"(\d+)",
            "choices": [" A ", "B"],
        },
        early_stopping={"patience": 2, "min_delta": 0.01},
        select_checkpoint="best",
    )
    assert made.evaluation is not None
    assert made.evaluation.choices == ("A", "B")
    assert JobSpec.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("fields", "param", "reason"),
    [
        ({"evaluation": {}}, "evaluation", "needs a validation_file"),
        ({"early_stopping": {}}, "early_stopping", "needs a validation_file"),
        ({"select_checkpoint": "best"}, "select_checkpoint", "needs a validation_file"),
    ],
)
def test_what_measures_needs_a_validation_file(fields: dict[str, Any], param: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as caught:
        spec(validation_file=None, **fields)
    assert caught.value.errors()[0]["ctx"]["param"] == param


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"select_checkpoint": "best"}, "compares full_valid_loss"),
        ({"early_stopping": {}}, "watches a validation loss"),
    ],
)
def test_what_looks_at_checkpoints_needs_rows_there(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as caught:
        spec(evaluation={"full_rows": 0}, **fields)
    assert caught.value.errors()[0]["ctx"]["param"] == "evaluation.full_rows"


def test_early_stopping_may_watch_the_sample_alone() -> None:
    assert spec(evaluation={"full_rows": 0, "interval": 5}, early_stopping={}).early_stopping


@pytest.mark.parametrize(
    ("evaluation", "reason"),
    [
        ({"scores": ["regex"]}, "pattern: the score regex needs one"),
        ({"pattern": "a"}, "pattern: goes with the score regex only"),
        ({"choices": ["A", "B"]}, "choices: go with the score choice only"),
        ({"scores": ["choice", "choice"]}, "names one value twice"),
        ({"scores": ["choice"], "choices": ["yes", "Yes"]}, "names one value twice"),
        ({"scores": ["choice"], "choices": ["yes"]}, "at least 2 items"),
        ({"scores": []}, "at least 1 item"),
        ({"scores": ["bleu"]}, "'exact_match', 'valid_json'"),
        ({"rows": -1}, "greater than or equal to 0"),
        ({"rows": True}, "valid integer"),
        ({"row": 1}, "Extra inputs"),
    ],
)
def test_refusals_say_what_to_change(evaluation: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        spec(evaluation=evaluation)


@pytest.mark.parametrize("pattern", ["(", "a**", r"\p{Nothing}", "(?=a)", r"(a)\1", "(?:a{900}){900}"])
def test_a_pattern_that_re2_does_not_take_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match="must be a regular expression as RE2 takes it"):
        spec(evaluation={"scores": ["regex"], "pattern": pattern})


def test_a_pattern_takes_no_more_than_linear_time() -> None:
    """Backtracking would take longer than the age of the universe here."""
    assert UserPattern("^(a|a?)+$").find("a" * 5000 + "b") is None


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"\d+", "no 12, no 3", ("12",)),
        (r"(\w+)=(\d+)?", "a=", ("a", None)),
        ("(?i)É", "né", ("é",)),
        ("x", "y", None),
    ],
)
def test_a_pattern_finds_its_groups_or_itself(
    pattern: str, text: str, found: tuple[str | None, ...] | None
) -> None:
    assert UserPattern(pattern).find(text) == found
