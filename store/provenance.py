"""What a job was made with: noted when a run begins, read for its reproduction bundle."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from store.bundle import Provenance
from store.series import held_by
from store.tables import File, Job
from store.tenant import Tenant


def record_provenance(session: Session, job_id: str, attempt: int, provenance: Provenance) -> bool:
    """Note what the run that holds the job is made with; False: fenced off."""
    statement = (
        update(Job)
        .where(Job.id == job_id, held_by(attempt))
        .values(provenance=provenance.model_dump(mode="json"))
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    )
    return session.scalar(statement) is not None


def data_files(tenant: Tenant, job: Job) -> dict[str, File]:
    """The rows of a job's data files by their ids, also of files that have been deleted since."""
    ids = [file_id for file_id in (job.training_file, job.validation_file) if file_id is not None]
    query = select(File).where(File.id.in_(ids), File.project_id == tenant.project_id)
    return {file.id: file for file in tenant.session.scalars(query)}
