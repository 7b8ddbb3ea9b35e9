"""The inference process's loop: take requests in turns, write a token of each answer, tell the API.

torch is loaded with the first base model: until somebody chats, the process costs next to nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from redis.exceptions import RedisError

from store.chat_intake import ChatIntake
from store.chat_orders import ChatOrder, Waiting
from store.log import log_context
from store.settings import Settings
from worker.beside import beside
from worker.inference.answers import Answers, Written
from worker.inference.presence import beat_for_ever
from worker.inference.refused import Refused, failed, stopping
from worker.inference.turns import Turns

WAIT_SECONDS = 1.0
"""So long at most it does not hear that it is to stop."""
CARE_SECONDS = 0.2
"""How often it looks which requests are still wanted."""
RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)


class BaseInMemory(Protocol):
    """A base model that answers (`worker.inference.bench.Bench`, without torch)."""

    def submit(self, order: ChatOrder) -> None:
        """Begin with a request. Raises Refused."""

    def cancel(self, request_id: str) -> None:
        """Forget a request."""

    def step(self) -> Sequence[Written]:
        """What one more token of each answer adds to it."""


Load = Callable[[str], BaseInMemory]
"""Loads a base model by its name. Raises Refused."""


class InferenceProcess:
    """Answers chat requests until `stop` is set, and those under way for a while after that."""

    def __init__(
        self,
        settings: Settings,
        intake: ChatIntake,
        stop: threading.Event,
        *,
        load: Load,
        clear_away: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._stop = stop
        self._load = load
        self._clear_away = clear_away
        self._answers = Answers(intake)
        self._turns = Turns()
        self._base: BaseInMemory | None = None
        self._base_name = ""
        self._asked_at = time.monotonic()
        self._cared_at = 0.0

    def run(self) -> None:
        """Serve; returns when it has stopped."""
        with beside(partial(beat_for_ever, self._intake), name="heartbeat", daemon=True):
            while not self._stop.is_set():
                self._try(self._round)
            self._finish()

    def _try(self, work: Callable[[], None]) -> None:
        """Do something with Redis; while that is away, nothing more is written."""
        try:
            work()
        except RedisError as error:
            logger.warning("Redis is away: %s", error)
            time.sleep(RETRY_SECONDS)

    def _round(self) -> None:
        self._answers.send()
        self._care()
        self._take()
        if self._answers.ids:
            self._write()
            self._answers.send()
        else:
            self._rest()

    def _take(self) -> None:
        """Begin as many requests as there is room for."""
        if self._answers.rows >= self._settings.chat_max_batch:
            return
        running = bool(self._answers.ids)
        chosen = self._turns.next(self._intake.waiting(), running=running, now=time.monotonic())
        for request in chosen:
            if self._answers.rows >= self._settings.chat_max_batch:
                return
            order = self._intake.claim(request)
            if order is not None:
                with log_context(request_id=order.request_id):
                    self._begin(order, chosen)

    def _begin(self, order: ChatOrder, alike: Iterable[Waiting]) -> None:
        """Submit a request; a base model that does not load is refused to all that wait for it."""
        self._answers.begin(order)
        self._asked_at = time.monotonic()
        try:
            base = self._loaded(order.base)
        except Refused as refused:
            self._refuse_all(refused, alike)
            return
        try:
            base.submit(order)
        except Refused as refused:
            logger.info("refused with %s: %s", refused.code, refused.message)
            self._answers.refuse(refused, order.id)
        except Exception:
            logger.exception("a request could not be begun")
            self._answers.refuse(failed(), order.id)

    def _loaded(self, name: str) -> BaseInMemory:
        """The base model of this name, in the place of another one. Raises Refused."""
        if self._base is not None and self._base_name == name:
            return self._base
        self._unload()
        began = time.monotonic()
        try:
            self._base, self._base_name = self._load(name), name
        except Refused:
            raise
        except Exception as error:
            logger.exception("%s could not be loaded", name)
            raise failed() from error
        logger.info("%s loaded in %.1f s", name, time.monotonic() - began)
        return self._base

    def _refuse_all(self, refused: Refused, waiting: Iterable[Waiting]) -> None:
        logger.info("refused with %s: %s", refused.code, refused.message)
        for request in waiting:
            order = self._intake.claim(request)
            if order is not None:
                self._answers.begin(order)
        self._answers.refuse(refused, *self._answers.ids)

    def _write(self) -> None:
        """One token for each answer under way."""
        assert self._base is not None  # noqa: S101  # something is under way
        try:
            deltas = self._base.step()
        except Exception:
            logger.exception("the engine failed; its base model is loaded anew")
            self._answers.refuse(failed(), *self._answers.ids)
            self._unload()
            return
        self._asked_at = time.monotonic()
        for request_id in self._answers.write(deltas):
            self._base.cancel(request_id)

    def _care(self) -> None:
        """Let go of what nobody wants any more."""
        now = time.monotonic()
        if self._base is None or not self._answers.ids or now < self._cared_at + CARE_SECONDS:
            return
        self._cared_at = now
        for request_id in self._intake.unwanted(self._answers.ids):
            self._answers.forget(request_id)
            self._base.cancel(request_id)

    def _rest(self) -> None:
        """Wait for a request; unasked for long, the memory goes back."""
        idle = time.monotonic() - self._asked_at
        if self._base is not None and idle > self._settings.chat_idle_minutes * 60:
            logger.info("%s is let go of: nobody has asked for %.0f s", self._base_name, idle)
            self._unload()
        self._intake.wait(WAIT_SECONDS)

    def _unload(self) -> None:
        if self._base is not None:
            self._base = None
            self._clear_away()

    def _finish(self) -> None:
        """Nothing new is taken; what is under way gets a while, then it is refused."""
        deadline = time.monotonic() + self._settings.stop_grace_seconds
        while self._answers.ids and time.monotonic() < deadline:
            self._try(self._finish_round)
        self._answers.refuse(stopping(), *self._answers.ids)
        self._try(self._answers.send)
        self._try(self._intake.leave)

    def _finish_round(self) -> None:
        self._care()
        if self._answers.ids:
            self._write()
        self._answers.send()
