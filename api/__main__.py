"""`python -m api`: serve until SIGTERM; requests under way then end, and streams are told to come back."""

from __future__ import annotations

import argparse

import uvicorn

from api.app import create_app, read_settings
from store.log import configure_logging


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
    options = parser.parse_args()
    settings = read_settings()
    configure_logging("api", settings.log_format, settings.log_level)
    uvicorn.run(
        create_app(settings),
        host=options.host,
        port=options.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )


if __name__ == "__main__":
    main()
