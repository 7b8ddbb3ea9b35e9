"""What the engine tells while it trains: the values passed to `emit`, in order, from one thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


@dataclass(frozen=True, slots=True)
class Started:
    """Training is about to begin: everything a progress bar needs."""

    total_steps: int
    layers: int
    examples: int
    trainable_parameters: int
    total_parameters: int
    device: str


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One optimizer step, as it is stored and shown.

    metrics holds at least: loss (mean over supervised tokens), learning_rate, grad_norm, epoch, tokens
    (supervised and prompt tokens of the step), trained_tokens (so far), tokens_per_second, step_seconds,
    memory_bytes (peak so far, resident set or CUDA), and of IST: ist_seconds, probe_seconds (a part of
    them), ist_bytes, entropy (1: every layer is as likely) and backward_depth (layers); `IstRecord` says what
    each is. Where a probe came first there is also probe_loss, the mean over its candidates. Supervised steps
    have train_mean_token_accuracy, the share of their supervised tokens that were predicted. Where the
    validation file was measured after the step: valid_loss and valid_mean_token_accuracy of a sample of its
    rows, full_valid_loss and full_valid_mean_token_accuracy of more; of pairs, .._reward_accuracy.
    importance: one score a layer, higher is more important, length L. active: indices of the layers
    whose adapters were updated in this step, ascending. probabilities: each layer's chance to be selected.
    """

    step: int
    time: float
    metrics: dict[str, float]
    importance: tuple[float, ...]
    active: tuple[int, ...]
    probabilities: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A line for the job's event log."""

    text: str
    level: Literal["info", "warn", "error"] = "info"
    data: dict[str, JsonValue] = field(default_factory=dict)


CHECKPOINT_MANIFEST = "checkpoint.json"
"""In a checkpoint's folder; its `files` holds the SHA-256 of each other file."""


@dataclass(frozen=True, slots=True)
class Checkpointed:
    """A checkpoint is on disk, whole: `train(.., resume_from=..)` can continue after its step.

    Its files are never changed again, only removed.
    """

    step: int
    path: str
    """The checkpoint's folder, relative to the run's output folder; only the newest two are kept, and the
    best one if it is to be the result."""
    metrics: dict[str, float]
    """The step's, as in its `StepRecord`."""


Emitted = Started | StepRecord | Message | Checkpointed


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a finished (or stopped) run left behind; paths are relative to its output folder."""

    stopped: bool
    """True when `should_stop` ended the run early: nothing was saved but the checkpoint."""
    steps: int
    trained_tokens: int
    final_loss: float
    train_seconds: float
    peak_memory_bytes: int
    adapter_dir: str = "adapter"
    report: str = "report.json"
    steps_csv: str = "steps.csv"
    checkpoint: str | None = None
    """The newest checkpoint that this run wrote. A stopped run's is of its last step, so nothing is lost;
    None if it has made no step since it began or was resumed."""
    samples: str | None = None
    """What both models answered to held-out rows, a JSON object a line; None: nothing was asked."""
