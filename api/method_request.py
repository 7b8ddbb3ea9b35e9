"""How a request says what to train with: OpenAI's `method` and its hyperparameters, and the spec's method."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from api.errors import bad_request
from api.wire.common import RequestModel
from ist_core.spec import DpoSpec, SupervisedSpec

Auto = Literal["auto"]
SUPPORTED = ("supervised", "dpo")


class HyperparameterRequest(RequestModel):
    """OpenAI's hyperparameters; `auto` or absent: chosen from the data."""

    n_epochs: Auto | Annotated[int, Field(ge=1, le=50)] = "auto"
    batch_size: Auto | Annotated[int, Field(ge=1, le=256)] = "auto"
    learning_rate_multiplier: Auto | Annotated[float, Field(gt=0)] = "auto"
    """Times the default learning rate of 0.001, whatever the method."""


class DpoHyperparameterRequest(HyperparameterRequest):
    """OpenAI's hyperparameters of preference training."""

    beta: Auto | Annotated[float, Field(gt=0, le=2)] = "auto"
    """How strongly the model is held near its base; `auto` is 0.1."""


class SupervisedRequest(RequestModel):
    """Settings of supervised training."""

    hyperparameters: HyperparameterRequest | None = None


class DpoRequest(RequestModel):
    """Settings of preference training."""

    hyperparameters: DpoHyperparameterRequest | None = None


class MethodRequest(RequestModel):
    """How to train: `supervised` on chat rows, `dpo` on preference rows; `reinforcement` is not there yet."""

    type: Literal["supervised", "dpo", "reinforcement"]
    supervised: SupervisedRequest | None = None
    dpo: DpoRequest | None = None
    reinforcement: dict[str, JsonValue] | None = None

    @property
    def hyperparameters(self) -> HyperparameterRequest | None:
        """The hyperparameters that stand within the method."""
        settings = self.dpo if self.type == "dpo" else self.supervised
        return None if settings is None else settings.hyperparameters


def check_method(method: MethodRequest | None) -> None:
    """Refuse a method that is not there yet, and the settings of a method that is not asked for."""
    if method is None:
        return
    if method.type not in SUPPORTED:
        raise bad_request(
            f"method.type: {method.type!r} is not supported yet; supported: {', '.join(SUPPORTED)}",
            param="method.type",
            code="unsupported_method",
        )
    for name in ("supervised", "dpo", "reinforcement"):
        if name != method.type and getattr(method, name) is not None:
            raise bad_request(
                f"method.{name}: does not go with method.type {method.type!r}; remove it",
                param=f"method.{name}",
                code="conflicting_parameters",
            )


def method_spec(method: MethodRequest | None) -> SupervisedSpec | DpoSpec:
    """The method of a job: supervised when none is given; `beta: auto` is the spec's default."""
    if method is None or method.type != "dpo":
        return SupervisedSpec()
    hyperparameters = method.dpo.hyperparameters if method.dpo else None
    if hyperparameters is None or hyperparameters.beta == "auto":
        return DpoSpec(type="dpo")
    return DpoSpec(type="dpo", beta=hyperparameters.beta)
