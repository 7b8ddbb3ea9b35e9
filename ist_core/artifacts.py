"""What a finished run leaves in its output folder: adapter, tokenizer, report and step table."""

from __future__ import annotations

import csv
import json
import platform
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from ist_core.records import JsonValue, StepRecord

ADAPTER_DIR = "adapter"
REPORT = "report.json"
STEPS_CSV = "steps.csv"

_PACKAGES = ("torch", "transformers", "peft", "tokenizers", "safetensors")
_COLUMNS = (
    "learning_rate",
    "grad_norm",
    "epoch",
    "tokens",
    "trained_tokens",
    "tokens_per_second",
    "step_seconds",
    "memory_bytes",
    "ist_seconds",
    "probe_seconds",
    "ist_bytes",
    "entropy",
    "backward_depth",
)


class StepTable:
    """Writes `steps.csv` line by line while the run goes on; an unfinished table is removed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / STEPS_CSV
        self._finished = False

    def __enter__(self) -> Self:
        """Open the file and write its header."""
        self._file = self._path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._writer.writerow(["step", "train_loss", *_COLUMNS])
        return self

    def write(self, record: StepRecord) -> None:
        """Add one step."""
        values = [record.metrics[column] for column in _COLUMNS]
        self._writer.writerow([record.step, record.metrics["loss"], *values])

    def finish(self) -> None:
        """Keep the table."""
        self._finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()
        if not self._finished:
            self._path.unlink()


def save_adapter(model: PeftModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write the adapter in PEFT's format, with the tokenizer (and its chat template) beside it."""
    adapter = folder / ADAPTER_DIR
    # The base's vocabulary never changes here; "auto" would ask the Hub about it.
    model.save_pretrained(str(adapter), save_embedding_layers=False)
    tokenizer.save_pretrained(adapter)


def write_report(report: dict[str, JsonValue], folder: Path) -> None:
    """Write the run's report as JSON."""
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / REPORT).write_text(text + "\n", encoding="utf-8")


def versions() -> dict[str, JsonValue]:
    """Return the versions of Python and of the packages that decide a run's numbers."""
    found: dict[str, JsonValue] = {package: version(package) for package in _PACKAGES}
    return {"python": platform.python_version(), **found}
