"""`/metrics`: what Prometheus's own parser reads of the queue, the jobs and HTTP, and who may read it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from store import jobs
from store.steps import append_steps
from tests.contract.conftest import KEY, Service, serving, step_record
from tests.contract.errors import check_error
from tests.contract.tenants import join, stream
from tests.contract.worker import Run


def read(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Samples by name and labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def scrape(service: Service, **headers: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """As Prometheus on the same machine does, without a key, unless the headers have one."""
    answer = httpx.get(f"{service.url}/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return read(answer.text)


@pytest.fixture
def running(service: Service) -> Iterator[Run]:
    """A job of a new project that has made two steps, the last one with IST's numbers."""
    run = Run(service, join(service).service.create_job())
    run.steps(1, 1)
    last = step_record(2)
    last.metrics.update(step_seconds=0.5, ist_seconds=0.1, tokens_per_second=200.0, memory_bytes=1e9)
    with service.database.session() as session:
        assert append_steps(session, run.job_id, run.attempt, [last])
    yield run
    run.cancelled()


def test_a_running_job_shows_its_latest_step(service: Service, running: Run) -> None:
    samples = scrape(service)
    (whose,) = [labels for labels in samples["isthmus_job_step"] if ("job", running.job_id) in labels]
    shown = {name: values[whose] for name, values in samples.items() if whose in values}
    assert shown == {
        "isthmus_job_step": 2,
        "isthmus_job_total_steps": 20,
        "isthmus_job_step_seconds": 0.5,
        "isthmus_job_tokens_per_second": 200,
        "isthmus_job_memory_peak_bytes": 1e9,
        "isthmus_job_loss": 0.5,
        "isthmus_job_ist_overhead_ratio": 0.2,
    }


def test_the_queue_and_the_ends_are_counted(service: Service) -> None:
    member = join(service)
    before = scrape(service)["isthmus_jobs_ended_total"]
    made = [member.service.create_job() for _ in range(3)]
    Run(service, made[0]).fail()
    samples = scrape(service)
    queue = (("priority", "0"), ("project", member.project_id))
    assert samples["isthmus_queue_jobs"][queue] == 2
    assert 0 <= samples["isthmus_queue_oldest_seconds"][queue] < 60
    assert samples["isthmus_jobs"][("project", member.project_id), ("state", "queued")] == 2
    failed = (("state", "failed"),)
    assert samples["isthmus_jobs_ended_total"][failed] == before[failed] + 1
    assert samples["isthmus_database_up"] == {(): 1}


def test_requests_are_counted_by_the_template_of_their_route(service: Service) -> None:
    def counted() -> dict[tuple[tuple[str, str], ...], float]:
        return scrape(service).get("isthmus_http_requests_total", {})

    before = counted()
    with service.http() as http:
        for name in ("file-a", "file-b"):
            http.get(f"/v1/files/{name}")
        http.get("/v1/nothing-at-all")
        http.get("/v1/organization/projects/none")
        http.request("PROPFIND", "/v1/files")
    new = {labels: count - before.get(labels, 0) for labels, count in counted().items()}
    of = {
        (dict(labels)["method"], dict(labels)["route"], dict(labels)["status"]): n
        for labels, n in new.items()
    }
    assert of["GET", "/v1/files/{file_id}", "404"] == 2
    assert of["GET", "/v1/organization/projects/{project_id}", "404"] == 1
    assert of["GET", "none", "404"] == 1
    assert sum(count for (method, _, _), count in of.items() if method == "other") == 1
    seconds = scrape(service)["isthmus_http_request_seconds_count"]
    assert seconds[("method", "GET"), ("route", "/v1/files/{file_id}")] >= 2


def test_open_streams_are_counted(service: Service, running: Run) -> None:
    before = scrape(service)["isthmus_stream_watchers"][()]
    with stream(service, service.create_job()) as socket:
        socket.recv(timeout=10)
        assert scrape(service)["isthmus_stream_watchers"][()] == before + 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"Host": "evil.example"},
        {"Host": ""},
    ],
)
def test_without_a_key_it_answers_this_machine_alone(service: Service, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{service.url}/metrics", headers=headers)
    check_error(answer, 401, code="invalid_api_key", param=None)


def test_a_key_sees_its_projects_jobs_and_an_admins_key_all(service: Service, running: Run) -> None:
    with service.database.session() as session:
        job = jobs.get_job(session, running.job_id)
    assert job is not None
    members = (join(service, "read", project_id=job.project_id), join(service, "read"))
    own, strangers, whole = (
        scrape(service, Authorization=f"Bearer {key}")
        for key in (*(member.service.key for member in members), KEY)
    )
    assert len(own["isthmus_job_step"]) == 1
    assert {dict(labels)["project"] for labels in own["isthmus_jobs"]} == {job.project_id}
    assert "isthmus_job_step" not in strangers
    assert not any("http" in name for name in own | strangers)
    assert "isthmus_http_requests_total" in whole
    with join(service, "write").service.http() as http:
        check_error(http.get("/metrics"), 403, code="insufficient_scope", param=None)
    with service.http(Authorization="Bearer wrong") as http:
        check_error(http.get("/metrics"), 401, code="invalid_api_key", param=None)


def test_http_is_told_of_while_the_database_is_away(service: Service) -> None:
    nowhere = {"database_url": "postgresql://127.0.0.1:1/none"}
    with serving(service.settings.model_copy(update=nowhere)) as lost:
        samples = scrape(lost)
    assert samples["isthmus_database_up"] == {(): 0}
    assert "isthmus_stream_watchers" in samples
    assert "isthmus_jobs" not in samples
