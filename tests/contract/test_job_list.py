"""`GET /v1/fine_tuning/jobs`: its filters, their combinations, both orders, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from tests.contract.conftest import Service
from tests.contract.errors import JOBS, check_error
from tests.contract.tenants import Member, join
from tests.contract.worker import Run


@pytest.fixture(scope="module")
def member(service: Service) -> Member:
    """A project of its own; there are two base models."""
    (service.settings.data_dir / "models" / "other").mkdir(exist_ok=True)
    (service.settings.data_dir / "models" / "other" / "config.json").write_text("{}")
    return join(service)


@pytest.fixture(scope="module")
def ids(member: Member) -> dict[str, str]:
    """A job of each kind by its name, the oldest first."""
    service = member.service
    file_id = service.upload()
    bodies: dict[str, dict[str, Any]] = {
        "done": {"suffix": "Weather-1", "metadata": {"team": "a", "run": "1"}},
        "running": {"metadata": {"team": "a", "run": "2"}},
        "cancelling": {"model": "other"},
        "cancelled": {"model": "other", "suffix": "50_50_off"},
        "queued": {"metadata": {"team": "b"}},
        "retrying": {"suffix": "weather-2"},
    }
    made = {name: service.create_job(**{"training_file": file_id, **body}) for name, body in bodies.items()}
    Run(service, made["done"]).succeed()
    Run(service, made["running"])
    Run(service, made["cancelling"])
    with service.http() as http:
        for name in ("cancelling", "cancelled"):
            assert http.post(f"{JOBS}/{made[name]}/cancel").status_code == 200
    with service.database.session() as session:
        session.execute(text("UPDATE jobs SET retrying = true WHERE id = :id"), {"id": made["retrying"]})
    return made


def listed(member: Member, ids: dict[str, str], query: str) -> list[str]:
    """The names of the jobs that a list shows, in its order."""
    names = {job_id: name for name, job_id in ids.items()}
    with member.service.http() as http:
        answer = http.get(f"{JOBS}?{query}")
    assert answer.status_code == 200, answer.text
    return [names[job["id"]] for job in answer.json()["data"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["retrying", "queued", "cancelled", "cancelling", "running", "done"]),
        ("order=asc", ["done", "running", "cancelling", "cancelled", "queued", "retrying"]),
        ("order=asc&limit=2", ["done", "running"]),
        ("state=queued", ["queued"]),
        ("state=retrying", ["retrying"]),
        ("state=cancelling", ["cancelling"]),
        ("state=paused", []),
        ("state=running&state=cancelled&state=succeeded", ["cancelled", "running", "done"]),
        ("state=running&state=cancelled&state=running&order=asc", ["running", "cancelled"]),
        ("state=cancelled&state=succeeded&limit=1", ["cancelled"]),
        ("model=other", ["cancelled", "cancelling"]),
        ("model=oth", []),
        ("model=other&state=cancelled", ["cancelled"]),
        ("model=tiny&state=cancelled&state=queued", ["queued"]),
        ("metadata[team]=a", ["running", "done"]),
        ("metadata[team]=a&metadata[run]=2", ["running"]),
        ("metadata[team]=a&state=succeeded&state=queued", ["done"]),
        ("search=weather", ["retrying", "done"]),
        ("search=WEATHER-1", ["done"]),
        ("search=isthmus:Weather-1", ["done"]),
        ("search=othe", ["cancelled", "cancelling"]),
        ("search=50_o", ["cancelled"]),
        ("search=50%25", []),
        ("search=50_500_off", []),
        ("search=weather&state=retrying", ["retrying"]),
        ("search=weather&order=asc&metadata[run]=1", ["done"]),
        ("search=none-has-this", []),
    ],
)
def test_a_list_shows_the_jobs_that_match(
    member: Member, ids: dict[str, str], query: str, expected: list[str]
) -> None:
    assert listed(member, ids, query) == expected


def test_a_part_of_an_id_is_found_in_any_case(member: Member, ids: dict[str, str]) -> None:
    assert listed(member, ids, f"search={ids['running'][8:20].swapcase()}") == ["running"]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    "query", ["", "state=queued&state=retrying&state=running&state=cancelled&", "search=ftjob&"]
)
def test_pages_of_a_filtered_list_join_without_gap_or_repeat(
    member: Member, ids: dict[str, str], query: str, order: str
) -> None:
    whole = listed(member, ids, f"{query}order={order}&limit=100")
    seen: list[str] = []
    with member.service.http() as http:
        more, after = True, ""
        while more:
            page = http.get(f"{JOBS}?{query}order={order}&limit=1{after}").json()
            seen += [job["id"] for job in page["data"]]
            more, after = page["has_more"], f"&after={seen[-1]}"
    assert seen == [ids[name] for name in whole]


def test_a_filter_shows_nothing_of_another_project(service: Service, ids: dict[str, str]) -> None:
    stranger = join(service)
    with stranger.service.http() as http:
        for query in ("state=queued", "model=other", "search=weather", f"search={ids['done']}", "order=asc"):
            assert http.get(f"{JOBS}?{query}").json()["data"] == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("state=ended", "state[0]"),
        ("state=queued&state=", "state[1]"),
        ("state=" + "&state=".join(["queued"] * 11), "state"),
        ("order=newest", "order"),
        ("search=ab", "search"),
        ("search=", "search"),
        ("search=" + "a" * 129, "search"),
        ("search=abc%00", "search"),
        ("model=", "model"),
        ("model=%00", "model"),
        ("model=" + "m" * 257, "model"),
        ("metadata[a]=%00", "metadata"),
    ],
)
def test_a_filter_that_makes_no_sense_is_named(member: Member, query: str, param: str) -> None:
    with member.service.http() as http:
        answer = http.get(f"{JOBS}?{query}")
    assert param in check_error(answer, 400, code="invalid_value", param=param)
