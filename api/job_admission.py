"""What is checked of a job before it is created or planned: the keys, the base model, the data files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from isthmus.dataset.formats import FORMATS_OF_METHOD

from api.errors import bad_request
from api.job_request import JobRequest, check_supported
from api.method_request import method_spec
from api.routes.webhooks import check_url
from api.services import Services
from ist_core.catalog import ModelSource
from ist_core.errors import ModelError
from ist_core.spec import MethodSpec
from store.tables import File
from store.tenant import Tenant

FindFile = Callable[[Tenant, str], File | None]


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The files that a job learns from; each has rows of its method's format."""

    training: File
    validation: File | None


def check_job(body: JobRequest, services: Services) -> ModelSource:
    """Check what needs no database; returns the base model. A look-up on the Hub may take a while.

    Raises:
        ApiError, ModelError: with the field at fault.
    """
    check_supported(body)
    if body.webhook is not None:
        check_url(body.webhook.url, services, param="webhook.url")
    if body.model.startswith("ft:"):
        raise ModelError(f"model: {body.model!r} is a tuned model; tuning starts from a base model")
    return services.catalog.resolve(body.model)


def find_data(body: JobRequest, tenant: Tenant, find: FindFile) -> DataFiles:
    """The job's files, of the caller's project and fit for its method; raises ApiError."""
    method = method_spec(body.method)
    training = _data_file(tenant, body.training_file, method, find, param="training_file")
    validation = None
    if body.validation_file is not None:
        validation = _data_file(tenant, body.validation_file, method, find, param="validation_file")
    return DataFiles(training, validation)


def _data_file(tenant: Tenant, file_id: str, method: MethodSpec, find: FindFile, *, param: str) -> File:
    file = find(tenant, file_id)
    if file is None:
        raise bad_request(
            f"{param}: no such file: {file_id}; upload it first with purpose fine-tune",
            param=param,
            code="file_not_found",
        )
    if file.purpose != "fine-tune" or not file.rows:
        raise bad_request(
            f"{param}: file {file_id} has the purpose {file.purpose!r}; a job needs one with fine-tune",
            param=param,
            code="invalid_purpose",
        )
    needed = FORMATS_OF_METHOD[method.type]
    if file.format not in {row_format.name for row_format in needed}:
        names = ", ".join(row_format.name for row_format in needed)
        raise bad_request(
            f"{param}: file {file_id} holds {file.format} rows, but method.type {method.type!r} learns from "
            f"{names} rows: upload a file with rows such as {needed[0].example}",
            param=param,
            code="invalid_file_format",
        )
    return file
