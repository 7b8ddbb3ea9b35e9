"""Hidden states of rows on the disk: they come back as they went, and a full disk ends the keeping alone."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ist_core.errors import StorageError
from ist_core.hidden_states import HiddenStates
from tests.train.disks import fail_writing


def _raiser(number: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_hidden_states_come_back_as_they_went(dtype: torch.dtype, tmp_path: Path) -> None:
    kept = HiddenStates(tmp_path, size=8, dtype=dtype)
    states = torch.randn(3, 8).to(dtype)
    assert kept.put((1, 2, 3), states)
    assert kept.put((4,), states[:1])
    found = kept.get((1, 2, 3))
    assert found is not None
    assert torch.equal(found, states)
    assert kept.get((3, 2, 1)) is None
    assert not list(tmp_path.iterdir()), "a file that would stay behind"


def test_what_has_no_room_is_not_kept(tmp_path: Path) -> None:
    kept = HiddenStates(tmp_path, size=8, dtype=torch.float32, limit=100)
    assert kept.put((1, 2, 3), torch.zeros(3, 8))
    assert not kept.put((4,), torch.zeros(1, 8))
    assert len(kept) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT], ids=["full", "quota"])
def test_a_full_disk_ends_the_keeping_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    kept = HiddenStates(tmp_path, size=8, dtype=torch.float32)
    states = torch.randn(3, 8)
    assert kept.put((1, 2, 3), states)
    with monkeypatch.context() as full:
        fail_writing(full, number, after=0)
        assert not kept.put((4, 5), torch.zeros(2, 8))
    assert not kept.put((6,), torch.zeros(1, 8)), "the disk is left alone from then on"
    found = kept.get((1, 2, 3))
    assert found is not None
    assert torch.equal(found, states)
    assert (len(kept), kept.bytes) == (1, 3 * 8 * 4)


def test_a_row_that_is_written_in_part_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = HiddenStates(tmp_path, size=8, dtype=torch.float32)
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: write(file, data[:5], offset))
    assert not kept.put((4, 5), torch.zeros(2, 8))
    assert kept.get((4, 5)) is None
    assert kept.bytes == 0


def test_a_broken_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = HiddenStates(tmp_path, size=8, dtype=torch.float32)
    with monkeypatch.context() as broken:
        fail_writing(broken, errno.EIO, after=0)
        with pytest.raises(StorageError, match=r"settled layers .* could not be written \(.*resume from"):
            kept.put((4,), torch.zeros(1, 8))
    assert kept.put((4,), torch.zeros(1, 8))
    monkeypatch.setattr(os, "preadv", _raiser(errno.EIO))
    with pytest.raises(StorageError, match=r"settled layers .* could not be read again \(.*resume from"):
        kept.get((4,))
    monkeypatch.setattr(os, "preadv", lambda *_: 5)
    with pytest.raises(StorageError, match="the file was cut"):
        kept.get((4,))
    with pytest.raises(StorageError, match="settled layers .* could not be written"):
        HiddenStates(tmp_path / "no folder", size=8, dtype=torch.float32)
