"""`client.models.exports`, and an export's own methods, against a real API."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import pytest
from isthmus import BadRequest, ExportUnsuccessful, Isthmus, IsthmusError, NotFound, WaitTimedOut

from store.export_runs import finish_failed
from store.objects import LocalObjects
from tests.contract.conftest import Service
from tests.contract.worker import Run
from tests.exports import finished, taken_until

WEIGHTS = bytes(range(256)) * 40
FILES = {"manifest.json": b"{}", "tickets-Q8_0.gguf": WEIGHTS}


@pytest.fixture
def model(service: Service) -> str:
    return Run(service, service.create_job()).succeed()


def finish(service: Service, export_id: str) -> None:
    """Do an export as a worker does."""
    objects = LocalObjects(service.settings.objects_dir)
    held = taken_until(service.database, export_id)
    assert finished(service.database, objects, held, FILES) is not None


def test_an_export_is_waited_for_and_saved(
    client: Isthmus, service: Service, model: str, tmp_path: Path
) -> None:
    export = client.models.exports.create(model, format="gguf_q8_0")
    assert (export.status, export.ended) == ("queued", False)
    assert client.models.exports.create(model, format="gguf_q8_0").id == export.id
    with pytest.raises(IsthmusError, match="nothing to download"):
        export.download(tmp_path)
    with pytest.raises(WaitTimedOut):
        export.wait(timeout=0.1)
    finish(service, export.id)
    assert export.wait(check=True).status == "succeeded"
    assert {file.path: file.sha256 for file in export.files} == {
        name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()
    }
    assert [path.read_bytes() for path in export.download(tmp_path / "all")] == list(FILES.values())
    # A download that broke off goes on.
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "tickets-Q8_0.gguf.part").write_bytes(WEIGHTS[:5000])
    (path,) = export.download(tmp_path / "one", name="tickets-Q8_0.gguf")
    assert path.read_bytes() == WEIGHTS
    with tarfile.open(export.archive(tmp_path / "export.tar")) as archive:
        assert len(archive.getnames()) == len(FILES) + 1
    assert [found.id for found in client.models.exports.list(model)] == [export.id]
    assert client.models.exports.retrieve(model, export.id).files == export.files
    assert export.delete().deleted
    with pytest.raises(NotFound) as gone:
        export.refresh()
    assert gone.value.code == "export_not_found"


def test_an_export_is_cancelled(client: Isthmus, model: str) -> None:
    export = client.models.exports.create(model, format="merged")
    assert export.cancel().status == "cancelled"
    with pytest.raises(BadRequest) as ended:
        client.models.exports.cancel(model, export.id)
    assert ended.value.code == "export_ended"
    assert client.models.exports.delete(model, export.id).deleted


def test_a_failed_export_says_why(client: Isthmus, service: Service, model: str) -> None:
    export = client.models.exports.create(model, format="merged")
    held = taken_until(service.database, export.id)
    with service.database.session() as session:
        finish_failed(
            session, held.export_id, held.attempt, code="export_check_failed", message="It is wrong"
        )
    with pytest.raises(ExportUnsuccessful, match="It is wrong") as failed:
        export.wait(check=True)
    assert (failed.value.export_id, failed.value.code) == (export.id, "export_check_failed")
    assert export.status == "failed"
