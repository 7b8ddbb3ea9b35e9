"""MLflow with its SQL store on SQLite: `log_metrics`, `log_batch`, `get_metric_history` and the REST API."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric

from benchmarks.live.peers.series import METRICS, VALUES, Timing, answer, options, point, timed, values

BATCH = 1000
"""The most metrics that MLflow takes in a batch."""
START_SECONDS = 120.0


def main() -> None:
    """Measure one thing."""
    given = options()
    uri = f"sqlite:///{given.folder.resolve() / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    run_id = client.create_run(client.create_experiment("bench")).info.run_id
    if given.measure == "ingest":
        began = time.perf_counter()
        if given.way == "log_metrics":
            log_metrics(run_id, given.size)
        else:
            log_batches(client, run_id, given.size)
        seconds = time.perf_counter() - began
        stored = len(client.get_metric_history(run_id, METRICS[0]))
        answer(records=given.size, seconds=seconds, stored=stored, version=mlflow.__version__)
    else:
        log_series(client, run_id, given.size)
        answer(reads=reads(client, uri, run_id, given.points, given.folder), version=mlflow.__version__)


def log_metrics(run_id: str, records: int) -> None:
    """A call a record, as people write it in a training loop."""
    with mlflow.start_run(run_id=run_id):
        for step in range(1, records + 1):
            mlflow.log_metrics(values(step), step=step)


def log_batches(client: MlflowClient, run_id: str, records: int) -> None:
    """Batches as large as MLflow takes them."""
    a_call = BATCH // VALUES
    for first in range(1, records + 1, a_call):
        now = int(time.time() * 1000)
        batch = [
            Metric(name, value, now, step)
            for step in range(first, min(first + a_call, records + 1))
            for name, value in values(step).items()
        ]
        client.log_batch(run_id, metrics=batch)


def log_series(client: MlflowClient, run_id: str, size: int) -> None:
    """One metric of many steps."""
    for first in range(1, size + 1, BATCH):
        now = int(time.time() * 1000)
        steps = range(first, min(first + BATCH, size + 1))
        client.log_batch(run_id, metrics=[Metric("loss", point(step), now + step, step) for step in steps])


def reads(client: MlflowClient, uri: str, run_id: str, points: int, folder: Path) -> dict[str, Timing]:
    """The whole series in process, and a sample of it from MLflow's server, as its pages draw it."""
    found = {"get_metric_history": timed(lambda: len(client.get_metric_history(run_id, "loss")))}
    with serving(uri, folder) as address:
        query = urllib.parse.urlencode({"run_ids": run_id, "metric_key": "loss", "max_results": points})
        sampled = f"{address}/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?{query}"
        found["REST get-history-bulk-interval"] = timed(lambda: len(fetch(sampled)["metrics"]))
    return found


def fetch(address: str) -> dict[str, list[object]]:
    """A JSON answer."""
    with urllib.request.urlopen(address, timeout=60) as response:  # noqa: S310  # our own address
        body: dict[str, list[object]] = json.load(response)
    return body


@contextmanager
def serving(uri: str, folder: Path) -> Iterator[str]:
    """MLflow's server on a loopback port; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", "127.0.0.1"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--workers", "1"],
            stdout=log,
            stderr=log,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            start_new_session=True,
        )
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def wait_until_healthy(address: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the server answers; raises RuntimeError when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310  # our own address
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("MLflow's server did not start")


if __name__ == "__main__":
    main()
