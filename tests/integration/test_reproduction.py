"""A job that was trained through the service is trained again from its bundle, to the same weights."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from api.reproduction import bundle_of
from tests.factories import read_job, tenant
from tests.integration.conftest import Service, chat_lines


@pytest.fixture(scope="module")
def bundle(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a job that has succeeded."""
    with service.process("worker"), service.process("worker.scheduler"):
        job = service.wait_until_ended(service.submit(chat_lines(), steps=5, seed=3))
    assert job.error is None
    path = tmp_path_factory.mktemp("bundle") / "job.zip"
    with service.database.session() as session:
        path.write_bytes(bundle_of(tenant(session), read_job(service.database, job.id)))
    return path


def reproduce(service: Service, bundle: Path, data: bytes) -> subprocess.CompletedProcess[str]:
    """Run the README's command."""
    training = bundle.with_name("train.jsonl")
    training.write_bytes(data)
    command = [sys.executable, "-m", "worker.reproduce", str(bundle), "--data", str(training)]
    model = service.settings.data_dir / "models" / "tiny"
    env = {name: value for name, value in os.environ.items() if not name.startswith("ISTHMUS_")}
    return subprocess.run(
        [*command, "--model", str(model)],
        env={**env, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def edited(bundle: Path, old: str, new: str) -> Path:
    """A copy of the bundle whose manifest says something else."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(buffer, "w") as copy:
        for name in source.namelist():
            text = source.read(name).decode()
            copy.writestr(name, text.replace(old, new) if name == "bundle.json" else text)
    path = bundle.with_name("edited.zip")
    path.write_bytes(buffer.getvalue())
    return path


def test_the_same_data_give_the_same_weights(service: Service, bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        manifest = json.loads(archive.read("bundle.json"))
    assert manifest["provenance"]["base_model"]["name"] == "tiny"
    assert {file["path"] for file in manifest["provenance"]["base_model"]["files"]} >= {"config.json"}
    assert manifest["provenance"]["packages"]["torch"]
    assert manifest["device"].startswith("cpu")
    (weights,) = manifest["expected"]["weights"]
    again = reproduce(service, bundle, chat_lines())
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == f"{weights['path']}: the same"
    assert "step 5: loss " in again.stdout
    assert "base model" not in again.stderr
    assert "packages" not in again.stderr

    was = manifest["precision"]
    another = "bfloat16" if was == "float32" else "float32"
    other = reproduce(service, edited(bundle, f'"{was}"', f'"{another}"'), chat_lines())
    assert other.returncode == 1, "the number format is the job's, not this machine's"
    assert f"the job's {weights['sha256']}" in other.stdout


def test_other_data_are_refused(service: Service, bundle: Path) -> None:
    answer = reproduce(service, bundle, chat_lines(rows=5))
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: --data: ")
    assert len(answer.stderr.splitlines()) == 1
