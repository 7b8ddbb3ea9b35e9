"""`python -m api`: serve until SIGTERM; requests under way then end, and streams are told to come back."""

from __future__ import annotations

import argparse

from api.app import read_settings
from api.server import serve
from store.log import configure_logging


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
    parser.add_argument("--workers", type=int, help="processes (default: ISTHMUS_API_WORKERS, or 1)")
    options = parser.parse_args()
    settings = read_settings()
    configure_logging("api", settings.log_format, settings.log_level)
    workers = settings.api_workers if options.workers is None else options.workers
    if workers < 1:
        parser.error("--workers: at least 1")
    serve(settings, host=options.host, port=options.port, workers=workers)


if __name__ == "__main__":
    main()
