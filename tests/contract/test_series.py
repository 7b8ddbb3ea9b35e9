"""What OpenAI's contract does not have: metrics, importance, artifacts, health, the dashboard's pages."""

from __future__ import annotations

import pytest

from store.jobs import unsent_jobs
from tests.contract.conftest import LAYERS, Service, serving, write_build
from tests.contract.errors import JOBS, check_error
from tests.contract.worker import Run


@pytest.fixture(scope="module")
def finished(service: Service) -> str:
    """A job that has succeeded after 6 steps."""
    job_id = service.create_job()
    run = Run(service, job_id)
    run.steps(1, 6)
    run.succeed()
    return job_id


def test_metrics_come_as_series(service: Service, finished: str) -> None:
    with service.http() as http:
        whole = http.get(f"{JOBS}/{finished}/metrics").json()
        window = http.get(
            f"{JOBS}/{finished}/metrics", params={"keys": "loss", "after_step": 2, "limit": 3}
        ).json()
    assert (whole["object"], whole["job_id"]) == ("fine_tuning.job.metrics", finished)
    assert whole["steps"] == [1, 2, 3, 4, 5, 6]
    assert set(whole["series"]) == {"loss", "learning_rate", "trained_tokens"}
    assert whole["series"]["loss"][:2] == [1.0, 0.5]
    assert window["steps"] == [3, 4, 5]
    assert window["time"] == [1_700_000_003.0, 1_700_000_004.0, 1_700_000_005.0]
    assert window["series"] == {"loss": [1 / 3, 1 / 4, 1 / 5]}


def test_importance_comes_by_layer(service: Service, finished: str) -> None:
    with service.http() as http:
        found = http.get(f"{JOBS}/{finished}/importance", params={"after_step": 4}).json()
    assert (found["object"], found["layers"], found["steps"]) == (
        "fine_tuning.job.importance",
        LAYERS,
        [5, 6],
    )
    assert found["importance"] == [[0.0, 1.0, 2.0, 3.0]] * 2
    assert found["active"] == [[1, 3]] * 2
    assert found["probabilities"] == [None] * 2  # not told, as in rows that are older than they


def test_artifacts_are_listed_and_downloaded(service: Service, finished: str) -> None:
    with service.http() as http:
        listed = http.get(f"{JOBS}/{finished}/artifacts").json()["data"]
        assert {item["path"] for item in listed} == {"adapter/adapter_config.json", "report.json"}
        assert {item["bytes"] for item in listed} == {2}
        answer = http.get(f"{JOBS}/{finished}/artifacts/adapter/adapter_config.json")
        assert (answer.status_code, answer.content) == (200, b"{}")
        disposition = "attachment; filename*=UTF-8''adapter_config.json"
        assert answer.headers["content-disposition"] == disposition
        assert answer.headers["x-content-type-options"] == "nosniff"
        for path in ("nothing", "adapter", "%2e%2e/%2e%2e/report.json", "/etc/passwd", "a%00b"):
            refused = http.get(f"{JOBS}/{finished}/artifacts/{path}")
            assert refused.status_code == 404, path
        unfinished = service.create_job()
        assert http.get(f"{JOBS}/{unfinished}/artifacts").json()["data"] == []


def test_health_names_the_part_that_is_away(service: Service) -> None:
    with service.http() as http:
        answer = http.get("/health", headers={"Authorization": ""})
        assert (answer.status_code, answer.json()) == (
            200,
            {"status": "ok", "database": "ok", "redis": "ok"},
        )
    nowhere = {"redis_url": "redis://127.0.0.1:1", "database_url": "postgresql://127.0.0.1:1/none"}
    with serving(service.settings.model_copy(update=nowhere)) as lost, lost.http() as http:
        answer = http.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
        assert (answer.json()["database"], answer.json()["redis"]) == ("unavailable", "unavailable")
        assert http.get("/health/ready").status_code == 503
        assert (http.get("/health/live").status_code, http.get("/health/live").json()) == (
            200,
            {"status": "ok"},
        )
        check_error(http.get(JOBS), 503, code="database_unavailable", param=None)


def test_a_job_is_created_while_redis_is_away(service: Service) -> None:
    training_file = service.upload()
    with serving(service.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1"})) as lost:
        job = lost.client.fine_tuning.jobs.create(model="tiny", training_file=training_file)
        assert job.status == "queued"
        with lost.http() as http:
            answer = http.get("/health/ready")
            assert (answer.status_code, answer.json()["redis"]) == (200, "unavailable")
            assert http.get("/health").status_code == 503
        with service.database.session() as session:
            assert unsent_jobs(session) == [job.id]
        assert lost.client.fine_tuning.jobs.cancel(job.id).status == "cancelled"


def test_the_dashboard_is_served_with_a_strict_policy(service: Service) -> None:
    with service.http() as http:
        missing = check_error(http.get("/"), 404, code="dashboard_not_built", param=None)
        assert "make web" in missing
        assert service.settings.web_dir is not None
        write_build(service.settings.web_dir)
        for path in ("/", "/jobs/ftjob-abc", "/?x=1"):
            page = http.get(path)
            assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert page.headers["cache-control"] == "no-cache"
            policy = page.headers["content-security-policy"]
            assert "default-src 'none'; script-src 'self'" in policy
            assert "unsafe" not in policy
        asset = http.get("/assets/index-abc123.js")
        assert "immutable" in asset.headers["cache-control"]
        assert asset.headers["content-security-policy"]
        for path in ("/assets/gone.js", "/favicon.svg", "/v1/nothing", "/..%2fapi/app.py"):
            check_error(http.get(path), 404, code="not_found", param=None)
        check_error(http.post("/"), 404, code="not_found", param=None)
