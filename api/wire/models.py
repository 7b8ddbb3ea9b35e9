"""Models on the wire."""

from __future__ import annotations

from typing import Literal

from api.wire.common import WireModel, unix
from store.tables import TunedModel
from store.tuned_models import ORGANIZATION


class ModelObject(WireModel):
    """A base model or one that a job made; `base_model` and `job_id` are ours, null for base models."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """Unix seconds; 0 for base models, whose age is not known."""
    owned_by: str
    base_model: str | None = None
    job_id: str | None = None


class DeletedModel(WireModel):
    """A model that is gone."""

    id: str
    object: Literal["model"] = "model"
    deleted: Literal[True] = True


class ModelList(WireModel):
    """Every model: tuned ones first, newest first, then the base models by name."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


def base_model_object(name: str) -> ModelObject:
    """A base model of the catalog."""
    return ModelObject(id=name, created=0, owned_by="base")


def tuned_model_object(model: TunedModel) -> ModelObject:
    """A model that a job made."""
    return ModelObject(
        id=model.id,
        created=unix(model.created_at),
        owned_by=ORGANIZATION,
        base_model=model.base_model,
        job_id=model.job_id,
    )
