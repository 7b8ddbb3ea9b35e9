"""What breaks while the SDK is at work: the API is killed and started again, answers are lost on the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from anyio.from_thread import BlockingPortal
from isthmus import AsyncIsthmus, Isthmus, Job, LogLine, StepUpdate

from tests.contract.client.facade import blocking
from tests.contract.client.restarts import RestartedApi, restarted_api
from tests.contract.conftest import KEY, Service
from tests.contract.worker import TOTAL, Run

KILLS = 2


@pytest.fixture(scope="module")
def api(service: Service) -> Iterator[RestartedApi]:
    with restarted_api(service) as api:
        yield api


@pytest.fixture(params=["blocking", "asynchronous"])
def client(request: pytest.FixtureRequest, api: RestartedApi, portal: BlockingPortal) -> Iterator[Isthmus]:
    """Either client of the API that is killed."""
    if request.param == "blocking":
        with Isthmus(base_url=api.url, api_key=KEY) as client:
            yield client
        return
    twin = AsyncIsthmus(base_url=api.url, api_key=KEY)
    yield blocking(twin, portal)
    portal.call(twin.close)


def test_a_stream_survives_the_api_being_killed(client: Isthmus, api: RestartedApi, service: Service) -> None:
    job = client.jobs.retrieve(service.create_job())
    run = Run(service, job.id)
    numbers: list[int] = []
    steps: list[int] = []
    gone_on = threading.Event()

    def read() -> None:
        for update in job.stream():
            if isinstance(update, (StepUpdate, LogLine)):
                numbers.append(update.seq)
            if isinstance(update, StepUpdate):
                steps.append(update.data.step)
                gone_on.set()

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        share = TOTAL // KILLS
        for n in range(KILLS):
            gone_on.clear()
            run.steps(n * share + 1, n * share + 2)
            assert gone_on.wait(60)
            api.kill()
            run.steps(n * share + 3, (n + 1) * share)  # while nobody serves
            api.start()
        run.succeed()
        reader.result(60)
    assert steps == list(range(1, KILLS * share + 1))
    assert numbers == list(range(1, job.last_seq + 1))
    assert job.status == "succeeded"


def test_waiting_survives_the_api_being_killed(client: Isthmus, api: RestartedApi, service: Service) -> None:
    job = client.jobs.retrieve(service.create_job())
    run = Run(service, job.id)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: job.wait(timeout=120, poll_interval=0.2).status)
        api.kill()
        run.succeed()
        api.start()
        assert waiting.result(60) == "succeeded"


class LosesAnswers(httpx2.HTTPTransport):
    """Delivers every request, and loses the first answer to each POST."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[str] = set()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer, or what a broken connection looks like."""
        answer = super().handle_request(request)
        key = request.headers.get("idempotency-key")
        if key is None or key in self.lost:
            return answer
        answer.read()
        self.lost.add(key)
        raise httpx2.ReadError("reset by peer", request=request)


def test_what_was_asked_for_once_is_done_once_though_the_answer_was_lost(service: Service) -> None:
    transport = LosesAnswers()
    http = httpx2.Client(transport=transport)
    with http, Isthmus(base_url=service.url, api_key=KEY, http_client=http) as client:
        before = service.contents()
        file = client.files.create(file=b'{"prompt": "a", "completion": "b"}', name="a.jsonl")
        job: Job = client.jobs.create(model="tiny", training_file=file.id)
        webhook = client.webhooks.create(url="https://example.com/")
        after = service.contents()
    assert len(transport.lost) == 3
    assert {name: after[name] - before[name] for name in ("files", "jobs", "webhooks")} == dict.fromkeys(
        ("files", "jobs", "webhooks"), 1
    )
    with service.http() as http_again:
        assert http_again.get(f"/v1/fine_tuning/jobs/{job.id}").json()["training_file"] == file.id
    assert webhook.signing_secret.startswith("whsec_")
