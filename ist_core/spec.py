"""What a fine-tuning job *is*: the spec that the API validates and the engine runs (no torch here)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ist_core.evaluation_spec import EarlyStoppingSpec, EvaluationSpec
from ist_core.strict import Strict, conflict

MAX_SEED = 2**31 - 1

Fraction = Annotated[float, Field(gt=0.0, le=1.0)]
TargetModules = Annotated[tuple[str, ...], Field(min_length=1, strict=False)] | None
"""Names of the linear modules to adapt in each layer; None means every linear module of a layer."""


class LoraSpec(Strict):
    """Low-rank adapters on every decoder layer (Hu et al., 2021, arXiv 2106.09685)."""

    type: Literal["lora"] = "lora"
    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    alpha: Annotated[float | None, Field(gt=0)] = None
    """The response is scaled by alpha / rank; None means 2 * rank."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    dora: bool = False
    """Learns magnitude and direction apart (Liu et al., 2024, arXiv 2402.09353)."""
    rslora: bool = False
    """Scales by alpha / sqrt(rank) (Kalajdzievski, 2023, arXiv 2312.03732)."""
    target_modules: TargetModules = None


class BottleneckSpec(Strict):
    """Series (Houlsby et al., 2019) or parallel (He et al., 2022) bottlenecks on every decoder layer."""

    type: Literal["bottleneck"]
    variant: Literal["series", "parallel"] = "parallel"
    size: Annotated[int, Field(ge=1, le=4096)] = 64
    """Features between the projections down and up."""
    non_linearity: Literal["relu", "gelu", "silu", "tanh"] = "relu"
    scaling: Annotated[float, Field(gt=0)] = 1.0
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    target_modules: TargetModules = None


def _lora_by_default(value: Any) -> Any:
    return {"type": "lora", **value} if isinstance(value, dict) else value


AdapterSpec = Annotated[
    Annotated[LoraSpec | BottleneckSpec, Field(discriminator="type")], BeforeValidator(_lora_by_default)
]
"""Without `type` it is LoRA."""


class SupervisedSpec(Strict):
    """Learns the assistant's turns of conversations."""

    type: Literal["supervised"] = "supervised"


class DpoSpec(Strict):
    """Learns to prefer one answer to another (Rafailov et al., 2023, arXiv 2305.18290)."""

    type: Literal["dpo"]
    beta: Annotated[float, Field(gt=0, le=2)] = 0.1
    """How strongly the model is held near its base; larger holds it nearer."""


MethodSpec = Annotated[SupervisedSpec | DpoSpec, Field(discriminator="type")]


Policy = Literal["settling", "importance", "random", "static", "lisa", "contiguous", "depth"]


class IstSpec(Strict):
    """Importance-aware Sparse Tuning (Yao et al., 2024, arXiv 2410.11772); symbols as in the paper.

    `mode="paper"` draws and scores as the paper does, from the first step on: a quarter of the layers, by
    suppression probes, rewards from exp(-loss), no floor, no warm-up. `mode="standard"` first updates all
    layers for `warmup_steps`, standardises log-loss rewards, and keeps every layer's chance of an update
    above `floor`, unless layers settle.
    """

    mode: Literal["standard", "paper"] = "standard"
    policy: Policy = "settling"
    """Which layers a step updates: all in a warm-up, then for good the smallest run of layers nearest the
    output that holds `update_fraction` of the importance (settling); drawn by importance; drawn evenly
    (random: the paper's RST); always those nearest the output (static); drawn evenly and held for 20 steps
    (lisa); whole runs of neighbours drawn by importance (contiguous); drawn by importance per layer of
    backward pass (depth)."""
    reading: Literal["multinomial", "uniform"] = "multinomial"
    """How importance draws: successive draws in proportion to sigmoid(s), as the reference code does, or the
    largest of U(0, sigmoid(s)), as the paper's text says."""
    runs: Literal[1, 2] = 1
    """contiguous: how many runs the layers of a step form."""
    hold: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Steps that one selection is kept for; auto is 20 for lisa and 1 otherwise."""
    update_fraction: Fraction = 0.5
    """N_u / L: the share of layers whose adapters are updated in a step (at least one layer); for settling,
    the share of the importance."""
    scorer: Literal["gradient", "suppression", "gate", "combined"] = "gradient"
    """What moves the scores: the size of each layer's gradient in training itself, which costs nothing; the
    loss with sets of layers suppressed (the paper), the gradient of the loss with respect to a gate on each
    layer's response, or the mean of these two, which are probed on held-out rows."""
    suppress_fraction: Fraction = 0.5
    """The share of layers suppressed in one probe candidate (at least one layer, never all)."""
    suppression: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.25
    """beta: what is left of a suppressed layer's adapter response."""
    probe_interval: Annotated[int, Field(ge=1)] = 10
    """T: importance is probed every T optimizer steps."""
    candidates: Annotated[int, Field(ge=2, le=64)] = 3
    """K: how many candidate sets share one probe batch."""
    probe_batch_size: Annotated[int, Field(ge=1, le=256)] = 16
    score_rate: Annotated[float, Field(gt=0)] = 10.0
    """mu: the step size of the score update."""
    warmup_steps: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """standard mode: steps that update every layer before scores are trusted; auto is a quarter of the steps
    for settling, 10 % for the others that look at scores, and none for the rest."""
    floor: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """standard mode: the share of the drawing weight that is spread evenly over all layers."""
    optimizer_state: Literal["keep", "reset", "offload"] = "keep"
    """What happens to a layer's optimizer state while the layer is not selected: kept, forgotten, or moved
    to the main memory."""

    @property
    def uses_scores(self) -> bool:
        """Whether the policy looks at importance: only then is it measured."""
        return self.policy in ("settling", "importance", "contiguous", "depth")

    @property
    def probes(self) -> bool:
        """Whether importance is probed on held-out rows."""
        return self.uses_scores and self.scorer != "gradient"

    @model_validator(mode="before")
    @classmethod
    def _paper_has_its_own(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("mode") == "paper":
            return {"policy": "importance", "scorer": "suppression", "update_fraction": 0.25, **value}
        return value

    @model_validator(mode="after")
    def _settles_once(self) -> Self:
        if self.policy == "settling" and self.hold != "auto":
            raise conflict("ist.hold", "policy 'settling' selects once; leave hold out")
        return self

    @model_validator(mode="after")
    def _paper_is_the_paper(self) -> Self:
        if self.mode == "paper" and (self.policy, self.scorer) != ("importance", "suppression"):
            raise conflict(
                "ist.mode",
                f"mode 'paper' has the policy 'importance' and the scorer 'suppression', not {self.policy!r} "
                f"and {self.scorer!r}; use mode 'standard'",
            )
        return self


class TrainingOptions(Strict):
    """How to train: the part of a job spec that a request may leave out."""

    adapter: AdapterSpec = LoraSpec()
    ist: IstSpec | None = IstSpec()
    """None trains every layer in every step (plain LoRA)."""
    max_steps: Annotated[int, Field(ge=1)] | None = None
    """Ends the job after this many optimizer steps even within an epoch."""
    micro_batch_size: Annotated[int, Field(ge=1, le=256)] | None = None
    """Examples per forward pass; None means the whole batch at once."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_ratio: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.03
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    max_length: Annotated[int, Field(ge=8, le=1_048_576)] = 1024
    """Tokens per example; longer ones are cut at the end."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 on a GPU that has it and on a CPU that multiplies in it, float32 elsewhere."""
    recompute: Literal["none", "auto", "unselected", "all"] = "auto"
    """Layers that keep only their input for the backward pass and compute the rest again there, which takes
    less memory and more time. auto: none where the job fits the device as it is, else as few as make it fit,
    in a warm-up and after it; unselected: a step keeps the activations of no more layers than IST selects.
    The weights are the same."""
    checkpoint_interval: Annotated[int, Field(ge=1)] | None = None
    """Optimizer steps from one checkpoint to the next; None means a tenth of all steps, rounded up. A run
    that is stopped writes one more."""
    on_out_of_memory: Literal["fail", "retry"] = "fail"
    """In the service, retry: go on from the last checkpoint with at most half the micro-batch. The batch
    stays as large, so only the last digits may differ."""
    time_limit_minutes: Annotated[float, Field(gt=0, le=525_600)] | None = None
    """In the service: end the job, after a checkpoint, when its runs together took so long."""
    evaluation: EvaluationSpec | None = None
    """What is measured on the validation file; None is `{}`: its loss at each checkpoint and at the end."""
    early_stopping: EarlyStoppingSpec | None = None
    """None: all steps are made."""
    select_checkpoint: Literal["last", "best"] = "last"
    """Which adapter is the result: that of the last step, or of the checkpoint (or last step) with the lowest
    `full_valid_loss`."""


class JobSpec(TrainingOptions):
    """One fine-tuning job, complete and resolved: the same spec, data and seed give the same weights.

    In the service `training_file` and `validation_file` are file ids, which the worker replaces by local
    paths before it calls the engine; used alone, they are paths.
    """

    model: Annotated[str, Field(min_length=1, max_length=255)]
    method: MethodSpec = SupervisedSpec()
    training_file: Annotated[str, Field(min_length=1)]
    validation_file: Annotated[str, Field(min_length=1)] | None = None
    n_epochs: Annotated[int, Field(ge=1, le=50)] = 3
    batch_size: Annotated[int, Field(ge=1, le=256)] = 8
    """Examples per optimizer step."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 42

    @model_validator(mode="after")
    def _micro_batch_divides(self) -> Self:
        if self.micro_batch_size is not None and self.batch_size % self.micro_batch_size:
            raise conflict(
                "micro_batch_size",
                f"micro_batch_size {self.micro_batch_size} must divide batch_size {self.batch_size}",
            )
        return self

    @model_validator(mode="after")
    def _measures_what_it_looks_at(self) -> Self:
        for name, wanted in (
            ("evaluation", self.evaluation is not None),
            ("early_stopping", self.early_stopping is not None),
            ("select_checkpoint", self.select_checkpoint == "best"),
        ):
            if wanted and self.validation_file is None:
                raise conflict(
                    name, f"{name} needs a validation_file to measure on; give one, or leave it out"
                )
        evaluation = self.evaluation or EvaluationSpec()
        if evaluation.full_rows == 0 and self.select_checkpoint == "best":
            raise conflict(
                "evaluation.full_rows",
                "select_checkpoint 'best' compares full_valid_loss, so evaluation.full_rows must not be 0",
            )
        if evaluation.full_rows == 0 and self.early_stopping and evaluation.interval is None:
            raise conflict(
                "evaluation.full_rows",
                "early_stopping watches a validation loss: give evaluation.interval, or full_rows above 0",
            )
        return self

    def smaller_micro_batch(self) -> int | None:
        """The largest micro-batch that divides the batch and is at most half the present one."""
        half = (self.micro_batch_size or self.batch_size) // 2
        return next((size for size in range(half, 0, -1) if self.batch_size % size == 0), None)
