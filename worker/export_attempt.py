"""One attempt at an export, from its claim to its end: its process is started, watched, and stopped."""

from __future__ import annotations

import enum
import logging
import threading
import time

import redis
from sqlalchemy.orm import Session

from store import export_runs as runs
from store.database import DATABASE_AWAY, Database
from store.exports import export_prefix
from store.objects import ObjectsAway, ObjectStore
from store.settings import Settings
from store.tables import Export, ExportState
from worker.child_process import ChildProcess
from worker.ears import Ears
from worker.exits import Cause, MemoryKills, read_exit
from worker.scratch import Scratch

LISTEN_SECONDS = 0.25
RETRY_SECONDS = 0.5

logger = logging.getLogger(__name__)


class Ending(enum.Enum):
    """Why an attempt is over."""

    EXITED = "its process ended by itself"
    CANCELLED = "a user cancelled the export"
    WORKER_STOPPED = "the worker is shutting down"
    LEASE_LOST = "the export belongs to another attempt, or its lease could not be renewed"


class ExportAttempt:
    """One attempt at an export."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        client: redis.Redis,
        objects: ObjectStore,
        claim: runs.ExportClaim,
        shutting_down: threading.Event,
    ) -> None:
        now = time.monotonic()
        self._settings = settings
        self._database = database
        self._redis = client
        self._objects = objects
        self._id, self._attempt = claim.export_id, claim.attempt
        self._shutting_down = shutting_down
        self._scratch = Scratch(settings.data_dir, claim.export_id, claim.attempt)
        self._lease_until = now + settings.lease_seconds
        self._next_heartbeat = now
        self._kills = MemoryKills()

    def to_end(self) -> None:
        """Start the process, watch it, and write how it ended where it has not."""
        logger.info("%s: attempt %d begins", self._id, self._attempt)
        self._scratch.make()
        try:
            process = ChildProcess("worker.export", [self._id, str(self._attempt)], self._scratch.log)
            try:
                with Ears(self._redis, self._id) as ears:
                    ending = self._watch(process, ears)
            finally:
                process.kill()
            self._settle(ending, process.exit_code())
        finally:
            self._scratch.remove()

    def _watch(self, process: ChildProcess, ears: Ears) -> Ending:
        """Keep the lease until the process has ended, or has to be killed.

        One that is told to stop removes what it has stored; what it cannot in time is removed after it.
        """
        ending, deadline = Ending.EXITED, float("inf")
        while process.exit_code() is None and time.monotonic() < deadline:
            reason = self._reason_to_stop()
            if reason is Ending.LEASE_LOST:
                return reason
            if reason is not None and ending is Ending.EXITED:
                ending, deadline = reason, time.monotonic() + self._settings.cancel_grace_seconds
                process.ask_to_stop()
            if ears.heard(LISTEN_SECONDS):
                self._next_heartbeat = time.monotonic()
        if ending is Ending.EXITED and self._shutting_down.is_set():
            # A service manager may send SIGTERM to the process too: then it was the stop that ended it.
            return Ending.WORKER_STOPPED
        return ending

    def _reason_to_stop(self) -> Ending | None:
        if time.monotonic() >= self._next_heartbeat and (reason := self._heartbeat()) is not None:
            return reason
        return Ending.WORKER_STOPPED if self._shutting_down.is_set() else None

    def _heartbeat(self) -> Ending | None:
        """Renew the lease; while PostgreSQL is away the process goes on until the lease would have ended."""
        began = time.monotonic()
        self._next_heartbeat = began + self._settings.heartbeat_seconds
        try:
            with self._database.session() as session:
                cancelled = runs.heartbeat(
                    session, self._id, self._attempt, lease_seconds=self._settings.lease_seconds
                )
        except DATABASE_AWAY as error:
            logger.warning("%s: no heartbeat, the database is away: %s", self._id, error)
            return Ending.LEASE_LOST if time.monotonic() > self._lease_until else None
        if cancelled is None:
            # The process may have ended the export this very moment; then it exits by itself.
            return None if self._ended_by_us() else Ending.LEASE_LOST
        self._lease_until = began + self._settings.lease_seconds
        return Ending.CANCELLED if cancelled else None

    def _ended_by_us(self) -> bool:
        with self._database.session() as session:
            export = runs.get_export(session, self._id)
            return export is not None and export.attempt == self._attempt and export.finished_at is not None

    def _settle(self, ending: Ending, exit_code: int | None) -> None:
        """Write the end, where the process has not; tries again until the lease would have ended."""
        logger.info("%s: %s (exit code %s)", self._id, ending.value, exit_code)
        while True:
            try:
                with self._database.session() as session:
                    self._finish(session, ending, exit_code)
                    kept = self._is_kept(session)
            except DATABASE_AWAY as error:
                if time.monotonic() > self._lease_until:
                    logger.warning("%s: its end could not be written: %s", self._id, error)
                    return
                time.sleep(RETRY_SECONDS)
            else:
                if not kept:
                    self._remove_left()
                return

    def _finish(self, session: Session, ending: Ending, exit_code: int | None) -> Export | None:
        match ending:
            case Ending.CANCELLED:
                return runs.finish_cancelled(session, self._id, self._attempt)
            case Ending.WORKER_STOPPED:
                return runs.release(session, self._id, self._attempt)
            case Ending.LEASE_LOST:
                return None
            case Ending.EXITED:
                return self._finish_exited(session, exit_code)

    def _finish_exited(self, session: Session, exit_code: int | None) -> Export | None:
        """Nothing is changed where the process has written the end itself."""
        found = read_exit(exit_code, memory_kills=self._kills.count(), what="export")
        if found.cause is Cause.KILLED:
            return runs.lose(
                session,
                self._id,
                self._attempt,
                what=found.message,
                code="export_killed",
                max_losses=self._settings.max_attempts,
            )
        code, advice = "export_crashed", "its log is kept on the worker"
        if found.cause is Cause.MEMORY:
            code, advice = "out_of_memory", "the model does not fit; export it where there is more memory"
        message = f"{found.message}; {advice}"
        export = runs.finish_failed(session, self._id, self._attempt, code=code, message=message)
        if export is not None and export.state is ExportState.FAILED:
            kept, tail = self._scratch.keep_log(), "\n".join(self._scratch.log_tail())
            logger.error("%s: its process crashed; its log is %s and ends:\n%s", self._id, kept, tail)
        return export

    def _is_kept(self, session: Session) -> bool:
        """Whether the files that this attempt stored are the export's."""
        export = runs.get_export(session, self._id)
        return export is not None and export.prefix == export_prefix(self._id, self._attempt)

    def _remove_left(self) -> None:
        try:
            self._objects.clear(export_prefix(self._id, self._attempt))
        except (OSError, ObjectsAway) as error:
            # The Sweeper finds what no row names.
            logger.warning("%s: what it had stored could not be removed yet: %s", self._id, error)
