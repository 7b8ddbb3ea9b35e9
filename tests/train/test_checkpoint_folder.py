"""What lies in a run's checkpoints folder, also after a write that failed."""

from __future__ import annotations

import errno
import os
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ist_core import JobSpec, StepRecord, train
from ist_core.errors import StorageError
from ist_core.records import Checkpointed, Emitted
from ist_core.whole_folder import whole_folder
from tests.train.runs import checkpointed, in_one, make_spec, outcome_of, run, steps_of, stop_at


@pytest.fixture
def spec(tiny_folder: Path, chat_file: Path) -> JobSpec:
    """Nine steps, with a checkpoint every two of them."""
    return make_spec(tiny_folder, chat_file, max_steps=9, checkpoint_interval=2)


@pytest.fixture
def file_limit() -> Iterator[Callable[[], None]]:
    """A call from which on the system refuses to write beyond the first 20,000 bytes of any file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_the_newest_two_stay(spec: JobSpec, tmp_path: Path) -> None:
    result, emitted = run(spec, tmp_path)
    assert checkpointed(emitted) == [2, 4, 6, 8]
    assert names(tmp_path) == ["step-000006", "step-000008"]
    assert result.checkpoint == "checkpoints/step-000008"
    (last,) = [item for item in emitted if isinstance(item, Checkpointed) and item.step == 8]
    assert (tmp_path / last.path / "checkpoint.json").is_file()
    assert last.metrics == steps_of(emitted)[7].metrics


def test_a_later_checkpoint_has_the_tokenizer_too(spec: JobSpec, tmp_path: Path) -> None:
    run(spec, tmp_path)
    result, checkpoint = tmp_path / "adapter", tmp_path / "checkpoints" / "step-000008" / "adapter"
    copied = {path.name for path in checkpoint.iterdir()} - {"adapter_model.safetensors"}
    assert copied >= {"adapter_config.json", "tokenizer.json", "tokenizer_config.json"}
    for name in copied:
        assert (checkpoint / name).read_bytes() == (result / name).read_bytes()


def test_a_tenth_of_the_steps_is_the_default_and_the_last_step_needs_none(
    tiny_folder: Path, chat_file: Path, tmp_path: Path
) -> None:
    for steps, expected in ((1, []), (5, [1, 2, 3, 4]), (12, [2, 4, 6, 8, 10])):
        _, emitted = run(make_spec(tiny_folder, chat_file, max_steps=steps), tmp_path)
        assert checkpointed(emitted) == expected


def test_a_stop_at_a_checkpoint_writes_no_second_one(spec: JobSpec, tmp_path: Path) -> None:
    assert checkpointed(stop_at(spec, tmp_path, 4)) == [2, 4]
    assert checkpointed(stop_at(spec, tmp_path, 5, resume_from=tmp_path / "checkpoints/step-000004")) == [5]
    assert names(tmp_path) == ["step-000004", "step-000005"]


def test_leftovers_of_an_earlier_run_give_way(spec: JobSpec, tmp_path: Path) -> None:
    run(spec, tmp_path)
    (tmp_path / "checkpoints" / ".step-000002.partial" / "adapter").mkdir(parents=True)
    stop_at(spec, tmp_path, 3)
    assert names(tmp_path) == ["step-000002", "step-000003"]
    run(spec, tmp_path, resume_from=tmp_path / "checkpoints" / "step-000003")
    assert names(tmp_path) == ["step-000006", "step-000008"]


def test_a_disk_that_fills_up_leaves_the_earlier_checkpoint(
    spec: JobSpec, tmp_path: Path, file_limit: Callable[[], None]
) -> None:
    emitted: list[Emitted] = []

    def emit(item: Emitted) -> None:
        emitted.append(item)
        if isinstance(item, Checkpointed) and item.step == 4:
            file_limit()

    with pytest.raises(StorageError, match="the checkpoint of step 6 could not be written") as caught:
        train(spec, output_dir=tmp_path, emit=emit)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert "File too large" in caught.value.message
    assert "resume from the one before: checkpoints/step-000004 is whole" in caught.value.message
    assert caught.value.code == "storage_failed"
    assert names(tmp_path) == ["step-000002", "step-000004"]
    kept = [item for item in emitted if item not in steps_of(emitted)[4:]]
    _, rest = run(spec, tmp_path, resume_from=tmp_path / "checkpoints" / "step-000004")
    assert outcome_of(tmp_path, kept + rest) == in_one(spec, tmp_path / "whole")


@contextmanager
def failing_sync(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield


def test_a_disk_that_is_full_at_a_stop_is_told(
    spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        failing_sync(monkeypatch),
        pytest.raises(StorageError, match=r"step 1 could not .*No space left.*this run has written none"),
    ):
        stop_at(spec, tmp_path, 1)
    assert names(tmp_path) == []


def test_steps_are_made_while_a_checkpoint_is_flushed(
    spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitted: list[Emitted] = []
    third = threading.Event()
    priorities: set[int] = set()
    flush = os.fsync

    def fsync(number: int) -> None:
        priorities.add(os.getpriority(os.PRIO_PROCESS, 0))
        assert third.wait(20), "step 3 waits for the checkpoint of step 2"
        flush(number)

    def emit(item: Emitted) -> None:
        emitted.append(item)
        if steps_of(emitted)[-1:] and steps_of(emitted)[-1].step == 3:
            third.set()

    monkeypatch.setattr(os, "fsync", fsync)
    train(spec, output_dir=tmp_path, emit=emit)
    told = [(type(item), item.step) for item in emitted if isinstance(item, StepRecord | Checkpointed)]
    assert told.index((StepRecord, 3)) < told.index((Checkpointed, 2))
    if sys.platform == "linux":  # where threads have priorities of their own; a greater number goes behind
        assert min(priorities) > os.getpriority(os.PRIO_PROCESS, 0)
    assert checkpointed(emitted) == [2, 4, 6, 8]
    assert [item.metrics for item in emitted if isinstance(item, Checkpointed)] == [
        record.metrics for record in steps_of(emitted) if record.step in (2, 4, 6, 8)
    ]
    _, rest = run(spec, tmp_path / "rest", resume_from=tmp_path / "checkpoints" / "step-000006")
    kept = [item for item in emitted if item not in steps_of(emitted)[6:]]
    assert outcome_of(tmp_path / "rest", kept + rest) == in_one(spec, tmp_path / "whole")


def test_a_disk_that_is_full_as_steps_are_made_is_told(
    spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        failing_sync(monkeypatch),
        pytest.raises(StorageError, match=r"step 2 could not .*No space left.*this run has written none"),
    ):
        run(spec, tmp_path)
    assert names(tmp_path) == []


def test_a_run_that_fails_keeps_the_checkpoint_that_was_begun(spec: JobSpec, tmp_path: Path) -> None:
    emitted: list[Emitted] = []

    def emit(item: Emitted) -> None:
        emitted.append(item)
        if isinstance(item, StepRecord) and item.step == 4:
            raise ConnectionError("the one who listens is gone")

    with pytest.raises(ConnectionError, match="is gone"):
        train(spec, output_dir=tmp_path, emit=emit)
    assert names(tmp_path) == ["step-000002"]
    assert checkpointed(emitted) == [2]
    _, rest = run(spec, tmp_path, resume_from=tmp_path / "checkpoints" / "step-000002")
    assert outcome_of(tmp_path, emitted[: emitted.index(steps_of(emitted)[2])] + rest) == in_one(
        spec, tmp_path / "whole"
    )


def test_a_runs_own_error_is_not_hidden_by_the_disks(
    spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def emit(item: Emitted) -> None:
        if isinstance(item, StepRecord) and item.step == 3:
            raise ConnectionError("the one who listens is gone")

    with failing_sync(monkeypatch), pytest.raises(ConnectionError, match="is gone"):
        train(spec, output_dir=tmp_path, emit=emit)
    assert names(tmp_path) == []


def test_other_errors_are_not_taken_for_the_disks(
    spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("ist_core.adapter_writer.save_adapter", broken)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        run(spec, tmp_path)
    assert names(tmp_path) == []


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for text in ("old", "new"):
        with whole_folder(target) as folder:
            (folder / "file").write_text(text)
            assert not (target / "file").exists() or (target / "file").read_text() == "old"
    assert (target / "file").read_text() == "new"
    with pytest.raises(KeyError), whole_folder(target) as folder:
        (folder / "file").write_text("half")
        raise KeyError
    assert (target / "file").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]
