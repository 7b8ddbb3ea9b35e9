"""`python -m benchmarks.live.watchers`: many WebSocket clients of one job, as cheap as they can be.

Says `ready` when all are connected; at the end of its standard input it writes the delays of all step frames,
in milliseconds, as one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import re
import sys
import time

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

STEP = re.compile(r'"type":"step","data":\{"step":(\d+),"time":([0-9.]+)')
AT_ONCE = 40
"""So many clients connect at the same time."""


async def main() -> None:
    """Connect, say so, follow until told to stop, say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="the stream's")
    parser.add_argument("count", type=int)
    given = parser.parse_args()
    delays: list[float] = []
    gate = asyncio.Semaphore(AT_ONCE)
    sockets = await asyncio.gather(*(_connect(given.address, gate) for _ in range(given.count)))
    followers = [asyncio.create_task(_follow(socket, delays)) for socket in sockets]
    gc.freeze()  # the sockets stay: to look at them again would be the clients' delay, not the API's
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for follower in followers:
        follower.cancel()
    await asyncio.gather(*followers, return_exceptions=True)
    lost = sum(follower.done() and not follower.cancelled() for follower in followers)
    print(json.dumps({"delays": delays, "lost": lost}), flush=True)
    os._exit(0)  # a thousand good-byes would take longer than the measurement


async def _connect(address: str, gate: asyncio.Semaphore) -> ClientConnection:
    headers = {"Authorization": f"Bearer {os.environ['BENCH_KEY']}"}
    async with gate:
        socket = await connect(
            address, additional_headers=headers, compression=None, ping_interval=None, open_timeout=60
        )
        await socket.recv()  # the first frame: the job
        return socket


async def _follow(socket: ClientConnection, delays: list[float]) -> None:
    try:
        async for frame in socket:
            now = time.time()
            if (step := STEP.search(str(frame))) is not None:
                delays.append((now - float(step[2])) * 1000)
    except ConnectionClosed:
        return


if __name__ == "__main__":
    asyncio.run(main())
