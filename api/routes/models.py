"""`/v1/models`: base models and those that jobs made."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from api.errors import ApiError
from api.routes.dependencies import ERRORS, OpenServices, Tx
from api.wire.models import ModelList, ModelObject, base_model_object, tuned_model_object
from store.tuned_models import get_tuned_model, list_tuned_models

router = APIRouter(prefix="/models", tags=["models"], responses=ERRORS)


@router.get("")
def list_all(services: OpenServices, tx: Tx) -> ModelList:
    """List every model: tuned ones, newest first, then the local base models."""
    tuned = [tuned_model_object(model) for model in list_tuned_models(tx.tenant)]
    return ModelList(data=tuned + [base_model_object(name) for name in services.catalog.names()])


@router.get("/{model:path}")
def retrieve(
    model: Annotated[str, Path(max_length=512, pattern=r"^[^\x00]+$")], services: OpenServices, tx: Tx
) -> ModelObject:
    """One model."""
    if model in services.catalog.names():
        return base_model_object(model)
    tuned = get_tuned_model(tx.tenant, model)
    if tuned is None:
        raise ApiError(404, f"No such model: {model}", code="model_not_found", param="model")
    return tuned_model_object(tuned)
