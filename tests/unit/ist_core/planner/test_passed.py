"""Settled layers in a plan: of which models, from when on, and what they take off the time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ist_core.planner.devices import find_device
from ist_core.planner.lengths import Lengths
from ist_core.planner.passed import Passed
from ist_core.planner.plan import Plan, plan
from ist_core.planner.throughput import MeasuredRun
from ist_core.prefix import can_be_passed
from ist_core.spec import LoraSpec
from tests.unit.ist_core.planner.models import FAMILIES, adapted, make_model
from tests.unit.ist_core.planner.test_plan import LORA, SETTING, SHAPE, of, spec

STATIC = {"policy": "static", "update_fraction": 0.25}
ALIKE = replace(SETTING, lengths=Lengths.counted([(32, 10)] * 80))
"""80 rows of one length: 10 steps an epoch, and no padding."""
NEVER = replace(ALIKE, shape=replace(SHAPE, random=True))
"""The same work for layers that are never passed by."""
LAYER = 64 * (64 + 32 + 32 + 64) + 3 * 64 * 160 + LORA + 2 * 64 * 32
"""Multiplications of a token in one layer, forward: modules, adapters, and attention over 32 tokens."""


def passed(**keys: Any) -> Passed | None:
    """What a static job passes by."""
    return of(ALIKE, **{"ist": STATIC, **keys}).passed


def taken_off(**keys: Any) -> float:
    """Operations a step that passing layers by saves."""
    kept, never = (of(setting, **{"ist": STATIC, **keys}) for setting in (ALIKE, NEVER))
    return (never.operations_per_token - kept.operations_per_token) * 8 * 32


@pytest.mark.parametrize(
    ("family", "keys", "adapter"),
    [
        *((family, {}, {}) for family in FAMILIES),
        ("llama", {}, {"dropout": 0.1}),
        ("llama", {"attention_dropout": 0.1}, {}),
        ("phi3", {"resid_pdrop": 0.1}, {}),
        ("phi3", {"embd_pdrop": 0.1}, {}),
        ("mixtral", {"router_jitter_noise": 0.1}, {}),
    ],
    ids=str,
)
def test_it_is_of_the_models_that_the_engine_can_pass_by(
    family: str, keys: dict[str, Any], adapter: dict[str, Any]
) -> None:
    model, shape = make_model(family, **keys)
    lora = LoraSpec(rank=4, **adapter)
    job = spec(adapter=lora.model_dump(), ist={"policy": "static", "update_fraction": 0.5})
    found = plan(job, replace(ALIKE, shape=shape)).passed
    assert (found is not None) == can_be_passed(adapted(model, lora))


def test_every_step_after_the_first_epoch_leaves_layers_out() -> None:
    assert passed(n_epochs=4) == Passed(
        layers=3, left_out=1.0, share=0.75, batches=10, disk_bytes=80 * 32 * 64 * 4
    )
    assert taken_off(n_epochs=4) == pytest.approx(0.75 * 3 * 2 * 8 * 32 * LAYER)


def test_a_warm_up_and_the_epoch_after_it_go_through_all_layers() -> None:
    ist = {**STATIC, "warmup_steps": 8}
    found = passed(n_epochs=4, ist=ist)
    assert found is not None
    assert (found.left_out, found.share) == (32 / 40, 22 / 40)
    assert taken_off(n_epochs=4, ist=ist) == pytest.approx(22 / 40 * 3 * 2 * 8 * 32 * LAYER)


def test_settling_passes_by_what_equal_importance_would_leave() -> None:
    found = passed(n_epochs=3, ist={"policy": "settling", "update_fraction": 0.5})
    assert found is not None
    assert (found.layers, found.left_out, found.share) == (2, 22 / 30, 12 / 30)


@pytest.mark.parametrize(
    "keys",
    [
        {"ist": None},
        {"ist": {"policy": "random"}},
        {"ist": {"policy": "static", "update_fraction": 1.0}},
        {"ist": {**STATIC, "warmup_steps": 1000}},
        {"method": {"type": "dpo"}},
        {"max_steps": 12},
        {"ist": {**STATIC, "warmup_steps": 18}},
    ],
    ids=str,
)
def test_what_is_not_passed_by(keys: dict[str, Any]) -> None:
    assert passed(n_epochs=3) is not None
    assert passed(**{"n_epochs": 3, **keys}) is None


def test_rows_must_come_again_a_quarter_of_an_epoch_at_least() -> None:
    assert [passed(max_steps=steps) is not None for steps in (12, 13)] == [False, True]


def test_bfloat16_takes_half_the_disk() -> None:
    wide, narrow = passed(), passed(precision="bfloat16")
    assert wide is not None
    assert narrow is not None
    assert wide.disk_bytes == 2 * narrow.disk_bytes


def _judged(full_rows: int, **keys: Any) -> tuple[Plan, Plan]:
    """The plans of a job of 20 steps that is measured before, after every fifth step and so at the end."""
    job = {
        "ist": STATIC,
        "n_epochs": 2,
        "checkpoint_interval": 5,
        "validation_file": "other",
        "evaluation": {"full_rows": full_rows},
        **keys,
    }
    kept, never = (of(replace(setting, validation_rows=40), **job) for setting in (ALIKE, NEVER))
    return kept, never


@pytest.mark.parametrize(("warmup", "again"), [(0, 3), (4, 3), (5, 2), (7, 2)])
def test_validation_rows_that_are_measured_again_are_passed_by(warmup: int, again: int) -> None:
    ist = {**STATIC, "warmup_steps": warmup}

    def saved(rows: int) -> float:
        kept, never = _judged(rows, ist=ist)
        return never.seconds.expected - kept.seconds.expected

    layers = again * 40 * 2 * 32 * 3 * LAYER
    assert saved(40) - saved(0) == pytest.approx(layers / (0.8 * SETTING.device.flops), rel=1e-6)


def test_a_gpu_launches_fewer_layers_once_rows_have_been_read() -> None:
    kept, never = (
        plan(
            spec(ist=STATIC, n_epochs=50),
            # So small a model is nothing but launches.
            replace(setting, device=find_device("h100")),
        ).seconds.expected
        for setting in (ALIKE, NEVER)
    )
    steps, launch = 500, 1.5e-3
    assert never - kept == pytest.approx((steps * 3 - 10 * 3 / 2) * launch, rel=0.01)


def test_a_rate_that_was_reached_with_layers_passed_by_is_told_again() -> None:
    job = spec(ist=STATIC, n_epochs=4)
    alone = plan(job, ALIKE)
    run = MeasuredRun(tokens_per_second=1000.0, operations_per_token=alone.operations_per_token)
    again = replace(ALIKE, measured=run)
    assert plan(job, again).seconds.expected == pytest.approx(alone.tokens / 1000)
    whole = plan(spec(n_epochs=4), again)
    assert whole.seconds.expected > 2 * alone.tokens / 1000, "plain LoRA does more for a token"
