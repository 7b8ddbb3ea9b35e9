"""The sections of a card, each a piece of Markdown made of a run's report."""

from __future__ import annotations

import json
import pprint
from typing import Any

from ist_core.base_facts import BaseFacts
from ist_core.card.facts import CardFormat, Names, Run, Verdict

_WHAT = {
    "adapter": "{adapter} adapter for",
    "merged": "{adapter} adapter, merged into the weights of",
    "gguf_f16": "{adapter} adapter, merged and stored as GGUF with 16-bit weights, for",
    "gguf_q8_0": "{adapter} adapter, merged and stored as GGUF with 8-bit weights (Q8_0), for",
}
_MEASURED = {
    "valid_loss": "validation loss",
    "valid_mean_token_accuracy": "token accuracy",
    "valid_reward_accuracy": "pairs told apart",
}
_FILES = {"training_file": "training", "validation_file": "validation"}


def introduction(form: CardFormat, run: Run, base: BaseFacts) -> str:
    """Say what the model is, in one paragraph."""
    name = f"[{base.name}](https://huggingface.co/{base.name})" if base.hub else f"`{base.name}`"
    how = "supervised fine-tuning" if run.method == "supervised" else "direct preference optimization (DPO)"
    told = [f"{_WHAT[form].format(adapter=run.adapter)} {name}, trained by Isthmus through {how}."]
    if run.sparse:
        told.append("Importance-aware Sparse Tuning chose the layers that each step updated.")
    if base.file and form == "adapter":
        told.append(
            f"It was trained on the weights of the file `{base.file}`, unpacked to full precision; on the "
            "original weights it answers a little differently."
        )
    return " ".join(told)


def results(run: Run, picture: str) -> str:
    """Say what the model is worth: scores before and after, and the curve of the loss."""
    rows = list(_score_rows(run.report.get("evaluation")))
    table = _table(["score", "base model", "this model"], rows) if rows else _unjudged(run)
    return f"{table}\n\n![Loss by step]({picture})"


def layers(run: Run, picture: str) -> str:
    """Say which layers matter."""
    scores = run.report["importance"]
    told = [_updates(run, len(scores))]
    if run.scored:
        best = sorted(range(len(scores)), key=lambda layer: -scores[layer])[:5]
        told.append(
            f"By the scores at the end, those that matter most are {', '.join(map(str, best))} (0 is nearest "
            "the input)."
        )
    return f"{' '.join(told)}\n\n![Importance and updates of each layer]({picture})"


def _updates(run: Run, layers: int) -> str:
    """Say which layers the steps updated."""
    ist = run.spec["ist"]
    if ist["policy"] != "settling":
        return f"Each step updated {ist['update_fraction']:.0%} of the {layers} layers."
    updates = run.report["layer_updates"]
    left = updates.count(max(updates))
    return f"All {layers} layers were updated at first, and then the {left} nearest the output alone."


def data(run: Run) -> str:
    """Say what it learned from, without a row of it."""
    # Reports of older runs say nothing of the data, nor of evaluation.
    files = run.report.get("data") or {}
    rows = [[_FILES[name], f"{facts['rows']:,}", f"`{facts['sha256']}`"] for name, facts in files.items()]
    report = run.report
    told = f"It learned from {report['trained_tokens']:,} tokens of answers in {report['steps']:,} steps."
    if not rows:
        return told
    return f"{told} The hash is of the rows as they were read.\n\n{_table(['file', 'rows', 'SHA-256'], rows)}"


def reproduction(run: Run, names: Names) -> str:
    """Say how to train it again."""
    call = pprint.pformat(
        {"model": run.report["model"], "training_file": "training.jsonl", **_validation(run), **run.changes},
        width=90,
        sort_dicts=False,
    )
    told = ["The same data, spec, seed and versions give the same weights on a CPU."]
    if names.job:
        told.append(
            "The service keeps all that they depend on: "
            f"`GET /v1/fine_tuning/jobs/{names.job}/reproduction` is a zip whose README has the command."
        )
    told.append("What differs from the defaults:")
    lines = [
        "from pathlib import Path",
        "",
        "from ist_core import JobSpec, train",
        "",
        "spec = JobSpec.model_validate(",
        *(f"    {line}" for line in call.splitlines()),
        ")",
        'train(spec, output_dir=Path("output"))',
    ]
    whole = f"```json\n{json.dumps(run.spec, indent=2)}\n```"
    return (
        f"{' '.join(told)}\n\n```python\n{chr(10).join(lines)}\n```\n\n"
        f"<details><summary>The whole spec</summary>\n\n{whole}\n\n</details>"
    )


def cost(run: Run) -> str:
    """Say what training took."""
    report = run.report
    rows = [
        ["device", str(report["device"])],
        ["precision of the base", str(report["precision"])],
        ["training time", _duration(report["train_seconds"])],
        ["speed", f"{report['tokens_per_second']:,.0f} tokens/s"],
        ["peak memory", f"{report['peak_memory_bytes'] / 1e9:.2f} GB ({report['peak_memory_kind']})"],
        ["versions", ", ".join(f"{name} {found}" for name, found in report["versions"].items())],
    ]
    return _table(["", ""], rows)


def check(verdict: Verdict) -> str:
    """Say how the export was checked."""
    return (
        "The files were loaded again and asked the same as base and adapter: the same next token at "
        f"{verdict.top1_agreement:.1%} of the positions, probabilities "
        f"{max(0.0, verdict.mean_divergence):.2g} nats apart on average. `manifest.json` has the prompts, "
        "all differences and the hashes of the files."
    )


def _score_rows(evaluation: dict[str, Any] | None) -> list[list[str]]:
    if evaluation is None:
        return []
    rows = []
    for name, told in evaluation["scores"].items():
        rows.append([f"{name} ({evaluation['rows']} rows)", f"{told['before']:.3f}", f"{told['after']:.3f}"])
    for name, title in _MEASURED.items():
        if told := evaluation.get(name):
            rows.append([title, f"{told['before']:.3f}", f"{told['after']:.3f}"])
    return rows


def _unjudged(run: Run) -> str:
    loss = run.report["final_loss"]
    return f"No held-out rows were scored. The training loss of the last step was {loss:.3f}."


def _validation(run: Run) -> dict[str, str]:
    return {"validation_file": "validation.jsonl"} if run.report["spec"].get("validation_file") else {}


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
