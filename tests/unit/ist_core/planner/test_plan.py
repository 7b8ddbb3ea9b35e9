"""Plans: memory by part, steps, tokens, time and verdicts."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ist_core.errors import EngineError, IstError
from ist_core.planner.config import Config
from ist_core.planner.devices import Device, cpu, find_device
from ist_core.planner.families import shape_of
from ist_core.planner.lengths import Lengths
from ist_core.planner.plan import Plan, Setting, plan
from ist_core.planner.throughput import MeasuredRun
from ist_core.spec import JobSpec

CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "tie_word_embeddings": True,
}
SHAPE = shape_of(Config(CONFIG))
ROWS = Lengths.counted([(32, 10)] * 60 + [(31, 9)] * 40)


def plain_cpu(memory_bytes: int = 8 * 10**9) -> Device:
    """Two cores that do not multiply in bfloat16."""
    return cpu(cores=2, memory_bytes=memory_bytes, bfloat16=False)


SETTING = Setting(SHAPE, plain_cpu(), ROWS)
LORA = 16 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 160))
"""Parameters of rank 16 on q, o, k, v, gate, up and down of one layer."""


def of(setting: Setting = SETTING, **keys: Any) -> Plan:
    """The plan of a job with these keys."""
    return plan(spec(**keys), setting)


def spec(**keys: Any) -> JobSpec:
    """A job with these keys."""
    return JobSpec.model_validate({"model": "tiny", "training_file": "file", "ist": None, **keys})


def test_parts_that_can_be_counted_by_hand() -> None:
    memory = of().memory
    assert memory.weights == 4 * SHAPE.parameters
    assert memory.adapters == memory.gradients == 4 * 4 * LORA
    assert memory.optimizer == 2 * memory.adapters + 4 * 4 * 14
    assert memory.logits == 4 * 8 * 10 * (1000 + 64)
    assert memory.loading == memory.weights
    passing = 2 * 4 * 65 + 4 * (64 + 2 * 32) + 2 * 4 * 160
    selected = 4 * (64 + 64 + 64 + 7 * 16)
    assert memory.activations_worst == 8 * 32 * (4 * (passing + selected) - 4 * 65)
    assert memory.peak == memory.runtime + memory.above_runtime


def test_bfloat16_halves_the_base_model_only() -> None:
    wide, narrow = of().memory, of(precision="bfloat16").memory
    assert 2 * narrow.weights == wide.weights
    assert narrow.adapters == wide.adapters
    assert narrow.loading == 3 * narrow.weights, "the stored float32 weights are there as well"


def test_logits_of_a_known_family_are_those_of_a_chunk() -> None:
    setting = replace(SETTING, lengths=Lengths.counted([(64, 50)] * 100))
    assert of(setting).memory.logits == 4 * (128 * 1000 + 8 * 50 * 64)
    assert of(setting, precision="bfloat16").memory.logits == 6 * 128 * 1000 + 2 * 8 * 50 * 64
    other = replace(setting, shape=replace(SHAPE, family="qwen3"))
    assert of(other).memory.logits == 12 * 8 * 50 * 1000


def test_static_tuning_keeps_the_top_layers_only() -> None:
    quarter = of(ist={"policy": "static", "update_fraction": 0.25}).memory
    half = of(ist={"policy": "static", "update_fraction": 0.5}).memory
    whole = of().memory
    assert quarter.gradients * 4 == half.gradients * 2 == whole.gradients
    assert quarter.optimizer * 4 == whole.optimizer
    assert quarter.activations_worst < half.activations_worst < whole.activations_worst
    assert (
        half.activations_worst + (whole.activations_worst - half.activations_worst) == whole.activations_worst
    )
    assert quarter.activations_mean == pytest.approx(quarter.activations_worst, rel=0.1)


def test_a_warm_up_needs_as_much_as_no_ist_at_its_worst_and_less_on_average() -> None:
    sparse, whole = of(ist={"update_fraction": 0.25}).memory, of().memory
    assert sparse.activations_worst == whole.activations_worst
    assert sparse.activations_mean < 0.9 * whole.activations_mean


def test_a_short_warm_up_is_not_expected_to_meet_the_longest_rows() -> None:
    setting = replace(SETTING, lengths=Lengths.counted([(8 * size, 4) for size in range(1, 81)]))
    ist = {"policy": "random", "update_fraction": 0.5, "warmup_steps": 1}
    short, whole = of(setting, ist=ist).memory, of(setting).memory
    later = of(setting, ist={**ist, "warmup_steps": 0}).memory
    assert short.activations_worst == later.activations_worst < whole.activations_worst
    long = of(setting, ist={**ist, "warmup_steps": 10}).memory
    assert long.activations_worst == whole.activations_worst


def test_bfloat16_batches_on_a_cpu_are_padded_to_few_lengths() -> None:
    odd, even = (replace(SETTING, lengths=Lengths.counted([(size, 10)] * 100)) for size in (33, 35))
    kept = [of(setting, precision="bfloat16").memory.activations_worst for setting in (odd, even)]
    assert kept[0] == kept[1]
    on_gpu = [
        of(replace(setting, device=find_device("l4")), precision="bfloat16").memory.activations_worst
        for setting in (odd, even)
    ]
    assert on_gpu[0] < on_gpu[1]


def test_a_gpu_run_has_no_fast_paths() -> None:
    on_cpu, on_gpu = of().memory, of(replace(SETTING, device=find_device("t4"))).memory
    assert on_cpu.activations_worst < 0.75 * on_gpu.activations_worst


def test_what_a_run_would_refuse_is_not_planned() -> None:
    with pytest.raises(EngineError, match="t4 has no bfloat16") as refused:
        of(replace(SETTING, device=find_device("t4")), precision="bfloat16")
    assert refused.value.param == "precision"
    alone = replace(SETTING, shape=replace(SHAPE, layers=1))
    assert of(alone).verdict == "fits"
    with pytest.raises(IstError, match="set ist to null"):
        of(alone, ist={"policy": "importance"})


@pytest.mark.parametrize(
    ("policy", "device", "layers"),
    [
        ("keep", "cpu", 4),
        ("reset", "cpu", 2),
        ("offload", "cpu", 4),
        ("keep", "l4", 4),
        ("reset", "l4", 2),
        ("offload", "l4", 2),
    ],
)
def test_moments_by_policy(policy: str, device: str, layers: int) -> None:
    setting = replace(SETTING, device=find_device(device))
    ist = {"policy": "random", "update_fraction": 0.5, "optimizer_state": policy}
    assert of(setting, ist=ist).memory.optimizer == layers * (8 * LORA + 4 * 14)


def test_a_gate_probe_goes_backward_through_all_layers() -> None:
    ist = {"policy": "importance", "warmup_steps": 0, "update_fraction": 0.25, "probe_batch_size": 5}
    suppression = of(ist={**ist, "scorer": "suppression"}).memory
    gate = of(ist={**ist, "scorer": "gate"}).memory
    assert suppression.probe == max(suppression.logits, suppression.transient) / 8 * 5
    assert gate.probe > suppression.probe + gate.adapters


def test_a_probe_without_micro_batches_may_be_larger_than_a_step() -> None:
    ist = {"policy": "importance", "scorer": "gate", "probe_batch_size": 64}
    setting = replace(SETTING, validation_rows=64)
    alone = of(setting, ist=ist).memory
    split = of(setting, ist=ist, micro_batch_size=8).memory
    assert alone.peak > split.peak
    assert alone.probe > alone.step + alone.allocator


def test_preference_pairs_are_two_conversations() -> None:
    pairs, single = of(method={"type": "dpo"}), of()
    assert pairs.memory.activations_worst == pytest.approx(2 * single.memory.activations_worst, rel=1e-9)
    assert pairs.tokens == 2 * single.tokens
    assert pairs.seconds.expected > 2 * single.seconds.expected


@pytest.mark.parametrize(
    ("keys", "steps", "rows"),
    [
        ({}, 3 * 13, 100),
        ({"n_epochs": 1, "batch_size": 100}, 1, 100),
        ({"max_steps": 7}, 7, 100),
        ({"ist": {"policy": "importance", "scorer": "suppression"}}, 3 * 12, 95),
        ({"ist": {"policy": "importance"}}, 3 * 13, 100),
    ],
)
def test_steps_are_the_engines(keys: dict[str, Any], steps: int, rows: int) -> None:
    found = of(**keys)
    assert (found.steps, found.rows) == (steps, rows)


def test_time_is_a_range_that_grows_with_the_work() -> None:
    short, long = of(n_epochs=1).seconds, of(n_epochs=2).seconds
    assert short.low < short.expected < short.high
    assert long.expected == pytest.approx(2 * short.expected)
    static = of(n_epochs=1, ist={"policy": "static"}).seconds
    assert static.expected < short.expected


JUDGED = replace(SETTING, validation_rows=40)


def judged(**evaluation: Any) -> Plan:
    """The plan of a job of 13 steps and as many measurements as its 7 checkpoints, start and end."""
    return of(JUDGED, n_epochs=1, checkpoint_interval=2, validation_file="other", evaluation=evaluation)


def test_time_counts_each_measurement_and_each_answer() -> None:
    none = judged(full_rows=0).seconds.expected
    assert none == of(n_epochs=1).seconds.expected
    few, many = judged(full_rows=10).seconds.expected - none, judged(full_rows=20).seconds.expected - none
    assert 2 * few == pytest.approx(many) == pytest.approx(2 * few)
    assert judged(full_rows=None).seconds.expected == judged(full_rows=10**6).seconds.expected
    sampled = judged(full_rows=0, interval=4, loss_rows=8).seconds.expected - none
    assert sampled == pytest.approx(few * (3 * 8) / (8 * 10))
    short, long = (
        judged(full_rows=0, rows=8, max_new_tokens=count).seconds.expected - none for count in (10, 20)
    )
    assert short < long < 2 * short
    assert judged(full_rows=0, rows=80).seconds == judged(full_rows=0, rows=40).seconds


def test_answers_that_outgrow_a_step_are_the_peak() -> None:
    small, large = (
        of(JUDGED, batch_size=1, validation_file="other", evaluation={"rows": rows, "max_new_tokens": count})
        for rows, count in ((1, 1), (16, 230))
    )
    # Keys and values of 2 heads of 16, of 16 rows of 22 + 230 tokens, in 4 layers and one that grows.
    cache = 2 * 2 * 16 * 4 * 16 * (22 + 230) * 5
    memory = large.memory
    assert memory.answers == cache + max(16 * 22 * 160 * 16, 12 * 16 * 1000)
    assert memory.answers > memory.step + memory.allocator > small.memory.answers
    assert memory.peak - small.memory.peak == memory.answers - memory.step - memory.allocator


def test_the_best_adapter_is_held_beside_the_latest() -> None:
    kept = of(JUDGED, validation_file="other", select_checkpoint="best").memory
    assert kept.adapters == 2 * of().memory.adapters


def test_a_measured_run_sets_the_rate() -> None:
    alone = of()
    run = MeasuredRun(tokens_per_second=1000.0, operations_per_token=alone.operations_per_token)
    measured = of(replace(SETTING, measured=run))
    assert measured.seconds.expected == pytest.approx(alone.tokens / 1000, rel=0.01)
    assert measured.seconds.low == pytest.approx(0.8 * measured.seconds.expected)


@pytest.mark.parametrize(("share", "verdict"), [(1.21, "fits"), (1.1, "tight"), (0.99, "does_not_fit")])
def test_verdicts(share: float, verdict: str) -> None:
    peak = of().memory.peak
    setting = replace(SETTING, device=plain_cpu(round(share * peak)))
    assert of(setting).verdict == verdict


def test_planning_loads_no_torch() -> None:
    code = (
        "import sys; import ist_core.planner, ist_core.planner.advice; "
        "sys.exit(bool({'torch', 'transformers', 'peft', 'numpy'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[4])
