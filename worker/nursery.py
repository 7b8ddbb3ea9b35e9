"""`python -m worker.nursery`: keeps libraries and a base model in memory, and forks a trainer for each job.

A trainer that is forked has nothing left to import and no base model to load, shares the model's memory with
this process until it writes to it, and is as fresh as one that was started anew: no job runs in here.

Requests come over a Unix socket, one at a time, a line of JSON each, with the descriptors of the trainer's
stdin and log. The answers are `{"pid"}` once it runs and `{"exit"}` when it has ended. The socket's end is
this process's end.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import select
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from store.log import configure_logging
from store.settings import Settings, get_settings

MESSAGE_BYTES = 65_536
WATCH_SECONDS = 0.2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """A trainer that is wanted."""

    job_id: str
    attempt: int
    model: str
    precision: str
    environment: dict[str, str]

    def line(self) -> bytes:
        """As it is sent."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(fields).encode() + b"\n"


def main() -> None:
    """Serve the worker that started this process, whose socket is stdin."""
    settings = get_settings()
    configure_logging("nursery", settings.log_format, settings.log_level)
    # Asking NVML leaves CUDA untouched: a process that has begun to use it cannot fork.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as channel:
        with _ending_with(channel):
            nursery = _Nursery(settings)
        while (received := _receive(channel)) is not None:
            nursery.serve(channel, *received)


class _Nursery:
    """What is kept in memory, and how many threads a trainer gets."""

    def __init__(self, settings: Settings) -> None:
        import torch

        import worker.run
        from ist_core.models.held import HeldModel

        self._settings = settings
        self._run = worker.run
        self._threads = torch.get_num_threads()
        self._set_threads = torch.set_num_threads
        # GNU's OpenMP does not survive a fork once its pool has begun, and one thread needs none.
        torch.set_num_threads(1)
        self._held = HeldModel(settings.warm_model_bytes)

    def serve(self, channel: socket.socket, request: Request, descriptors: list[int]) -> None:
        """Fork a trainer, and tell of its beginning and its end."""
        self._hold(request)
        gc.freeze()  # a collection in the trainer would write to, and so copy, every object's page
        pid = os.fork()
        if pid == 0:
            channel.close()
            self._be_trainer(request, descriptors)
        os.setpgid(pid, pid)  # here too: the worker may signal the group as soon as it knows the pid
        for descriptor in descriptors:
            os.close(descriptor)
        _send(channel, {"pid": pid})
        _, status = os.waitpid(pid, 0)
        _send(channel, {"exit": os.waitstatus_to_exitcode(status)})
        self._hold(request)  # what this job had to convert or download, the next one will find

    def _hold(self, request: Request) -> None:
        self._run.hold_base(self._held, self._settings, request.model, request.precision)

    def _be_trainer(self, request: Request, descriptors: list[int]) -> None:
        """Become the trainer; never returns."""
        code = 1
        try:
            os.setpgid(0, 0)
            _take_over(request, descriptors, self._settings)
            self._set_threads(self._threads)
            self._run.begin(request.job_id, request.attempt, self._held)
            code = 0
        except BaseException:
            # Nothing of this process may go on as the nursery.
            traceback.print_exc()
        finally:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def _take_over(request: Request, descriptors: list[int], settings: Settings) -> None:
    from setproctitle import setproctitle

    stdin, log = descriptors
    for source, target in ((stdin, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    for descriptor in descriptors:
        os.close(descriptor)
    os.environ.update(request.environment)
    # The title overwrites what the system shows of the environment, so it says whose trainer this is.
    title = f"{sys.executable} -m worker.run {request.job_id} {request.attempt} (data in {settings.data_dir})"
    setproctitle(title)


@contextmanager
def _ending_with(channel: socket.socket) -> Iterator[None]:
    """Inside the block this process ends as soon as its worker does: importing takes seconds."""
    done = threading.Event()

    def watch() -> None:
        poll = select.poll()
        poll.register(channel, select.POLLHUP)
        while not done.is_set():
            if poll.poll(WATCH_SECONDS * 1000):
                os._exit(0)

    # Gone before anything is forked.
    thread = threading.Thread(target=watch, name="worker-watch", daemon=True)
    thread.start()
    yield
    done.set()
    thread.join()


def _receive(channel: socket.socket) -> tuple[Request, list[int]] | None:
    message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, 2)
    while message and not message.endswith(b"\n"):
        message += channel.recv(MESSAGE_BYTES)
    return (Request(**json.loads(message)), list(descriptors)) if message else None


def _send(channel: socket.socket, told: dict[str, Any]) -> None:
    try:
        channel.sendall(json.dumps(told).encode() + b"\n")
    except BrokenPipeError:
        sys.exit(0)  # the worker is gone


if __name__ == "__main__":
    main()
