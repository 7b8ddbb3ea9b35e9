"""Tells every few seconds that this inference process is there, and at first which ones are not any more."""

from __future__ import annotations

import logging
import os
import socket
import threading
from pathlib import Path

import psutil
from redis.exceptions import RedisError

from store.chat_intake import ChatIntake
from store.chat_orders import BEAT_SECONDS
from store.ids import random_text

PID_NAMESPACE = Path("/proc/self/ns/pid")

logger = logging.getLogger(__name__)


def process_name() -> str:
    """`PLACE:PID:RANDOM`; of one place are the processes that see each other's ids."""
    return f"{_place()}:{os.getpid()}:{random_text(6)}"


def beat_for_ever(intake: ChatIntake, stop: threading.Event) -> None:
    """Beat until `stop` is set; what was killed here before is told of at once, not when its time is up."""
    first = True
    while not stop.is_set():
        try:
            if first:
                _forget_dead(intake)
            intake.beat()
            first = False
        except RedisError as error:
            logger.warning("Redis is away, so nobody sees this process: %s", error)
        stop.wait(BEAT_SECONDS)


def _forget_dead(intake: ChatIntake) -> None:
    place = _place()
    for name in intake.processes():
        its_place, pid, _ = name.rsplit(":", 2)
        if its_place == place and not psutil.pid_exists(int(pid)):
            logger.warning("the inference process %s is gone, with the requests that it had", name)
            intake.forget(name)


def _place() -> str:
    """This host and, on Linux, the namespace of its process ids: containers may share a host's name."""
    namespace = PID_NAMESPACE.readlink().name if PID_NAMESPACE.is_symlink() else ""
    return f"{socket.gethostname()}/{namespace}"
