"""`isthmus jobs`: list, show, and change what a job does. `create`, `watch` and the rest: modules beside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer
from rich.table import Table

from isthmus import Job
from isthmus.cli.arguments import After, JobId, Limit, first, page_size
from isthmus.cli.exits import UsageFault
from isthmus.cli.session import Session, command
from isthmus.cli.view.evaluation import evaluation_fields
from isthmus.cli.view.figures import duration_text, time_text
from isthmus.cli.view.tables import fields, table
from isthmus.types.jobs import JobFields, State

app = typer.Typer(no_args_is_help=True, help="Fine-tuning jobs: create, watch, list, cancel, pause, resume.")

Metadata = Annotated[
    list[str] | None, typer.Option("--metadata", metavar="KEY=VALUE", help="May be given several times.")
]


@command(app, "list")
def list_jobs(
    session: Session,
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE", help="In this state (running, paused, ..); may be given several times."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="On this base model.")] = None,
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="With this in id, suffix, model or fine-tuned model.")
    ] = None,
    metadata: Metadata = None,
    oldest_first: Annotated[bool, typer.Option("--oldest-first", help="Not the newest first.")] = False,
    limit: Limit = 20,
    after: After = None,
) -> None:
    """List jobs, newest first."""
    found = session.client.jobs.list(
        after=after,
        limit=page_size(limit),
        order="asc" if oldest_first else None,
        state=cast("list[State] | None", state),
        model=model,
        search=search,
        metadata=pairs(metadata),
    )
    jobs = list(first(found, limit))
    session.terminal.show(jobs, job_table(jobs))


@command(app, "show")
def show(session: Session, job_id: JobId) -> None:
    """Show one job."""
    job = session.client.jobs.retrieve(job_id)
    session.terminal.show(job, job_fields(job))


@command(app, "cancel")
def cancel(session: Session, job_id: JobId) -> None:
    """Cancel a job: at once while queued, else its worker stops it."""
    _changed(session, session.client.jobs.cancel(job_id))


@command(app, "pause")
def pause(session: Session, job_id: JobId) -> None:
    """Pause a job: at once while queued, else after a checkpoint."""
    _changed(session, session.client.jobs.pause(job_id))


@command(app, "resume")
def resume(session: Session, job_id: JobId) -> None:
    """Let a paused job go on when its turn comes."""
    _changed(session, session.client.jobs.resume(job_id))


@command(app, "reproduction")
def reproduction(
    session: Session,
    job_id: JobId,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="Where to; else JOB.zip, here.")
    ] = None,
) -> None:
    """Download a zip of all that a job's weights depend on."""
    saved = session.client.jobs.retrieve(job_id).reproduction(output or Path(f"{job_id}.zip"))
    session.terminal.show({"id": job_id, "path": str(saved)}, str(saved))


def pairs(given: list[str] | None) -> dict[str, str]:
    """`KEY=VALUE`s as a mapping. Raises UsageFault."""
    found = {}
    for text in given or []:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UsageFault(f"--metadata: {text!r} is no KEY=VALUE")
        found[key] = value
    return found


def job_table(jobs: list[Job]) -> Table:
    """Jobs for people, one a line."""
    headings = ("ID", "STATE", "MODEL", "STEP", "CREATED", "RESULT")
    rows = (
        (job.id, job.state, job.model, _steps(job), time_text(job.created_at), _result(job)) for job in jobs
    )
    return table(headings, rows, right=("STEP",))


def job_fields(job: JobFields) -> Table:
    """One job for people."""
    hyperparameters, spec = job.hyperparameters, job.spec
    took = (job.finished_at - job.started_at) if job.finished_at and job.started_at else None
    return fields(
        {
            "id": job.id,
            "state": job.state,
            "error": f"{job.error.message} ({job.error.code})" if job.error else None,
            "model": job.model,
            "fine-tuned": job.fine_tuned_model,
            "step": _steps(job),
            "queue": job.queue_position,
            "starts about": time_text(job.estimated_start),
            "created": time_text(job.created_at),
            "started": time_text(job.started_at),
            "finished": time_text(job.finished_at),
            "took": duration_text(took) if took is not None else None,
            "ends about": time_text(job.estimated_finish) if not job.ended else None,
            "training file": job.training_file,
            "validation file": job.validation_file,
            "method": job.method.type if job.method else None,
            "epochs": hyperparameters.n_epochs if hyperparameters else None,
            "batch size": hyperparameters.batch_size if hyperparameters else None,
            "learning rate": f"{spec.learning_rate:g}" if spec else None,
            "seed": job.seed,
            "trained tokens": f"{job.trained_tokens:,}" if job.trained_tokens is not None else None,
            **evaluation_fields(job.evaluation),
            "priority": job.priority,
            "metadata": "  ".join(f"{key}={value}" for key, value in job.metadata.items()),
        }
    )


def _changed(session: Session, job: Job) -> None:
    session.terminal.show(job, f"{job.id} {job.state}")


def _steps(job: JobFields) -> str:
    return f"{job.step}/{job.total_steps}" if job.total_steps is not None else ""


def _result(job: JobFields) -> str:
    if job.error is not None:
        return job.error.code
    return job.fine_tuned_model or ""
