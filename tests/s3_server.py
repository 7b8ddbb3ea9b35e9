"""A real S3 server on a loopback port, from the package moto."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from moto.server import ThreadedMotoServer

BUCKET = "isthmus-test"
ACCESS_KEY = "test"
SECRET_KEY = "test-secret"


@dataclass(frozen=True)
class S3Server:
    """Where a bucket is to be had."""

    endpoint: str
    bucket: str = BUCKET

    def uploads(self) -> str:
        """What the server says of multipart uploads that are under way."""
        return httpx.get(f"{self.endpoint}/{self.bucket}?uploads").text


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run a server with an empty bucket until the block ends."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    try:
        httpx.put(f"{endpoint}/{BUCKET}").raise_for_status()
        yield S3Server(endpoint)
    finally:
        server.stop()
