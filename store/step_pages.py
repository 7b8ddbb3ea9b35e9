"""Every step record of a job, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from store.blocks import I8, Block
from store.database import Database
from store.driver import driver_cursor
from store.step_columns import axis_of, sent_layers, sent_metrics
from store.tenant import Tenant
from store.windows import owns

PAGE = 2048

RECORDS = """
    SELECT step, time, attempt, metrics, importance, active, probabilities FROM step_records
    WHERE job_id = %s AND step BETWEEN %s AND %s ORDER BY step LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class StepPage:
    """Some records in the order of their steps, and the attempts that made them."""

    block: Block
    attempts: I8


class Pages:
    """A job's records up to `last_step`, read a page at a time, each in a transaction of its own.

    So a slow reader holds no connection, and of a long job no more than a page is in memory.
    """

    def __init__(
        self, database: Database, project_id: str, job_id: str, last_step: int, keys: tuple[str, ...]
    ) -> None:
        self._database = database
        self._project_id = project_id
        self._job_id = job_id
        self._last_step = last_step
        self._keys = keys

    def __iter__(self) -> Iterator[StepPage]:
        """All pages, in order."""
        page = self._read(0)
        while page is not None:
            yield page
            page = self._read(int(page.block.axis.steps[-1]))

    def layers(self) -> int:
        """How many layers the records tell of."""
        first = self._read(0, rows=1)
        return 0 if first is None else first.block.layers.importance.shape[1]

    def _read(self, after_step: int, *, rows: int = PAGE) -> StepPage | None:
        with self._database.session() as session:
            tenant = Tenant(session, self._project_id)
            return read_page(tenant, self._job_id, after_step, self._last_step, self._keys, rows=rows)


def read_page(
    tenant: Tenant, job_id: str, after_step: int, last_step: int, keys: tuple[str, ...], *, rows: int = PAGE
) -> StepPage | None:
    """The first records after `after_step` and up to `last_step`, with the metrics `keys`; None: no more."""
    if not owns(tenant, job_id):
        return None
    with driver_cursor(tenant.session) as cursor:
        found = cursor.execute(RECORDS, (job_id, after_step + 1, last_step, rows)).fetchall()
    if not found:
        return None
    steps, times, attempts, metrics, importance, active, probabilities = map(list, zip(*found, strict=True))
    layers = sent_layers(importance, active, probabilities)
    return StepPage(
        Block(axis_of(steps, times), sent_metrics(metrics, keys), layers), np.array(attempts, np.int64)
    )
