"""`isthmus` beside a running stack: a real job from spec to downloaded model, the API killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e import service
from tests.e2e.service import WAIT_SECONDS, Service, wait_until

ISTHMUS = (sys.executable, "-m", "isthmus.cli")
SPEC = """
model: tiny
hyperparameters: {n_epochs: 6, batch_size: 1}
adapter: {rank: 4}
ist: {update_fraction: 0.5}
learning_rate: 1e-2
"""


def environment(stack: Service) -> dict[str, str]:
    return {**os.environ, "ISTHMUS_BASE_URL": stack.url, "ISTHMUS_API_KEY": stack.api_key}


def test_a_job_is_created_watched_through_a_killed_api_and_its_model_downloaded(
    stack: Service, training_file: str, tmp_path: Path
) -> None:
    (tmp_path / "job.yaml").write_text(SPEC)
    args = ("jobs", "create", str(tmp_path / "job.yaml"), "--training-file", training_file)
    with (tmp_path / "updates").open("wb") as updates, (tmp_path / "notices").open("wb") as notices:
        watch = subprocess.Popen(
            [*ISTHMUS, *args, "--watch", "--json"], env=environment(stack), stdout=updates, stderr=notices
        )
    try:
        wait_until("a step is told", lambda: '"type": "step"' in (tmp_path / "updates").read_text())
        api = next(process for process in stack.processes() if "-m api " in service.command_line(process))
        os.kill(api.pid, signal.SIGKILL)
        assert watch.wait(WAIT_SECONDS) == 0, (tmp_path / "notices").read_text()
    finally:
        watch.kill()
        watch.wait()
    told = [json.loads(line) for line in (tmp_path / "updates").read_text().splitlines()]
    steps = [update["data"]["step"] for update in told if update["type"] == "step"]
    job = next(update["data"] for update in reversed(told) if update["type"] == "job")
    assert steps == list(range(1, job["total_steps"] + 1))
    assert (tmp_path / "notices").read_text().count("connection lost, reconnected after ") == 1
    download = [*ISTHMUS, "models", "download", job["fine_tuned_model"], "-o", str(tmp_path / "model")]
    subprocess.run(download, env=environment(stack), check=True, timeout=WAIT_SECONDS)
    assert json.loads((tmp_path / "model" / "adapter" / "adapter_config.json").read_text())["r"] == 4
