"""The embedded Redis: one that is killed comes back, and none outlives its block."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import redis

from standalone.redis_server import embedded_redis


def servers(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["name", "status"]):
        try:
            if process.info["status"] != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def test_a_killed_server_comes_back_under_its_address(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as url, redis.Redis.from_url(url) as client:
        client.set("key", "value")
        (killed,) = servers(tmp_path)
        killed.kill()
        deadline = time.monotonic() + 20
        while True:
            try:
                assert client.get("key") is None  # it is another one, and keeps nothing
                break
            except redis.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        (running,) = servers(tmp_path)
        assert running.pid != killed.pid
    assert servers(tmp_path) == []
