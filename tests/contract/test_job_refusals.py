"""Bad jobs: the field by name, what is wrong with it, nothing half-made."""

from __future__ import annotations

from typing import Any

import pytest

from store.files import create_file
from store.objects import ObjectInfo
from store.projects import DEFAULT_PROJECT
from tests.contract.conftest import Service
from tests.contract.errors import JOBS, check_error, check_job_refused


@pytest.mark.parametrize(
    ("body", "code", "param", "says"),
    [
        ({"model": None}, "invalid_value", "model", "valid string"),
        ({"model": ""}, "invalid_value", "model", "at least 1"),
        ({"model": "tinny"}, "model_not_found", "model", "did you mean 'tiny'"),
        ({"model": "../tiny"}, "model_not_found", "model", "tiny"),
        ({"model": "ft:tiny:isthmus::abc"}, "model_not_found", "model", "base model"),
        ({"training_file": "file-none"}, "file_not_found", "training_file", "no such file"),
        ({"training_file": 7}, "invalid_value", "training_file", "string"),
        ({"validation_file": "file-none"}, "file_not_found", "validation_file", "no such file"),
        ({"adapter": {"rank": 0}}, "invalid_value", "adapter.rank", "greater than or equal to 1"),
        ({"adapter": {"rankk": 4}}, "unknown_parameter", "adapter.rankk", "did you mean 'rank'"),
        ({"adapter": {"ranks": 4}}, "unknown_parameter", "adapter.ranks", "did you mean 'rank'"),
        ({"adapter": {"lora": 4}}, "unknown_parameter", "adapter.lora", "did you mean 'rslora'"),
        ({"adapter": {"LoraSpec": 4}}, "unknown_parameter", "adapter.LoraSpec", "known keys: alpha"),
        ({"adapter": {"type": "lora", "size": 4}}, "unknown_parameter", "adapter.size", "known keys: alpha"),
        (
            {"adapter": {"type": "bottleneck", "rank": 4}},
            "unknown_parameter",
            "adapter.rank",
            "known keys: dropout, non_linearity, scaling, size",
        ),
        ({"adapter": {"type": "bottleneck", "sise": 4}}, "unknown_parameter", "adapter.sise", "'size'"),
        ({"adapter": {"type": "bottleneck", "size": 0}}, "invalid_value", "adapter.size", "or equal to 1"),
        (
            {"adapter": {"type": "lorra"}},
            "invalid_value",
            "adapter.type",
            "adapter.type: must be one of lora, bottleneck",
        ),
        ({"adapter": {"type": None}}, "invalid_value", "adapter.type", "must be one of lora, bottleneck"),
        ({"adapter": "lora"}, "invalid_value", "adapter", "adapter: must be an object"),
        ({"adapter": None}, "invalid_value", "adapter", "adapter: must be an object"),
        ({"adapter": {"alpha": float("inf")}}, "invalid_value", "adapter.alpha", "finite"),
        ({"adapter": {"target_modules": []}}, "invalid_value", "adapter.target_modules", "at least 1"),
        ({"adapter": {"target_modules": ["q", 3]}}, "invalid_value", "adapter.target_modules[1]", "string"),
        ({"ist": {"update_fraction": 0}}, "invalid_value", "ist.update_fraction", "greater than 0"),
        ({"ist": {"probe_intervall": 5}}, "unknown_parameter", "ist.probe_intervall", "'probe_interval'"),
        ({"ist": {"warmup_steps": "some"}}, "invalid_value", "ist.warmup_steps", "'auto'"),
        ({"ist": {"warmup_steps": -1}}, "invalid_value", "ist.warmup_steps", "'auto'"),
        ({"ist": {"hold": 0}}, "invalid_value", "ist.hold", "greater than or equal to 1, or must be 'auto'"),
        ({"ist": {"hold": 5}}, "conflicting_parameters", "ist.hold", "selects once; leave hold out"),
        ({"ist": {"runs": 3}}, "invalid_value", "ist.runs", "must be 1 or 2"),
        ({"ist": {"optimizer_state": "drop"}}, "invalid_value", "ist.optimizer_state", "'reset' or "),
        (
            {"ist": {"mode": "paper", "policy": "lisa"}},
            "conflicting_parameters",
            "ist.mode",
            "mode 'paper' has the policy 'importance' and the scorer 'suppression', not 'lisa'",
        ),
        ({"ist": "on"}, "invalid_value", "ist", "ist: must be an object"),
        ({"learning_rat": 0.1}, "unknown_parameter", "learning_rat", "did you mean 'learning_rate'"),
        ({"zzz": 1}, "unknown_parameter", "zzz", "known keys: adapter, "),
        ({"learning_rate": "fast"}, "invalid_value", "learning_rate", "number"),
        ({"learning_rate": float("nan")}, "invalid_value", "learning_rate", "finite"),
        (
            {"hyperparameters": {"n_epochs": 0}},
            "invalid_value",
            "hyperparameters.n_epochs",
            "'auto', or must be greater than or equal to 1",
        ),
        ({"hyperparameters": {"epochs": 1}}, "unknown_parameter", "hyperparameters.epochs", "'n_epochs'"),
        (
            {"hyperparameters": {"learning_rate_multiplier": 5000}},
            "invalid_value",
            "hyperparameters.learning_rate_multiplier",
            "at most 1000",
        ),
        (
            {"learning_rate": 0.1, "hyperparameters": {"learning_rate_multiplier": 1}},
            "conflicting_parameters",
            "learning_rate",
            "remove one",
        ),
        (
            {"method": {"type": "supervised", "supervised": {"hyperparameters": {"batch_size": 999}}}},
            "invalid_value",
            "method.supervised.hyperparameters.batch_size",
            "256",
        ),
        (
            {"method": {"type": "supervised", "supervised": {"hyperparameters": {}}}, "hyperparameters": {}},
            "conflicting_parameters",
            "hyperparameters",
            "twice",
        ),
        ({"method": {"type": "magic"}}, "invalid_value", "method.type", "'supervised', 'dpo'"),
        ({"method": {"type": "supervised", "dpo": {}}}, "conflicting_parameters", "method.dpo", "remove"),
        (
            {"micro_batch_size": 3, "hyperparameters": {"batch_size": 8}},
            "invalid_value",
            "micro_batch_size",
            "micro_batch_size 3 must divide batch_size 8",
        ),
        ({"seed": -1}, "invalid_value", "seed", "greater than or equal to 0"),
        ({"seed": 2**31}, "invalid_value", "seed", "2147483647"),
        ({"seed": 10**400}, "invalid_value", "seed", "2147483647"),
        ({"suffix": "x" * 65}, "invalid_value", "suffix", "64"),
        ({"suffix": "a b/c"}, "invalid_value", "suffix", "pattern"),
        ({"metadata": {str(n): "v" for n in range(17)}}, "invalid_value", "metadata", "16"),
        ({"metadata": {"k" * 65: "v"}}, "invalid_value", "metadata." + "k" * 65, "64"),
        ({"metadata": {"k": "v" * 513}}, "invalid_value", "metadata.k", "512"),
        ({"metadata": {"k": 1}}, "invalid_value", "metadata.k", "string"),
        ({"metadata": {"k": "a\0b"}}, "invalid_value", None, "NUL"),
        ({"metadata": {"k": "\ud800"}}, "invalid_value", "metadata.k", "unicode"),
        ({"evaluation": {"row": 5}}, "unknown_parameter", "evaluation.row", "did you mean 'rows'"),
        ({"evaluation": {"rows": -1}}, "invalid_value", "evaluation.rows", "greater than or equal to 0"),
        ({"evaluation": {"scores": ["exact"]}}, "invalid_value", "evaluation.scores[0]", "'exact_match', "),
        ({"evaluation": {"scores": ["regex"]}}, "conflicting_parameters", "evaluation.pattern", "needs one"),
        ({"evaluation": {"pattern": "a"}}, "conflicting_parameters", "evaluation.pattern", "regex only"),
        (
            {"evaluation": {"choices": ["a", "b"]}},
            "conflicting_parameters",
            "evaluation.choices",
            "choice only",
        ),
        ({"evaluation": {"choices": ["a", "A"]}}, "invalid_value", "evaluation.choices", "twice"),
        (
            {"evaluation": {"scores": ["regex"], "pattern": "(?<=a)b"}},
            "invalid_value",
            "evaluation.pattern",
            "look-around",
        ),
        ({"evaluation": {"rows": 5}}, "invalid_value", "evaluation", "needs a validation_file"),
        ({"early_stopping": {}}, "invalid_value", "early_stopping", "needs a validation_file"),
        ({"early_stopping": {"patients": 1}}, "unknown_parameter", "early_stopping.patients", "'patience'"),
        ({"early_stopping": {"patience": 0}}, "invalid_value", "early_stopping.patience", "or equal to 1"),
        ({"select_checkpoint": "best"}, "invalid_value", "select_checkpoint", "needs a validation_file"),
        ({"select_checkpoint": "newest"}, "invalid_value", "select_checkpoint", "'last' or 'best'"),
        ({"integrations": [{"type": "wandb"}]}, "unsupported_integration", "integrations", "none are"),
    ],
)  # fmt: skip
def test_a_bad_job_is_refused_by_field(
    service: Service, body: dict[str, Any], code: str, param: str | None, says: str
) -> None:
    assert says in check_job_refused(service, body, code=code, param=param)


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        (
            {"evaluation": {"full_rows": 0}, "select_checkpoint": "best"},
            "evaluation.full_rows",
            "must not be 0",
        ),
        (
            {"evaluation": {"full_rows": 0}, "early_stopping": {}},
            "evaluation.full_rows",
            "evaluation.interval",
        ),
    ],
)
def test_an_evaluation_that_could_not_decide_is_refused(
    service: Service, body: dict[str, Any], param: str, says: str
) -> None:
    body = {"validation_file": service.upload(), **body}
    assert says in check_job_refused(service, body, code="invalid_value", param=param)


def test_a_job_is_judged_as_asked_for(service: Service) -> None:
    asked: dict[str, Any] = {
        "evaluation": {"interval": 5, "rows": 20, "scores": ["choice", "rouge_l"], "choices": ["yes", "no"]},
        "early_stopping": {"patience": 2},
        "select_checkpoint": "best",
    }
    job_id = service.create_job(validation_file=service.upload(), **asked)
    with service.http() as http:
        spec = http.get(f"{JOBS}/{job_id}").json()["spec"]
    assert {**spec["evaluation"], **asked["evaluation"]} == spec["evaluation"]
    assert spec["early_stopping"] == {"patience": 2, "min_delta": 0}
    assert spec["select_checkpoint"] == "best"


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code", "param"),
    [
        (b"", "application/json", 400, "missing_body", None),
        (b"{", "application/json", 400, "invalid_json", None),
        (b"[]", "application/json", 400, "invalid_value", None),
        (b'{"model": "\xff"}', "application/json", 400, "invalid_request", None),
        (b"[" * 100_000, "application/json", 400, "invalid_request", None),
        (b"{}", "application/json", 400, "missing_parameter", "model"),
        (b"model=tiny", "application/x-www-form-urlencoded", 415, "unsupported_media_type", None),
        (b" " * (1024 * 1024 + 1), "application/json", 413, "too_large", None),
    ],
)
def test_a_bad_body_is_refused(
    service: Service, content: bytes, content_type: str, status: int, code: str, param: str | None
) -> None:
    with service.http() as http:
        answer = http.post(JOBS, content=content, headers={"Content-Type": content_type})
    check_error(answer, status, code=code, param=param)


def test_a_result_file_trains_no_job(service: Service) -> None:
    with service.database.session() as session:
        create_file(
            session,
            project_id=DEFAULT_PROJECT,
            file_id="file-result",
            filename="steps.csv",
            purpose="fine-tune-results",
            stored=ObjectInfo("files/file-result", 1, "0"),
        )
    with service.http() as http:
        answer = http.post(JOBS, json={"model": "tiny", "training_file": "file-result"})
        assert http.get("/v1/files/file-result").json()["format"] is None
    check_error(answer, 400, code="invalid_purpose", param="training_file")
