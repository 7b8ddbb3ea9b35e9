"""The trainer's benchmark: figures from turns, targets from figures, and verdicts of the quality study."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.trainer.quality_summary import summary
from benchmarks.trainer.report import table
from benchmarks.trainer.results import DataSet, Results
from benchmarks.trainer.roster import (
    CAPPED,
    LORA_AGAIN,
    LORA_HALVED,
    OURS,
    PAPER,
    SETTLING,
    SETTLING_HALVED,
    STUDIED,
    TRL_DEFAULT,
    ours,
    peers,
    probing,
    studied,
    trl_candidates,
)
from benchmarks.trainer.speed import Figures, figures_of
from benchmarks.trainer.turns import Turn

TURN = Turn(seconds=2.0, cpu_seconds=3.0, examples=8, tokens=800, loss=1.0)
LORA = figures_of(OURS, [(TURN, TURN)], 1000)


def figures(name: str, speed: float, peak: int, probe_share: float = 0.0) -> Figures:
    return replace(LORA, name=name, speed=speed, peak_bytes=peak, probe_share=probe_share)


def data_set(*more: Figures) -> DataSet:
    return DataSet("reasoning", 8, 100.0, [LORA, *more])


def targets(found: DataSet) -> dict[str, tuple[float | None, bool]]:
    return {target.name.removeprefix("reasoning: "): (target.value, target.met) for target in found.targets()}


def test_speed_is_the_median_over_pairs() -> None:
    slow = replace(TURN, seconds=4.0, cpu_seconds=6.0)
    disturbed = replace(TURN, seconds=40.0), replace(slow, seconds=80.0)
    found = figures_of("other", [(TURN, slow), disturbed, (TURN, replace(slow, seconds=5.0))], 500)
    assert found.speed == 0.5
    assert found.cpu_speed == 0.5
    assert found.seconds == 5.0
    assert found.examples_per_second == 8 / 5.0


def test_a_probe_is_spread_over_the_steps_from_one_to_the_next() -> None:
    probing = replace(TURN, seconds=12.0, cpu_seconds=18.0, probe_seconds=10.0)
    found = figures_of("probes", [(TURN, TURN), (TURN, probing), (TURN, TURN)], 500)
    assert found.seconds == pytest.approx(2.0 + 10.0 / 10)
    assert found.probe_share == pytest.approx(1 / 3)
    assert found.speed == pytest.approx(2 / 3)


def test_what_every_step_takes_is_not_spread() -> None:
    looking = replace(TURN, probe_seconds=0.5)
    found = figures_of("looks", [(TURN, TURN), (TURN, looking), (TURN, looking)], 500)
    assert found.seconds == pytest.approx(1.5 + 0.5)
    assert found.probe_share == pytest.approx(0.25)


def test_targets_are_ratios_within_one_run() -> None:
    found = targets(
        data_set(
            figures("IST static 0.25", 2.0, 300, probe_share=0.01),
            figures("IST static 0.25, later epochs", 3.0, 300),
            figures("IST random 0.25", 0.9, 100),
            figures("IST importance 0.25, gate probes", 0.7, 900, probe_share=0.2),
            figures(LORA_AGAIN, 0.8, 350),
            figures(TRL_DEFAULT, 0.2, 2000),
            figures("TRL, slow", 0.3, 2000),
            figures("TRL, fast", 0.5, 2000),
            figures(PAPER, 0.4, 1500),
        )
    )
    assert found["examples/s, LoRA over TRL's best"] == (2.0, False)
    assert found["examples/s, LoRA over TRL's defaults"] == (5.0, True)
    assert found["examples/s, IST static 0.25 over TRL's best"] == (4.0, True)
    assert found["examples/s, fastest IST over the paper's"] == (5.0, True)
    assert found["peak memory above the base, IST static 0.25 over LoRA, no slower"] == (0.3, True)
    assert found["share of LoRA's time-memory frontier that lies below IST's"] == (1.0, True)
    assert found["time on importance scores, highest of IST's"] == (0.01, True)


def test_the_default_warms_up_reads_every_row_once_and_then_passes_layers_by() -> None:
    settled = figures("IST static 0.5", 2.0, 500), figures("IST static 0.5, later epochs", 4.0, 500)
    found = targets(data_set(*settled, figures("TRL, fast", 0.5, 2000)))
    seconds = 1 / 4 + (1 / 3) / 2 + (5 / 12) / 4  # of LoRA's
    value, met = found["examples/s, the default over 3 epochs over TRL's best"]
    assert value == pytest.approx(1 / seconds / 0.5)
    assert met
    alone = targets(data_set(settled[0], figures("TRL, fast", 0.5, 2000)))
    assert alone["examples/s, the default over 3 epochs over TRL's best"] == (None, False)


def test_what_was_not_measured_is_not_met() -> None:
    found = targets(data_set())
    assert not any(met for _, met in found.values())
    assert "Targets" in table(Results({}, {}, [data_set()]))


def test_every_contender_has_a_name_and_a_file_of_its_own() -> None:
    everyone = [*ours("float32"), *probing("float32"), *peers(), *trl_candidates()]
    assert len({it.name for it in everyone}) == len({it.slug for it in everyone}) == len(everyone)
    assert set(studied("float32")) == {*STUDIED, *CAPPED}
    assert LORA_AGAIN in {it.name for it in everyone}


def run(
    name: str, rate: float, seed: int, losses: list[float], *, budget: str = "steps", peak: int = 1000
) -> dict[str, object]:
    points = [{"step": 10 * at, "seconds": 100.0 * at, "loss": loss} for at, loss in enumerate(losses, 1)]
    return {
        "contender": name,
        "budget": budget,
        "rate": rate,
        "seed": seed,
        "curve": points,
        "peak_bytes": peak,
    }


def test_each_contender_is_judged_at_its_best_rate(tmp_path: Path) -> None:
    runs = [
        *(run(OURS, 1e-3, seed, [0.9, 0.5 + 0.01 * seed]) for seed in (0, 1)),
        run(OURS, 5e-4, 0, [1.0, 0.8]),
        *(run(SETTLING, 2e-3, seed, [0.50, 0.40 + 0.01 * seed]) for seed in (0, 1)),
        *(run("IST random 0.25", 1e-3, seed, [0.9, 0.515 - 0.01 * seed]) for seed in (0, 1)),
        run("IST static 0.25", 1e-3, 0, [0.9, 0.9]),
        run("IST static 0.25", 1e-3, 0, [0.9, 0.8, 0.505, 0.503], budget="time"),
        run(LORA_HALVED, 1e-3, 0, [0.9, 0.8, 0.7, 0.5], peak=490),
        run(SETTLING_HALVED, 1e-3, 0, [0.9, 0.7, 0.31], peak=500),
    ]
    path = tmp_path / "quality.json"
    path.write_text(json.dumps({"runs": runs}))
    rows = {(row["contender"], row["budget"]): row for row in summary(path)}
    assert rows[OURS, "steps"]["rate"] == 1e-3
    assert rows[OURS, "steps"]["loss"] == pytest.approx(0.505)
    assert rows[SETTLING, "steps"]["verdict"] == "better"
    assert rows[SETTLING, "steps"]["seconds_to_loss"] == 100.0
    assert rows[SETTLING, "time"]["loss"] == rows[SETTLING, "steps"]["loss"], "its steps take LoRA's time"
    assert (LORA_HALVED, "time") not in rows, "its steps take twice LoRA's time, and it has no others"
    assert rows["IST random 0.25", "steps"]["verdict"] == "within the spread"
    assert rows["IST random 0.25", "steps"]["seconds_to_loss"] is None, "the mean never came so low"
    assert rows["IST static 0.25", "steps"]["verdict"] == "worse"
    assert rows["IST static 0.25", "time"]["seconds_to_loss"] == 300.0

    found = Results({}, {}, [data_set()], list(rows.values()))
    told = {target.name: (target.value, target.met) for target in found.targets()}
    assert told["time to LoRA's held-out loss, best IST over LoRA"] == (0.5, True)
    capped = told["time to LoRA's held-out loss, best IST over LoRA, both at a cap of 0.5 of LoRA's peak"]
    assert capped[0] == pytest.approx(0.625), "half of the way from 200 s to 300 s"
    assert capped[1]
    over = [row | {"peak_bytes": 501} if row["contender"] == LORA_HALVED else row for row in rows.values()]
    targets = Results({}, {}, [data_set()], over).targets()
    assert targets[-1].value is None, "LoRA, too, keeps the cap"
    assert "better" in table(found)
    assert Results.from_json(json.loads(json.dumps(found.as_json()))) == found
