"""The command line `isthmus`: what the service does, for people at a terminal and for scripts."""

from __future__ import annotations

import sys

NEEDED = frozenset({"typer", "rich", "yaml"})


def main() -> None:
    """Run the command line; without its packages, say how they are installed."""
    try:
        from isthmus.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in NEEDED:
            raise
        sys.exit("error: the command line needs more packages: pip install 'isthmus[cli]'")
    run()
