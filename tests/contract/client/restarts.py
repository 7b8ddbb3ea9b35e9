"""An API in a process of its own, on one port, that is killed and started again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from standalone.ports import free_port
from tests.contract.conftest import KEY, Service


class RestartedApi:
    """A `python -m api` on the service's database."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._port = free_port()
        self._child: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it; returns when it serves."""
        settings = self._service.settings
        env = {
            **os.environ,
            "ISTHMUS_DATABASE_URL": settings.database_url,
            "ISTHMUS_REDIS_URL": settings.redis_url,
            "ISTHMUS_DATA_DIR": str(settings.data_dir),
            "ISTHMUS_API_KEY": KEY,
        }
        command = [sys.executable, "-m", "api", "--port", str(self._port)]
        self._child = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        while not self._serves():
            assert self._child.poll() is None
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL: no answer is finished, no connection is closed in order."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def _serves(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/health/ready").status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False


@contextmanager
def restarted_api(service: Service) -> Iterator[RestartedApi]:
    """An API that serves until the block ends."""
    api = RestartedApi(service)
    try:
        api.start()
        yield api
    finally:
        api.kill()
