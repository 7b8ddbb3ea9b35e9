"""What `jobs.create` takes. A key that is left out is chosen by the service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required, TypedDict

from isthmus.types.jobs import State
from isthmus.types.specs import IstPolicy, ScoreName

Auto = Literal["auto"]
ExportFormat = Literal["csv", "jsonl", "arrow", "parquet"]


class HyperparameterParams(TypedDict, total=False):
    """`auto`, or left out: chosen from the data."""

    n_epochs: int | Auto
    batch_size: int | Auto
    learning_rate_multiplier: float | Auto
    """Times 0.001."""


class DpoHyperparameterParams(HyperparameterParams, total=False):
    """Of preference training."""

    beta: float | Auto


class SupervisedParams(TypedDict, total=False):
    """Settings of supervised training."""

    hyperparameters: HyperparameterParams | None


class DpoParams(TypedDict, total=False):
    """Settings of preference training."""

    hyperparameters: DpoHyperparameterParams | None


class MethodParams(TypedDict, total=False):
    """How to train: `supervised` on chat rows, `dpo` on preference rows."""

    type: Required[Literal["supervised", "dpo", "reinforcement"]]
    supervised: SupervisedParams | None
    dpo: DpoParams | None
    reinforcement: Mapping[str, Any] | None


class LoraParams(TypedDict, total=False):
    """Low-rank adapters on every layer."""

    type: Literal["lora"]
    rank: int
    alpha: float | None
    dropout: float
    dora: bool
    rslora: bool
    target_modules: Sequence[str] | None


class BottleneckParams(TypedDict, total=False):
    """Series or parallel bottlenecks on every layer."""

    type: Required[Literal["bottleneck"]]
    variant: Literal["series", "parallel"]
    size: int
    non_linearity: Literal["relu", "gelu", "silu", "tanh"]
    scaling: float
    dropout: float
    target_modules: Sequence[str] | None


class IstParams(TypedDict, total=False):
    """Importance-aware Sparse Tuning; None in its place trains every layer in every step."""

    mode: Literal["standard", "paper"]
    policy: IstPolicy
    reading: Literal["multinomial", "uniform"]
    runs: Literal[1, 2]
    hold: int | Auto
    update_fraction: float
    scorer: Literal["gradient", "suppression", "gate", "combined"]
    suppress_fraction: float
    suppression: float
    probe_interval: int
    candidates: int
    probe_batch_size: int
    score_rate: float
    warmup_steps: int | Auto
    floor: float
    optimizer_state: Literal["keep", "reset", "offload"]


class EvaluationParams(TypedDict, total=False):
    """What is measured on the validation file, while the job trains and when it has."""

    interval: int | None
    """Steps from one `valid_loss` to the next."""
    loss_rows: int
    """Rows that it looks at."""
    full_rows: int | None
    """Rows that `full_valid_loss` looks at, at each checkpoint; None: all."""
    rows: int
    """Rows that the base model and the tuned one answer at the end; 0: none."""
    scores: Sequence[ScoreName]
    """What the answers are scored by."""
    pattern: str | None
    """Of the score regex."""
    choices: Sequence[str] | None
    """Of the score choice; None: the expected answers of the validation file."""
    max_new_tokens: int | None
    """Of an answer at most."""


class EarlyStoppingParams(TypedDict, total=False):
    """When training ends because the validation loss has stopped falling."""

    patience: int
    """Measurements in a row that bring no better loss."""
    min_delta: float
    """By how much a loss must be lower to be better."""


class JobWebhookParams(TypedDict):
    """An address to tell when the job has ended; you bring the secret, `whsec_` and 24 bytes in base64."""

    url: str
    secret: str


class TrainingParams(TypedDict, total=False):
    """How to train."""

    adapter: LoraParams | BottleneckParams
    ist: IstParams | None
    max_steps: int | None
    micro_batch_size: int | None
    learning_rate: float | None
    schedule: Literal["linear", "cosine", "constant"]
    warmup_ratio: float
    weight_decay: float
    max_grad_norm: float
    max_length: int
    precision: Literal["auto", "float32", "bfloat16"]
    recompute: Literal["none", "auto", "unselected", "all"]
    checkpoint_interval: int | None
    on_out_of_memory: Literal["fail", "retry"]
    time_limit_minutes: float | None
    evaluation: EvaluationParams | None
    early_stopping: EarlyStoppingParams | None
    select_checkpoint: Literal["last", "best"]
    """Which adapter is the result: best is that of the lowest `full_valid_loss`."""


class JobListParams(TypedDict, total=False):
    """Which jobs, in which order."""

    after: str | None
    limit: int | None
    """The size of a page."""
    order: Literal["asc", "desc"] | None
    """By time of creation; `desc`, newest first, if left out."""
    state: Sequence[State] | None
    """In one of these."""
    model: str | None
    """Of this base model."""
    search: str | None
    """With this text in id, suffix, model or fine-tuned model."""
    metadata: Mapping[str, str] | None
    """With all these pairs."""


class SeriesParams(TypedDict, total=False):
    """Which steps of a series; left out: all."""

    points: int | None
    """So many points or fewer, each for the same number of steps; no smallest or largest value is lost."""
    limit: int | None
    """At most so many steps; not together with `points`."""
    after_step: int | None
    before_step: int | None
    after_time: float | None
    """Unix seconds."""
    before_time: float | None


class SampleParams(TypedDict, total=False):
    """Which samples; left out: all."""

    only: Literal["wrong", "improved", "worsened"] | None
    """wrong: the tuned model's answer has less than the full score; improved, worsened: more, less than the
    base model's."""
    score: str | None
    """The score that `only` looks at; left out: the mean of all."""
    after: str | None
    limit: int | None
    """The size of a page."""


class JobParams(TrainingParams, total=False):
    """A new job: `model` and `training_file`, and whatever is to be as you say."""

    model: Required[str]
    training_file: Required[str]
    validation_file: str | None
    method: MethodParams | None
    hyperparameters: HyperparameterParams | None
    suffix: str | None
    seed: int | None
    metadata: Mapping[str, str] | None
    integrations: Sequence[Mapping[str, Any]] | None
    priority: Literal["low", "normal", "high"] | int
    webhook: JobWebhookParams | None
