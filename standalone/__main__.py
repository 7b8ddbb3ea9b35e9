"""`python -m standalone up|demo`: run the service on this machine, or show a whole job on it."""

import argparse
import sys
import time
from pathlib import Path

from standalone.demo import run_demo
from standalone.errors import StackError
from standalone.interrupts import Interrupts
from standalone.log import StackLog
from standalone.stack import Stack, running_stack

INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""


def main() -> int:
    """Parse the command line and run; returns the exit code."""
    options = _parser().parse_args()
    interrupts = Interrupts()
    with interrupts.installed(), StackLog(options.data_dir, echo=options.command == "up") as log:
        try:
            with running_stack(options.data_dir, port=options.port, interrupts=interrupts, log=log) as stack:
                if options.command == "up":
                    _serve(stack)
                else:
                    run_demo(stack)
        except StackError as error:
            print(f"error: {error}\n(log: {log.path})", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nstopped; nothing is left running, the data folder keeps its state")
            return INTERRUPTED
    return 0


def _serve(stack: Stack) -> None:
    print(f"\n  Isthmus is up.\n\n    dashboard  {stack.login_url}\n    API        {stack.url}/v1")
    print(
        f"    API key    {stack.api_key}\n    data       {stack.data_dir}\n\n  Ctrl-C stops it.\n", flush=True
    )
    while True:
        stack.watcher.check()
        time.sleep(0.5)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m standalone", description=__doc__)
    parser.add_argument("command", choices=["up", "demo"])
    parser.add_argument(
        "--data-dir", type=Path, default=Path("data"), help="all state (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=8000, help="API port, or the next free one")
    return parser


if __name__ == "__main__":
    sys.exit(main())
