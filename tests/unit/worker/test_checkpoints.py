"""Checkpoints on their way to object storage and back, damaged ones, and what is deleted of old ones."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from ist_core.errors import CheckpointError
from ist_core.progress import Progress
from ist_core.records import Checkpointed, Message
from ist_core.spec import JobSpec
from store import runs
from store.checkpoints import all_checkpoints, record_checkpoint, resumable_checkpoints
from store.database import Database
from store.objects import LocalObjects, ObjectInfo
from store.runs import Claim
from store.tables import Checkpoint
from tests.factories import claim, claimed
from worker.checkpoints import Resumption
from worker.trimmer import Trimmer
from worker.uploads import Uploaded, Uploads

PARTS = {"adapter/weights": b"weights", "state.safetensors": b"moments"}


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    return LocalObjects(tmp_path / "objects")


class Attempt:
    """One attempt's folder."""

    def __init__(self, database: Database, objects: LocalObjects, held: Claim, folder: Path) -> None:
        self.database = database
        self.held = held
        self.folder = folder / str(held.attempt)
        self.uploads = Uploads(objects, held.job_id, held.attempt, self.folder)
        self.resumption = Resumption(database, objects, held.job_id, held.attempt, self.folder / "resume")

    def write(self, step: int) -> Checkpointed:
        """What the engine leaves after a step, in small."""
        name = f"checkpoints/step-{step:06d}"
        for path, content in PARTS.items():
            target = self.folder / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        spec = JobSpec(model="tiny", training_file="file")
        manifest = {
            "version": 1,
            "spec": spec.model_dump(mode="json"),
            "data": {},
            "environment": {},
            "progress": asdict(Progress(steps=step, loss=1.0)),
            "ist": None,
            "files": {path: hashlib.sha256(content).hexdigest() for path, content in PARTS.items()},
        }
        (self.folder / name / "checkpoint.json").write_text(json.dumps(manifest))
        return Checkpointed(step, name, {"loss": 1.0})

    def save(self, *steps: int) -> None:
        """Write, upload and record checkpoints."""
        for step in steps:
            made = self.uploads.store(self.write(step))
            assert isinstance(made, Uploaded)
            with self.database.session() as session:
                assert record_checkpoint(
                    session,
                    self.held.job_id,
                    self.held.attempt,
                    step=step,
                    metrics=made.metrics,
                    stored=made.stored,
                )

    def offered(self) -> tuple[list[str | None], list[str]]:
        """The names of the folders to resume from, and what is told."""
        told: list[Message] = []
        folders = list(self.resumption.folders(told.append))
        assert all(message.level == "warn" for message in told)
        return [folder.name if folder else None for folder in folders], [message.text for message in told]

    def rows(self) -> list[Checkpoint]:
        with self.database.session() as session:
            return all_checkpoints(session, self.held.job_id)


@pytest.fixture
def first(database: Database, objects: LocalObjects, tmp_path: Path) -> Attempt:
    return Attempt(database, objects, claimed(database), tmp_path)


def again(first: Attempt, objects: LocalObjects) -> Attempt:
    """The attempt after the first, which was given back."""
    held = first.held
    with first.database.session() as session:
        assert runs.release(session, held.job_id, held.attempt, message="stopped")
    return Attempt(first.database, objects, claim(first.database, held.job_id), first.folder.parent)


def test_the_newest_two_come_back_whole_and_then_the_start(first: Attempt, objects: LocalObjects) -> None:
    first.save(10, 20, 30)
    second = again(first, objects)
    assert second.offered() == (["step-000030", "step-000020", None], [])
    assert (second.folder / "resume/step-000030/adapter/weights").read_bytes() == b"weights"


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_one_is_passed_over_told_of_and_not_tried_again(
    first: Attempt, objects: LocalObjects, damage: str
) -> None:
    first.save(10, 20)
    state = objects.folder / f"{first.rows()[0].prefix}state.safetensors"
    state.write_bytes(b"m0ments") if damage == "changed" else state.unlink()
    second = again(first, objects)
    names, told = second.offered()
    assert names == ["step-000010", None]
    assert "step 20" in told[0]
    assert "state.safetensors" in told[0]
    assert second.offered() == (["step-000010", None], [])
    second.save(20)  # its step is made again
    newest, oldest = second.rows()
    assert (newest.step, newest.attempt, newest.resumable, oldest.step) == (20, 2, True, 10)
    assert second.offered()[0][0] == "step-000020"


def test_one_of_another_run_is_refused_for_later_attempts_too(first: Attempt, objects: LocalObjects) -> None:
    first.save(10)
    second = again(first, objects)
    folder = next(second.resumption.folders(lambda _: None))
    assert folder is not None
    told = second.resumption.refuse(folder, CheckpointError(f"the checkpoint {folder} is of another run: x"))
    assert told.text.endswith("it is of another run: x")
    assert second.offered() == ([None], [])


def test_what_is_stored_is_what_the_engine_has_hashed(first: Attempt, objects: LocalObjects) -> None:
    item = first.write(10)
    made = first.uploads.store(item)
    assert isinstance(made, Uploaded)
    names = {info.key.split("/", 4)[4]: info for info in made.stored}
    assert names.keys() == {*PARTS, "checkpoint.json"}
    for name, info in names.items():
        data = (first.folder / item.path / name).read_bytes()
        assert (info.bytes, info.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    shutil.rmtree(first.folder / item.path)
    with objects.open(names["state.safetensors"].key) as stream:
        assert stream.read() == b"moments"


def test_one_that_the_engine_has_removed_leaves_no_object(first: Attempt, objects: LocalObjects) -> None:
    item = first.write(10)
    shutil.rmtree(first.folder / item.path)
    assert first.uploads.store(item) is None
    assert list(objects.list("checkpoints/")) == []


def test_one_that_cannot_be_stored_is_a_warning(
    first: Attempt, objects: LocalObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = objects.adopt

    def full(key: str, file: Path, sha256: str) -> ObjectInfo:
        if key.endswith("state.safetensors"):
            raise OSError(28, "No space left on device")
        return real(key, file, sha256)

    monkeypatch.setattr(objects, "adopt", full)
    told = first.uploads.store(first.write(10))
    assert isinstance(told, Message)
    assert (told.level, told.data) == ("warn", {"step": 10})
    assert "No space left" in told.text
    assert list(objects.list("checkpoints/")) == []


def test_a_fenced_attempt_records_nothing(first: Attempt, objects: LocalObjects) -> None:
    again(first, objects)
    with first.database.session() as session:
        held = first.held
        assert not record_checkpoint(session, held.job_id, held.attempt, step=1, metrics={}, stored=[])
    assert first.rows() == []


def test_old_ones_keep_their_adapters_and_ended_jobs_nothing_else(
    first: Attempt, objects: LocalObjects
) -> None:
    first.save(10, 20, 30)
    on_its_way = f"checkpoints/{first.held.job_id}/{first.held.attempt}/step-000040/adapter/weights"
    with (first.folder / "checkpoints/step-000030/adapter/weights").open("rb") as source:
        objects.put(on_its_way, source)
    trimmer = Trimmer(first.database, objects)
    trimmer.tick()
    assert [(row.step, row.resumable, len(row.files)) for row in first.rows()] == [
        (30, True, 3),
        (20, True, 3),
        (10, False, 1),
    ]
    assert len(list(objects.list("checkpoints/"))) == 3 + 3 + 1 + 1
    with first.database.session() as session:
        held = first.held
        assert runs.finish_failed(session, held.job_id, held.attempt, code="x", message="ended")
    trimmer.tick()
    with first.database.session() as session:
        assert resumable_checkpoints(session, first.held.job_id) == []
    keys = list(objects.list("checkpoints/"))
    assert [key.split("/", 3)[3] for key in keys] == [f"step-0000{n}/adapter/weights" for n in (10, 20, 30)]


def test_what_an_earlier_attempt_left_is_deleted_at_the_next_trim(
    first: Attempt, objects: LocalObjects
) -> None:
    first.save(10)
    first.uploads.store(first.write(20))  # killed before its row was written
    second = again(first, objects)
    second.save(20, 30)
    Trimmer(first.database, objects).tick()
    left = {key.split("/")[2] + "/" + key.split("/")[3] for key in objects.list("checkpoints/")}
    assert left == {"1/step-000010", "2/step-000020", "2/step-000030"}
