"""Tuned models and their exports for tests, without an engine."""

from __future__ import annotations

import io
from collections.abc import Mapping

from store.database import Database
from store.export_runs import ExportClaim, claim_next_export, finish_kept
from store.exports import ExportFormat, Push, create_export, export_prefix
from store.model_sources import find_source
from store.objects import ObjectStore
from store.runs import finish_succeeded
from store.sealing import Seal
from store.tables import Export
from store.tuned_models import artifact_prefix, create_tuned_model, new_model_id
from tests.factories import claim, make_job, tenant

SEAL = Seal(b"secret")
FILES = {"adapter/adapter_config.json": b"{}", "report.json": b"{}", "steps.csv": b"step"}
MANIFEST = {"format": "merged", "check": {"verdict": "passed"}}


def tuned_model(database: Database, objects: ObjectStore, files: Mapping[str, bytes] = FILES) -> str:
    """The name of a model of an adapter, a report and its steps."""
    with database.session() as session:
        job = make_job(session)
    held = claim(database, job.id)
    prefix = artifact_prefix(job.id, held.attempt)
    stored = [objects.put(prefix + path, io.BytesIO(data)) for path, data in files.items()]
    name = new_model_id(job.model, job.suffix)
    with database.session() as session:
        create_tuned_model(session, model_id=name, job=job, prefix=prefix, artifacts=stored)
        assert finish_succeeded(
            session,
            job.id,
            held.attempt,
            fine_tuned_model=name,
            result_files=[],
            report={},
            trained_tokens=1,
        )
    return name


def asked(
    database: Database, model: str, format_: ExportFormat = "merged", push: Push | None = None
) -> tuple[Export, bool]:
    """Ask for an export as a client does."""
    with database.session() as session:
        source = find_source(tenant(session), model, take=True)
        assert source is not None
        return create_export(tenant(session), source, format_, push=push, seal=SEAL)


def taken(database: Database, *, lease_seconds: float = 30.0) -> ExportClaim:
    """Claim the export that waits longest, as a worker does."""
    with database.session() as session:
        held = claim_next_export(session, worker="test", lease_seconds=lease_seconds)
    assert held is not None
    return held


def taken_until(database: Database, export_id: str) -> ExportClaim:
    """Claim exports until it is this one's turn: other tests may have left some in the queue."""
    while (held := taken(database)).export_id != export_id:
        pass
    return held


def finished(
    database: Database, objects: ObjectStore, held: ExportClaim, files: dict[str, bytes]
) -> Export | None:
    """Store files and end the export well, as its process does."""
    prefix = export_prefix(held.export_id, held.attempt)
    stored = [objects.put(prefix + path, io.BytesIO(data)) for path, data in sorted(files.items())]
    with database.session() as session:
        return finish_kept(session, held.export_id, held.attempt, stored=stored, manifest=MANIFEST)


def read_export(database: Database, export_id: str) -> Export:
    """The export as it is now."""
    with database.session() as session:
        return session.get_one(Export, export_id)
