"""Runs `isthmus` against a scripted service."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
from isthmus.cli.app import app
from typer.testing import CliRunner, Result

JOB: Mapping[str, Any] = {
    "id": "ftjob-1",
    "object": "fine_tuning.job",
    "created_at": 1_700_000_000,
    "model": "tiny",
    "status": "running",
    "state": "running",
    "training_file": "file-1",
    "step": 3,
    "total_steps": 10,
    "layers": 4,
    "last_seq": 7,
}
FILE: Mapping[str, Any] = {
    "id": "file-1",
    "object": "file",
    "bytes": 1234,
    "created_at": 1_700_000_000,
    "filename": "train.jsonl",
    "purpose": "fine-tune",
    "sha256": "0" * 64,
    "rows": 12,
    "format": "chat",
}
ROW = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}

Handler = Callable[[httpx2.Request], httpx2.Response]


def answer(body: object, status: int = 200) -> Handler:
    """Always the same JSON."""
    return lambda _: httpx2.Response(status, json=body)


def refusal(status: int, code: str, message: str = "no") -> Handler:
    """An error in the service's shape."""
    return answer({"error": {"message": message, "type": "t", "param": None, "code": code}}, status)


def events(*frames: Mapping[str, Any]) -> Handler:
    """A stream of server-sent events."""
    text = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames)
    return lambda _: httpx2.Response(200, text=text, headers={"content-type": "text/event-stream"})


@dataclass
class Scripted:
    """A service that knows some routes; a list of handlers answers one after the other."""

    routes: dict[str, Handler | list[Handler]]
    """`GET /v1/files` and what it answers."""
    seen: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.seen.append(request)
        handler = self.routes[f"{request.method} {request.url.path}"]
        return (handler.pop(0) if isinstance(handler, list) else handler)(request)

    def run(
        self,
        *args: str,
        stdin: str | None = None,
        key: str | None = "key",
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a command line; fails on what is no SystemExit."""
        environment = {"ISTHMUS_API_KEY": key, "ISTHMUS_BASE_URL": None, **(env or {})}
        with httpx2.Client(transport=httpx2.MockTransport(self)) as http:
            return CliRunner().invoke(
                app, list(args), input=stdin, env=environment, obj=http, catch_exceptions=False
            )

    def body(self, index: int = -1) -> Any:
        """A request's JSON."""
        return json.loads(self.seen[index].content)


def run(*args: str, **routes: Any) -> Result:
    """Run a command line that calls nobody."""
    return Scripted({}).run(*args, **routes)
