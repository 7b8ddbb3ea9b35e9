"""`python -m worker.export EXPORT_ID ATTEMPT`: the process of one attempt at an export.

It ends when its stdin closes, which is when its worker is gone. SIGTERM stops it where it is: what it has
stored is removed again, and the worker writes what became of the export.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import cast

from ist_core.card.facts import REPORT, STEPS, Names
from ist_core.catalog import Catalog
from ist_core.errors import EngineError, ModelError
from ist_core.export.manifest import ExportFormat
from store.checkpoints import ADAPTER
from store.database import DATABASE_AWAY, Database
from store.export_runs import finish_failed, finish_kept, finish_pushed, get_export, ready_twin, tell_progress
from store.exports import export_prefix
from store.log import configure_logging
from store.model_sources import AdapterSource, read_source
from store.object_storage import open_objects
from store.objects import ObjectInfo, ObjectNotFound, ObjectsAway, ObjectStore
from store.quotas import QuotaExceeded
from store.sealing import Seal, SealBroken
from store.settings import Settings, get_settings
from store.tables import Export
from worker.child_process import end_with_parent
from worker.export_files import fetch, files_of, manifest_of
from worker.hub import HubRepository, PushError
from worker.retry import until_back
from worker.scratch import Scratch

logger = logging.getLogger(__name__)


class Stopped(BaseException):
    """SIGTERM has come."""


class ExportLost(RuntimeError):
    """Another attempt has the export, or it is cancelled: nothing may be written for it any more."""


def main() -> None:
    """Do the export that the command line names; exit code 0 unless the process itself is broken."""
    settings = get_settings()
    configure_logging("export", settings.log_format, settings.log_level)
    export_id, attempt = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=end_with_parent, name="parent-watch", daemon=True).start()
    database = Database(settings.database_url)
    try:
        Exporter(settings, database, open_objects(settings), export_id, attempt).run()
    except Stopped:
        logger.info("stopped as asked")


def _stop(number: int, frame: object) -> None:
    del number, frame
    raise Stopped


class Exporter:
    """One attempt at an export: fetch the adapter, convert and check, then store or push, and say so."""

    def __init__(
        self, settings: Settings, database: Database, objects: ObjectStore, export_id: str, attempt: int
    ) -> None:
        self._settings = settings
        self._database = database
        self._objects = objects
        self._id = export_id
        self._attempt = attempt
        self._scratch = Scratch(settings.data_dir, export_id, attempt).folder

    def run(self) -> None:
        """See the export to its end; failures become its error."""
        try:
            self._export()
        except ExportLost:
            logger.warning("the export was taken over or cancelled; this attempt ends without a trace")
        except EngineError as error:
            self._fail(error.code, error.message, error.param)
        except QuotaExceeded as error:
            self._fail("quota_exceeded", str(error), None)
        except ObjectNotFound:
            self._fail("model_not_found", "The model was deleted meanwhile", "model")
        except ObjectsAway as error:
            self._fail("storage_unavailable", f"{error}; nothing was kept: ask again when it is back", None)
        except OSError as error:
            message = f"Files could not be written ({error}); nothing was kept: make room, and ask again"
            self._fail("storage_failed", message, None)
        except Exception as error:
            logger.exception("the export fails with an unexpected error")
            message = f"The export met an unexpected error ({type(error).__name__}); its log has the details"
            self._fail("internal_error", message, None)

    def _export(self) -> None:
        with self._database.session() as session:
            export = get_export(session, self._id)
            if export is None or export.attempt != self._attempt:
                raise ExportLost(self._id)
            source = read_source(session, export.job_id, export.step)
            twin = None if export.repo_id is None else ready_twin(session, export)
        if source is None:
            raise ModelError(f"{export.model} was deleted meanwhile")
        if export.repo_id is None:
            self._keep(self._converted(export, source))
            return
        repository = self._repository(export, export.repo_id)
        folder = self._fetched_twin(twin) if twin is not None else self._converted(export, source)
        self._push(export, repository, folder)

    def _converted(self, export: Export, source: AdapterSource) -> Path:
        """The folder of the finished export; of `adapter` the adapter itself."""
        adapter = self._scratch / "adapter"
        self._progress("Fetching the adapter")
        fetch(self._objects, source.prefix, source.files, adapter)
        if export.format == "adapter":
            return adapter
        from ist_core.export import export_model  # torch, which the push of an adapter does without

        output = self._scratch / "output"
        catalog = Catalog(self._settings.base_models_dir, hub=self._settings.hub)
        export_model(
            catalog.resolve(source.base_model),
            adapter,
            cast("ExportFormat", export.format),
            output,
            cache_dir=self._settings.cache_dir,
            progress=self._progress,
            name=export.model.removeprefix("ft:").replace(":", "-"),
            run=self._fetched_run(source),
            names=Names(model=export.model, job=source.job_id),
        )
        return output

    def _fetched_run(self, source: AdapterSource) -> Path | None:
        """What a model card is made of; a checkpoint's run had not ended."""
        if source.step is not None:
            return None
        folder = self._scratch / "run"
        fetch(self._objects, source.prefix.removesuffix(ADAPTER), [{"path": REPORT}, {"path": STEPS}], folder)
        return folder

    def _fetched_twin(self, twin: Export) -> Path:
        """The files of an export that is kept here: they need not be made again."""
        self._progress("Fetching the export that is kept here")
        folder = self._scratch / "output"
        fetch(self._objects, str(twin.prefix), twin.files, folder)
        return folder

    def _keep(self, folder: Path) -> None:
        """Store the files and end the export well; on any failure nothing of them is left."""
        prefix = export_prefix(self._id, self._attempt)
        stored: list[ObjectInfo] = []
        try:
            self._progress("Storing the files")
            for path in files_of(folder):
                with path.open("rb") as source:
                    stored.append(self._objects.put(prefix + path.relative_to(folder).as_posix(), source))
            manifest = manifest_of(folder)
            # From here on the transaction decides: an answer that a stop cut off could not be known.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

            def write() -> Export | None:
                with self._database.session() as session:
                    return finish_kept(
                        session, self._id, self._attempt, stored=stored, manifest=manifest or {}
                    )

            ended = until_back(write)
        except BaseException:
            self._objects.clear(prefix)
            raise
        if ended is None:
            self._objects.clear(prefix)
            raise ExportLost(self._id)

    def _push(self, export: Export, repository: HubRepository, folder: Path) -> None:
        message = f"{export.model} as {export.format}"
        url = repository.push(folder, message=message, progress=self._progress)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        manifest = manifest_of(folder)

        def write() -> Export | None:
            with self._database.session() as session:
                return finish_pushed(session, self._id, self._attempt, url=url, manifest=manifest)

        if until_back(write) is None:
            logger.warning("pushed to %s, but the attempt no longer holds the export", url)

    def _repository(self, export: Export, repo_id: str) -> HubRepository:
        token = os.environ.get("HF_TOKEN")
        if export.hub_token is not None:
            try:
                token = Seal.of(self._settings).open(export.id, export.hub_token)
            except SealBroken as error:
                raise PushError(
                    "hub_token_unreadable",
                    "The token cannot be unsealed: API and worker need the same data folder, or the same "
                    "ISTHMUS_SESSION_SECRET; mend that, and push again",
                ) from error
        if not token:
            raise PushError(
                "hub_token_missing",
                "There is no token for the Hub: give one with the request, or set HF_TOKEN for the worker",
            )
        return HubRepository(repo_id, export.private, token, self._settings.hub_endpoint)

    def _progress(self, text: str) -> None:
        """Tell it; raises ExportLost when another attempt has the export."""
        logger.info("%s", text)
        try:
            with self._database.session() as session:
                held = tell_progress(session, self._id, self._attempt, text)
        except DATABASE_AWAY as error:
            logger.warning("the database is away, so nobody hears of it: %s", error)
            return
        if not held:
            raise ExportLost(self._id)

    def _fail(self, code: str, message: str, param: str | None) -> None:
        logger.info("the export fails with %s: %s", code, message)

        def write() -> Export | None:
            with self._database.session() as session:
                return finish_failed(
                    session, self._id, self._attempt, code=code, message=message, param=param
                )

        if until_back(write) is None:
            logger.warning("the failure is not written: the attempt no longer holds the export")


if __name__ == "__main__":
    main()
