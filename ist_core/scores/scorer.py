"""What a score has to say, and the scores that a spec asks for, made ready for its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ist_core.errors import EvaluationError
from ist_core.evaluation_spec import EvaluationSpec, ScoreName
from ist_core.scores.json_scores import JsonFields, ValidJson
from ist_core.scores.naming import Choice, Regex
from ist_core.scores.text_scores import ExactMatch, RougeL

_MOST_CHOICES = 50

_NEEDS = {
    "exact_match": "an expected answer",
    "valid_json": "an expected answer that is JSON",
    "json_fields": "an expected answer that is a JSON object with a field",
    "choice": "an expected answer that names one of the choices",
    "regex": "an expected answer in which evaluation.pattern is found",
    "rouge_l": "an expected answer with a word in it",
}


class Scorer(Protocol):
    """One score."""

    def applies(self, expected: str) -> bool:
        """Whether rows with this expected answer can be scored."""
        ...

    def score(self, answer: str, expected: str) -> float:
        """Return what the answer is worth; `expected` is one that the score applies to."""
        ...


def make_scorers(
    evaluation: EvaluationSpec, asked: Sequence[str], expected: Sequence[str]
) -> dict[ScoreName, Scorer]:
    """Return the scores of a spec by name.

    Args:
        asked: the expected answers of the rows that are answered.
        expected: those of all rows of the file, which the choices are taken from if the spec names none.

    Raises:
        EvaluationError: if a score applies to none of the rows, or there are no choices to be had.
    """
    scorers = {name: _make(name, evaluation, expected) for name in evaluation.scores}
    for name, scorer in scorers.items():
        if not any(map(scorer.applies, asked)):
            reason = f"the score {name} needs {_NEEDS[name]}, and none of the {len(asked)} rows has one"
            raise EvaluationError(f"{reason}; choose another score", param="evaluation.scores")
    return scorers


def _make(name: ScoreName, evaluation: EvaluationSpec, expected: Sequence[str]) -> Scorer:
    match name:
        case "exact_match":
            return ExactMatch()
        case "valid_json":
            return ValidJson()
        case "json_fields":
            return JsonFields()
        case "choice":
            return Choice(evaluation.choices or _choices(expected))
        case "regex":
            return Regex(evaluation.pattern or "")
        case "rouge_l":
            return RougeL()


def _choices(expected: Sequence[str]) -> tuple[str, ...]:
    """Take the choices from the expected answers, where they are few."""
    found = {answer.casefold(): answer for answer in reversed(expected)}
    if not 2 <= len(found) <= _MOST_CHOICES:
        reason = f"the validation file has {len(found)} different expected answers, so they are no choices"
        raise EvaluationError(f"{reason}; name 2 to {_MOST_CHOICES} choices", param="evaluation.choices")
    return tuple(sorted(found.values()))
