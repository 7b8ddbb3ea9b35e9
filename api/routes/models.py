"""`/v1/models`: base models and those that jobs made; the latter as an archive, and deleted."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from starlette.convertors import Convertor, register_url_convertor

from api.download import download_answers, send_archive
from api.errors import ApiError, bad_request
from api.export_ends import drop_files
from api.routes.dependencies import ERRORS, OpenServices, Tx
from api.services import Services
from api.transaction import ProjectTransaction
from api.wire.models import DeletedModel, ModelList, ModelObject, base_model_object, tuned_model_object
from store.exports import delete_exports_of
from store.tables import TunedModel
from store.tuned_models import artifact_keys, delete_tuned_model, get_tuned_model, list_tuned_models

ModelName = Annotated[str, Path(max_length=512, pattern=r"^[^\x00]+$")]


class OneSlash(Convertor[str]):
    """A name in a path, with a slash in it or without, so that what lies below a model is no model's name."""

    regex = "[^/]+(/[^/]+)?"

    def convert(self, value: str) -> str:
        """As it is."""
        return value

    def to_string(self, value: str) -> str:
        """As it is."""
        return value


register_url_convertor("name", OneSlash())

router = APIRouter(prefix="/models", tags=["models"], responses=ERRORS)


@router.get("")
def list_all(services: OpenServices, tx: Tx) -> ModelList:
    """List every model: tuned ones, newest first, then the local base models."""
    tuned = [tuned_model_object(model) for model in list_tuned_models(tx.tenant)]
    return ModelList(data=tuned + [base_model_object(name) for name in services.catalog.names()])


@router.get(
    "/{model:path}/archive",
    response_class=StreamingResponse,
    responses=download_answers("A tar of one folder", "application/x-tar"),
)
def archive(model: ModelName, request: Request, services: OpenServices, tx: Tx) -> Response:
    """A tuned model as one tar: the adapter in PEFT's format, its tokenizer, report, steps, SHA256SUMS."""
    tuned = _tuned_model(model, services, tx)
    name = tuned.id.replace(":", "-")
    return send_archive(
        request, services.objects, name, tuned.prefix, tuned.artifacts, made_at=tuned.created_at
    )


@router.get("/{model:name}")
def retrieve(model: ModelName, services: OpenServices, tx: Tx) -> ModelObject:
    """One model."""
    if model in services.catalog.names():
        return base_model_object(model)
    return tuned_model_object(_tuned_model(model, services, tx))


@router.delete("/{model}")  # tuned models have no slash in their names
def delete(model: ModelName, services: OpenServices, tx: Tx) -> DeletedModel:
    """Delete a tuned model with its artifacts and exports. Its job stays, with its checkpoints and files."""
    _tuned_model(model, services, tx)
    deleted = delete_tuned_model(tx.tenant, model)
    if deleted is None:  # another request was first
        raise no_such_model(model)
    for key in artifact_keys(deleted):
        tx.after_commit(partial(services.objects.delete, key))
    drop_files(tx, services, delete_exports_of(tx.tenant, [model]))
    return DeletedModel(id=model)


def no_such_model(model: str) -> ApiError:
    """404, in the words that a client of another project gets too."""
    return ApiError(404, f"No such model: {model}", code="model_not_found", param="model")


def refuse_base_model(model: str, services: Services) -> None:
    """Raise ApiError for a model that no job made."""
    if model in services.catalog.names():
        raise bad_request(
            f"model: {model!r} is a base model, which is not this service's to give or delete; "
            "name one that a job made",
            param="model",
            code="base_model",
        )


def _tuned_model(model: str, services: Services, tx: ProjectTransaction) -> TunedModel:
    refuse_base_model(model, services)
    tuned = get_tuned_model(tx.tenant, model)
    if tuned is None:
        raise no_such_model(model)
    return tuned
