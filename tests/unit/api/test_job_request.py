"""From a request to a complete spec."""

from __future__ import annotations

from typing import Any

import pytest

from api.errors import ApiError
from api.job_request import JobRequest, resolve
from ist_core.spec import BottleneckSpec, DpoSpec, IstSpec, JobSpec, MethodSpec, SupervisedSpec


def spec(rows: int = 100, **body: Any) -> JobSpec:
    return resolve(JobRequest.model_validate({"model": "m", "training_file": "f", **body}), rows=rows)


def test_what_is_left_out_takes_the_specs_defaults() -> None:
    defaults = JobSpec(model="m", training_file="f")
    made = spec(rows=800, seed=defaults.seed)
    assert made == defaults


def test_every_field_of_the_spec_can_be_asked_for() -> None:
    in_openai_form = {"n_epochs", "batch_size"}
    assert set(JobSpec.model_fields) - set(JobRequest.model_fields) == in_openai_form
    resolved = {"seed", "learning_rate", "method"}
    for name in set(JobSpec.model_fields) & set(JobRequest.model_fields) - resolved:
        assert JobRequest.model_fields[name].default == JobSpec.model_fields[name].default, name


@pytest.mark.parametrize(
    ("rows", "epochs"), [(1, 10), (240, 10), (241, 10), (300, 8), (800, 3), (1600, 2), (1601, 1), (10**6, 1)]
)
def test_auto_epochs_show_a_like_number_of_examples(rows: int, epochs: int) -> None:
    assert spec(rows, hyperparameters={"n_epochs": "auto"}).n_epochs == epochs


@pytest.mark.parametrize(
    ("rows", "micro", "size"), [(100, None, 8), (3, None, 3), (100, 4, 8), (100, 3, 6), (5, 4, 4), (2, 4, 4)]
)
def test_auto_batch_size_fits_the_data_and_the_micro_batch(rows: int, micro: int | None, size: int) -> None:
    assert spec(rows, micro_batch_size=micro).batch_size == size


def test_a_seed_is_drawn_when_none_is_given() -> None:
    assert len({spec().seed for _ in range(5)}) > 1
    assert spec(seed=0).seed == 0


def test_ist_is_on_unless_null() -> None:
    assert spec().ist == IstSpec()
    assert spec(ist=None).ist is None


@pytest.mark.parametrize("method", [None, "supervised", "dpo"])
def test_hyperparameters_are_read_in_every_place(method: str | None) -> None:
    hyperparameters = {"n_epochs": 4, "batch_size": 2, "learning_rate_multiplier": 3}
    if method is None:
        made = spec(hyperparameters=hyperparameters)
    else:
        made = spec(method={"type": method, method: {"hyperparameters": hyperparameters}})
    assert (made.n_epochs, made.batch_size) == (4, 2)
    assert made.learning_rate == pytest.approx(0.003)


@pytest.mark.parametrize(
    ("method", "made"),
    [
        (None, SupervisedSpec()),
        ({"type": "supervised"}, SupervisedSpec()),
        ({"type": "dpo"}, DpoSpec(type="dpo", beta=0.1)),
        ({"type": "dpo", "dpo": {}}, DpoSpec(type="dpo", beta=0.1)),
        ({"type": "dpo", "dpo": {"hyperparameters": {"beta": "auto"}}}, DpoSpec(type="dpo", beta=0.1)),
        ({"type": "dpo", "dpo": {"hyperparameters": {"beta": 2}}}, DpoSpec(type="dpo", beta=2.0)),
    ],
)
def test_a_method_is_resolved(method: dict[str, Any] | None, made: MethodSpec) -> None:
    resolved = spec(method=method)
    assert resolved.method == made
    assert resolved.learning_rate == JobSpec.model_fields["learning_rate"].default


def test_a_bottleneck_adapter_can_be_asked_for() -> None:
    assert spec(adapter={"type": "bottleneck", "size": 8}).adapter == BottleneckSpec(
        type="bottleneck", size=8
    )


def test_a_learning_rate_over_one_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        spec(hyperparameters={"learning_rate_multiplier": 1001})
    assert refused.value.param == "hyperparameters.learning_rate_multiplier"
