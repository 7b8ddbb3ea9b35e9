"""`python -m api` as a process: its log lines, and how it ends while its clients are busy."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from standalone.ports import free_port
from tests.contract.conftest import DATA, KEY, Service
from tests.contract.tenants import stream
from tests.receiver import receiving

GRACE_SECONDS = 30
NOTHING: Mapping[str, str] = MappingProxyType({})
BOUNDARY = "boundary"
UPLOAD = (
    (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    ).encode()
    + DATA
    + f"\r\n--{BOUNDARY}--\r\n".encode()
)


class Process:
    """A running `python -m api`."""

    def __init__(self, service: Service, child: subprocess.Popen[bytes], log: Path) -> None:
        self.service = service
        self.child = child
        self._log = log

    def lines(self) -> list[dict[str, Any]]:
        """All that it has logged; fails on a line that is not JSON."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def half_an_upload(self) -> socket.socket:
        """A connection that has sent one half of a request."""
        connection = socket.create_connection(
            ("127.0.0.1", httpx.URL(self.service.url).port or 0), timeout=60
        )
        head = (
            f"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(UPLOAD)}\r\n\r\n"
        )
        connection.sendall(head.encode() + UPLOAD[: len(UPLOAD) // 2])
        return connection

    def end(self) -> None:
        """SIGTERM; returns when it takes no new connection."""
        self.child.send_signal(signal.SIGTERM)
        while True:
            try:
                httpx.get(f"{self.service.url}/health/live", timeout=10)
            except httpx.TransportError:
                return
            time.sleep(0.02)


@contextmanager
def running(
    service: Service,
    folder: Path,
    *,
    grace_seconds: int = GRACE_SECONDS,
    extra: Mapping[str, str] = NOTHING,
    port: int | None = None,
) -> Iterator[Process]:
    """Serve the module's database from a process of its own, on a free port or the one given."""
    settings, port, log = service.settings, port or free_port(), folder / "api.log"
    env = {
        **os.environ,
        "ISTHMUS_DATABASE_URL": settings.database_url,
        "ISTHMUS_REDIS_URL": settings.redis_url,
        "ISTHMUS_DATA_DIR": str(settings.data_dir),
        "ISTHMUS_API_KEY": KEY,
        "ISTHMUS_LOG_FORMAT": "json",
        "ISTHMUS_SHUTDOWN_SECONDS": str(grace_seconds),
        **extra,
    }
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "api", "--port", str(port)], env=env, stdout=output, stderr=output
        )
    try:
        process = Process(replace(service, url=f"http://127.0.0.1:{port}"), child, log)
        while not answers(process.service):
            assert child.poll() is None, log.read_text()
            time.sleep(0.05)
        yield process
    finally:
        child.kill()
        child.wait()


def answers(service: Service) -> bool:
    try:
        return httpx.get(f"{service.url}/health/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_its_log_is_json_with_the_ids_of_what_was_refused(service: Service, tmp_path: Path) -> None:
    with running(service, tmp_path, grace_seconds=1) as process:
        with process.service.http() as http:
            answer = http.get("/v1/fine_tuning/jobs/ftjob-none")
            http.get("/v1/fine_tuning/jobs/x%0A%7B%7D")
        process.end()
        process.child.wait(timeout=GRACE_SECONDS)
        lines = process.lines()
    assert {line["process"] for line in lines} == {"api"}
    (refused,) = [line for line in lines if line.get("request_id") == answer.headers["x-request-id"]]
    assert refused["job_id"] == "ftjob-none"
    assert refused["message"].startswith("GET /v1/fine_tuning/jobs/ftjob-none: 404 in ")
    assert any("uvicorn" in line["logger"] for line in lines)


def test_at_sigterm_requests_end_and_streams_are_told_to_come_back(service: Service, tmp_path: Path) -> None:
    job_id = service.create_job()
    with (
        running(service, tmp_path, grace_seconds=GRACE_SECONDS) as process,
        process.half_an_upload() as upload,
        stream(process.service, job_id) as socket_,
    ):
        socket_.recv(timeout=10)
        began = time.monotonic()
        process.end()
        assert process.child.poll() is None, "it ended before its request did"
        with pytest.raises(ConnectionClosed):
            while True:
                socket_.recv(timeout=10)
        assert socket_.close_code == 1012
        upload.sendall(UPLOAD[len(UPLOAD) // 2 :])
        answer = upload.makefile("rb").read().decode()
        assert answer.startswith("HTTP/1.1 200 OK")
        assert '"status":"processed"' in answer
        process.child.wait(timeout=GRACE_SECONDS)
        assert time.monotonic() - began < GRACE_SECONDS, "it waited for nothing"
        assert not [line for line in process.lines() if line["level"] in ("error", "critical")]


def test_traces_go_where_the_environment_says_and_nowhere_else(service: Service, tmp_path: Path) -> None:
    with receiving() as collector:
        place = collector.url.removesuffix("/hook")
        for switch in ("false", "true"):
            env = {"FASTAPI_OTEL_AUTO_CONFIGURE": switch, "OTEL_EXPORTER_OTLP_ENDPOINT": place}
            assert collector.received == []
            with running(service, tmp_path, extra=env) as process:
                httpx.get(f"{process.service.url}/v1/files/file-a")
                process.end()
                process.child.wait(timeout=GRACE_SECONDS)
    traces = b"".join(request.body for request in collector.received if request.path == "/v1/traces")
    assert b"/v1/files/{file_id}" in traces


def test_a_request_that_does_not_end_is_cut_off(service: Service, tmp_path: Path) -> None:
    before = service.contents()
    with running(service, tmp_path, grace_seconds=1) as process, process.half_an_upload() as upload:
        process.end()
        process.child.wait(timeout=GRACE_SECONDS)
        assert b"HTTP/1.1 200" not in upload.makefile("rb").read()
    assert service.contents() == before
