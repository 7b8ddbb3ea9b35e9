"""`isthmus workers`: the processes that train."""

from __future__ import annotations

import typer

from isthmus.cli.session import Session, command
from isthmus.cli.view.figures import size_text, time_text
from isthmus.cli.view.tables import table
from isthmus.types.workers import WorkerDevice

app = typer.Typer(no_args_is_help=True, help="Workers: list.")


@command(app, "list")
def list_workers(session: Session) -> None:
    """List the workers: what they train on, and what they do."""
    workers = list(session.client.workers.list())
    rows = (
        (
            worker.id,
            worker.state,
            worker.device.name,
            _memory(worker.device),
            worker.job_id,
            f"{worker.host}:{worker.pid}",
            time_text(worker.last_seen_at),
        )
        for worker in workers
    )
    headings = ("ID", "STATE", "DEVICE", "MEMORY", "JOB", "PROCESS", "SEEN")
    session.terminal.show(workers, table(headings, rows))


def _memory(device: WorkerDevice) -> str:
    if device.memory_bytes is None:
        return ""
    used = "" if device.memory_used_bytes is None else f"{size_text(device.memory_used_bytes)} of "
    return f"{used}{size_text(device.memory_bytes)}"
