"""Watches one run of a job: claims it, starts its trainer, keeps the lease, passes on what users ask."""

from __future__ import annotations

import enum
import logging
import signal
import threading
import time
from types import TracebackType
from typing import Self

import redis
from redis.client import PubSub
from sqlalchemy.orm import Session

from store import bus, jobs, runs
from store.database import DATABASE_AWAY, Database
from store.settings import Settings
from store.tables import Job
from worker.scratch import Scratch
from worker.trainer_process import TrainerProcess

LISTEN_SECONDS = 0.1
RETRY_SECONDS = 0.5

logger = logging.getLogger(__name__)


class Ending(enum.Enum):
    """Why a run is over."""

    EXITED = "the trainer ended by itself"
    CANCELLED = "a user cancelled the job"
    WORKER_STOPPED = "the worker is shutting down"
    LEASE_LOST = "the job belongs to another attempt, or its lease could not be renewed"


class Supervisor:
    """Runs jobs, one call each; calls may run in several threads."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        client: redis.Redis,
        *,
        worker: str,
        shutting_down: threading.Event,
    ) -> None:
        self._settings = settings
        self._database = database
        self._redis = client
        self._worker = worker
        self._shutting_down = shutting_down

    def run(self, job_id: str) -> None:
        """Claim the job and see its run to the end; a job that cannot be claimed is none of our business."""
        if self._shutting_down.is_set():
            # The message is acknowledged, so the scheduler must send another one.
            with self._database.session() as session:
                jobs.mark_unsent(session, job_id)
            return
        with self._database.session() as session:
            claim = runs.claim(
                session, job_id, worker=self._worker, lease_seconds=self._settings.lease_seconds
            )
        if claim is None:
            logger.info("%s is not to be claimed: ended, or another worker has it", job_id)
            return
        bus.publish_job(self._redis, job_id, claim.last_seq)
        Run(self._settings, self._database, self._redis, claim, self._shutting_down).to_end()


class Ears:
    """Listens on a job's control channel, so that a cancel need not wait for the next heartbeat."""

    def __init__(self, client: redis.Redis, job_id: str) -> None:
        self._control: PubSub = client.pubsub(  # type: ignore[no-untyped-call]  # redis-py leaves it so
            ignore_subscribe_messages=True
        )
        self._channel = bus.control_channel(job_id)
        self._subscribed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._control.close()

    def heard(self, seconds: float) -> bool:
        """Wait for up to `seconds`; True when something was said. Without Redis it only waits."""
        try:
            if not self._subscribed:
                self._control.subscribe(self._channel)
                self._subscribed = True
                return True  # what was said before we listened is in PostgreSQL: look there
            return self._control.get_message(timeout=seconds) is not None
        except redis.RedisError as error:
            if self._subscribed:
                logger.warning("no control channel, heartbeats only: %s", error)
            self._subscribed = False
            time.sleep(seconds)
            return False


class Run:
    """One attempt at a job, from its claim to its end."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        client: redis.Redis,
        claim: runs.Claim,
        shutting_down: threading.Event,
    ) -> None:
        self._settings = settings
        self._database = database
        self._redis = client
        self._claim = claim
        self._shutting_down = shutting_down
        self._scratch = Scratch(settings.data_dir, claim.job_id, claim.attempt)
        self._lease_until = time.monotonic() + settings.lease_seconds
        self._next_heartbeat = time.monotonic()

    def to_end(self) -> None:
        """Start the trainer, watch it, and write how it ended."""
        logger.info("%s: attempt %d begins", self._claim.job_id, self._claim.attempt)
        self._scratch.make()
        try:
            trainer = TrainerProcess(self._claim.job_id, self._claim.attempt, self._scratch.log)
            try:
                with Ears(self._redis, self._claim.job_id) as ears:
                    ending = self._watch(trainer, ears)
                if ending is Ending.LEASE_LOST:
                    trainer.kill()
                elif ending is not Ending.EXITED:
                    trainer.stop(self._settings.cancel_grace_seconds)
            finally:
                trainer.kill()
            self._settle(ending, trainer.exit_code())
        finally:
            self._scratch.remove()

    def _watch(self, trainer: TrainerProcess, ears: Ears) -> Ending:
        while trainer.exit_code() is None:
            if self._shutting_down.is_set():
                return Ending.WORKER_STOPPED
            if time.monotonic() >= self._next_heartbeat:
                ending = self._heartbeat()
                if ending is not None:
                    return ending
            if ears.heard(LISTEN_SECONDS):
                self._next_heartbeat = time.monotonic()
        # A service manager may send SIGTERM to the trainer too: then it was the stop that ended it.
        return Ending.WORKER_STOPPED if self._shutting_down.is_set() else Ending.EXITED

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
        return Ending.CANCELLED if control.cancel_requested else None

    def _ended_by_us(self) -> bool:
        with self._database.session() as session:
            job = jobs.get_job(session, self._claim.job_id)
            return job is not None and job.attempt == self._claim.attempt and job.finished_at is not None

    def _settle(self, ending: Ending, exit_code: int | None) -> None:
        """Write the run's end, where the trainer has not; tries again until the lease would have ended."""
        logger.info("%s: %s (exit code %s)", self._claim.job_id, ending.value, exit_code)
        while True:
            try:
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

    def _finish(self, session: Session, ending: Ending, exit_code: int | None) -> Job | None:
        job_id, attempt = self._claim.job_id, self._claim.attempt
        match ending:
            case Ending.CANCELLED:
                return runs.finish_cancelled(session, job_id, attempt)
            case Ending.WORKER_STOPPED:
                message = "Worker stopped; job goes back to the queue"
                return runs.release(session, job_id, attempt, message=message)
            case Ending.LEASE_LOST:
                return None
            case Ending.EXITED:
                code, message = describe_exit(exit_code)
                job = runs.finish_failed(session, job_id, attempt, code=code, message=message)
                if job is not None:
                    self._report_crash()
                return job

    def _report_crash(self) -> None:
        kept = self._scratch.keep_log()
        logger.error(
            "%s: the trainer crashed; its log is %s and ends:\n%s",
            self._claim.job_id,
            kept,
            "\n".join(self._scratch.log_tail()),
        )


def describe_exit(exit_code: int | None) -> tuple[str, str]:
    """Code and message of a trainer that ended without a report."""
    if exit_code == -signal.SIGKILL:
        return "out_of_memory", (
            "The trainer was killed by the operating system, usually because the machine ran out of memory; "
            "try a smaller batch_size, micro_batch_size or max_length"
        )
    if exit_code is not None and exit_code < 0:
        return "trainer_crashed", f"The trainer was ended by signal {signal.Signals(-exit_code).name}"
    return "trainer_crashed", f"The trainer ended with exit code {exit_code} and without a report"
