"""What a fine-tuning job *is*: the spec that the API validates and the engine runs (no torch here)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_SEED = 2**31 - 1

Fraction = Annotated[float, Field(gt=0.0, le=1.0)]


class Strict(BaseModel):
    """A frozen model that refuses unknown keys: a misspelt key is an error, never a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LoraSpec(Strict):
    """Low-rank adapters on every decoder layer (Hu et al., 2021, arXiv 2106.09685)."""

    type: Literal["lora"] = "lora"
    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    alpha: Annotated[float | None, Field(gt=0)] = None
    """The response is scaled by alpha / rank; None means 2 * rank."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    target_modules: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Names of the linear modules to adapt in each layer; None means every linear module of a layer."""


class IstSpec(Strict):
    """Importance-aware Sparse Tuning (Yao et al., 2024, arXiv 2410.11772); symbols as in the paper.

    `mode="paper"` scores with exp(-loss) from the first step on, as the reference code does.
    `mode="standard"` first updates all layers for `warmup_steps`, standardises log-loss rewards, and keeps
    every layer's chance of an update above `floor`.
    """

    mode: Literal["standard", "paper"] = "standard"
    update_fraction: Fraction = 0.25
    """N_u / L: the share of layers whose adapters are updated in a step (at least one layer)."""
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
    """standard mode: steps that update every layer before scores are trusted; auto is 10 % of the steps."""
    floor: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """standard mode: the share of the drawing weight that is spread evenly over all layers."""
    optimizer_state: Literal["keep", "drop"] = "keep"
    """What happens to a layer's optimizer state while the layer is not selected."""


class TrainingOptions(Strict):
    """How to train: the part of a job spec that a request may leave out."""

    adapter: LoraSpec = LoraSpec()
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
    """auto: bfloat16 on a GPU that has it, float32 elsewhere."""


class JobSpec(TrainingOptions):
    """One fine-tuning job, complete and resolved: the same spec, data and seed give the same weights.

    In the service `training_file` and `validation_file` are file ids, which the worker replaces by local
    paths before it calls the engine; used alone, they are paths.
    """

    model: Annotated[str, Field(min_length=1, max_length=255)]
    training_file: Annotated[str, Field(min_length=1)]
    validation_file: Annotated[str, Field(min_length=1)] | None = None
    n_epochs: Annotated[int, Field(ge=1, le=50)] = 3
    batch_size: Annotated[int, Field(ge=1, le=256)] = 8
    """Examples per optimizer step."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 42

    @model_validator(mode="after")
    def _micro_batch_divides(self) -> Self:
        if self.micro_batch_size is not None and self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"micro_batch_size {self.micro_batch_size} must divide batch_size {self.batch_size}"
            )
        return self
