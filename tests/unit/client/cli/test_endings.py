"""How commands end: exit codes, one or two lines on stderr, nothing on stdout that is not the result."""

from __future__ import annotations

import json
import subprocess
import sys

import httpx2
import pytest
from isthmus.cli.app import app
from isthmus.cli.exits import OF_ERROR, exit_code
from isthmus.errors import DownloadCorrupted, IsthmusError, JobUnsuccessful, Timeout
from typer.testing import CliRunner

from tests.unit.client.cli.commands import JOB, Scripted, answer, refusal, run

JOB_PATH = "GET /v1/fine_tuning/jobs/ftjob-1"


@pytest.mark.parametrize(
    ("status", "code"), [(400, 2), (401, 4), (403, 4), (404, 3), (409, 6), (429, 6), (500, 5), (503, 5)]
)
def test_a_refusal_has_its_exit_code_and_no_stack_trace(
    status: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.core.retries.FIRST_DELAY", 0.0)
    result = Scripted({JOB_PATH: refusal(status, "why", "the reason")}).run(
        "jobs", "show", "ftjob-1", "--json"
    )
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == f"error: the reason (HTTP {status}, why)\n"


def unreachable(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("refused", request=request)


def test_a_service_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.core.retries.FIRST_DELAY", 0.0)
    result = Scripted({JOB_PATH: unreachable}).run("jobs", "show", "ftjob-1")
    assert (result.exit_code, result.stdout) == (5, "")
    assert len(result.stderr.splitlines()) == 2
    assert "refused" in result.stderr


def test_an_answer_of_something_else() -> None:
    result = Scripted({JOB_PATH: answer(["welcome to nginx"])}).run("jobs", "show", "ftjob-1")
    assert result.exit_code == 5
    assert "welcome to nginx" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    long = Scripted({JOB_PATH: answer({"id": "x" * 100_000})}).run("jobs", "show", "ftjob-1")
    assert len(long.stderr) < 1100


def test_no_key_and_a_bad_address() -> None:
    missing = Scripted({}).run("jobs", "list", key=None)
    assert (missing.exit_code, missing.stdout) == (4, "")
    assert missing.stderr == "error: no API key: give --api-key KEY, or set ISTHMUS_API_KEY\n"
    bad = run("jobs", "list", "--base-url", "nowhere")
    assert bad.exit_code == 2
    assert "'nowhere' is no address" in bad.stderr


@pytest.mark.parametrize(
    "address",
    [
        "nowhere",
        "http://",
        "http://[",
        "http://x:y",
        "ftp://x",
        "http://\x00",
    ],
)
def test_an_address_that_is_none_is_wrong_usage(address: str) -> None:
    result = CliRunner().invoke(app, ["jobs", "list", "--api-key", "key", "--base-url", address])
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1


def test_texts_of_others_do_not_control_the_terminal() -> None:
    service = Scripted({JOB_PATH: answer({**JOB, "model": "\x1b]0;title\x07\x1b[2Jtiny\x9b1m"})})
    assert "]0;title[2Jtiny1m" in service.run("jobs", "show", "ftjob-1").stdout
    refused = Scripted({JOB_PATH: refusal(404, "x", "\x1b[31mred")}).run("jobs", "show", "ftjob-1")
    assert refused.stderr.startswith("error: [31mred")


@pytest.mark.parametrize(
    "line", ["jobs list --foo", "jobs nothing", "jobs show", "files list -n x", "jobs create --seed x"]
)
def test_wrong_usage_is_two_lines(line: str) -> None:
    result = run(*line.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize("line", ["", "jobs", "files", "keys"])
def test_a_group_alone_shows_its_help(line: str) -> None:
    result = run(*line.split())
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


def test_address_and_key_come_from_flags_before_the_environment() -> None:
    service = Scripted({JOB_PATH: answer(JOB)})
    env = {"ISTHMUS_BASE_URL": "http://from.env:1"}
    service.run("jobs", "show", "ftjob-1", env=env, key="env-key")
    service.run("jobs", "show", "ftjob-1", "--base-url", "http://flag:2/v1", "--api-key", "flag", env=env)
    assert [request.url.host for request in service.seen] == ["from.env", "flag"]
    assert [request.headers["authorization"] for request in service.seen] == ["Bearer env-key", "Bearer flag"]


def test_every_error_of_the_sdk_has_an_exit_code() -> None:
    assert {code for _, code in OF_ERROR} == {2, 3, 4, 5, 6}
    assert exit_code(Timeout("slow")) == 5
    assert exit_code(DownloadCorrupted("x")) == 1
    assert exit_code(JobUnsuccessful("x", job_id="j", state="failed", code=None)) == 1
    assert exit_code(IsthmusError("x")) == 1


def test_version_and_completion() -> None:
    assert run("--version").stdout.startswith("isthmus 0.")
    shown = Scripted({}).run("jobs", "list", env={"_ISTHMUS_COMPLETE": "source_bash"})
    assert "complete" in shown.stdout


def test_without_its_packages_it_says_how_to_install_them() -> None:
    script = "import sys; sys.modules['rich'] = None; from isthmus.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "error: the command line needs more packages: pip install 'isthmus[cli]'\n"


def test_json_of_a_key_has_all_and_plain_output_the_key_alone() -> None:
    known = {"id": "key-1", "object": "o", "created_at": 1, "name": "ci", "owner": {}, "scopes": ["read"]}
    key = {**known, "redacted_value": "isk-...", "value": "isk-secret", "project_id": "default"}
    service = Scripted({"POST /v1/organization/projects/default/api_keys": answer(key)})
    plain = service.run("keys", "create", "ci", "--scope", "read")
    assert plain.stdout == "isk-secret\n"
    assert "key-1" in plain.stderr
    assert service.body()["scopes"] == ["read"]
    assert json.loads(service.run("keys", "create", "ci", "--json").stdout)["value"] == "isk-secret"
