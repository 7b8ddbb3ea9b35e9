"""Makes a job's reproduction bundle from its rows."""

from __future__ import annotations

from typing import Any

from ist_core.spec import JobSpec
from store.bundle import DataFile, Expected, HashedFile, Manifest, Provenance, pack
from store.provenance import data_files
from store.tables import File, Job, TunedModel
from store.tenant import Tenant
from store.tuned_models import get_tuned_model_of_job

WEIGHTS = ".safetensors"


def bundle_of(tenant: Tenant, job: Job) -> bytes:
    """The zip of a job that has ended."""
    spec = JobSpec.model_validate(job.spec)
    report: dict[str, Any] = job.report or {}
    manifest = Manifest(
        job_id=job.id,
        state=job.state.value,
        seed=spec.seed,
        data=_data(job, data_files(tenant, job)),
        provenance=None if job.provenance is None else Provenance.model_validate(job.provenance),
        device=report.get("device"),
        precision=report.get("precision"),
        expected=_expected(job, get_tuned_model_of_job(tenant, job.id)),
    )
    return pack(manifest, spec, job.request)


def _data(job: Job, files: dict[str, File]) -> list[DataFile]:
    named = (("training_file", job.training_file), ("validation_file", job.validation_file))
    return [
        DataFile(
            field=field,
            id=file.id,
            path=file.filename,
            bytes=file.bytes,
            sha256=file.sha256,
            rows=file.rows,
            format=file.format,
        )
        for field, file_id in named
        if file_id is not None and (file := files.get(file_id)) is not None
    ]


def _expected(job: Job, model: TunedModel | None) -> Expected | None:
    """The weights of the job's model; None: it made none, or the model has been deleted."""
    if model is None:
        return None
    report: dict[str, Any] = job.report or {}
    return Expected(
        weights=[HashedFile(**item) for item in model.artifacts if item["path"].endswith(WEIGHTS)],
        steps=job.step,
        trained_tokens=job.trained_tokens or 0,
        final_loss=report.get("final_loss"),
    )
