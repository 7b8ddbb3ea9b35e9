"""`/samples`: a job's answers before and after, page by page, and why there may be none."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.contract.conftest import Service
from tests.contract.errors import JOBS, check_error
from tests.contract.samples import EVALUATION, sample
from tests.contract.worker import Run

SAMPLES = [
    sample(2, rouge_l={"base": 0.5, "tuned": 0.75}),
    sample(3, base=1.0, tuned=0.0, rouge_l={"base": 0.25, "tuned": 1.0}),
    sample(7, rouge_l={"base": None, "tuned": None}),
]


@pytest.fixture(scope="module")
def job_id(service: Service) -> str:
    made = service.create_job()
    Run(service, made).succeed(samples=SAMPLES, evaluation=EVALUATION)
    return made


def ask(service: Service, job_id: str, **query: Any) -> httpx.Response:
    with service.http() as http:
        return http.get(f"{JOBS}/{job_id}/samples", params=query)


def rows(service: Service, job_id: str, **query: Any) -> list[int]:
    answer = ask(service, job_id, **query)
    assert answer.status_code == 200, answer.text
    return [item["row"] for item in answer.json()["data"]]


def test_samples_come_page_by_page_as_they_were_written(service: Service, job_id: str) -> None:
    first = ask(service, job_id, limit=2).json()
    assert (first["object"], first["has_more"]) == ("list", True)
    kind = {"object": "fine_tuning.job.sample"}
    assert first["data"] == [{**told, **kind, "id": f"sample-{told['row']}"} for told in SAMPLES[:2]]
    rest = ask(service, job_id, after=first["data"][-1]["id"]).json()
    assert ([item["row"] for item in rest["data"]], rest["has_more"]) == ([7], False)
    assert ask(service, job_id, after="sample-7").json()["data"] == []
    check_error(ask(service, job_id, after="sample-1"), 400, code="unknown_cursor", param="after")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"only": "improved", "score": "exact_match"}, [2, 7]),
        ({"only": "worsened", "score": "exact_match"}, [3]),
        ({"only": "wrong", "score": "exact_match"}, [3]),
        ({"only": "improved", "score": "rouge_l"}, [2, 3]),  # row 7 has no such score
        ({"only": "wrong", "score": "rouge_l"}, [2]),
        ({"only": "wrong"}, [2, 3]),  # by the mean of both scores
        ({"only": "worsened"}, [3]),
        ({"only": "improved", "score": "exact_match", "limit": 1, "after": "sample-3"}, [7]),
        ({"score": "rouge_l"}, [2, 3, 7]),
    ],
)
def test_samples_are_chosen_by_what_became_of_them(
    service: Service, job_id: str, query: dict[str, Any], found: list[int]
) -> None:
    assert rows(service, job_id, **query) == found


def test_the_job_tells_the_scores(service: Service, job_id: str) -> None:
    job = service.client.fine_tuning.jobs.retrieve(job_id)
    assert (job.model_extra or {})["evaluation"] == {**EVALUATION, "valid_reward_accuracy": None}
    other = service.client.fine_tuning.jobs.retrieve(service.create_job())
    assert (other.model_extra or {})["evaluation"] is None


def test_a_page_that_ends_with_the_last_that_is_wanted_has_no_more(service: Service, job_id: str) -> None:
    assert ask(service, job_id, only="improved", score="exact_match", limit=2).json()["has_more"] is False
    assert ask(service, job_id, only="improved", score="exact_match", limit=1).json()["has_more"] is True


def test_a_score_that_there_is_not_is_told_with_those_that_there_are(service: Service, job_id: str) -> None:
    answer = ask(service, job_id, only="wrong", score="rouge")
    assert "exact_match, rouge_l" in check_error(answer, 400, code="unknown_score", param="score")
    check_error(ask(service, job_id, only="right"), 400, code="invalid_value", param="only")


def test_samples_are_an_artifact_and_a_part_of_the_model(service: Service, job_id: str) -> None:
    with service.http() as http:
        listed = http.get(f"{JOBS}/{job_id}/artifacts").json()["data"]
        (found,) = [item for item in listed if item["path"] == "samples.jsonl"]
        answer = http.get(f"{JOBS}/{job_id}/artifacts/samples.jsonl")
    assert len(answer.content) == found["bytes"]
    assert answer.headers["etag"] == f'"{found["sha256"]}"'


def test_why_there_are_no_samples(service: Service) -> None:
    waiting, failed, plain = (service.create_job() for _ in range(3))
    told = check_error(ask(service, waiting), 400, code="job_not_ended", param="job_id")
    assert f"{waiting} is queued" in told
    Run(service, failed).fail()
    assert "it has failed" in check_error(ask(service, failed), 404, code="samples_not_found", param="job_id")
    name = Run(service, plain).succeed()
    told = check_error(ask(service, plain), 404, code="samples_not_found", param="job_id")
    assert "`evaluation`" in told
    check_error(ask(service, "ftjob-none"), 404, code="job_not_found", param="job_id")
    with service.http() as http:
        assert http.delete(f"/v1/models/{name}").status_code == 200
    told = check_error(ask(service, plain), 404, code="model_deleted", param="job_id")
    assert f"The model of job {plain} was deleted at" in told
