"""A temporary folder for an embedded PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that other users can enter, as PostgreSQL's own must be able to when the tests run as root.

    It is not under pytest's, which every pytest that starts makes private again: the server would lose its
    data.
    """
    with TemporaryDirectory(prefix="isthmus-test-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        yield folder
