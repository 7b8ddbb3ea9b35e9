"""One attempt at a job, from its claim to its end: the trainer is started, watched, and stopped."""

from __future__ import annotations

import enum
import logging
import threading
import time

import redis
from sqlalchemy.orm import Session

from ist_core.spec import JobSpec
from store import bus, jobs, losses, runs
from store.checkpoints import newest_checkpoint
from store.database import DATABASE_AWAY, Database
from store.settings import Settings
from store.tables import Job
from worker.ears import Ears
from worker.exits import Cause, MemoryKills, read_exit
from worker.leftovers import deliver_left
from worker.relief import memory_advice
from worker.scratch import Scratch
from worker.warm_trainers import TrainerProcess, WarmTrainers, cold_trainer

LISTEN_SECONDS = 0.25
"""How often it looks whether the trainer has ended; a cancel is heard at once."""
RETRY_SECONDS = 0.5

logger = logging.getLogger(__name__)


class Ending(enum.Enum):
    """Why a run is over."""

    EXITED = "the trainer ended by itself"
    CANCELLED = "a user cancelled the job"
    PAUSED = "a user paused the job"
    TIME_LIMIT = "the job has reached its time limit"
    WORKER_STOPPED = "the worker is shutting down"
    LEASE_LOST = "the job belongs to another attempt, or its lease could not be renewed"


class Run:
    """One attempt at a job."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        client: redis.Redis,
        claim: runs.Claim,
        shutting_down: threading.Event,
        warm: WarmTrainers | None = None,
    ) -> None:
        now = time.monotonic()
        self._settings = settings
        self._database = database
        self._redis = client
        self._claim = claim
        self._shutting_down = shutting_down
        self._warm = warm
        self._scratch = Scratch(settings.data_dir, claim.job_id, claim.attempt)
        self._lease_until = now + settings.lease_seconds
        self._next_heartbeat = now
        self._time_limit = None if claim.seconds_left is None else now + claim.seconds_left
        self._kills = MemoryKills()

    def to_end(self) -> None:
        """Start the trainer, watch it, and write how it ended."""
        logger.info("%s: attempt %d begins", self._claim.job_id, self._claim.attempt)
        self._scratch.make()
        try:
            trainer = self._start()
            try:
                with Ears(self._redis, self._claim.job_id) as ears:
                    ending = self._watch(trainer, ears)
            finally:
                trainer.kill()
            self._settle(ending, trainer.exit_code())
        finally:
            self._scratch.remove()

    def _start(self) -> TrainerProcess:
        job_id, attempt, log = self._claim.job_id, self._claim.attempt, self._scratch.log
        if self._warm is None:
            return cold_trainer(job_id, attempt, log)
        with self._database.session() as session:
            job = jobs.get_job(session, job_id)
        if job is None:
            raise LookupError(f"job {job_id} has no row")
        return self._warm.start(job_id, attempt, log, JobSpec.model_validate(job.spec))

    def _watch(self, trainer: TrainerProcess, ears: Ears) -> Ending:
        """Keep the lease until the trainer has ended, or has to be killed.

        One that is told to stop gets a grace, to save a checkpoint; meanwhile a cancel is still heard.
        """
        ending, deadline = Ending.EXITED, float("inf")
        while trainer.exit_code() is None and time.monotonic() < deadline:
            reason = self._reason_to_stop()
            if reason is Ending.LEASE_LOST:
                return reason
            first = ending is Ending.EXITED and reason is not None
            if reason is not None and (first or (reason is Ending.CANCELLED and reason is not ending)):
                ending, deadline = reason, time.monotonic() + self._grace(reason)
                trainer.ask_to_stop()
            if ears.heard(LISTEN_SECONDS):
                self._next_heartbeat = time.monotonic()
        if ending is Ending.EXITED and self._shutting_down.is_set():
            # A service manager may send SIGTERM to the trainer too: then it was the stop that ended it.
            return Ending.WORKER_STOPPED
        return ending

    def _reason_to_stop(self) -> Ending | None:
        if time.monotonic() >= self._next_heartbeat and (reason := self._heartbeat()) is not None:
            return reason
        if self._time_limit is not None and time.monotonic() > self._time_limit:
            return Ending.TIME_LIMIT
        return Ending.WORKER_STOPPED if self._shutting_down.is_set() else None

    def _grace(self, reason: Ending) -> float:
        if reason is Ending.CANCELLED:
            return self._settings.cancel_grace_seconds
        return self._settings.stop_grace_seconds

    def _heartbeat(self) -> Ending | None:
        """Renew the lease; while PostgreSQL is away the trainer goes on until the lease would have ended."""
        began = time.monotonic()
        self._next_heartbeat = began + self._settings.heartbeat_seconds
        try:
            with self._database.session() as session:
                control = runs.heartbeat(
                    session,
                    self._claim.job_id,
                    self._claim.attempt,
                    lease_seconds=self._settings.lease_seconds,
                )
        except DATABASE_AWAY as error:
            logger.warning("%s: no heartbeat, the database is away: %s", self._claim.job_id, error)
            return Ending.LEASE_LOST if time.monotonic() > self._lease_until else None
        if control is None:
            # The trainer may have ended the job this very moment; then it exits by itself.
            return None if self._ended_by_us() else Ending.LEASE_LOST
        self._lease_until = began + self._settings.lease_seconds
        if control.cancel_requested:
            return Ending.CANCELLED
        return Ending.PAUSED if control.pause_requested else None

    def _ended_by_us(self) -> bool:
        with self._database.session() as session:
            job = jobs.get_job(session, self._claim.job_id)
            return job is not None and job.attempt == self._claim.attempt and job.finished_at is not None

    def _settle(self, ending: Ending, exit_code: int | None) -> None:
        """Write the run's end, where the trainer has not; tries again until the lease would have ended."""
        logger.info("%s: %s (exit code %s)", self._claim.job_id, ending.value, exit_code)
        while True:
            try:
                self._deliver_left()
                with self._database.session() as session:
                    job = self._finish(session, ending, exit_code)
            except DATABASE_AWAY as error:
                if time.monotonic() > self._lease_until:
                    logger.warning("%s: its end could not be written: %s", self._claim.job_id, error)
                    return
                time.sleep(RETRY_SECONDS)
            else:
                if job is not None:
                    bus.publish_job(self._redis, job.id, job.last_seq)
                return

    def _deliver_left(self) -> None:
        claim = self._claim
        try:
            deliver_left(self._database, claim.job_id, claim.attempt, self._scratch.spool)
        except DATABASE_AWAY:
            raise
        except Exception:
            # The job must end all the same.
            logger.exception("%s: what its trainer left could not be stored", claim.job_id)

    def _finish(self, session: Session, ending: Ending, exit_code: int | None) -> Job | None:
        job_id, attempt = self._claim.job_id, self._claim.attempt
        match ending:
            case Ending.CANCELLED:
                return runs.finish_cancelled(session, job_id, attempt)
            case Ending.PAUSED:
                # A pause that was withdrawn meanwhile is no reason to lose the job's turn for good.
                return runs.release(session, job_id, attempt, message="Job goes back to the queue")
            case Ending.WORKER_STOPPED:
                message = "Worker stopped; job goes back to the queue"
                return runs.release(session, job_id, attempt, message=message)
            case Ending.TIME_LIMIT:
                return self._finish_late(session)
            case Ending.LEASE_LOST:
                return None
            case Ending.EXITED:
                return self._finish_exited(session, exit_code)

    def _finish_late(self, session: Session) -> Job | None:
        job_id = self._claim.job_id
        job = jobs.get_job(session, job_id)
        if job is None:
            return None
        limit = JobSpec.model_validate(job.spec).time_limit_minutes
        message = (
            f"The job's time limit of {limit:g} minutes is reached after step {job.step}; its last "
            f"checkpoint is of step {newest_checkpoint(session, job_id)}"
        )
        return runs.finish_failed(
            session,
            job_id,
            self._claim.attempt,
            code="time_limit",
            message=message,
            param="time_limit_minutes",
        )

    def _finish_exited(self, session: Session, exit_code: int | None) -> Job | None:
        job_id, attempt = self._claim.job_id, self._claim.attempt
        found = read_exit(exit_code, memory_kills=self._kills.count())
        if found.cause is Cause.KILLED:
            return losses.lose_trainer(
                session, job_id, attempt, what=found.message, max_losses=self._settings.max_attempts
            )
        if found.cause is Cause.MEMORY:
            job = self._finish_killed_for_memory(session, found.message)
        else:
            job = runs.finish_failed(session, job_id, attempt, code="trainer_crashed", message=found.message)
        if job is not None:
            self._report_crash()
        return job

    def _finish_killed_for_memory(self, session: Session, what: str) -> Job | None:
        job_id, attempt = self._claim.job_id, self._claim.attempt
        job = jobs.get_job(session, job_id)
        if job is None:
            return None
        message = f"{what}; {memory_advice(JobSpec.model_validate(job.spec), self._settings)}"
        return losses.run_out_of_memory(session, job_id, attempt, message=message, param="micro_batch_size")

    def _report_crash(self) -> None:
        kept = self._scratch.keep_log()
        logger.error(
            "%s: the trainer crashed; its log is %s and ends:\n%s",
            self._claim.job_id,
            kept,
            "\n".join(self._scratch.log_tail()),
        )
