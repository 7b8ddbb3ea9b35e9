"""Nothing lost and nothing twice, whatever breaks: readers, pings, the API, the worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from websockets.exceptions import WebSocketException

from api import feed, job_reader
from store.runs import release
from store.steps import append_steps
from store.stream import read_stream
from store.tenant import Tenant
from tests.contract.conftest import Service, serving, step_record
from tests.contract.streams import TRANSPORTS, Frame, Transport, reading
from tests.contract.worker import Run

BROKEN = (WebSocketException, httpx.TransportError, OSError)


class House:
    """The API, in as many processes as want to come and go."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stack = ExitStack()
        self.running = self._stack.enter_context(serving(service.settings))

    def restart(self) -> None:
        """End the API in the middle of everything; its successor has another address."""
        self._stack.close()
        self.running = self._stack.enter_context(serving(self._service.settings))

    def close(self) -> None:
        self._stack.close()


@dataclass
class Reader:
    """Takes some frames, breaks off, and comes back with its cursor, until the end.

    What is a part of a number may come again after a break, and says so: `part_of`.
    """

    transport: Transport
    patience: list[tuple[int, float]]
    """By turns: frames to take before it breaks off, and seconds to be slow before the first of them. With
    less than three (the job, a part of a number, the number's own) it would never come on."""
    cursor: int = 0
    taken: list[Frame] = field(default_factory=list)
    parts: dict[str, int] = field(default_factory=dict)
    state: str = ""

    def read(self, house: House, job_id: str) -> None:
        for turn in range(10_000):
            count, pause = self.patience[turn % len(self.patience)]
            try:
                with reading(self.transport, house.running, job_id, self.cursor) as frames:
                    time.sleep(pause)
                    for _, frame in zip(range(count), frames, strict=False):
                        if frame["type"] == "end":
                            return
                        self.take(frame)
            except BROKEN:
                time.sleep(0.02)

    def take(self, frame: Frame) -> None:
        if frame["type"] == "job":
            self.state = frame["data"]["state"]
        elif "part_of" not in frame:
            self.cursor = frame["seq"]
            self.taken.append(frame)
        elif frame["part_of"] > self.parts.get(frame["type"], 0):
            self.parts[frame["type"]] = frame["part_of"]
            self.taken.append(frame)


class Writer:
    """A job's worker, which may be lost with the last steps it has reported, and be followed by another."""

    def __init__(self, house: House, service: Service) -> None:
        self.house = house
        self.run = Run(service, service.create_job())
        self.step = 0

    def act(self, action: str) -> None:
        run, session = self.run, self.run.service.database.session
        match action:
            case "steps":
                run.steps(self.step + 1, self.step + 4)
                self.step += 4
            case "unheard":
                run.say(f"nobody was told of {self.step}", ping=False)
            case "evaluation":
                self.step += 1
                record = step_record(self.step)
                record.metrics["valid_loss"] = 1 / self.step
                with session() as transaction:
                    assert append_steps(transaction, run.job_id, run.attempt, [record])
                run.ping()
            case "checkpoint":
                run.checkpoint(self.step)
            case "lost worker":
                with session() as transaction:
                    assert release(transaction, run.job_id, run.attempt, message="lost") is not None
                self.run = Run(run.service, run.job_id)
                self.step = max(0, self.step - 2)  # these it makes again, and nobody is to see them twice
            case "restart":
                self.house.restart()


def whole_series(service: Service, job_id: str) -> list[int]:
    with service.database.session() as session:
        project_id = session.connection().exec_driver_sql(
            "SELECT project_id FROM jobs WHERE id = %s", (job_id,)
        )
        return [
            item.seq for item in read_stream(Tenant(session, project_id.scalar_one()), job_id, 0, 100_000)
        ]


ACTIONS = st.lists(
    st.sampled_from(["steps", "steps", "steps", "unheard", "evaluation", "checkpoint", "lost worker"]),
    min_size=5,
    max_size=15,
)
PATIENCE = st.lists(
    st.tuples(st.integers(3, 40), st.sampled_from([0.0, 0.0, 0.0, 0.05])), min_size=1, max_size=6
)


@pytest.fixture
def house(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    # Small pages and a short memory, so that the seams between them are met.
    monkeypatch.setattr(job_reader, "PAGE", 7)
    monkeypatch.setattr("api.history.PAGE", 7)
    monkeypatch.setattr(feed, "RECENT_BYTES", 2000)
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.1)
    monkeypatch.setattr("api.strip.SLICE_BYTES", 1000)
    house = House(service)
    yield house
    house.close()


@given(
    actions=ACTIONS,
    restarts=st.lists(st.integers(0, 14), max_size=1),
    patience=st.lists(PATIENCE, min_size=2, max_size=3),
)
@settings(max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_nothing_is_lost_and_nothing_comes_twice(
    service: Service,
    house: House,
    actions: list[str],
    restarts: list[int],
    patience: list[list[tuple[int, float]]],
) -> None:
    writer = Writer(house, service)
    job_id = writer.run.job_id
    readers = [Reader(TRANSPORTS[n % 2], turns) for n, turns in enumerate(patience)]
    with all_read(readers, house, job_id):
        for n, action in enumerate(actions):
            writer.act(action)
            if n in restarts:
                writer.act("restart")
        writer.run.succeed()
    control = Reader("websocket", [(100_000, 0.0)])
    control.read(house, job_id)
    series = whole_series(service, job_id)
    for reader in (control, *readers):
        assert [frame["seq"] for frame in reader.taken if "seq" in frame] == series
        steps = [frame["data"]["step"] for frame in reader.taken if frame["type"] == "step"]
        assert steps == list(range(1, len(steps) + 1))
        assert reader.taken == control.taken
        assert reader.state == "succeeded"
    kinds = [frame["type"] for frame in control.taken]
    assert kinds.count("checkpoint") == actions.count("checkpoint")


@contextmanager
def all_read(readers: list[Reader], house: House, job_id: str) -> Iterator[None]:
    """Let them read beside the block, and wait for their ends."""
    threads = [threading.Thread(target=reader.read, args=(house, job_id), daemon=True) for reader in readers]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a reader has not come to the end"
