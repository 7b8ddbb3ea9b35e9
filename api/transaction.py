"""A request's transaction: committed before the answer is sent, then what must wait for the commit.

A route gets one that reaches its caller's project and no other, or, for administration, all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Annotated, TypeVar

from fastapi import Depends
from sqlalchemy.orm import Session

from api.auth import Caller, require_admin, require_key
from api.services import OpenServices
from store.database import Database
from store.tenant import Tenant

Kind = TypeVar("Kind", bound="Transaction")

logger = logging.getLogger(__name__)


class Transaction:
    """What to do when a database session has ended."""

    def __init__(self) -> None:
        self._committed: list[Callable[[], None]] = []
        self._rolled_back: list[Callable[[], None]] = []

    def after_commit(self, action: Callable[[], None]) -> None:
        """Do `action` once all is committed; its failure is logged and changes no answer."""
        self._committed.append(action)

    def after_rollback(self, action: Callable[[], None]) -> None:
        """Do `action` if nothing is committed: undo what the database cannot."""
        self._rolled_back.append(action)

    def committed(self) -> None:
        """Run what waited for the commit."""
        _do(self._committed)

    def rolled_back(self) -> None:
        """Undo what was done outside the database."""
        _do(self._rolled_back)


class ProjectTransaction(Transaction):
    """A transaction on the rows of the caller's project."""

    def __init__(self, tenant: Tenant) -> None:
        super().__init__()
        self.tenant = tenant


class AdminTransaction(Transaction):
    """A transaction on projects, keys and quotas, whosesoever they are."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session


def get_transaction(
    services: OpenServices, caller: Annotated[Caller, Depends(require_key)]
) -> Iterator[ProjectTransaction]:
    """The transaction of a request by a project's key."""
    project_id = caller.holder.project_id
    yield from _run(services.database, lambda session: ProjectTransaction(Tenant(session, project_id)))


def get_admin_transaction(
    services: OpenServices, caller: Annotated[Caller, Depends(require_admin)]
) -> Iterator[AdminTransaction]:
    """The transaction of a request by an admin's key."""
    del caller
    yield from _run(services.database, AdminTransaction)


def _run(database: Database, make: Callable[[Session], Kind]) -> Iterator[Kind]:
    """One transaction; no connection is taken before the first query."""
    transaction: Kind | None = None
    try:
        with database.session() as session:
            transaction = make(session)
            yield transaction
    except BaseException:
        if transaction is not None:
            transaction.rolled_back()
        raise
    transaction.committed()


def _do(actions: list[Callable[[], None]]) -> None:
    for action in actions:
        try:
            action()
        except Exception:
            # The job is committed (or the request has failed already): its answer must say so.
            logger.exception("what follows the transaction failed")


Tx = Annotated[ProjectTransaction, Depends(get_transaction, scope="function")]
AdminTx = Annotated[AdminTransaction, Depends(get_admin_transaction, scope="function")]
