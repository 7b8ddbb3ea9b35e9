"""Child processes: logged, started again, given up on, stopped whatever they do."""

import sys
import threading
import time

import psutil
import pytest

from standalone.errors import StackError
from standalone.watcher import Watcher

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP


class Lines:
    """Collects log lines and lets a test wait for one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._news = threading.Condition()

    def __call__(self, name: str, line: str) -> None:
        with self._news:
            self.lines.append(f"{name}: {line}")
            self._news.notify_all()

    def wait_for(self, line: str, count: int = 1) -> None:
        with self._news:
            assert self._news.wait_for(lambda: self.lines.count(line) >= count, timeout=20), self.lines


def test_a_process_that_is_killed_comes_back() -> None:
    lines = Lines()
    watcher = Watcher({"a": [sys.executable, "-c", SLEEP]}, {}, lines)
    watcher.start()
    try:
        lines.wait_for("a: up")
        psutil.Process(watcher.pids()["a"]).kill()
        lines.wait_for("a: up", count=2)
        assert "a: ended with exit code -9; starting it again" in lines.lines
    finally:
        pid = watcher.pids()["a"]
        watcher.stop()
    assert not psutil.pid_exists(pid)


def test_a_process_that_keeps_ending_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("standalone.watcher.RESTART_SECONDS", 0.02)
    watcher = Watcher({"bad": [sys.executable, "-c", "raise SystemExit(3)"]}, {}, Lines())
    watcher.start()
    try:
        with pytest.raises(StackError, match="bad ended 5 times"):
            check_until_it_fails(watcher)
    finally:
        watcher.stop()


def test_one_that_is_spared_fails_nobody_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("standalone.watcher.RESTART_SECONDS", 0.02)
    monkeypatch.setattr("standalone.watcher.GIVE_UP_SECONDS", 0.5)
    lines = Lines()
    watcher = Watcher({"bad": [sys.executable, "-S", "-c", "print('up')"]}, {}, lines, spared={"bad"})
    watcher.start()
    try:
        lines.wait_for("bad: up", count=7)
        watcher.check()
    finally:
        watcher.stop()


def check_until_it_fails(watcher: Watcher) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        watcher.check()
        time.sleep(0.02)


def test_a_process_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("standalone.watcher.STOP_SECONDS", 0.2)
    lines = Lines()
    watcher = Watcher({"deaf": [sys.executable, "-c", STUBBORN]}, {}, lines)
    watcher.start()
    lines.wait_for("deaf: up")
    pid = watcher.pids()["deaf"]
    watcher.stop()
    assert not psutil.pid_exists(pid)
    assert "deaf: did not stop within 0.2 s; killing it" in lines.lines
