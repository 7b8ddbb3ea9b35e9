"""Makes a finished run's output a tuned model: artifacts to object storage, rows and the job's end as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from ist_core.records import TrainResult
from store import jobs, runs
from store.database import Database
from store.files import create_file, file_key, new_file_id
from store.objects import ObjectInfo, ObjectStore
from store.tables import Job, State
from store.tuned_models import artifact_prefix, create_tuned_model, new_model_id
from worker.delivery import JobLost
from worker.retry import until_back

RESULTS_PURPOSE = "fine-tune-results"
RESULTS_NAME = "step_metrics.csv"


class Publication:
    """The output of one attempt at a job, on its way to become a tuned model."""

    def __init__(
        self, objects: ObjectStore, job_id: str, attempt: int, output: Path, result: TrainResult
    ) -> None:
        self._objects = objects
        self._job_id = job_id
        self._attempt = attempt
        self._output = output
        self._result = result
        self._prefix = artifact_prefix(job_id, attempt)
        self._file_id = new_file_id()
        self._stored: list[ObjectInfo] = []

    def publish(self, database: Database) -> Job:
        """Store the artifacts, then write file, model and `succeeded` in one transaction.

        Raises JobLost when the attempt no longer holds the job: then no row is written, and the objects,
        which are under the attempt's own prefix, are removed again.
        """
        try:
            artifacts = [
                self._put(self._prefix + path.relative_to(self._output).as_posix(), path)
                for path in self._artifacts()
            ]
            results = self._put(file_key(self._file_id), self._output / self._result.steps_csv)

            def write() -> Job:
                with database.session() as session:
                    return self._write_rows(session, results, artifacts)

            return until_back(write)
        except BaseException:
            for item in self._stored:
                self._objects.delete(item.key)
            raise

    def _artifacts(self) -> list[Path]:
        """What the run's result names; its checkpoints, which lie beside, are no part of the model."""
        result = self._result
        adapter = [path for path in (self._output / result.adapter_dir).rglob("*") if path.is_file()]
        named = (result.report, result.steps_csv, result.samples)
        return sorted([*adapter, *(self._output / path for path in named if path is not None)])

    def _write_rows(self, session: Session, results: ObjectInfo, artifacts: list[ObjectInfo]) -> Job:
        job = jobs.get_job(session, self._job_id, for_update=True)
        if job is None or job.attempt != self._attempt:
            raise JobLost(self._job_id)
        if job.state is State.SUCCEEDED:
            return job  # the connection broke after a commit that went through
        model_id = new_model_id(job.model, job.suffix)
        create_file(
            session,
            project_id=job.project_id,
            file_id=self._file_id,
            filename=RESULTS_NAME,
            purpose=RESULTS_PURPOSE,
            stored=results,
        )
        create_tuned_model(session, model_id=model_id, job=job, prefix=self._prefix, artifacts=artifacts)
        ended = runs.finish_succeeded(
            session,
            self._job_id,
            self._attempt,
            fine_tuned_model=model_id,
            result_files=[self._file_id],
            report=self._report(),
            trained_tokens=self._result.trained_tokens,
        )
        if ended is None:
            raise JobLost(self._job_id)  # rolls the rows back
        return ended

    def _report(self) -> dict[str, Any]:
        text = (self._output / self._result.report).read_text(encoding="utf-8")
        report: dict[str, Any] = json.loads(text)
        return report

    def _put(self, key: str, path: Path) -> ObjectInfo:
        with path.open("rb") as source:
            stored = self._objects.put(key, source)
        self._stored.append(stored)
        return stored
