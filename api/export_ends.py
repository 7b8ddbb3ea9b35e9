"""What follows when exports are cancelled or deleted, once that is committed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from api.services import Services
from api.transaction import ProjectTransaction
from store import bus
from store.exports import exports_prefix
from store.tables import Export, ExportState


def tell_workers(tx: ProjectTransaction, services: Services, exports: Iterable[Export]) -> None:
    """Wake the workers of those that run: they are to be cancelled."""
    for export in exports:
        if export.state is ExportState.RUNNING:
            tx.after_commit(partial(bus.publish_cancel, services.redis, export.id))


def drop_files(tx: ProjectTransaction, services: Services, exports: Iterable[Export]) -> None:
    """Remove the files of deleted ones, and stop those that run, whose files the Janitor removes."""
    exports = list(exports)
    for export in exports:
        if export.prefix is not None:
            tx.after_commit(partial(services.objects.clear, exports_prefix(export.id)))
    tell_workers(tx, services, exports)
