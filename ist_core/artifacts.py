"""What a finished run leaves in its output folder: adapter, tokenizer, report and step table."""

from __future__ import annotations

import csv
import json
import platform
import shutil
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from ist_core.records import JsonValue, StepRecord
from ist_core.storage import storing

ADAPTER_DIR = "adapter"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
"""In an adapter's folder, as PEFT calls it."""
REPORT = "report.json"
STEPS_CSV = "steps.csv"

_PACKAGES = ("torch", "transformers", "peft", "tokenizers", "safetensors")
_RESUME = "resume from the last checkpoint"
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
_MEASURED = (
    "train_mean_token_accuracy",
    "valid_loss",
    "valid_mean_token_accuracy",
    "valid_reward_accuracy",
    "full_valid_loss",
    "full_valid_mean_token_accuracy",
    "full_valid_reward_accuracy",
)
"""Columns that are empty in the lines of steps without such a metric."""


class StepTable:
    """Writes `steps.csv` line by line while the run goes on; an unfinished table is removed.

    Args:
        earlier: the table of the steps before, which this one goes on from.
    """

    def __init__(self, folder: Path, *, earlier: Path | None = None) -> None:
        self._path = folder / STEPS_CSV
        self._earlier = earlier
        self._finished = False

    def __enter__(self) -> Self:
        """Open the file and write its header, or what is known of the steps before."""
        with storing("the table of steps"):
            if self._earlier is not None:
                shutil.copyfile(self._earlier, self._path)
            columns = _header(self._path) if self._earlier else ("step", "train_loss", *_COLUMNS, *_MEASURED)
            self._file = self._path.open("a" if self._earlier else "w", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, columns, restval="", extrasaction="ignore")
        if self._earlier is None:
            self._writer.writeheader()
        return self

    def write(self, record: StepRecord) -> None:
        """Add one step."""
        with storing("the table of steps", then=_RESUME):
            self._writer.writerow(
                {"step": record.step, "train_loss": record.metrics["loss"]} | record.metrics
            )

    def copy_to(self, folder: Path) -> None:
        """Put a copy of what is written so far into `folder`."""
        self._file.flush()
        shutil.copyfile(self._path, folder / STEPS_CSV)

    def finish(self) -> None:
        """Keep the table."""
        with storing("the table of steps", then=_RESUME):
            self._file.flush()
        self._finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        if self._finished:
            self._file.close()
        else:
            with suppress(OSError):  # a full disk; the lines it cannot take are not wanted
                self._file.close()
            self._path.unlink()


def _header(table: Path) -> list[str]:
    with table.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file))


def save_adapter(
    model: PeftModel, tokenizer: PreTrainedTokenizerBase, folder: Path, *, earlier: Path | None = None
) -> None:
    """Write the adapter in PEFT's format, with the tokenizer (and its chat template) beside it.

    Args:
        earlier: the adapter folder of an earlier moment of this run; the tokenizer is copied from there.
    """
    adapter = folder / ADAPTER_DIR
    adapter.mkdir(parents=True, exist_ok=True)
    # Where peft finds a card it compiles no template for one, of empty sections.
    card = adapter / "README.md"
    card.write_text("---\nlibrary_name: peft\n---\n", encoding="utf-8")
    # The base's vocabulary never changes here; "auto" would ask the Hub about it.
    model.save_pretrained(str(adapter), save_embedding_layers=False)
    card.unlink()
    if earlier is None:
        tokenizer.save_pretrained(adapter)
        return
    written = [path.name for path in adapter.iterdir()]
    copied = shutil.ignore_patterns(*written)
    shutil.copytree(earlier, adapter, ignore=copied, copy_function=shutil.copyfile, dirs_exist_ok=True)


def write_report(report: dict[str, JsonValue], folder: Path) -> None:
    """Write the run's report as JSON."""
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / REPORT).write_text(text + "\n", encoding="utf-8")


def versions() -> dict[str, JsonValue]:
    """Return the versions of Python and of the packages that decide a run's numbers."""
    found: dict[str, JsonValue] = {package: version(package) for package in _PACKAGES}
    return {"python": platform.python_version(), **found}
