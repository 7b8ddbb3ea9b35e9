"""A job's whole way through the running stack, as users see it."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import openai
import pytest

from tests.e2e import service
from tests.e2e.conftest import LAYERS
from tests.e2e.service import Service, wait_until

WEB = Path(__file__).parents[2] / "web"
LONG = {"max_steps": 100_000, "n_epochs": 50, "batch_size": 1}


def create_job(stack: Service, training_file: str, **spec: object) -> str:
    body = {"adapter": {"rank": 4}, "ist": {"update_fraction": 0.5}, "learning_rate": 0.01, **spec}
    hyperparameters = {key: body.pop(key) for key in ("n_epochs", "batch_size") if key in body}
    job = stack.client.fine_tuning.jobs.create(
        model="tiny",
        training_file=training_file,
        suffix="e2e",
        seed=7,
        hyperparameters=hyperparameters,  # type: ignore[arg-type]  # a plain dict is what the wire takes
        extra_body=body,
    )
    return job.id


def state(stack: Service, job_id: str) -> str:
    return stack.client.fine_tuning.jobs.retrieve(job_id).status


@pytest.fixture(scope="module")
def finished_job(stack: Service, training_file: str) -> str:
    job_id = create_job(stack, training_file, n_epochs=2, batch_size=8)
    wait_until("the job succeeds", lambda: state(stack, job_id) in ("succeeded", "failed"))
    return job_id


def test_a_job_succeeds_with_every_artifact(stack: Service, finished_job: str) -> None:
    client = stack.client
    job = client.fine_tuning.jobs.retrieve(finished_job)
    assert (job.status, job.error) == ("succeeded", None)
    assert job.fine_tuned_model is not None
    assert job.fine_tuned_model.startswith("ft:tiny:")
    assert job.trained_tokens
    assert job.fine_tuned_model in {model.id for model in client.models.list()}
    table = list(csv.DictReader(io.StringIO(client.files.content(job.result_files[0]).text)))
    assert [int(row["step"]) for row in table] == list(range(1, 17))
    messages = [event.message for event in client.fine_tuning.jobs.list_events(finished_job)]
    assert len(messages) >= 3


def test_the_stream_has_each_step_once_and_in_order(stack: Service, finished_job: str) -> None:
    frames = stack.frames(finished_job)
    assert frames[0]["type"] == "job"
    assert frames[-1]["type"] == "end"
    steps = [frame["data"] for frame in frames if frame["type"] == "step"]
    assert [step["step"] for step in steps] == list(range(1, 17))
    assert {len(step["importance"]) for step in steps} == {LAYERS}
    assert len(steps[-1]["active"]) == LAYERS // 2
    numbered = [frame["seq"] for frame in frames if frame["type"] in ("event", "step")]
    assert numbered == sorted(set(numbered))
    middle = numbered[len(numbered) // 2]
    resumed = stack.frames(finished_job, after=middle)
    assert [f["seq"] for f in resumed if f["type"] in ("event", "step")] == [
        n for n in numbered if n > middle
    ]


def test_the_adapter_downloads_and_belongs_to_the_base(stack: Service, finished_job: str) -> None:
    base = f"{stack.url}/v1/fine_tuning/jobs/{finished_job}/artifacts"
    with httpx.Client(headers={"Authorization": f"Bearer {stack.api_key}"}) as http:
        paths = {artifact["path"] for artifact in http.get(base).json()["data"]}
        assert {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"} <= paths
        config = http.get(f"{base}/adapter/adapter_config.json").json()
        assert config["r"] == 4
        metrics = http.get(base.replace("/artifacts", "/metrics"), params={"keys": "loss"}).json()
        importance = http.get(base.replace("/artifacts", "/importance")).json()
    assert metrics["steps"] == importance["steps"] == list(range(1, 17))
    assert metrics["series"]["loss"][-1] < metrics["series"]["loss"][0]
    assert importance["layers"] == LAYERS


def test_cancel_ends_the_job_and_its_trainer(stack: Service, training_file: str) -> None:
    job_id = create_job(stack, training_file, **LONG)
    wait_until("the job runs", lambda: bool(stack.trainers(job_id)))
    stack.client.fine_tuning.jobs.cancel(job_id)
    wait_until("the job is cancelled", lambda: state(stack, job_id) == "cancelled", 15)
    assert stack.trainers(job_id) == []
    with pytest.raises(openai.BadRequestError):
        stack.client.fine_tuning.jobs.cancel(job_id)


def test_a_killed_trainer_is_replaced(stack: Service, training_file: str) -> None:
    job_id = create_job(stack, training_file, **LONG)
    wait_until("the job runs", lambda: bool(stack.trainers(job_id)))
    killed = stack.trainers(job_id)[0]
    killed.kill()
    wait_until(
        "another trainer runs", lambda: [t.pid for t in stack.trainers(job_id)] not in ([], [killed.pid])
    )
    stack.client.fine_tuning.jobs.cancel(job_id)
    wait_until("the job is cancelled", lambda: state(stack, job_id) == "cancelled", 15)


def test_killed_processes_come_back_and_the_stream_goes_on(stack: Service, training_file: str) -> None:
    job_id = create_job(stack, training_file, n_epochs=6, batch_size=1)
    wait_until("the job runs", lambda: bool(stack.trainers(job_id)))
    api = next(process for process in stack.processes() if "-m api " in service.command_line(process))
    os.kill(api.pid, signal.SIGKILL)

    def answers() -> bool:
        try:
            return httpx.get(f"{stack.url}/health").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    wait_until("the API answers again", answers, 30)
    frames = stack.frames(job_id)
    steps = [frame["data"]["step"] for frame in frames if frame["type"] == "step"]
    assert steps == list(range(1, len(steps) + 1))
    assert state(stack, job_id) == "succeeded"


@pytest.mark.browser
def test_the_dashboard_shows_a_job_live(
    stack: Service, training_file: str, finished_job: str, screenshots: Path
) -> None:
    running = create_job(stack, training_file, **LONG)
    wait_until("the job runs", lambda: bool(stack.trainers(running)))
    for job_id, until in ((running, "running"), (finished_job, "succeeded")):
        seen = look(stack, job_id, until, screenshots / f"{until}.png")
        assert seen["steps"] > 1
    stack.client.fine_tuning.jobs.cancel(running)
    wait_until("the job is cancelled", lambda: state(stack, running) == "cancelled", 15)


def look(stack: Service, job_id: str, until: str, screenshot: Path) -> dict[str, int]:
    chromium = next(
        path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))
    )
    answer = subprocess.run(
        ["node", "e2e/live.mjs", "--url", stack.login_url, "--job", job_id, "--until", until,
         "--screenshot", str(screenshot)],
        cwd=WEB, env={**os.environ, "CHROMIUM": chromium}, capture_output=True, text=True,
        timeout=90, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert screenshot.stat().st_size > 0
    seen: dict[str, int] = json.loads(answer.stdout.splitlines()[-1])
    return seen


def test_a_second_stack_on_the_same_folder_is_refused(stack: Service) -> None:
    with pytest.raises(AssertionError, match="in use by process"):
        service.start(stack.data_dir)


def test_ctrl_c_leaves_nothing_running_and_state_survives(data_dir: Path) -> None:
    first = service.start(data_dir)
    file = first.client.files.create(file=("a.jsonl", ROW), purpose="fine-tune")
    assert first.interrupt() == 130
    assert first.processes() == []
    second = service.start(data_dir)
    assert [kept.id for kept in second.client.files.list()] == [file.id]
    assert second.api_key == first.api_key
    assert second.interrupt() == 130
    assert second.processes() == []


ROW = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
