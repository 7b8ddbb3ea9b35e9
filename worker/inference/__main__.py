"""`python -m worker.inference`: the process that answers chat requests."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

from store import bus
from store.chat_intake import ChatIntake
from store.log import configure_logging
from store.object_storage import open_objects
from store.settings import Settings, get_settings
from worker.inference.presence import process_name
from worker.inference.process import BaseInMemory, InferenceProcess

OOM_SCORE = Path("/proc/self/oom_score_adj")
FIRST_TO_GO = "500"

logger = logging.getLogger(__name__)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings = get_settings()
    configure_logging("inference", settings.log_format, settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _yield_to_training(settings.chat_nice)
    intake = ChatIntake(bus.connect(settings.redis_url), settings.queue, process_name())
    InferenceProcess(
        settings, intake, stop, load=lambda base: _load(base, settings), clear_away=_clear_away
    ).run()


def _yield_to_training(nice: int) -> None:
    """Let other processes go first, for a CPU and, on Linux, when memory runs out."""
    os.nice(nice)
    if OOM_SCORE.is_file():
        try:
            OOM_SCORE.write_text(FIRST_TO_GO)
        except OSError as error:  # as in a container whose /proc cannot be written to
            logger.warning("when memory runs out, training may be ended before this process: %s", error)


def _load(base: str, settings: Settings) -> BaseInMemory:
    from worker.inference.bench import Bench

    return Bench(base, settings, open_objects(settings))


def _clear_away() -> None:
    from worker.inference.budget import give_memory_back

    give_memory_back()


if __name__ == "__main__":
    main()
