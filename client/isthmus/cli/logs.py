"""`isthmus jobs watch`, `logs`, `metrics`, `importance`: what a job tells, now and while it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from isthmus import LogLine
from isthmus.cli.arguments import JobId, Limit, first
from isthmus.cli.connection import Connection
from isthmus.cli.exits import FAILED, INTERRUPTED, OK
from isthmus.cli.session import Session, command
from isthmus.cli.view.figures import clock_text
from isthmus.cli.watching import LEVELS, watch
from isthmus.types.jobs import JobEvent

app = typer.Typer()


@command(app, "watch")
def watch_job(session: Session, job_id: JobId) -> None:
    """Follow a job to its end.

    Shows progress, loss, and the importance of the layers. Ctrl-C detaches, and the job goes on. When the
    service restarts, it comes back by itself and misses nothing. The exit code is the job's: 0 when it
    succeeded, 1 when it failed or was cancelled; 130 after Ctrl-C. With --json each line is one update.
    """
    raise typer.Exit(watch(session, session.client.jobs.retrieve(job_id)))


@command(app, "logs")
def logs(
    session: Session,
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    limit: Limit = 0,
) -> None:
    """Show a job's log, oldest first.

    With -n the last lines alone, with -f those to come, too. With -f, --json writes each line as it comes,
    and the exit code is the job's.
    """
    job = session.client.jobs.retrieve(job_id)
    events = list(first(job.events(limit=100), limit))[::-1]
    if not follow:
        if session.terminal.json:
            session.terminal.document(events)
        else:
            for event in events:
                _say(session, event)
        return
    for event in events:
        _say(session, event)
    Connection(lambda: None, lambda seconds: _reconnected(session, seconds)).listen(session.http)
    shown = {event.id for event in events}
    try:
        for update in job.stream(after=job.last_seq):
            if isinstance(update, LogLine) and update.data.id not in shown:
                _say(session, update.data)
    except KeyboardInterrupt:
        session.terminal.notice(f"detached; the job goes on: isthmus jobs logs -f {job.id}")
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(OK if job.status == "succeeded" else FAILED)


def _say(session: Session, event: JobEvent) -> None:
    terminal = session.terminal
    if terminal.json:
        terminal.line(event)
        return
    text = f"{clock_text(event.created_at)}  {event.level:<5}  {event.message}"
    terminal.out.print(text, style=LEVELS.get(event.level), soft_wrap=True)
    terminal.out.file.flush()


def _reconnected(session: Session, seconds: float) -> None:
    session.terminal.notice(f"connection lost, reconnected after {seconds:.1f} s; nothing was missed")
