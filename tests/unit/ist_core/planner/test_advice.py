"""Changes that make a job fit: cheap ones first, none that is not needed, each of them verified."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ist_core.planner.advice import best_change, relief
from ist_core.planner.config import Config
from ist_core.planner.devices import cpu, find_device
from ist_core.planner.families import shape_of
from ist_core.planner.lengths import Lengths
from ist_core.planner.plan import Setting, plan
from ist_core.spec import JobSpec

CONFIG = {
    "model_type": "llama",
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 16,
    "num_attention_heads": 16,
    "vocab_size": 32_000,
    "dtype": "bfloat16",
}
SETTING = Setting(shape_of(Config(CONFIG)), cpu(memory_bytes=0, bfloat16=False), Lengths.at_limit(1000, 1024))


def spec(**keys: Any) -> JobSpec:
    """A job whose layers all keep their activations, as long as that may be."""
    job = {"model": "tiny", "training_file": "file", "ist": None, "recompute": "none"}
    return JobSpec.model_validate({**job, **keys})


def within(gigabytes: float, *, bfloat16: bool = False) -> Setting:
    return replace(SETTING, device=cpu(memory_bytes=int(gigabytes * 1e9), bfloat16=bfloat16))


@pytest.mark.parametrize(
    ("gigabytes", "keys", "names"),
    [
        (15, {}, ["micro_batch_size"]),
        (3.6, {}, ["micro_batch_size", "precision"]),
        (1.8, {}, ["micro_batch_size", "precision", "ist"]),
        (6, {"batch_size": 1}, []),
        (3.6, {"batch_size": 1}, ["precision"]),
        (3.6, {"batch_size": 1, "precision": "bfloat16", "ist": {"policy": "random"}}, []),
        (1.8, {"batch_size": 1, "precision": "bfloat16", "ist": {"policy": "random"}}, ["ist"]),
    ],
)
def test_dearer_changes_come_when_cheaper_ones_do_not_do(
    gigabytes: float, keys: dict[str, Any], names: list[str]
) -> None:
    job, setting = spec(**keys), within(gigabytes)
    change = best_change(job, setting)
    assert (list(change.values) if change else []) == names
    changed = JobSpec.model_validate(job.model_dump() | (change.values if change else {}))
    assert plan(changed, setting).verdict == "fits"
    for name in names:
        fewer = {key: value for key, value in change.values.items() if key != name} if change else {}
        assert plan(JobSpec.model_validate(job.model_dump() | fewer), setting).verdict != "fits"


def test_the_largest_micro_batch_that_fits_is_taken() -> None:
    change = best_change(spec(batch_size=12), within(20))
    assert change is not None
    size = change.values["micro_batch_size"]
    larger = min(other for other in (1, 2, 3, 4, 6, 12) if other > size)
    assert plan(spec(batch_size=12, micro_batch_size=larger), within(20)).verdict != "fits"


def test_rows_are_cut_last() -> None:
    setting = replace(within(1.8), lengths=Lengths.at_limit(9, 8192))
    job = spec(batch_size=1, max_length=8192, precision="bfloat16")
    change = best_change(job, setting)
    assert change is not None
    assert list(change.values) == ["ist", "max_length"]
    twice = change.values | {"max_length": 2 * change.values["max_length"]}
    assert plan(JobSpec.model_validate(job.model_dump() | twice), setting).verdict != "fits"


def test_a_job_that_cannot_fit_gets_no_advice() -> None:
    assert best_change(spec(), within(1)) is None


def test_a_gpu_without_bfloat16_is_not_told_to_use_it() -> None:
    setting = replace(SETTING, device=find_device("t4").with_memory(6 * 10**9))
    change = best_change(spec(), setting)
    assert change is None or "precision" not in change.values


@pytest.mark.parametrize(
    ("precision", "names"),
    [("auto", ["micro_batch_size", "ist"]), ("float32", ["micro_batch_size", "precision", "ist"])],
)
def test_a_processor_that_takes_bfloat16_by_itself_is_not_told_to(precision: str, names: list[str]) -> None:
    change = best_change(spec(precision=precision), within(1.8, bfloat16=True))
    assert change is not None
    assert list(change.values) == names


def test_advice_keeps_the_users_other_settings() -> None:
    ist = {"policy": "importance", "optimizer_state": "reset", "mode": "standard"}
    change = best_change(spec(batch_size=1, precision="bfloat16", ist=ist), within(1.8))
    assert change is not None
    assert change.values["ist"]["optimizer_state"] == "reset"
    assert change.values["ist"]["policy"] == "static"


def test_paper_mode_becomes_standard_where_the_policy_changes() -> None:
    change = best_change(spec(batch_size=1, precision="bfloat16", ist={"mode": "paper"}), within(1.8))
    assert change is not None
    assert change.values["ist"]["mode"] == "standard"


def test_relief_needs_less_than_what_ran_out_of_memory() -> None:
    job, setting = spec(), within(1000)
    assert plan(job, setting).verdict == "fits"
    change = relief(job, setting)
    assert change is not None
    assert str(change) == "set micro_batch_size to 4"
    assert change.plan.memory.peak <= 0.8 * plan(job, setting).memory.peak
