"""How a job is judged while and after it trains: the part of a spec that needs a validation file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic.config import JsonDict

from ist_core.patterns import UserPattern
from ist_core.strict import Strict, conflict

MAX_FULL_ROWS = 256
"""Validation rows that a measurement at a checkpoint looks at unless the spec says otherwise."""

ScoreName = Literal["exact_match", "valid_json", "json_fields", "choice", "regex", "rouge_l"]


def _checked_pattern(pattern: str) -> str:
    UserPattern(pattern)
    return pattern


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len({value.casefold() for value in values}) < len(values):
        raise ValueError("names one value twice (letter case aside); each may stand there once")
    return values


_UNIQUE: JsonDict = {"uniqueItems": True}
Pattern = Annotated[
    str,
    Field(min_length=1, max_length=500, json_schema_extra={"format": "regex"}),
    AfterValidator(_checked_pattern),
]
Choice = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class EvaluationSpec(Strict):
    """What is measured on the validation file: the loss of known answers, and answers of the model's own.

    docs/evaluation.md defines each score.
    """

    interval: Annotated[int, Field(ge=1)] | None = None
    """Steps from one measurement of `valid_loss` to the next; None: only checkpoints measure."""
    loss_rows: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Rows that a measurement at the interval looks at, always the same ones, drawn by the seed."""
    full_rows: Annotated[int, Field(ge=0, le=1_000_000)] | None = MAX_FULL_ROWS
    """Rows that `full_valid_loss` looks at, at each checkpoint and at the end; 0: none; None: all."""
    rows: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Rows that the base model and the tuned one answer when training is done; 0: none."""
    scores: Annotated[
        tuple[ScoreName, ...],
        Field(min_length=1, max_length=6, strict=False, json_schema_extra=_UNIQUE),
        AfterValidator(_distinct),
    ] = ("exact_match",)
    """What the answers are scored by, each from 0 to 1."""
    pattern: Pattern | None = None
    """regex: RE2 syntax. What its first match captures (without groups: the match) must be the same in the
    answer and in the expected one."""
    choices: (
        Annotated[
            tuple[Choice, ...],
            Field(min_length=2, max_length=50, strict=False, json_schema_extra=_UNIQUE),
            AfterValidator(_distinct),
        ]
        | None
    ) = None
    """choice: what an answer may name; None: the different expected answers of the validation file."""
    max_new_tokens: Annotated[int, Field(ge=1, le=8192)] | None = None
    """Tokens of an answer at most; None: a few more than the longest expected one has, at most 512."""

    @model_validator(mode="after")
    def _scores_have_what_they_need(self) -> Self:
        if "regex" in self.scores and self.pattern is None:
            raise conflict("evaluation.pattern", "evaluation.pattern: the score regex needs one")
        if "regex" not in self.scores and self.pattern is not None:
            raise conflict("evaluation.pattern", "evaluation.pattern: goes with the score regex only")
        if self.choices is not None and "choice" not in self.scores:
            raise conflict("evaluation.choices", "evaluation.choices: go with the score choice only")
        return self


class EarlyStoppingSpec(Strict):
    """Ends training when the validation loss has stopped falling.

    What is watched is `valid_loss` if `evaluation.interval` is given, else `full_valid_loss` at checkpoints.
    """

    patience: Annotated[int, Field(ge=1, le=1000)] = 3
    """Measurements in a row that may bring no better loss; the next step is not made."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """By how much a loss must be lower than the best one to count as better."""
