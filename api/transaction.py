"""A request's transaction: committed before the answer is sent, then what must wait for the commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Annotated

from fastapi import Depends
from sqlalchemy.orm import Session

from api.services import Services, get_services

logger = logging.getLogger(__name__)


class Transaction:
    """A database session and what to do when it has ended."""

    def __init__(self, session: Session) -> None:
        self.session = session
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
        _run(self._committed)

    def rolled_back(self) -> None:
        """Undo what was done outside the database."""
        _run(self._rolled_back)


def get_transaction(services: Annotated[Services, Depends(get_services)]) -> Iterator[Transaction]:
    """A request's transaction; no connection is taken before the first query."""
    transaction: Transaction | None = None
    try:
        with services.database.session() as session:
            transaction = Transaction(session)
            yield transaction
    except BaseException:
        if transaction is not None:
            transaction.rolled_back()
        raise
    transaction.committed()


def _run(actions: list[Callable[[], None]]) -> None:
    for action in actions:
        try:
            action()
        except Exception:
            # The job is committed (or the request has failed already): its answer must say so.
            logger.exception("what follows the transaction failed")


Tx = Annotated[Transaction, Depends(get_transaction, scope="function")]
