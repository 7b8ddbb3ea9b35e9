"""`isthmus models`, `checkpoints` and `workers`, against a scripted service."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.client.cli.commands import Scripted, answer, refusal

TUNED = {"id": "ft:tiny:a", "created": 1_700_000_000, "base_model": "tiny", "job_id": "ftjob-1"}
BASE = {"id": "tiny", "created": 0}


def test_models_are_listed_and_deleted() -> None:
    service = Scripted(
        {
            "GET /v1/models": answer({"data": [TUNED, BASE]}),
            "DELETE /v1/models/ft:tiny:a": answer({"id": "ft:tiny:a", "object": "model", "deleted": True}),
        }
    )
    lines = service.run("models", "list").stdout.splitlines()
    assert lines[1].split()[:3] == ["ft:tiny:a", "tiny", "ftjob-1"]
    assert lines[2].split() == ["tiny"]
    tuned = json.loads(service.run("models", "list", "--tuned", "--json").stdout)
    assert [model["id"] for model in tuned] == ["ft:tiny:a"]
    assert service.run("models", "delete", "ft:tiny:a").stdout == "deleted ft:tiny:a\n"


def test_a_base_model_cannot_be_downloaded(tmp_path: Path) -> None:
    service = Scripted({"GET /v1/models/tiny": answer(BASE)})
    result = service.run("models", "download", "tiny", "-o", str(tmp_path / "model"))
    assert result.exit_code == 1
    assert "is a base model" in result.stderr
    assert not (tmp_path / "model").exists()


def test_checkpoints_are_listed_saved_and_deleted(tmp_path: Path) -> None:
    path = "/v1/fine_tuning/jobs/ftjob-1/checkpoints"
    checkpoint = {
        "id": "ftckpt-1",
        "created_at": 1_700_000_000,
        "fine_tuned_model_checkpoint": "ft:tiny:a:ckpt-step-4",
        "fine_tuning_job_id": "ftjob-1",
        "step_number": 4,
        "metrics": {"step": 4, "train_loss": 0.25, "valid_loss": 0.5, "full_valid_loss": 0.375},
        "resumable": True,
        "files": [{"path": "adapter/weights", "bytes": 1500, "sha256": "0"}],
    }
    gone = {"id": "ftckpt-1", "object": "fine_tuning.job.checkpoint", "deleted": True}
    service = Scripted(
        {
            f"GET {path}": answer({"data": [checkpoint], "has_more": False}),
            f"GET {path}/ftckpt-1/archive": answer("tar"),
            f"DELETE {path}/ftckpt-1": answer(gone),
        }
    )
    line = service.run("checkpoints", "list", "ftjob-1").stdout.splitlines()[1]
    assert line.split()[:7] == ["ftckpt-1", "4", "0.2500", "0.3750", "1.5", "KB", "yes"]
    target = str(tmp_path / "a.tar")
    saved = service.run("checkpoints", "download", "ftjob-1", "ftckpt-1", "-o", target)
    assert saved.stdout == f"{target}\n"
    assert Path(target).read_text() == '"tar"'
    assert service.run("checkpoints", "delete", "ftjob-1", "ftckpt-1").stdout == "deleted ftckpt-1\n"


def test_workers_are_listed_with_device_and_job() -> None:
    worker = {
        "id": "worker-1",
        "host": "box",
        "pid": 7,
        "state": "busy",
        "device": {"type": "cuda", "name": "L4", "memory_bytes": 24e9, "memory_used_bytes": 6e9},
        "job_id": "ftjob-1",
        "started_at": 1_700_000_000,
        "last_seen_at": 1_700_000_060,
    }
    service = Scripted({"GET /v1/fine_tuning/workers": answer({"data": [worker], "has_more": False})})
    line = service.run("workers", "list").stdout.splitlines()[1]
    assert " ".join(line.split()).startswith("worker-1 busy L4 6.0 GB of 24.0 GB ftjob-1 box:7")
    assert json.loads(service.run("workers", "list", "--json").stdout)[0]["device"]["name"] == "L4"


def test_a_name_that_is_none_is_told(tmp_path: Path) -> None:
    service = Scripted({"GET /v1/models/none": refusal(404, "model_not_found", "No such model: none")})
    result = service.run("models", "download", "none", "-o", str(tmp_path))
    assert (result.exit_code, result.stderr) == (
        3,
        "error: No such model: none (HTTP 404, model_not_found)\n",
    )
