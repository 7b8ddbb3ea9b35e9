"""The service's own secret, which is in no table: of the settings, or in a file of the data folder."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from store.settings import Settings


def service_secret(settings: Settings) -> bytes:
    """The secret of ISTHMUS_SESSION_SECRET, or of the data folder, made when there is none yet."""
    if settings.session_secret is not None:
        return settings.session_secret.get_secret_value().encode()
    return read_secret(settings.data_dir / "session_secret")


def read_secret(path: Path) -> bytes:
    """The secret of a data folder, made once (by one of several processes) and readable by its owner only."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".session-secret-")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32))
            os.link(name, path)
        except FileExistsError:
            pass  # another process was first: its secret counts
        finally:
            Path(name).unlink()
    return path.read_bytes()
