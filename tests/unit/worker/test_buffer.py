"""The buffer between an engine and the thread that stores what it emits."""

from __future__ import annotations

from pathlib import Path

import pytest

from ist_core.records import Checkpointed, Emitted
from tests.factories import step
from worker import buffer
from worker.buffer import Buffer


@pytest.mark.timeout(20)
def test_nothing_rests_beside_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine keeps its newest two only, so an upload that waits may come too late."""
    monkeypatch.setattr(buffer, "REST", 1e9)
    monkeypatch.setattr(buffer, "MAX_REST_SECONDS", 60.0)
    waiting = Buffer(tmp_path / "spool")
    emitted: list[Emitted] = [step(1), step(2), Checkpointed(2, "a", {}), Checkpointed(3, "b", {}), step(3)]
    for item in emitted:
        waiting.put(item)
    taken: list[Emitted] = []
    for _ in range(4):
        position, batch = waiting.take()
        assert position == len(taken)
        taken += batch
        waiting.stored(len(batch))
    assert taken == emitted
    waiting.close()
