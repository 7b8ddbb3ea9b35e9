"""A run's plan from inside: by the limit at first, by the examples once they are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ist_core.catalog import ModelSource
from ist_core.encoding import Example
from ist_core.examples import Examples
from ist_core.forecast import Forecast
from ist_core.memory import PeakMemory
from ist_core.planner import Lengths, Setting, find_device, plan, read_config, shape_of
from ist_core.spec import JobSpec

CPU = torch.device("cpu")


def spec(**keys: Any) -> JobSpec:
    fields = {"model": "tiny", "training_file": "file", "ist": None, "precision": "float32", **keys}
    return JobSpec.model_validate(fields)


def source(folder: Path) -> ModelSource:
    return ModelSource("folder", "tiny", str(folder))


def example(tokens: int, learnt: int) -> Example:
    supervised = tuple(index >= tokens - learnt for index in range(tokens))
    return Example(tuple(range(tokens)), supervised, truncated=False)


def examples(
    *sizes: tuple[int, int], probe: tuple[tuple[int, int], ...] = (), validation: bool = False
) -> Examples[Example]:
    """Examples of these lengths; what is probed may be the validation file."""
    held = [example(*size) for size in probe]
    return Examples([example(*size) for size in sizes], held, [], held if validation else None)


def forecast(job: JobSpec, folder: Path, cache: Path) -> Forecast:
    return Forecast(job, source(folder), cache_dir=cache, device=CPU)


def predicted(found: Forecast) -> Any:
    return found.report(10**9, PeakMemory(CPU))["predicted_bytes"]


def test_it_is_the_plan_of_the_runs_own_examples(tiny_folder: Path, tmp_path: Path) -> None:
    job = spec(batch_size=2)
    found = forecast(job, tiny_folder, tmp_path)
    at_limit = predicted(found)
    sizes = ((20, 5), (30, 8), (25, 6))
    found.see(examples(*sizes))
    shape = shape_of(read_config(source(tiny_folder)))
    device = find_device(f"cpu ({torch.get_num_threads()} threads)")
    alone = plan(job, Setting(shape, device, Lengths.counted(sizes)))
    assert predicted(found) == alone.memory.above_runtime < at_limit
    assert found.operations_per_token() == alone.operations_per_token


def test_rows_held_out_for_probes_are_of_the_training_file(tiny_folder: Path, tmp_path: Path) -> None:
    job = spec(batch_size=2, ist={"policy": "importance"})
    found = forecast(job, tiny_folder, tmp_path)
    found.see(examples((20, 5), (30, 8), probe=((90, 50),)))
    assert predicted(found) > predicted_of(job, tiny_folder, tmp_path, (20, 5), (30, 8))
    with_file = job.model_copy(update={"validation_file": "other"})
    found = forecast(with_file, tiny_folder, tmp_path)
    found.see(examples((20, 5), (30, 8), probe=((90, 50),), validation=True))
    assert predicted(found) == predicted_of(with_file, tiny_folder, tmp_path, (20, 5), (30, 8))


def predicted_of(job: JobSpec, folder: Path, cache: Path, *sizes: tuple[int, int]) -> Any:
    found = forecast(job, folder, cache)
    with_file = job.validation_file is not None
    found.see(examples(*sizes, probe=sizes[:1] if with_file else (), validation=with_file))
    return predicted(found)


def test_the_report_compares_what_the_run_took(tiny_folder: Path, tmp_path: Path) -> None:
    memory = PeakMemory(CPU)
    peak = memory.baseline_bytes + 500_000_000
    told = forecast(spec(), tiny_folder, tmp_path).report(peak, memory)
    assert (told["measured_bytes"], told["baseline_bytes"]) == (500_000_000, memory.baseline_bytes)
    assert told["ratio"] == told["predicted_bytes"] / 500_000_000  # type: ignore[operator]
    parts = told["parts"]
    assert isinstance(parts, dict)
    assert parts["weights"] == 4 * shape_of(read_config(source(tiny_folder))).parameters
    assert json.loads(json.dumps(told)) == told
    below = forecast(spec(), tiny_folder, tmp_path).report(0, memory)
    assert (below["measured_bytes"], below["ratio"]) == (0, None)


def test_advice_is_less_than_what_ran_out_of_memory(tiny_folder: Path, tmp_path: Path) -> None:
    found = forecast(spec(batch_size=256, max_length=512), tiny_folder, tmp_path)
    assert found.relief() == "set micro_batch_size to 128"


@pytest.mark.parametrize("config", ["{}", "[]", '{"model_type": "llama"}', "no json"])
def test_a_model_that_cannot_be_planned_can_still_be_trained(tmp_path: Path, config: str) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "config.json").write_text(config)
    found = forecast(spec(), folder, tmp_path)
    found.see(examples((20, 5)))
    assert found.relief() is None
    assert found.operations_per_token() is None
    told = found.report(10**9, PeakMemory(CPU))
    assert (told["predicted_bytes"], told["ratio"]) == (None, None)
    assert told["not_predicted"]
