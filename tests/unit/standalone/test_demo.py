"""The demo's part that is a client's: upload, post, follow; and what becomes of the job otherwise."""

from __future__ import annotations

import io
import json

import httpx2
import pytest
from isthmus import Isthmus, Job
from rich.console import Console

from standalone.demo import TICKETS, DemoError, _fine_tune
from tests.unit.client.cli.commands import FILE, JOB, Scripted, answer
from tests.unit.client.cli.test_jobs import JOBS, STREAM, watched
from tests.unit.client.cli.test_jobs import frames as stream_of


def fine_tuned(service: Scripted) -> tuple[Job, str]:
    """The job, and what the terminal showed."""
    shown = io.StringIO()
    service.routes |= {"POST /v1/files": answer(FILE), f"POST {JOBS}": answer(JOB)}
    with httpx2.Client(transport=httpx2.MockTransport(service)) as http:
        client = Isthmus(base_url="http://isthmus.test", api_key="key", http_client=http)
        return _fine_tune(client, http, Console(file=shown, width=200)), shown.getvalue()


def test_uploads_the_tickets_posts_the_job_and_follows_it() -> None:
    service = watched(*stream_of())
    job, shown = fine_tuned(service)
    assert (job.status, job.fine_tuned_model) == ("succeeded", "ft:tiny:abc")
    assert (TICKETS / "train.jsonl").read_bytes() in service.seen[0].content
    spec = json.loads((TICKETS / "job.json").read_text())
    assert service.body(1) == {**spec, "training_file": "file-1"}
    assert "step 10/10  loss 0.1000" in shown


def test_a_job_that_fails_ends_it_with_the_reason() -> None:
    with pytest.raises(DemoError, match=r"ftjob-1 failed: no room \(out_of_memory\)"):
        fine_tuned(watched(*stream_of("failed", error={"code": "out_of_memory", "message": "no room"})))


def test_ctrl_c_cancels_the_job() -> None:
    def interrupt(_: httpx2.Request) -> httpx2.Response:
        raise KeyboardInterrupt

    service = watched()
    cancelled = {**JOB, "status": "cancelled", "state": "cancelled"}
    service.routes |= {
        STREAM: interrupt,
        f"POST {JOBS}/ftjob-1/cancel": answer({**JOB, "state": "cancelling"}),
        f"GET {JOBS}/ftjob-1": answer(cancelled),
    }
    with pytest.raises(KeyboardInterrupt):
        fine_tuned(service)
    assert [request.url.path.rpartition("/")[2] for request in service.seen[-2:]] == ["cancel", "ftjob-1"]
