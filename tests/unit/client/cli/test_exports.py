"""`isthmus models export`, `exports` and `push`, against a scripted service."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx2

from tests.unit.client.cli.commands import Handler, Scripted, answer

MODEL = "ft:tiny:a"
PATH = f"/v1/models/{MODEL}/exports"
WEIGHTS = b"gguf"
FILE = {"path": "a-Q8_0.gguf", "bytes": 4, "sha256": hashlib.sha256(WEIGHTS).hexdigest()}


def export(status: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": "export-1",
        "model": MODEL,
        "format": "gguf_q8_0",
        "status": status,
        "created_at": 1_700_000_000,
    } | fields


READY = export("succeeded", files=[FILE], bytes=1500)


def weights() -> Handler:
    return lambda _: httpx2.Response(200, content=WEIGHTS)


def test_an_export_is_asked_for_waited_for_and_saved(tmp_path: Path) -> None:
    service = Scripted(
        {
            f"POST {PATH}": answer(export("queued")),
            f"GET {PATH}/export-1": [answer(export("running", progress="Writing")), answer(READY)],
            f"GET {PATH}/export-1/files/a-Q8_0.gguf": weights(),
        }
    )
    args = ("models", "export", MODEL, "--format", "gguf_q8_0")
    assert service.run(*args).stdout == "export-1 queued\n"
    assert service.body(0) == {"format": "gguf_q8_0"}
    result = service.run(*args, "--download", str(tmp_path))
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/a-Q8_0.gguf\n")
    assert (tmp_path / "a-Q8_0.gguf").read_bytes() == WEIGHTS


def test_a_failed_export_is_an_exit_code() -> None:
    error = {"code": "export_check_failed", "message": "It is wrong"}
    service = Scripted({f"POST {PATH}": answer(export("failed", error=error))})
    result = service.run("models", "export", MODEL, "--wait")
    assert (result.exit_code, result.stdout) == (
        1,
        "export-1 failed: It is wrong (export_check_failed)\n",
    )
    told = service.run("models", "export", MODEL, "--wait", "--json")
    assert json.loads(told.stdout)["error"]["code"] == "export_check_failed"


def test_an_unknown_format_is_told_before_anything_is_sent() -> None:
    service = Scripted({})
    result = service.run("models", "export", MODEL, "--format", "onnx")
    assert (result.exit_code, service.seen) == (2, [])
    assert "gguf_q8_0" in result.stderr


def test_exports_are_listed_cancelled_and_deleted() -> None:
    pushed = export(
        "succeeded",
        destination={"type": "hub", "repo_id": "team/a", "url": "https://hub.test/team/a/commit/1"},
    )
    gone = {"id": "export-1", "object": "model.export", "deleted": True}
    service = Scripted(
        {
            f"GET {PATH}": answer({"data": [READY, pushed], "has_more": False}),
            f"POST {PATH}/export-1/cancel": answer(export("cancelling")),
            f"DELETE {PATH}/export-1": answer(gone),
        }
    )
    lines = service.run("models", "exports", MODEL).stdout.splitlines()
    assert lines[1].split()[:5] == ["export-1", "gguf_q8_0", "succeeded", "1.5", "KB"]
    assert lines[2].split()[-1] == "https://hub.test/team/a/commit/1"
    assert service.run("models", "cancel-export", MODEL, "export-1").stdout == "export-1 cancelling\n"
    assert service.run("models", "delete-export", MODEL, "export-1").stdout == "deleted export-1\n"


def test_a_push_sends_the_token_and_never_shows_it() -> None:
    url = "https://hub.test/team/a/commit/1"
    service = Scripted(
        {
            f"POST {PATH}": answer(export("queued", format="adapter")),
            f"GET {PATH}/export-1": answer(
                export("succeeded", destination={"type": "hub", "repo_id": "team/a", "url": url})
            ),
        }
    )
    result = service.run("models", "push", MODEL, "team/a", "--wait", env={"HF_TOKEN": "hf_secret"})
    assert (result.exit_code, result.stdout) == (0, f"export-1 succeeded: {url}\n")
    assert service.body(0) == {
        "format": "adapter",
        "destination": {"type": "hub", "repo_id": "team/a", "private": True, "token": "hf_secret"},
    }
    assert "hf_secret" not in result.output + service.run("models", "push", "--help").output
