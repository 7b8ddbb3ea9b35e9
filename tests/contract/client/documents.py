"""What the pages tell people to run, run: their code blocks, and a worker that does what they ask for."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select

from store.export_runs import claim_next_export
from store.object_storage import open_objects
from store.tables import Job, State
from tests.contract.conftest import Service
from tests.contract.samples import EVALUATION, sample
from tests.contract.worker import TOTAL, Run
from tests.exports import finished

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
POLL_SECONDS = 0.05
EXPORTED = {"manifest.json": b"{}", "tickets-Q8_0.gguf": b"GGUF"}


def blocks(page: Path, language: str) -> str:
    """A page's code of one language, in its order."""
    found = [code for name, code in BLOCK.findall(page.read_text()) if name == language]
    assert found, f"{page} has no {language}"
    return "\n".join(found)


def run(command: list[str], program: str, *, service: Service, folder: Path) -> str:
    """Run a program against a service, in a folder; returns what it prints. Fails if it does."""
    script = folder / "script"
    script.write_text(program)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "ISTHMUS_BASE_URL": service.url,
        "ISTHMUS_API_KEY": service.key,
    }
    done = subprocess.run(
        [*command, str(script)], cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def worker(service: Service) -> Iterator[None]:
    """A worker that does every export, and every queued job but those of low priority, until the end."""
    over = threading.Event()
    thread = threading.Thread(target=_work, args=(service, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)


def _work(service: Service, over: threading.Event) -> None:
    while not over.wait(POLL_SECONDS):
        with service.database.session() as session:
            waiting = session.execute(
                select(Job.id, Job.spec).where(Job.state == State.QUEUED, Job.priority >= 0)
            ).all()
        for job_id, spec in waiting:
            run = Run(service, job_id)
            run.steps(1, 10)
            run.checkpoint(10)
            run.steps(11, TOTAL)
            if spec["evaluation"]:
                run.succeed(
                    samples=[sample(row, tuned=float(row != 2)) for row in (1, 2)], evaluation=EVALUATION
                )
            else:
                run.succeed()
        while _export(service):
            pass


def _export(service: Service) -> bool:
    """Do an export; False: none waits."""
    with service.database.session() as session:
        held = claim_next_export(session, worker="test", lease_seconds=60)
    if held is not None:
        objects = open_objects(service.settings)
        assert finished(service.database, objects, held, EXPORTED) is not None
    return held is not None
