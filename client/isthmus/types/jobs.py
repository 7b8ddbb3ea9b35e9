"""Jobs, their log and their checkpoints, as the service tells of them."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from isthmus.types.base import Identified, Lenient
from isthmus.types.specs import JobSpec

ENDED = frozenset({"succeeded", "failed", "cancelled"})
Status = Literal["validating_files", "queued", "running", "succeeded", "failed", "cancelled"]
State = Literal[
    "validating_files",
    "queued",
    "retrying",
    "running",
    "pausing",
    "cancelling",
    "paused",
    "succeeded",
    "failed",
    "cancelled",
]


class JobError(Lenient):
    """Why a job failed."""

    code: str
    message: str
    param: str | None = None


class Hyperparameters(Lenient):
    """The resolved hyperparameters: numbers, never `auto`."""

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float


class DpoHyperparameters(Hyperparameters):
    """The resolved hyperparameters of preference training."""

    beta: float


class SupervisedMethod(Lenient):
    """What supervised training runs with."""

    hyperparameters: Hyperparameters


class DpoMethod(Lenient):
    """What preference training runs with."""

    hyperparameters: DpoHyperparameters


class Method(Lenient):
    """What a job learns; the settings of the other type are None."""

    type: Literal["supervised", "dpo"] | str = "supervised"
    supervised: SupervisedMethod | None = None
    dpo: DpoMethod | None = None


class BeforeAndAfter(Lenient):
    """A figure of the base model and of the tuned one; None: there is none."""

    before: float | None = None
    after: float | None = None


class ScoreMeans(BeforeAndAfter):
    """The means of a score, from 0 to 1, over the rows that it goes with."""

    rows: int = 0


class JobEvaluation(Lenient):
    """What was measured on the validation file."""

    rows: int = 0
    """How many were answered by both models."""
    scores: dict[str, ScoreMeans] = {}
    valid_loss: BeforeAndAfter | None = None
    """`full_valid_loss` before the first step, and of the result."""
    valid_mean_token_accuracy: BeforeAndAfter | None = None
    valid_reward_accuracy: BeforeAndAfter | None = None
    """Of preference training."""
    best_step: int | None = None
    """The step with the lowest `full_valid_loss`."""
    selected: Literal["last", "best"] | str = "last"
    """Which adapter is the result."""
    stopped_early: bool = False
    seconds: float = 0.0
    """Spent on all of it."""


class JobFields(Identified):
    """A fine-tuning job's fields; `isthmus.Job` and `isthmus.AsyncJob` have methods, too."""

    object: str = "fine_tuning.job"
    created_at: int
    model: str
    status: Status | str
    """OpenAI's enum; `state` says precisely what is so."""
    training_file: str
    validation_file: str | None = None
    finished_at: int | None = None
    estimated_finish: int | None = None
    fine_tuned_model: str | None = None
    organization_id: str | None = None
    error: JobError | None = None
    result_files: list[str] = []
    trained_tokens: int | None = None
    hyperparameters: Hyperparameters | None = None
    method: Method | None = None
    seed: int | None = None
    integrations: list[JsonValue] = []
    metadata: dict[str, str] = {}
    suffix: str | None = None
    state: State | str = ""
    """More precise than `status`: a paused job is `queued` there, and `paused` here."""
    priority: Literal["low", "normal", "high"] | str | int = "normal"
    queue_position: int | None = None
    """Of a queued job: 1 is the next to be taken."""
    estimated_start: int | None = None
    step: int = 0
    total_steps: int | None = None
    layers: int | None = None
    started_at: int | None = None
    spec: JobSpec | None = None
    """The job as it runs, complete."""
    evaluation: JobEvaluation | None = None
    """How it was judged, once it has succeeded; `spec.evaluation` is what was asked for."""
    report: dict[str, JsonValue] | None = None
    last_seq: int = 0
    """The number of the job's latest event or step record."""

    @property
    def ended(self) -> bool:
        """Whether the job has succeeded, failed or been cancelled."""
        return self.status in ENDED


class JobEvent(Identified):
    """A line of a job's log."""

    object: str = "fine_tuning.job.event"
    created_at: int
    level: Literal["info", "warn", "error"] | str
    message: str
    type: Literal["message", "metrics"] | str = "message"
    data: dict[str, JsonValue] = {}


class Artifact(Lenient):
    """A file that a job made."""

    path: str
    bytes: int
    sha256: str


class ArtifactList(Lenient):
    """What a job made; empty until it has succeeded."""

    data: list[Artifact]


class SampleMessage(Lenient):
    """A message that the model was shown."""

    role: str
    content: str


class SampleScore(Lenient):
    """What the answers of both models are worth, from 0 to 1; None: the score does not go with the row."""

    base: float | None = None
    tuned: float | None = None


class Sample(Identified):
    """A row of the validation file, answered by the base model and by the tuned one."""

    object: str = "fine_tuning.job.sample"
    row: int
    """Its place in the validation file; the first is 1."""
    input: list[SampleMessage]
    expected: str
    base: str
    """The base model's answer, before training."""
    tuned: str
    """The tuned model's answer."""
    scores: dict[str, SampleScore] = {}
    """By the names of the evaluation's scores."""


class CheckpointMetrics(Lenient):
    """The metrics of the checkpoint's step; what was not measured is None."""

    step: float
    train_loss: float | None = None
    train_mean_token_accuracy: float | None = None
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None
    full_valid_loss: float | None = None
    full_valid_mean_token_accuracy: float | None = None


class Checkpoint(Identified):
    """A checkpoint of a job."""

    object: str = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str
    step_number: int
    metrics: CheckpointMetrics
    resumable: bool = False
    """Whether the job can go on from it."""
    files: list[Artifact] = []
    """The adapter's."""
