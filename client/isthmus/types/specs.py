"""The spec of a job as it runs, complete and resolved."""

from __future__ import annotations

from typing import Literal

from isthmus.types.base import Lenient

IstPolicy = Literal["settling", "importance", "random", "static", "lisa", "contiguous", "depth"]
ScoreName = Literal["exact_match", "valid_json", "json_fields", "choice", "regex", "rouge_l"]


class AdapterSpec(Lenient):
    """An adapter; the fields of the other type are None."""

    type: Literal["lora", "bottleneck"] | str = "lora"
    target_modules: list[str] | None = None
    dropout: float = 0.0
    rank: int | None = None
    alpha: float | None = None
    dora: bool | None = None
    rslora: bool | None = None
    variant: Literal["series", "parallel"] | str | None = None
    size: int | None = None
    non_linearity: Literal["relu", "gelu", "silu", "tanh"] | str | None = None
    scaling: float | None = None


class IstSpec(Lenient):
    """Importance-aware Sparse Tuning: which layers a step updates."""

    mode: Literal["standard", "paper"] | str = "standard"
    policy: IstPolicy | str = "settling"
    reading: Literal["multinomial", "uniform"] | str = "multinomial"
    runs: Literal[1, 2] | int = 1
    hold: int | Literal["auto"] | str = "auto"
    update_fraction: float = 0.5
    scorer: Literal["gradient", "suppression", "gate", "combined"] | str = "gradient"
    suppress_fraction: float = 0.5
    suppression: float = 0.25
    probe_interval: int = 10
    candidates: int = 3
    probe_batch_size: int = 16
    score_rate: float = 10.0
    warmup_steps: int | Literal["auto"] | str = "auto"
    floor: float = 0.1
    optimizer_state: Literal["keep", "reset", "offload"] | str = "keep"


class MethodSpec(Lenient):
    """What a job learns."""

    type: Literal["supervised", "dpo"] | str = "supervised"
    beta: float | None = None


class EvaluationSpec(Lenient):
    """What is measured on the validation file."""

    interval: int | None = None
    """Steps from one `valid_loss` to the next."""
    loss_rows: int = 64
    full_rows: int | None = None
    """Rows that `full_valid_loss` looks at; None: all."""
    rows: int = 0
    """Rows that both models answer at the end."""
    scores: list[ScoreName | str] = []
    pattern: str | None = None
    choices: list[str] | None = None
    max_new_tokens: int | None = None


class EarlyStoppingSpec(Lenient):
    """When training ends because the validation loss has stopped falling."""

    patience: int
    min_delta: float = 0.0


class JobSpec(Lenient):
    """Everything that, with the data, decides the weights."""

    model: str
    training_file: str
    validation_file: str | None = None
    method: MethodSpec = MethodSpec()
    adapter: AdapterSpec = AdapterSpec()
    ist: IstSpec | None = None
    """None: every layer learns in every step."""
    n_epochs: int
    batch_size: int
    seed: int
    learning_rate: float
    max_steps: int | None = None
    micro_batch_size: int | None = None
    schedule: Literal["linear", "cosine", "constant"] | str = "linear"
    warmup_ratio: float = 0.0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    max_length: int = 1024
    precision: Literal["auto", "float32", "bfloat16"] | str = "auto"
    recompute: Literal["none", "auto", "unselected", "all"] | str = "auto"
    checkpoint_interval: int | None = None
    on_out_of_memory: Literal["fail", "retry"] | str = "fail"
    time_limit_minutes: float | None = None
    evaluation: EvaluationSpec | None = None
    early_stopping: EarlyStoppingSpec | None = None
    select_checkpoint: Literal["last", "best"] | str = "last"
