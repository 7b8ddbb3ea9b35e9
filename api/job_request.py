"""The body that creates a job, and how it becomes a spec: OpenAI's keys and ours, `auto` resolved."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Self

from pydantic import Field, JsonValue, StringConstraints, ValidationError, model_validator

from api.errors import bad_request
from api.method_request import HyperparameterRequest, MethodRequest, check_method, method_spec
from api.wire.jobs import DEFAULT_LEARNING_RATE, PriorityName
from api.wire.webhooks import JobWebhook
from ist_core.spec import MAX_SEED, JobSpec, TrainingOptions

DEFAULT_BATCH_SIZE: int = JobSpec.model_fields["batch_size"].default
AUTO_EXAMPLES = 2400
"""`n_epochs: auto` shows the model about so many examples: 10 epochs up to 240 rows, 1 from 1,600 on."""
MAX_AUTO_EPOCHS = 10

MetadataKey = Annotated[str, StringConstraints(max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]
FileId = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class JobRequest(TrainingOptions):
    """A new fine-tuning job: OpenAI's keys, then ours (through the SDK: `extra_body`)."""

    model: Annotated[str, Field(min_length=1, max_length=255)]
    training_file: FileId
    validation_file: FileId | None = None
    method: MethodRequest | None = None
    hyperparameters: HyperparameterRequest | None = None
    suffix: (
        Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")] | None
    ) = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    """None: one is drawn and shown."""
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    integrations: Annotated[list[dict[str, JsonValue]], Field(max_length=5)] | None = None

    priority: PriorityName | Annotated[int, Field(ge=-100, le=100)] = "normal"
    """Of the queued jobs, those of the highest are taken first; low is -10, normal 0, high 10."""
    webhook: JobWebhook | None = None
    """An address to tell when the job has ended."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None  # type: ignore[assignment]  # None: see below
    """In place of `learning_rate_multiplier`."""

    @model_validator(mode="after")
    def _texts_can_be_stored(self) -> Self:
        reject_unstorable(self.model_dump())
        return self


def reject_unstorable(value: Any) -> None:
    """Raise ValueError for texts that PostgreSQL cannot hold: NUL, or half of a surrogate pair."""
    match value:
        case str() if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError(
                f"a text holds a character that cannot be stored (NUL or a lone surrogate): {value!a:.80}"
            )
        case dict():
            for key, item in value.items():
                reject_unstorable(key)
                reject_unstorable(item)
        case list() | tuple():
            for item in value:
                reject_unstorable(item)


def check_supported(body: JobRequest) -> None:
    """Refuse what the contract knows and this service does not do yet."""
    check_method(body.method)
    if body.integrations:
        raise bad_request(
            "integrations: none are supported yet; remove the key (metrics: GET .../metrics)",
            param="integrations",
            code="unsupported_integration",
        )


def resolve(body: JobRequest, *, rows: int) -> JobSpec:
    """The complete spec of a job on `rows` training examples.

    n_epochs auto: about 2,400 examples in all, 1 to 10 epochs. batch_size auto: 8, or the number of rows if
    that is smaller. learning_rate: 0.001 times the multiplier, for every method. seed: drawn when absent.
    """
    hyperparameters, place = _hyperparameters(body)
    values: dict[str, Any] = {name: getattr(body, name) for name in TrainingOptions.model_fields} | {
        "model": body.model,
        "training_file": body.training_file,
        "validation_file": body.validation_file,
        "method": method_spec(body.method),
        "n_epochs": _n_epochs(hyperparameters, rows),
        "batch_size": _batch_size(hyperparameters, rows, body.micro_batch_size),
        "learning_rate": _learning_rate(body, hyperparameters, place),
        "seed": secrets.randbelow(MAX_SEED + 1) if body.seed is None else body.seed,
    }
    try:
        return JobSpec.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        param = ".".join(map(str, first["loc"])) or first["ctx"]["param"]
        raise bad_request(
            first["msg"].removeprefix("Value error, "), param=param, code="invalid_value"
        ) from error


def _hyperparameters(body: JobRequest) -> tuple[HyperparameterRequest, str]:
    """The hyperparameters and where in the body they stand."""
    within = None if body.method is None else body.method.hyperparameters
    if body.method is None or within is None:
        return body.hyperparameters or HyperparameterRequest(), "hyperparameters"
    place = f"method.{body.method.type}.hyperparameters"
    if body.hyperparameters is not None:
        raise bad_request(
            f"hyperparameters: given twice, here and in {place}; remove one",
            param="hyperparameters",
            code="conflicting_parameters",
        )
    return within, place


def _n_epochs(hyperparameters: HyperparameterRequest, rows: int) -> int:
    if hyperparameters.n_epochs != "auto":
        return hyperparameters.n_epochs
    return min(max(round(AUTO_EXAMPLES / rows), 1), MAX_AUTO_EPOCHS)


def _batch_size(hyperparameters: HyperparameterRequest, rows: int, micro: int | None) -> int:
    if hyperparameters.batch_size != "auto":
        return hyperparameters.batch_size
    size = min(DEFAULT_BATCH_SIZE, rows)
    return size if micro is None else max(micro, size - size % micro)


def _learning_rate(body: JobRequest, hyperparameters: HyperparameterRequest, place: str) -> float:
    multiplier = hyperparameters.learning_rate_multiplier
    if multiplier == "auto":
        return DEFAULT_LEARNING_RATE if body.learning_rate is None else body.learning_rate
    if body.learning_rate is not None:
        raise bad_request(
            f"learning_rate: given beside {place}.learning_rate_multiplier; remove one",
            param="learning_rate",
            code="conflicting_parameters",
        )
    rate = DEFAULT_LEARNING_RATE * multiplier
    if rate > 1:
        raise bad_request(
            f"{place}.learning_rate_multiplier: must be at most {1 / DEFAULT_LEARNING_RATE:g} "
            f"(the learning rate is the multiplier times {DEFAULT_LEARNING_RATE:g})",
            param=f"{place}.learning_rate_multiplier",
            code="invalid_value",
        )
    return rate
