"""Preference pairs and `method: dpo`, through the unmodified `openai` client and by plain HTTP."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types.fine_tuning.job_create_params import Method

from tests.contract.conftest import DATA, PREFERENCE_DATA, Service
from tests.contract.errors import check_job_refused


def test_a_file_says_what_its_rows_are(service: Service) -> None:
    client = service.client
    for data, name in ((DATA, "chat"), (PREFERENCE_DATA, "preference")):
        file = client.files.retrieve(service.upload(data))
        assert ((file.model_extra or {})["format"], (file.model_extra or {})["rows"]) == (name, 12)


def test_a_preference_job_shows_its_method(service: Service) -> None:
    client = service.client
    job = client.fine_tuning.jobs.create(
        model="tiny",
        training_file=service.upload(PREFERENCE_DATA),
        validation_file=service.upload(PREFERENCE_DATA),
        method={"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.5, "n_epochs": 2}}},
    )
    assert job.status == "queued"
    assert client.fine_tuning.jobs.retrieve(job.id) == job
    assert job.method is not None
    assert job.method.to_dict() == {
        "type": "dpo",
        "dpo": {
            "hyperparameters": {
                "n_epochs": 2,
                "batch_size": 8,
                "learning_rate_multiplier": 1.0,
                "beta": 0.5,
            }
        },
    }
    assert (job.model_extra or {})["spec"]["method"] == {"type": "dpo", "beta": 0.5}


def test_a_preference_jobs_auto_is_resolved(service: Service) -> None:
    job = service.client.fine_tuning.jobs.create(
        model="tiny",
        training_file=service.upload(PREFERENCE_DATA),
        method={"type": "dpo", "dpo": {"hyperparameters": {"beta": "auto", "batch_size": "auto"}}},
    )
    assert job.method is not None
    assert job.method.dpo is not None
    hyperparameters = job.method.dpo.hyperparameters
    assert hyperparameters is not None
    assert (hyperparameters.beta, hyperparameters.batch_size, hyperparameters.n_epochs) == (0.1, 8, 10)
    assert hyperparameters.learning_rate_multiplier == 1


@pytest.mark.parametrize(
    ("body", "code", "param", "says"),
    [
        ({"method": {"type": "reinforcement"}}, "unsupported_method", "method.type", "supervised, dpo"),
        (
            {"method": {"type": "dpo", "supervised": {}}},
            "conflicting_parameters",
            "method.supervised",
            "remove",
        ),
        (
            {"method": {"type": "dpo", "reinforcement": {}}},
            "conflicting_parameters",
            "method.reinforcement",
            "does not go with method.type 'dpo'",
        ),
        (
            {"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0}}}},
            "invalid_value",
            "method.dpo.hyperparameters.beta",
            "'auto', or must be greater than 0",
        ),
        (
            {"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 2.5}}}},
            "invalid_value",
            "method.dpo.hyperparameters.beta",
            "less than or equal to 2",
        ),
        (
            {"method": {"type": "dpo", "dpo": {"hyperparameters": {"betta": 1}}}},
            "unknown_parameter",
            "method.dpo.hyperparameters.betta",
            "did you mean 'beta'",
        ),
        ({"hyperparameters": {"beta": 1}}, "unknown_parameter", "hyperparameters.beta", "known keys: b"),
    ],
)
def test_a_bad_method_is_refused_by_field(
    service: Service, body: dict[str, Any], code: str, param: str, says: str
) -> None:
    assert says in check_job_refused(service, body, code=code, param=param)


@pytest.mark.parametrize(
    ("method", "training", "validation", "param", "says"),
    [
        (None, PREFERENCE_DATA, None, "training_file", "holds preference rows, but method.type 'supervised'"),
        ({"type": "supervised"}, DATA, PREFERENCE_DATA, "validation_file", 'rows such as {"messages": '),
        (
            {"type": "dpo"},
            DATA,
            None,
            "training_file",
            "holds chat rows, but method.type 'dpo' learns from preference",
        ),
        ({"type": "dpo"}, PREFERENCE_DATA, DATA, "validation_file", 'rows such as {"input": {"messages": '),
    ],
)
def test_a_file_of_another_format_is_refused(
    service: Service,
    method: Method | None,
    training: bytes,
    validation: bytes | None,
    param: str,
    says: str,
) -> None:
    files = {"training_file": service.upload(training)}
    if validation is not None:
        files["validation_file"] = service.upload(validation)
    before = service.contents()
    with pytest.raises(openai.BadRequestError) as refused:
        service.client.fine_tuning.jobs.create(
            model="tiny",
            training_file=files["training_file"],
            validation_file=files.get("validation_file"),
            method=method or openai.omit,
        )
    assert (refused.value.code, refused.value.param) == ("invalid_file_format", param)
    assert files[param] in refused.value.message
    assert says in refused.value.message
    assert service.contents() == before
