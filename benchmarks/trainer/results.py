"""All that was measured, and how it compares with what was aimed at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Self

from benchmarks.table import Target
from benchmarks.trainer.roster import LATER, LORA_HALVED, OURS, PAPER, PROBES, SETTLED, TRL_DEFAULT
from benchmarks.trainer.speed import Figures
from ist_core.schedule import warmup_steps
from ist_core.spec import IstSpec

TRL, IST, LORA = "TRL", "IST", "LoRA"
_EPOCHS, _STEPS = 3, 120
"""Of the job that the default policy's speed is told for: OpenAI's usual number, and the study's."""


@dataclass
class DataSet:
    """One data set's run."""

    name: str
    batch_size: int
    mean_tokens: float
    """Of an example."""
    figures: list[Figures] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    """Why a contender has no figures."""

    def targets(self) -> Iterator[Target]:
        """A row for each."""
        lora = self._find(OURS)
        ist = [found for found in self.figures if found.name.startswith(IST)]
        trl = [f for f in self.figures if f.name.startswith(TRL) and f.name != TRL_DEFAULT]
        best, default = max(trl, key=attrgetter("speed"), default=None), self._find(TRL_DEFAULT)
        first = (it for it in ist if not it.name.endswith(LATER))
        fastest = max(first, key=attrgetter("speed"), default=None)
        speeds = {
            OURS: _speed_of(lora),
            f"the default over {_EPOCHS} epochs": self._default(),
            "-" if fastest is None else fastest.name: _speed_of(fastest),
        }
        for name, speed in speeds.items():
            yield self._at_least(f"examples/s, {name} over TRL's best", _ratio(speed, best), 3)
            yield self._at_least(f"examples/s, {name} over TRL's defaults", _ratio(speed, default), 5)
        paper = _ratio(_speed_of(fastest), self._find(PAPER))
        yield self._at_least("examples/s, fastest IST over the paper's", paper, 3)
        yield self._memory(lora, ist)
        yield self._frontier(ist)
        shares = [it.probe_share for it in ist if not it.name.endswith(PROBES)]
        yield self._at_most("time on importance scores, highest of IST's", max(shares, default=None), 0.02)

    def _default(self) -> float | None:
        """The speed of a whole job that names no policy, times LoRA's.

        It warms up as LoRA, reads every row once with the layers that settle, and then passes them by.
        """
        whole, passed = self._find(SETTLED), self._find(f"{SETTLED}, {LATER}")
        if whole is None or passed is None:
            return None
        warm = warmup_steps(IstSpec(), _STEPS) / _STEPS
        made = 1 / _EPOCHS
        return 1 / (warm + made / whole.speed + (1 - warm - made) / passed.speed)

    def _memory(self, lora: Figures | None, ist: list[Figures]) -> Target:
        """The least that an IST takes which is as fast as our LoRA."""
        fast = [found for found in ist if found.speed >= 1.0]
        least = min(fast, key=lambda found: found.peak_bytes, default=None)
        value = least.peak_bytes / lora.peak_bytes if least and lora and lora.peak_bytes else None
        name = "-" if least is None else least.name
        return self._at_most(f"peak memory above the base, {name} over LoRA, no slower", value, 0.5)

    def _frontier(self, ist: list[Figures]) -> Target:
        """The share of LoRA's points (every level of recomputing) that some IST beats in both respects."""
        points = [found for found in self.figures if found.name.startswith(LORA)]
        beaten = [
            any(it.speed >= point.speed and it.peak_bytes <= point.peak_bytes for it in ist)
            for point in points
        ]
        value = sum(beaten) / len(beaten) if beaten else None
        return self._at_least("share of LoRA's time-memory frontier that lies below IST's", value, 1)

    def _find(self, name: str) -> Figures | None:
        return next((found for found in self.figures if found.name == name), None)

    def _at_least(self, name: str, value: float | None, target: float) -> Target:
        full = f"{self.name}: {name}"
        return Target(full, value, f">= {target:g}", met=value is not None and value >= target)

    def _at_most(self, name: str, value: float | None, target: float) -> Target:
        return _at_most(f"{self.name}: {name}", value, target)

    def as_json(self) -> dict[str, Any]:
        """This data set's part of the file."""
        return {
            "batch_size": self.batch_size,
            "mean_tokens": self.mean_tokens,
            "contenders": [found.row() for found in self.figures],
            "missing": self.missing,
        }


@dataclass
class Results:
    """One run."""

    machine: dict[str, object]
    versions: Mapping[str, str]
    data_sets: list[DataSet] = field(default_factory=list)
    quality: list[dict[str, Any]] = field(default_factory=list)
    """The quality study's summary."""
    seconds: float = 0.0

    def targets(self) -> list[Target]:
        """A row for each data set and target, and what the quality study says."""
        speed = [target for found in self.data_sets for target in found.targets()]
        return [
            *speed,
            self._wall_clock(OURS, cap=None, target=1.0),
            self._wall_clock(LORA_HALVED, cap=0.5, target=0.7),
        ]

    def _wall_clock(self, beside: str, *, cap: float | None, target: float) -> Target:
        """Time to the loss that LoRA ends with, over the time of `beside`, LoRA or LoRA under a cap."""
        rows = {(row["contender"], row["budget"]): row for row in self.quality}
        lora, other = rows.get((OURS, "steps")), rows.get((beside, "steps"))
        value = None
        most = math.inf if cap is None or lora is None else cap * lora["peak_bytes"]
        if lora and other and other["peak_bytes"] <= most:
            allowed = [
                row["seconds_to_loss"]
                for (name, _), row in rows.items()
                if name.startswith(IST) and row["peak_bytes"] <= most
            ]
            reached = [seconds for seconds in allowed if seconds is not None]
            value = min(reached) / other["seconds"] if reached else None
        under = "" if cap is None else f", both at a cap of {cap:g} of LoRA's peak"
        return _at_most(f"time to LoRA's held-out loss, best IST over LoRA{under}", value, target)

    def as_json(self) -> dict[str, Any]:
        """The file's content."""
        return {
            "machine": self.machine,
            "versions": dict(self.versions),
            "seconds": self.seconds,
            "targets": [target.row() for target in self.targets()],
            "data_sets": {found.name: found.as_json() for found in self.data_sets},
            "quality": self.quality,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Return what `as_json` wrote."""
        sets = [
            DataSet(
                name,
                found["batch_size"],
                found["mean_tokens"],
                [Figures(**row) for row in found["contenders"]],
                found["missing"],
            )
            for name, found in content["data_sets"].items()
        ]
        return cls(content["machine"], content["versions"], sets, content["quality"], content["seconds"])


def _at_most(name: str, value: float | None, target: float) -> Target:
    return Target(name, value, f"<= {target:g}", met=value is not None and value <= target)


def _speed_of(found: Figures | None) -> float | None:
    return None if found is None else found.speed


def _ratio(speed: float | None, theirs: Figures | None) -> float | None:
    return None if speed is None or theirs is None else speed / theirs.speed
