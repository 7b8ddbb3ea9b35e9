"""Scores an adapter by generation: the base and the tuned model answer held-out conversations, greedily.

`python -m ist_core.evaluate --model NAME --adapter DIR --data FILE --output FILE` writes the scores as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from isthmus.dataset import chat_rows
from isthmus.dataset.chat_rows import ChatRow
from isthmus.dataset.jsonl import MAX_PROBLEMS
from peft import PeftModel

from ist_core.answer_sizes import answer_tokens
from ist_core.answers import Answerer
from ist_core.catalog import Catalog, ModelSource, resolve_path_or_name
from ist_core.device import inference_dtype, pick_device
from ist_core.encoding import ensure_template, tokenize
from ist_core.errors import AdapterError, DatasetError, EngineError, Problem
from ist_core.evaluation_spec import EvaluationSpec
from ist_core.models import BaseModel, default_cache, load_base_model
from ist_core.questions import Question, questions_of
from ist_core.scores.json_scores import is_json
from ist_core.scores.text_scores import ExactMatch


@dataclass(frozen=True, slots=True)
class Sample:
    """One question with what both models said."""

    input: str
    """The last message before the answer."""
    expected: str
    base: str
    tuned: str


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Scores over all rows, each a share from 0 to 1; `before` is the base model, `after` the tuned one."""

    rows: int
    exact_match_before: float
    exact_match_after: float
    """Answers that are the expected text, white space around them aside."""
    valid_json_before: float
    valid_json_after: float
    samples: list[Sample]
    """Every row, in the file's order."""
    seconds: float


def evaluate(
    source: ModelSource,
    adapter_dir: Path,
    data: Path,
    *,
    limit: int | None = None,
    max_new_tokens: int | None = None,
    cache_dir: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> EvaluationReport:
    """Let the model answer the last turn of each row of `data`, with the adapter switched off and on.

    Args:
        limit: how many rows, from the first; None: all.
        max_new_tokens: None: a few more than the longest expected answer has.
        cache_dir: where converted GGUF models are kept; None: as `train` does.
        progress: called with a line for a person now and then.

    Raises:
        EngineError: if the model, the adapter or the data cannot be used.
    """
    start = time.perf_counter()
    questions = _questions(chat_rows.load(data, param="data")[:limit])
    if not (adapter_dir / "adapter_config.json").is_file():
        # Checked here, because peft would look for the folder's name on the Hub.
        reason = f"the folder {adapter_dir} holds no adapter_config.json; give the adapter folder of a job"
        raise AdapterError(reason)
    device = pick_device()
    base = load_base_model(
        source, cache_dir=cache_dir or default_cache(), dtype=inference_dtype(device), device=device
    )
    ensure_template(base.tokenizer)
    model = _load_adapter(base, adapter_dir)
    expected = [question.expected for question in questions]
    longest = max(len(tokenize(base.tokenizer, text)) for text in expected)
    answerer = Answerer(
        base,
        [question.prompt(base.tokenizer) for question in questions],
        max_new_tokens=answer_tokens(EvaluationSpec(max_new_tokens=max_new_tokens), longest),
        progress=progress,
    )
    with model.disable_adapter():
        before = answerer.answers("base model")
    after = answerer.answers("tuned model")
    return EvaluationReport(
        rows=len(questions),
        exact_match_before=_exact(before, expected),
        exact_match_after=_exact(after, expected),
        valid_json_before=_mean(map(is_json, before)),
        valid_json_after=_mean(map(is_json, after)),
        samples=[
            Sample(question.messages[-1].content, question.expected, base_answer, tuned_answer)
            for question, base_answer, tuned_answer in zip(questions, before, after, strict=True)
        ],
        seconds=time.perf_counter() - start,
    )


def _load_adapter(base: BaseModel, folder: Path) -> PeftModel:
    with warnings.catch_warnings():
        # peft reads transformers' old name of this property.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        try:
            return PeftModel.from_pretrained(base.model, str(folder)).eval()
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            reason = f"the adapter in {folder} does not fit {base.source.name!r}"
            raise AdapterError(f"{reason}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _questions(rows: Sequence[ChatRow]) -> list[Question]:
    questions = questions_of(rows)
    asking = {question.line for question in questions}
    reason = "nothing stands before its only answer; give it a message to answer"
    if problems := [Problem(row.line, "messages", reason) for row in rows if row.line not in asking]:
        raise DatasetError(problems[:MAX_PROBLEMS], total=len(problems), param="data")
    return questions


def _exact(answers: Sequence[str], expected: Sequence[str]) -> float:
    return _mean(map(ExactMatch().score, answers, expected))


def _mean(scores: Iterable[float]) -> float:
    found = list(scores)
    return sum(found) / len(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2: something the user can mend)."""
    parser = argparse.ArgumentParser(prog="python -m ist_core.evaluate", description=__doc__)
    parser.add_argument("--model", required=True, help="a model's name, folder or .gguf file")
    parser.add_argument("--adapter", required=True, type=Path, help="folder of a PEFT adapter")
    parser.add_argument(
        "--data", required=True, type=Path, help="chat JSON Lines; last turns are expected answers"
    )
    parser.add_argument("--output", required=True, type=Path, help="JSON file to write")
    parser.add_argument("--limit", type=_positive, help="rows to use (default: all)")
    parser.add_argument("--samples", type=_positive, help="rows to show in the output (default: all)")
    parser.add_argument("--max-new-tokens", type=_positive)
    parser.add_argument("--cache-dir", type=Path, help="where converted GGUF models are kept")
    options = parser.parse_args(arguments)
    try:
        report = evaluate(
            resolve_path_or_name(options.model, Catalog()),
            options.adapter,
            options.data,
            limit=options.limit,
            max_new_tokens=options.max_new_tokens,
            cache_dir=options.cache_dir,
            progress=lambda line: print(f"  {line}", flush=True),
        )
        values = asdict(report) | {
            "samples": [asdict(sample) for sample in report.samples[: options.samples]]
        }
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except EngineError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {options.output} cannot be written ({error.strerror})", file=sys.stderr)
        return 2
    return 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
