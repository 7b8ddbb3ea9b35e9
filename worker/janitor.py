"""Removes what nobody needs any more: expired files, uploads and answers, and the bytes of what is gone."""

from __future__ import annotations

import logging

from store import token_counts
from store.database import Database
from store.exports import exports_prefix, mark_export_purged, unpurged_exports
from store.files import expire_files, mark_purged, unpurged_files
from store.idempotency import forget_answers
from store.objects import ObjectsAway, ObjectStore
from store.tuned_models import artifact_keys, mark_model_purged, unpurged_models
from store.uploads import expire_uploads, forget_part, parts_left
from store.workers import forget_workers

logger = logging.getLogger(__name__)


class Janitor:
    """Tidies up in small steps, each of which can be repeated; several may be at work at once.

    A row says that bytes may go before they go, and loses its mark after: a stop in between loses nothing.
    """

    def __init__(self, database: Database, objects: ObjectStore) -> None:
        self._database = database
        self._objects = objects

    def tick(self) -> None:
        """Do all that is due; object storage being away only delays it."""
        self._expire()
        try:
            self._purge_files()
            self._purge_parts()
            self._purge_models()
            self._purge_exports()
        except (ObjectsAway, OSError) as error:
            logger.warning("object storage is away, what is deleted stays for now: %s", error)

    def _expire(self) -> None:
        with self._database.session() as session:
            uploads, files = expire_uploads(session), expire_files(session)
            forget_answers(session)
            forget_workers(session)
        if uploads or files:
            logger.info("expired: %d uploads, files %s", uploads, ", ".join(files) or "none")

    def _purge_files(self) -> None:
        with self._database.session() as session:
            files = unpurged_files(session)
        for file in files:
            self._objects.delete(file.key)
            with self._database.session() as session:
                token_counts.forget(session, self._objects, file)
                mark_purged(session, file.id)

    def _purge_models(self) -> None:
        with self._database.session() as session:
            models = unpurged_models(session)
        for model in models:
            for key in artifact_keys(model):
                self._objects.delete(key)
            with self._database.session() as session:
                mark_model_purged(session, model.id)

    def _purge_exports(self) -> None:
        with self._database.session() as session:
            exports = unpurged_exports(session)
        for export in exports:
            self._objects.clear(exports_prefix(export.id))
            with self._database.session() as session:
                mark_export_purged(session, export.id)

    def _purge_parts(self) -> None:
        with self._database.session() as session:
            parts = parts_left(session)
        for part in parts:
            self._objects.delete(part.key)
            with self._database.session() as session:
                forget_part(session, part.id)
