"""`make demo`: a real fine-tuning job through the whole service, watched live, judged on held-out rows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
from rich.console import Console
from rich.table import Table
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from standalone.errors import StackError
from standalone.progress import JobProgress
from standalone.stack import Stack

TICKETS = Path(__file__).parents[1] / "examples" / "tickets"
SAMPLES = 3
RECONNECT_SECONDS = 0.5
CANCEL_SECONDS = 8.0


class DemoError(StackError):
    """The demo cannot go on; the message says why."""


def run_demo(stack: Stack) -> None:
    """Upload, post, watch, evaluate; writes `demo.json` into the data folder.

    Raises DemoError when the job does not succeed. Ctrl-C cancels the job before the stack stops.
    """
    console = Console(highlight=False)
    client = openai.OpenAI(base_url=f"{stack.url}/v1", api_key=stack.api_key)
    console.print(f"\n  dashboard  [link]{stack.login_url}[/link]\n", soft_wrap=True)
    job_id = _submit(client, console)
    try:
        job = _watch(stack, job_id, console)
    except KeyboardInterrupt:
        console.print("\n  cancelling the job ...")
        _cancel(client, job_id)
        raise
    if job["state"] != "succeeded":
        error = job["error"] or {"code": job["state"], "message": "the job did not run to its end"}
        raise DemoError(f"job {job_id} {job['state']}: {error['message']} ({error['code']})")
    evaluation = _evaluate(stack, job, console)
    _report(stack, job, evaluation, console)


def _submit(client: openai.OpenAI, console: Console) -> str:
    with (TICKETS / "train.jsonl").open("rb") as data:
        file = client.files.create(file=data, purpose="fine-tune")
    body = json.loads((TICKETS / "job.json").read_text())
    known = {key: body.pop(key) for key in ("model", "suffix", "seed", "hyperparameters") if key in body}
    job = client.fine_tuning.jobs.create(training_file=file.id, extra_body=body, **known)
    console.print(f"  uploaded   {file.filename} ({file.bytes:,} bytes) as {file.id}")
    console.print(f"  posted     {job.id}: {job.model}, LoRA + IST")
    return job.id


def _watch(stack: Stack, job_id: str, console: Console) -> dict[str, Any]:
    """Follow the job to its end; returns the last snapshot."""
    job: dict[str, Any] = {}
    with JobProgress(console) as progress:
        for frame in _frames(stack, job_id):
            match frame["type"]:
                case "job":
                    job = frame["data"]
                    progress.job(job)
                case "step":
                    progress.step(frame["data"])
                case "event":
                    progress.message(frame["data"])
    return job


def _frames(stack: Stack, job_id: str) -> Iterator[dict[str, Any]]:
    """The job's stream up to its end; comes back with its cursor when the API was restarted."""
    base = f"{stack.url.replace('http', 'ws', 1)}/v1/fine_tuning/jobs/{job_id}/stream"
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    cursor = 0
    while True:
        stack.watcher.check()
        try:
            with connect(f"{base}?after={cursor}", additional_headers=headers, max_size=None) as stream:
                for text in stream:
                    frame: dict[str, Any] = json.loads(text)
                    if frame["type"] == "end":
                        return
                    if frame["type"] == "error":
                        raise DemoError(frame["error"]["message"])
                    yield frame
                    if frame["type"] in ("event", "step"):
                        cursor = frame["seq"]
        except (OSError, WebSocketException):
            time.sleep(RECONNECT_SECONDS)


def _cancel(client: openai.OpenAI, job_id: str) -> None:
    """Cancel and wait for the worker to let go of the job."""
    client.fine_tuning.jobs.cancel(job_id)
    deadline = time.monotonic() + CANCEL_SECONDS
    while time.monotonic() < deadline:
        if client.fine_tuning.jobs.retrieve(job_id).status == "cancelled":
            return
        time.sleep(0.2)


def _evaluate(stack: Stack, job: dict[str, Any], console: Console) -> dict[str, Any]:
    """Download the adapter as a user would, and score base and tuned model in a child process."""
    adapter = stack.data_dir / "demo" / "adapter"
    shutil.rmtree(adapter, ignore_errors=True)
    _download(stack, job["id"], adapter)
    output = adapter.parent / "evaluation.json"
    console.print("\n  answering the held-out rows with the base and the tuned model ...")
    command = [sys.executable, "-m", "ist_core.evaluate", "--model", job["model"], "--adapter", str(adapter)]
    command += ["--data", str(TICKETS / "heldout.jsonl"), "--samples", str(SAMPLES), "--output", str(output)]
    command += ["--cache-dir", str(stack.data_dir / "cache")]
    # In a session of its own: Ctrl-C reaches us alone, and `run` then kills it.
    if subprocess.run(command, check=False, start_new_session=True).returncode:
        raise DemoError("the evaluation failed; its message is above")
    evaluation: dict[str, Any] = json.loads(output.read_text())
    return evaluation


def _download(stack: Stack, job_id: str, folder: Path) -> None:
    base = f"{stack.url}/v1/fine_tuning/jobs/{job_id}/artifacts"
    with httpx.Client(headers={"Authorization": f"Bearer {stack.api_key}"}, timeout=60) as http:
        for artifact in http.get(base).raise_for_status().json()["data"]:
            path = Path(artifact["path"])
            if path.parts[0] != "adapter":
                continue
            target = folder / Path(*path.parts[1:])
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file, http.stream("GET", f"{base}/{path}") as answer:
                answer.raise_for_status()
                for chunk in answer.iter_bytes():
                    file.write(chunk)


def _report(stack: Stack, job: dict[str, Any], evaluation: dict[str, Any], console: Console) -> None:
    table = Table(title="Held-out messages", show_lines=True, expand=True)
    for heading in ("message", "expected", "base model", "tuned model"):
        table.add_column(heading, overflow="fold", ratio=1)
    for sample in evaluation["samples"]:
        table.add_row(*(sample[key] for key in ("input", "expected", "base", "tuned")))
    console.print(table, markup=False)
    report = job["report"]
    summary = {
        "exact_match_before": evaluation["exact_match_before"],
        "exact_match_after": evaluation["exact_match_after"],
        "train_seconds": report["train_seconds"],
        "peak_memory_bytes": report["peak_memory_bytes"],
        "steps": report["steps"],
        "job_id": job["id"],
        "fine_tuned_model": job["fine_tuned_model"],
        "finished_at": time.time(),
    }
    path = stack.data_dir / "demo.json"
    path.write_text(json.dumps(summary, indent=2) + "\n")
    before, after = summary["exact_match_before"], summary["exact_match_after"]
    console.print(
        f"  exact match  {before:.0%} -> [bold]{after:.0%}[/bold]"
        f"\n  training     {summary['steps']} steps in {summary['train_seconds']:.0f} s"
        f"\n  peak memory  {summary['peak_memory_bytes'] / 2**20:,.0f} MiB"
        f"\n  model        {summary['fine_tuned_model']}\n  summary      {path}\n"
    )
