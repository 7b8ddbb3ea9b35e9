"""What the base model and the tuned one answer to held-out questions, and what that is worth.

Both answer when training is done, the base model by switching the adapters off. So nothing of it is in a
checkpoint, and a run that goes on from its last step asks both again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isthmus.dataset.chat_rows import ChatRow
from isthmus.dataset.preferences import PreferenceRow
from peft import PeftModel

from ist_core.answer_sizes import answer_tokens
from ist_core.answers import Answerer
from ist_core.encoding import tokenize
from ist_core.errors import EvaluationError
from ist_core.evaluation_spec import EvaluationSpec
from ist_core.examples import Rows
from ist_core.ist.probe import evaluating
from ist_core.models import BaseModel, context_window
from ist_core.questions import Question, questions_of
from ist_core.records import JsonValue, Message
from ist_core.scores import Scorer, make_scorers
from ist_core.spec import JobSpec
from ist_core.storage import storing
from ist_core.validation import drawn_order

SAMPLES = "samples.jsonl"

Worth = dict[str, float | None]
"""Of the answers to a question, `base` and `tuned`; None: the score does not go with the row."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What the answers came to."""

    rows: int
    scores: dict[str, JsonValue]
    """By name, the means `before` and `after` training, and of how many `rows`."""
    seconds: float


class Comparison:
    """The questions of a run, chosen and checked before it trains.

    Args:
        model: `base`'s, with its adapters.
        rows: of the validation file.
        max_length: of a prompt, in tokens; rows with a longer one are not asked.

    Raises:
        EvaluationError: if no row can be asked, or a score goes with none of them.
    """

    def __init__(
        self,
        base: BaseModel,
        model: PeftModel,
        rows: Sequence[ChatRow | PreferenceRow],
        evaluation: EvaluationSpec,
        *,
        seed: int,
        max_length: int,
        check_stop: Callable[[], None],
        emit: Callable[[Message], None],
    ) -> None:
        window = context_window(base)
        known = questions_of(rows)
        asked = _choose(base, known, evaluation.rows, seed=seed, longest=min(max_length, window - 1))
        expected = [question.expected for question, _ in asked]
        longest = max(len(tokenize(base.tokenizer, text)) for text in expected)
        room = window - max(len(prompt) for _, prompt in asked)
        self._model = model
        self._emit = emit
        self._questions = [question for question, _ in asked]
        self._scorers = make_scorers(evaluation, expected, [question.expected for question in known])
        self._answerer = Answerer(
            base,
            [prompt for _, prompt in asked],
            max_new_tokens=min(room, answer_tokens(evaluation, longest)),
            check_stop=check_stop,
            progress=lambda line: emit(Message(line)),
        )

    def run(self, folder: Path) -> Compared:
        """Let both models answer, and write `samples.jsonl` into `folder`.

        Raises:
            Stopped: when asked to; nothing is written then.
            StorageError: if the samples cannot be written.
        """
        begin = time.perf_counter()
        with evaluating(self._model):
            with self._model.disable_adapter():
                base = self._answerer.answers("Base model")
            tuned = self._answerer.answers("Tuned model")
        samples = [self._sample(*answered) for answered in zip(self._questions, base, tuned, strict=True)]
        with storing("the samples of answers", then="resume from the last checkpoint"):
            lines = (json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)
            (folder / SAMPLES).write_text("".join(lines), encoding="utf-8")
        scores: dict[str, JsonValue] = {}
        for name in self._scorers:
            scores[name] = means = _means([sample["scores"][name] for sample in samples])
            text = f"{name}: {means['before']:.3f} before training, {means['after']:.3f} after it"
            self._emit(Message(text, data={"score": name, **means}))
        return Compared(len(samples), scores, time.perf_counter() - begin)

    def _sample(self, question: Question, base: str, tuned: str) -> dict[str, Any]:
        return {
            "row": question.row,
            "input": [asdict(message) for message in question.messages],
            "expected": question.expected,
            "base": base,
            "tuned": tuned,
            "scores": {
                name: _worth(scorer, question.expected, base, tuned) for name, scorer in self._scorers.items()
            },
        }


def _choose(
    base: BaseModel, known: Sequence[Question], rows: int, *, seed: int, longest: int
) -> list[tuple[Question, list[int]]]:
    """Draw the questions that are asked, with their prompts; they come in the file's order."""
    asked: list[tuple[Question, list[int]]] = []
    for place in drawn_order(len(known), seed):
        prompt = known[place].prompt(base.tokenizer)
        if len(prompt) <= longest:
            asked.append((known[place], prompt))
        if len(asked) == rows:
            break
    if not asked:
        reason = f"no row of the validation file asks for an answer within {longest} tokens"
        raise EvaluationError(f"{reason}; set rows to 0, or raise max_length", param="evaluation.rows")
    return sorted(asked, key=lambda pair: pair[0].row)


def _worth(scorer: Scorer, expected: str, base: str, tuned: str) -> Worth:
    if not scorer.applies(expected):
        return {"base": None, "tuned": None}
    return {"base": scorer.score(base, expected), "tuned": scorer.score(tuned, expected)}


def _means(worths: Sequence[Worth]) -> dict[str, JsonValue]:
    """Return the means over the rows that the score goes with, and how many they are."""
    before = [worth["base"] for worth in worths if worth["base"] is not None]
    after = [worth["tuned"] for worth in worths if worth["tuned"] is not None]
    return {"before": sum(before) / len(before), "after": sum(after) / len(after), "rows": len(before)}


def make_comparison(
    spec: JobSpec,
    base: BaseModel,
    model: PeftModel,
    rows: Rows,
    *,
    check_stop: Callable[[], None],
    emit: Callable[[Message], None],
) -> Comparison | None:
    """Return the comparison that a job asks for, or None; raises as `Comparison` does."""
    evaluation = spec.evaluation
    if evaluation is None or not evaluation.rows or rows.validation is None:
        return None
    return Comparison(
        base,
        model,
        rows.validation,
        evaluation,
        seed=spec.seed,
        max_length=spec.max_length,
        check_stop=check_stop,
        emit=emit,
    )
