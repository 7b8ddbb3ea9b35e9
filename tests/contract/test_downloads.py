"""Downloads: the rest of one that broke off, and a model or a checkpoint as one archive."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import httpx
import pytest

from store.objects import LocalObjects
from tests.contract.conftest import DATA, Service
from tests.contract.errors import JOBS, check_error
from tests.contract.worker import Run


@pytest.fixture(scope="module")
def finished(service: Service) -> dict[str, str]:
    """A job that has succeeded after a checkpoint: the addresses of what it made."""
    job_id = service.create_job(suffix="mine")
    run = Run(service, job_id)
    run.checkpoint(4)
    model = run.succeed()
    (checkpoint,) = service.client.fine_tuning.jobs.checkpoints.list(job_id).data
    return {
        "model": f"/v1/models/{model}/archive",
        "checkpoint": f"{JOBS}/{job_id}/checkpoints/{checkpoint.id}/archive",
        "artifact": f"{JOBS}/{job_id}/artifacts/report.json",
        "name": model,
        "step": checkpoint.fine_tuned_model_checkpoint,
    }


def test_the_rest_of_a_file_can_be_fetched(service: Service) -> None:
    path = f"/v1/files/{service.upload()}/content"
    with service.http() as http:
        whole = http.get(path)
        assert (whole.status_code, whole.content, whole.headers["accept-ranges"]) == (200, DATA, "bytes")
        etag = whole.headers["etag"]
        assert etag == f'"{hashlib.sha256(DATA).hexdigest()}"'
        rest = http.get(path, headers={"Range": "bytes=100-", "If-Range": etag})
        assert (rest.status_code, rest.content) == (206, DATA[100:])
        assert rest.headers["content-range"] == f"bytes 100-{len(DATA) - 1}/{len(DATA)}"
        assert rest.headers["content-length"] == str(len(DATA) - 100)
        assert rest.headers["content-disposition"] == whole.headers["content-disposition"]
        assert http.get(path, headers={"Range": "bytes=-5"}).content == DATA[-5:]
        changed = http.get(path, headers={"Range": "bytes=100-", "If-Range": '"another"'})
        assert (changed.status_code, changed.content) == (200, DATA)
        known = http.get(path, headers={"If-None-Match": f'"x", {etag}'})
        assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", etag)
        late = http.get(path, headers={"Range": f"bytes={len(DATA)}-"})
        check_error(late, 416, code="range_not_satisfiable", param="Range")
        assert late.headers["content-range"] == f"bytes */{len(DATA)}"


def test_an_artifacts_etag_is_its_hash(service: Service, finished: dict[str, str]) -> None:
    with service.http() as http:
        answer = http.get(finished["artifact"], headers={"Range": "bytes=1-1"})
    assert (answer.status_code, answer.content) == (206, b"}")
    assert answer.headers["etag"] == f'"{hashlib.sha256(b"{}").hexdigest()}"'


@pytest.mark.parametrize(
    ("what", "named", "paths"),
    [
        ("model", "name", {"adapter/adapter_config.json": b"{}", "report.json": b"{}"}),
        ("checkpoint", "step", {"adapter/weights": b"adapter/weights 4"}),
    ],
)
def test_an_archive_unpacks_to_one_folder_that_sha256sum_checks(
    service: Service, finished: dict[str, str], tmp_path: Path, what: str, named: str, paths: dict[str, bytes]
) -> None:
    with service.http() as http:
        answer = http.get(finished[what])
        again = http.get(finished[what])
    folder = finished[named].replace(":", "-")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-tar"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert f"{folder}.tar" in answer.headers["content-disposition"]
    assert (again.content, again.headers["etag"]) == (answer.content, answer.headers["etag"])
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        tar.extractall(tmp_path, filter="data")
    unpacked = tmp_path / folder
    found = {
        path.relative_to(unpacked).as_posix(): path.read_bytes()
        for path in unpacked.rglob("*")
        if path.is_file()
    }
    sums = found.pop("SHA256SUMS")
    assert found == paths
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=unpacked, check=True)
    assert len(sums.splitlines()) == len(paths)


def test_an_archive_can_be_gone_on_with_at_any_byte(service: Service, finished: dict[str, str]) -> None:
    with service.http() as http:
        whole = http.get(finished["model"])
        pieces, step = [], 700
        for first in range(0, len(whole.content), step):
            headers = {"Range": f"bytes={first}-{first + step - 1}", "If-Range": whole.headers["etag"]}
            piece = http.get(finished["model"], headers=headers)
            assert piece.status_code == 206
            pieces.append(piece.content)
    assert b"".join(pieces) == whole.content


def test_an_archive_whose_bytes_are_gone_says_so_at_once(service: Service) -> None:
    run = Run(service, service.create_job())
    model = run.succeed()
    objects = LocalObjects(service.settings.objects_dir)
    (key,) = [key for key in objects.list(f"models/{run.job_id}/") if key.endswith("report.json")]
    objects.delete(key)
    with service.http() as http:
        check_error(http.get(f"/v1/models/{model}/archive"), 500, code="object_lost", param=None)


@pytest.mark.parametrize(
    ("path", "status", "code", "param"),
    [
        ("/v1/models/tiny/archive", 400, "base_model", "model"),
        ("/v1/models/ft:none/archive", 404, "model_not_found", "model"),
        (f"{JOBS}/ftjob-none/checkpoints/ftckpt-x/archive", 404, "job_not_found", "job_id"),
    ],
)
def test_what_has_no_archive_is_refused(
    service: Service, path: str, status: int, code: str, param: str
) -> None:
    with service.http() as http:
        answer: httpx.Response = http.get(path)
    check_error(answer, status, code=code, param=param)
