"""The reproduction bundle: what is packed is read again, the same bytes each time; nothing else is taken."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from ist_core.spec import JobSpec
from store.bundle import (
    MANIFEST,
    MAX_ENTRY_BYTES,
    SPEC,
    BadBundle,
    BaseModelFiles,
    DataFile,
    Expected,
    HashedFile,
    Manifest,
    Provenance,
    pack,
    unpack,
)

SPECIFICATION = JobSpec(model="tiny", training_file="file-1", seed=7)
DATA = DataFile(
    id="file-1", field="training_file", path="träin.jsonl", bytes=3, sha256="a" * 64, rows=1, format="chat"
)
WHOLE = Manifest(
    job_id="ftjob-1",
    state="succeeded",
    seed=7,
    data=[DATA],
    provenance=Provenance(
        base_model=BaseModelFiles(name="tiny", kind="gguf", revision=None, files=[]),
        python="3.11.1",
        platform="Linux",
        packages={"torch": "2.13.0", "peft": "0.21.2"},
        service_version="0.1.0",
        service_revision="abc",
    ),
    device="cpu (2 threads)",
    precision="float32",
    expected=Expected(
        weights=[HashedFile(path="adapter/a.safetensors", bytes=1, sha256="b" * 64)],
        steps=3,
        trained_tokens=30,
        final_loss=0.5,
    ),
)


def written(folder: Path, data: bytes) -> Path:
    path = folder / "bundle.zip"
    path.write_bytes(data)
    return path


def zipped(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in entries.items():
            bundle.writestr(name, data)
    return buffer.getvalue()


def test_what_is_packed_is_read_again(tmp_path: Path) -> None:
    data = pack(WHOLE, SPECIFICATION, {"model": "tiny"})
    assert unpack(written(tmp_path, data)) == (WHOLE, SPECIFICATION)
    assert pack(WHOLE, SPECIFICATION, {"model": "tiny"}) == data


def test_people_are_told_what_to_do() -> None:
    with zipfile.ZipFile(io.BytesIO(pack(WHOLE, SPECIFICATION, {"model": "tiny"}))) as bundle:
        texts = {name: bundle.read(name).decode() for name in bundle.namelist()}
    assert "python -m worker.reproduce ftjob-1.zip --data FILE\n" in texts["README.md"]
    assert DATA.sha256 in texts["README.md"]
    assert "revision `abc`" in texts["README.md"]
    assert texts["requirements.txt"] == "peft==0.21.2\ntorch==2.13.0\n"
    assert json.loads(texts["request.json"]) == {"model": "tiny"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is no reproduction bundle"),
        (b"PK\x03\x04 torn", "is no reproduction bundle"),
        (zipped({}), "is no reproduction bundle"),
        (zipped({MANIFEST: b"{}", SPEC: b"{}"}), "cannot be read by this version"),
        (zipped({MANIFEST: b'{"format": 2}', SPEC: b"{}"}), "cannot be read by this version"),
        (zipped({MANIFEST: b" " * (MAX_ENTRY_BYTES + 1)}), "is larger than"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(BadBundle, match=reason):
        unpack(written(tmp_path, data))
