"""`isthmus jobs create`: a job from flags, a spec file, or both; or, with --dry-run, its plan alone."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from isthmus.cli.exits import UsageFault
from isthmus.cli.jobs import Metadata, job_fields, pairs
from isthmus.cli.sending import send_file
from isthmus.cli.session import Session, command
from isthmus.cli.spec import STDIN, merge, place_hyperparameters, read_spec, settings
from isthmus.cli.view.plan import plan_view
from isthmus.cli.watching import watch
from isthmus.types.params import JobParams
from isthmus.types.plan import PlanParams

app = typer.Typer()

FILE_ID = "file-"
FILES = ("training_file", "validation_file")


class MethodName(StrEnum):
    """How to train."""

    supervised = "supervised"
    dpo = "dpo"


class AdapterName(StrEnum):
    """What is trained."""

    lora = "lora"
    bottleneck = "bottleneck"


class ScoreChoice(StrEnum):
    """What answers are scored by."""

    exact_match = "exact_match"
    valid_json = "valid_json"
    json_fields = "json_fields"
    choice = "choice"
    regex = "regex"
    rouge_l = "rouge_l"


class PriorityName(StrEnum):
    """Which of the queued jobs is taken first."""

    low = "low"
    normal = "normal"
    high = "high"


class CheckpointChoice(StrEnum):
    """Which adapter is the result."""

    last = "last"
    best = "best"


def auto(text: str) -> int | float | str:
    """A number, or `auto`."""
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        return float(text)


DataFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="A file's id, or the path of one to check and upload.")
]


@command(app, "create")
def create(
    session: Session,
    spec: Annotated[
        str | None,
        typer.Argument(metavar="SPEC", help="A YAML or JSON file of the job, `-`: stdin; flags override it."),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The base model.")] = None,
    training_file: DataFile = None,
    validation_file: DataFile = None,
    method: Annotated[MethodName | None, typer.Option(help="How to train.")] = None,
    epochs: Annotated[
        Any, typer.Option(parser=auto, metavar="N|auto", help="How often the model sees each row.")
    ] = None,
    batch_size: Annotated[Any, typer.Option(parser=auto, metavar="N|auto", help="Rows of a step.")] = None,
    beta: Annotated[Any, typer.Option(parser=auto, metavar="N|auto", help="Of preference training.")] = None,
    learning_rate: Annotated[float | None, typer.Option(metavar="RATE", help="At its highest.")] = None,
    max_steps: Annotated[int | None, typer.Option(metavar="N", help="Stop after so many steps.")] = None,
    max_length: Annotated[
        int | None, typer.Option(metavar="N", help="Tokens of a row; more are cut.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="The same seed, the same weights.")] = None,
    adapter: Annotated[AdapterName | None, typer.Option(help="What is trained.")] = None,
    rank: Annotated[int | None, typer.Option(metavar="N", help="The rank of LoRA.")] = None,
    update_fraction: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Of the layers, that a step updates.")
    ] = None,
    every_layer: Annotated[
        bool, typer.Option("--every-layer", help="A step updates every layer: no sparse tuning.")
    ] = False,
    eval_interval: Annotated[
        int | None, typer.Option(metavar="N", help="Steps from one validation loss to the next.")
    ] = None,
    eval_rows: Annotated[
        int | None,
        typer.Option(metavar="N", help="Rows of the validation file that both models answer at the end."),
    ] = None,
    scores: Annotated[
        list[ScoreChoice] | None,
        typer.Option("--score", help="What the answers are scored by; may be given several times."),
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Of the score regex: what must be the same.")
    ] = None,
    choices: Annotated[
        list[str] | None,
        typer.Option(
            "--choice", metavar="TEXT", help="Of the score choice: an answer; may be given several times."
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(metavar="N", help="Stop early: after so many validation losses that were no better."),
    ] = None,
    select_checkpoint: Annotated[
        CheckpointChoice | None,
        typer.Option(help="Which is the result: best is of the lowest validation loss."),
    ] = None,
    suffix: Annotated[
        str | None, typer.Option(metavar="TEXT", help="A part of the new model's name.")
    ] = None,
    priority: Annotated[PriorityName | None, typer.Option(help="Before or after others.")] = None,
    metadata: Metadata = None,
    assign: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any key of the spec, such as ist.policy=random."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what the job would need, and create nothing.")
    ] = False,
    watching: Annotated[bool, typer.Option("--watch", "-w", help="Follow the job to its end.")] = False,
) -> None:
    """Create a job, or plan one.

    With --watch the exit code is the job's; with --json and --watch each line is one update.
    """
    flags = {
        "model": model,
        "training_file": training_file,
        "validation_file": validation_file,
        "method": {"type": method} if method else None,
        "learning_rate": learning_rate,
        "max_steps": max_steps,
        "max_length": max_length,
        "seed": seed,
        "adapter": _told(type=adapter, rank=rank),
        "ist": _told(update_fraction=update_fraction),
        "evaluation": _told(
            interval=eval_interval, rows=eval_rows, scores=scores, pattern=pattern, choices=choices
        ),
        "early_stopping": _told(patience=patience),
        "select_checkpoint": select_checkpoint,
        "suffix": suffix,
        "priority": priority,
        "metadata": pairs(metadata) or None,
    }
    body = merge(read_spec(spec) if spec else {}, _told(**flags) or {})
    body = place_hyperparameters(body, _told(n_epochs=epochs, batch_size=batch_size, beta=beta) or {})
    body = merge(body, settings(assign or []))
    if every_layer:
        body["ist"] = None
    folder = Path(spec).parent if spec and spec != STDIN and not training_file else Path()
    _submit(session, body, folder, dry_run=dry_run, watching=watching)


def _submit(session: Session, body: dict[str, Any], folder: Path, *, dry_run: bool, watching: bool) -> None:
    for key in ("model", "training_file"):
        if not body.get(key):
            raise UsageFault(f"{key} is missing: give --{key.replace('_', '-')}, or have it in the spec")
    if dry_run:
        for key in FILES:
            if _is_path(body.get(key)):
                raise UsageFault(
                    f"{key}: a plan is for a file that is there: isthmus files upload {body[key]}"
                )
        plan = session.client.jobs.plan(**cast("PlanParams", body))
        session.terminal.show(plan, plan_view(plan))
        return
    _send_files(session, body, folder)
    job = session.client.jobs.create(**cast("JobParams", body))
    if not watching:
        session.terminal.show(job, job_fields(job))
        return
    if not session.terminal.json:
        session.terminal.out.print(f"{job.id} created", soft_wrap=True)
    raise typer.Exit(watch(session, job))


def _send_files(session: Session, body: dict[str, Any], folder: Path) -> None:
    """Upload what the spec names by path; ids take the paths' places."""
    for key in FILES:
        if _is_path(body.get(key)):
            file = send_file(session, folder / body[key])
            session.terminal.notice(f"uploaded {file.filename} as {file.id}")
            body[key] = file.id


def _is_path(value: object) -> bool:
    return isinstance(value, str) and not value.startswith(FILE_ID)


def _told(**values: Any) -> dict[str, Any] | None:
    """What was given; None for nothing."""
    return {key: value for key, value in values.items() if value is not None} or None
