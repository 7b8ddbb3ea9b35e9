"""`make demo`: a real fine-tuning job through the whole service, watched live, judged on held-out rows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
from isthmus import Isthmus, IsthmusError, Job, WaitTimedOut
from isthmus.cli.terminal import Terminal
from isthmus.cli.watching import follow
from isthmus.types.params import JobParams
from rich.console import Console
from rich.table import Table
from rich.text import Text

from standalone.errors import StackError
from standalone.stack import Stack

TICKETS = Path(__file__).parents[1] / "examples" / "tickets"
SAMPLES = 3
CANCEL_SECONDS = 8.0


class DemoError(StackError):
    """The demo cannot go on; the message says why."""


def run_demo(stack: Stack) -> None:
    """Upload, post, watch, evaluate; writes `demo.json` into the data folder.

    Raises DemoError when the job does not succeed. Ctrl-C cancels the job before the stack stops.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    link = Text(stack.login_url, style=f"link {stack.login_url}")
    console.print("\n  dashboard ", link, end="\n\n", soft_wrap=True)
    with (
        # A process that keeps ending is told at once; the client would go on trying.
        httpx2.Client(event_hooks={"request": [lambda _: stack.watcher.check()]}) as http,
        Isthmus(base_url=stack.url, api_key=stack.api_key, http_client=http) as client,
    ):
        try:
            job = _fine_tune(client, http, console)
            evaluation = _evaluate(stack, job, console)
        except IsthmusError as error:
            raise DemoError(str(error)) from error
    _report(stack, job, evaluation, console)


def _fine_tune(client: Isthmus, http: httpx2.Client, console: Console) -> Job:
    """Upload the tickets, post the job and follow it to its end, as `isthmus jobs create --watch` does."""
    spec: JobParams = json.loads((TICKETS / "job.json").read_text())
    file = client.files.create(file=TICKETS / "train.jsonl")
    console.print(f"  uploaded   {file.filename} ({file.bytes:,} bytes) as {file.id}", soft_wrap=True)
    spec["training_file"] = file.id
    job = client.jobs.create(**spec)
    console.print(f"  posted     {job.id}: {job.model}, LoRA + IST\n", soft_wrap=True)
    try:
        follow(Terminal(out=console), http, job)
    except KeyboardInterrupt:
        console.print("\n  cancelling the job ...")
        _cancel(job)
        raise
    if job.status != "succeeded":
        why = f": {job.error.message} ({job.error.code})" if job.error else ""
        raise DemoError(f"job {job.id} {job.status}{why}")
    return job


def _cancel(job: Job) -> None:
    """Cancel and wait for the worker to let go of the job."""
    job.cancel()
    with suppress(WaitTimedOut):  # the stack stops its worker next, whatever it does
        job.wait(timeout=CANCEL_SECONDS)


def _evaluate(stack: Stack, job: Job, console: Console) -> dict[str, Any]:
    """Download the adapter as a user would, and score base and tuned model in a child process."""
    folder = stack.data_dir / "demo" / "model"
    shutil.rmtree(folder, ignore_errors=True)
    job.download(folder)
    output = folder.parent / "evaluation.json"
    console.print("\n  answering the held-out rows with the base and the tuned model ...")
    command = [sys.executable, "-m", "ist_core.evaluate", "--model", job.model]
    command += ["--adapter", str(folder / "adapter"), "--data", str(TICKETS / "heldout.jsonl")]
    command += ["--samples", str(SAMPLES), "--output", str(output)]
    command += ["--cache-dir", str(stack.data_dir / "cache")]
    # In a session of its own: Ctrl-C reaches us alone, and `run` then kills it.
    if subprocess.run(command, check=False, start_new_session=True).returncode:
        raise DemoError("the evaluation failed; its message is above")
    evaluation: dict[str, Any] = json.loads(output.read_text())
    return evaluation


def _report(stack: Stack, job: Job, evaluation: dict[str, Any], console: Console) -> None:
    table = Table(title="Held-out messages", show_lines=True, expand=True)
    for heading in ("message", "expected", "base model", "tuned model"):
        table.add_column(heading, overflow="fold", ratio=1)
    for sample in evaluation["samples"]:
        table.add_row(*(sample[key] for key in ("input", "expected", "base", "tuned")))
    console.print(table)
    report: dict[str, Any] = job.report or {}
    summary = {
        "exact_match_before": evaluation["exact_match_before"],
        "exact_match_after": evaluation["exact_match_after"],
        "train_seconds": report["train_seconds"],
        "peak_memory_bytes": report["peak_memory_bytes"],
        "steps": report["steps"],
        "job_id": job.id,
        "fine_tuned_model": job.fine_tuned_model,
        "finished_at": time.time(),
    }
    path = stack.data_dir / "demo.json"
    path.write_text(json.dumps(summary, indent=2) + "\n")
    before, after = summary["exact_match_before"], summary["exact_match_after"]
    console.print(f"  exact match  {before:.0%} ->", Text(f"{after:.0%}", style="bold"))
    console.print(
        f"  training     {summary['steps']} steps in {summary['train_seconds']:.0f} s"
        f"\n  peak memory  {summary['peak_memory_bytes'] / 2**20:,.0f} MiB"
        f"\n  model        {summary['fine_tuned_model']}\n  summary      {path}\n",
        soft_wrap=True,
    )
