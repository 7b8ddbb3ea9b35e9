"""What a card is written from: a run's report and its table of steps."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ist_core.records import JsonValue
from ist_core.spec import JobSpec

CardFormat = Literal["adapter", "merged", "gguf_f16", "gguf_q8_0"]

REPORT, STEPS = "report.json", "steps.csv"
_ELSEWHERE = {"model", "training_file", "validation_file"}
"""Fields of a spec that name files, which may be paths of one machine."""


@dataclass(frozen=True, slots=True)
class Names:
    """What is known of a model beyond its run."""

    model: str | None = None
    """Such as `ft:SmolLM2-135M-Instruct:acme::x1y2`."""
    job: str | None = None
    """The id of the job in the service."""
    file: str | None = None
    """A GGUF export's file."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an export's check went."""

    top1_agreement: float
    mean_divergence: float
    """In nats."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Losses by step."""

    steps: list[int]
    losses: list[float]


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run."""

    report: dict[str, Any]
    training: Curve
    validation: Curve
    """Empty if nothing was measured."""

    @property
    def spec(self) -> dict[str, Any]:
        """The whole spec, but for the names of files."""
        return {name: value for name, value in self.report["spec"].items() if name not in _ELSEWHERE}

    @property
    def changes(self) -> dict[str, Any]:
        """What of the spec differs from the defaults."""
        plain = JobSpec(model="model", training_file="file").model_dump(mode="json")
        return dict(_changes(self.spec, plain))

    @property
    def sparse(self) -> bool:
        """Whether layers were chosen by IST."""
        return self.spec.get("ist") is not None

    @property
    def scored(self) -> bool:
        """Whether IST scored the layers: not every policy looks at importance."""
        return any(self.report["importance"])

    @property
    def method(self) -> str:
        """The method's name in the spec."""
        return str(self.spec["method"]["type"])

    @property
    def adapter(self) -> str:
        """The kind of adapter, for people."""
        adapter = self.spec["adapter"]
        if adapter["type"] != "lora":
            return f"{adapter['variant']} bottleneck"
        return "DoRA" if adapter["dora"] else "rsLoRA" if adapter["rslora"] else "LoRA"


def read_run(folder: Path) -> Run:
    """Read what a run has left in its output folder.

    Raises:
        OSError: if `report.json` or `steps.csv` is missing.
    """
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    with (folder / STEPS).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    measured = "valid_loss" if any(row.get("valid_loss") for row in rows) else "full_valid_loss"
    return Run(report, _curve(rows, "train_loss"), _curve(rows, measured))


def _curve(rows: list[dict[str, str]], column: str) -> Curve:
    kept = [(int(row["step"]), float(row[column])) for row in rows if row.get(column)]
    return Curve([step for step, _ in kept], [loss for _, loss in kept])


def _changes(spec: dict[str, Any], plain: dict[str, Any]) -> Iterator[tuple[str, JsonValue]]:
    for name, value in spec.items():
        usual = plain.get(name)
        if isinstance(value, dict) and isinstance(usual, dict):
            if inner := dict(_changes(value, usual)):
                yield name, inner
        elif name not in plain or value != usual:
            yield name, value
