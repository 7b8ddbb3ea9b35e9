"""A real inference process beside the API."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from store.chat_intake import ChatIntake
from tests.contract.conftest import Service
from tests.contract.inference import until


@contextmanager
def inference(service: Service, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m worker.inference` on the service's settings until the block ends."""
    settings = service.settings
    environment = {
        "ISTHMUS_DATABASE_URL": settings.database_url,
        "ISTHMUS_REDIS_URL": settings.redis_url,
        "ISTHMUS_DATA_DIR": str(settings.data_dir),
        "ISTHMUS_HUB": "false",
        "ISTHMUS_CHAT_THREADS": "1",
        **variables,
    }
    intake = ChatIntake(service.redis, settings.queue, "test")
    with (settings.data_dir / "inference.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "worker.inference"], env=os.environ | environment, stderr=log
        )
    try:
        until(lambda: any(f":{child.pid}:" in name for name in intake.processes()))
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
