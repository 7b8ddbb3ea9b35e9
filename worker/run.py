"""`python -m worker.run JOB_ID ATTEMPT`: the trainer process of one attempt at a job.

It ends when its stdin closes, which is when its supervisor is gone: nothing trains unwatched. SIGTERM asks it
to stop; the supervisor then writes what became of the job.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import redis

from ist_core.catalog import Catalog
from ist_core.device import likely_dtype
from ist_core.errors import CheckpointError, EngineError, MemoryExhausted
from ist_core.models import HeldModel
from ist_core.records import TrainResult
from ist_core.spec import JobSpec
from ist_core.trainer import train
from store import bus, jobs, losses, runs
from store.database import Database
from store.files import get_file
from store.log import configure_logging
from store.object_storage import open_objects
from store.objects import ObjectStore
from store.settings import Settings, get_settings
from store.tables import Job
from worker.checkpoints import Resumption
from worker.child_process import end_with_parent
from worker.delivery import JobLost
from worker.provenance import note_provenance
from worker.publish import Publication
from worker.reporter import Reporter
from worker.retry import until_back
from worker.scratch import Scratch
from worker.uploads import Uploads

logger = logging.getLogger(__name__)


def main() -> None:
    """Train the job that the command line names; exit code 0 unless the process itself is broken."""
    begin(sys.argv[1], int(sys.argv[2]))


def begin(job_id: str, attempt: int, held: HeldModel | None = None) -> None:
    """Be the trainer of an attempt; `held` may hold its base model."""
    settings = get_settings()
    configure_logging("trainer", settings.log_format, settings.log_level)
    logger.info("attempt %d of %s begins in process %d", attempt, job_id, os.getpid())
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=end_with_parent, name="supervisor-watch", daemon=True).start()
    trainer = Trainer(
        settings,
        Database(settings.database_url),
        bus.connect(settings.redis_url),
        open_objects(settings),
        stop,
        held,
    )
    trainer.run(job_id, attempt)


def hold_base(held: HeldModel, settings: Settings, model: str, precision: str) -> None:
    """Load the base model of a job that is to come; where that fails, its trainer will say why."""
    try:
        source = Catalog(settings.base_models_dir, hub=settings.hub).resolve(model)
        held.hold(source, cache_dir=settings.cache_dir, dtype=likely_dtype(precision))
    except (EngineError, MemoryError, RuntimeError) as error:
        logger.warning("the base model %s is not kept: %s", model, error)


class Trainer:
    """Runs the engine on one attempt and writes what came of it, as long as the attempt holds the job."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        client: redis.Redis,
        objects: ObjectStore,
        stop: threading.Event,
        held: HeldModel | None = None,
    ) -> None:
        self._held = held
        self._settings = settings
        self._database = database
        self._redis = client
        self._objects = objects
        self._stop = stop

    def run(self, job_id: str, attempt: int) -> None:
        """Train, store the result and end the job; failures become the job's error."""
        try:
            self._train_and_publish(job_id, attempt)
        except JobLost:
            logger.warning("the job was taken over or has ended; this attempt ends without a trace")
        except MemoryExhausted as error:
            logger.info("out of memory: %s", error.message)
            self._run_out(job_id, attempt, error)
        except EngineError as error:
            logger.info("the job fails with %s: %s", error.code, error.message)
            self._fail(job_id, attempt, error.code, error.message, error.param)
        except Exception as error:
            logger.exception("the job fails with an unexpected error")
            message = f"The trainer met an unexpected error ({type(error).__name__}); its log has the details"
            self._fail(job_id, attempt, "internal_error", message, None)

    def _train_and_publish(self, job_id: str, attempt: int) -> None:
        scratch = Scratch(self._settings.data_dir, job_id, attempt)
        with self._database.session() as session:
            job = jobs.get_job(session, job_id)
        if job is None or job.attempt != attempt:
            raise JobLost(job_id)
        note_provenance(self._database, self._settings, job)
        output = scratch.folder / "output"
        spec = self._localise(JobSpec.model_validate(job.spec), scratch.folder)
        resumption = Resumption(self._database, self._objects, job_id, attempt, scratch.folder / "resume")
        result = self._train(job, spec, scratch, resumption)
        if result.stopped:
            logger.info("stopped at step %d as asked", result.steps)
            return
        job = Publication(self._objects, job_id, attempt, output, result).publish(self._database)
        bus.publish_job(self._redis, job.id, job.last_seq)

    def _train(self, job: Job, spec: JobSpec, scratch: Scratch, resumption: Resumption) -> TrainResult:
        output = scratch.folder / "output"
        uploads = Uploads(self._objects, job.id, job.attempt, output)
        reporter = Reporter(self._database, self._redis, uploads, job.id, job.attempt, spool=scratch.spool)
        try:
            for folder in resumption.folders(reporter.emit):
                try:
                    return self._go_on(spec, output, reporter, folder)
                except CheckpointError as error:
                    # Refused before anything is told: another spec, other data, or a model that has changed.
                    if folder is None:
                        raise
                    reporter.emit(resumption.refuse(folder, error))
            raise AssertionError("the last of the folders is None, which begins anew")
        finally:
            reporter.close()

    def _go_on(self, spec: JobSpec, output: Path, reporter: Reporter, folder: Path | None) -> TrainResult:
        return train(
            spec,
            output_dir=output,
            emit=reporter.emit,
            should_stop=lambda: self._stop.is_set() or reporter.lost.is_set(),
            catalog=Catalog(self._settings.base_models_dir, hub=self._settings.hub),
            cache_dir=self._settings.cache_dir,
            resume_from=folder,
            held=self._held,
        )

    def _localise(self, spec: JobSpec, folder: Path) -> JobSpec:
        """The spec with paths in place of file ids: the files are copied out of object storage."""
        paths = {"training_file": str(self._copy(spec.training_file, folder / "training.jsonl"))}
        if spec.validation_file is not None:
            paths["validation_file"] = str(self._copy(spec.validation_file, folder / "validation.jsonl"))
        return spec.model_copy(update=paths)

    def _copy(self, file_id: str, target: Path) -> Path:
        with self._database.session() as session:
            file = get_file(session, file_id)
        if file is None:
            raise LookupError(f"file {file_id} has no row")
        with self._objects.open(file.key) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
        return target

    def _run_out(self, job_id: str, attempt: int, error: MemoryExhausted) -> None:
        def write() -> Job | None:
            with self._database.session() as session:
                return losses.run_out_of_memory(
                    session, job_id, attempt, message=error.message, param=error.param
                )

        self._tell(until_back(write))

    def _fail(self, job_id: str, attempt: int, code: str, message: str, param: str | None) -> None:
        def write() -> Job | None:
            with self._database.session() as session:
                return runs.finish_failed(session, job_id, attempt, code=code, message=message, param=param)

        self._tell(until_back(write))

    def _tell(self, job: Job | None) -> None:
        if job is None:
            logger.warning("the failure is not written: the attempt no longer holds the job")
            return
        bus.publish_job(self._redis, job.id, job.last_seq)


if __name__ == "__main__":
    main()
