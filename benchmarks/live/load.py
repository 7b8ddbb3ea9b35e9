"""`python -m benchmarks.live.load`: a closed loop: so many connections, each asks again when it is answered.

It writes HTTP by itself, for a client that is slower than the service would be what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from pathlib import Path

WARM_SECONDS = 0.5


async def main() -> None:
    """Ask for the paths of a file in turns, and write the times of all answers as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("paths", type=Path, help="a file of paths, one a line")
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    paths = given.paths.read_text().split()
    await _run(given.port, paths, given.connections, WARM_SECONDS)
    began = time.perf_counter()
    seconds = await _run(given.port, paths, given.connections, given.seconds)
    print(json.dumps({"elapsed": time.perf_counter() - began, "seconds": seconds}))


async def _run(port: int, paths: list[str], connections: int, seconds: float) -> list[float]:
    end = time.perf_counter() + seconds
    asked = [_ask(port, paths[number::connections], end) for number in range(connections)]
    return [taken for each in await asyncio.gather(*asked) for taken in each]


async def _ask(port: int, paths: list[str], end: float) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key, times, number = os.environ["BENCH_KEY"], [], 0
    while time.perf_counter() < end:
        path = paths[number % len(paths)]
        number += 1
        began = time.perf_counter()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0]))
        times.append(time.perf_counter() - began)
        if not head.startswith("http/1.1 200"):
            raise RuntimeError(f"{path}: {head.splitlines()[0]}")
    writer.close()
    return times


if __name__ == "__main__":
    asyncio.run(main())
