"""The chat engine: one base model, many adapters, and requests that join and leave at every token.

A step gives each running choice one token, in one forward pass, then reads a bounded part of the prompts that
wait. A prompt that is read to its end becomes one row for each of its choices, beginning with the next step.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ist_core.catalog import ModelSource
from ist_core.device import inference_dtype, pick_device
from ist_core.errors import AdapterError
from ist_core.inference.adapter_folder import read_adapter
from ist_core.inference.choice import Choice
from ist_core.inference.forward import Forward
from ist_core.inference.kv_cache import KeyValueCache
from ist_core.inference.mixer import Adapter, Mixture
from ist_core.inference.prompts import Prompter
from ist_core.inference.requests import ChatRequest, Delta
from ist_core.inference.room import Room
from ist_core.inference.sampling import next_tokens
from ist_core.inference.shelf import Shelf
from ist_core.models import BaseModel, load_base_model


@dataclass(slots=True)
class _Waiting:
    """A request in the queue."""

    request: ChatRequest
    prompt: list[int]
    max_tokens: int


@dataclass(slots=True)
class _Filling:
    """A request whose prompt is being read."""

    waiting: _Waiting
    choices: list[Choice]
    mixture: Mixture
    cache: KeyValueCache
    read: int = 0


class ChatEngine:
    """Goes on with conversations; not for several threads at once.

    Args:
        source: the base model, loaded here.
        cache_dir: where converted GGUF models are kept.
        max_batch: how many choices may run at once.
        max_adapters: how many adapters may be loaded; the least recently used that is not in use goes first.
        max_cache_tokens: how many tokens the running rows may hold together, each counted as the longest
            of them may become.
        default_max_tokens: for requests without max_tokens.
        prefill_tokens: how many tokens of prompts a step reads at most, so that running choices go on; None:
            64 on a CPU, 512 on a GPU.

    Raises:
        ModelError: if the model cannot be loaded, or cannot be talked to.
    """

    def __init__(
        self,
        source: ModelSource,
        *,
        cache_dir: Path,
        max_batch: int = 8,
        max_adapters: int = 8,
        max_cache_tokens: int = 32_768,
        default_max_tokens: int = 1024,
        prefill_tokens: int | None = None,
    ) -> None:
        device = pick_device()
        base = load_base_model(source, cache_dir=cache_dir, dtype=inference_dtype(device), device=device)
        self._tokenizer = base.tokenizer
        self._end_tokens = _end_tokens(base)
        self._prompter = Prompter(base)
        self._forward = Forward(base)
        self._shelf = Shelf(max_adapters, lambda ref: read_adapter(ref, source, self._forward.mixer.linears))
        self._room = Room(max_batch, max_cache_tokens)
        self._default_max_tokens = default_max_tokens
        self._prefill_tokens = prefill_tokens or (512 if device.type == "cuda" else 64)
        self._waiting: deque[_Waiting] = deque()
        self._filling: _Filling | None = None
        self._rows: list[Choice] = []
        self._cache = self._forward.new_cache()
        self._mixture: Mixture = {}
        # The first pass of a process is slow: now, and not in somebody's first token.
        with torch.inference_mode():
            self._forward.run([[0]], self._forward.new_cache(rows=1, columns=1), {})

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do until the next `submit`."""
        return not (self._rows or self._filling or self._waiting)

    @property
    def window(self) -> int:
        """How many tokens a prompt and its answer may have together."""
        return self._prompter.window

    @property
    def loaded_adapters(self) -> list[str]:
        """Names of the adapters in memory, the least recently used first."""
        return self._shelf.names

    def submit(self, request: ChatRequest) -> None:
        """Put a request at the end of the queue; `step` answers it.

        Raises:
            ChatError: if there is no message, the chat template refuses them, or they and `max_tokens` are
                more than the model's window or the engine's room.
            AdapterError: if the adapter is damaged, of another base model, or of a kind that is not served.
        """
        prompt = self._prompter.tokens(request.messages)
        max_tokens = self._prompter.room(len(prompt), request.max_tokens, self._default_max_tokens)
        self._room.check(request.n, len(prompt), max_tokens)
        if request.adapter is not None:
            self._shelf.check(request.adapter, self._adapters_in_use())
        self._waiting.append(_Waiting(request, prompt, max_tokens))

    @torch.inference_mode()
    def cancel(self, request_id: str) -> None:
        """Forget a request, whatever has become of it; its choices get no more deltas."""
        self._waiting = deque(one for one in self._waiting if one.request.id != request_id)
        if self._filling and self._filling.waiting.request.id == request_id:
            self._filling = None
        self._leave([row for row, choice in enumerate(self._rows) if choice.request_id == request_id])

    @torch.inference_mode()
    def step(self) -> list[Delta]:
        """Give each running choice a token, and let waiting requests join; returns what can be shown now."""
        deltas = self._write()
        room = self._prefill_tokens
        while filling := self._filling or self._admit(deltas):
            # The parts of a prompt are the same whatever else is read in a step: so are its last digits.
            part = filling.waiting.prompt[filling.read : filling.read + self._prefill_tokens]
            if len(part) > room:
                break
            logits = self._forward.run([part], filling.cache, filling.mixture)
            filling.read += len(part)
            room -= len(part)
            if filling.read == len(filling.waiting.prompt):
                self._filling = None
                deltas += self._join(filling, logits)
        return deltas

    def _write(self) -> list[Delta]:
        """One token for every row."""
        if not self._rows:
            return []
        self._cache.make_room()
        last = [[choice.last_token] for choice in self._rows]
        logits = self._forward.run(last, self._cache, self._mixture)
        deltas = self._take(self._rows, logits)
        self._leave([row for row, choice in enumerate(self._rows) if choice.finished])
        return deltas

    def _admit(self, deltas: list[Delta]) -> _Filling | None:
        """Begin with the first request of the queue, if it fits now; the queue is not jumped."""
        while self._waiting:
            waiting = self._waiting[0]
            needs = [len(waiting.prompt) + waiting.max_tokens] * waiting.request.n
            if not self._room.fits([*needs, *(choice.most_tokens for choice in self._rows)]):
                return None
            ref, adapter = waiting.request.adapter, None
            try:
                if ref is not None:
                    adapter = self._shelf.take(ref, self._adapters_in_use())
                    if adapter is None:
                        return None
            except AdapterError as error:
                self._waiting.popleft()
                deltas += [choice.fail(error) for choice in self._choices(waiting, None)]
                continue
            self._waiting.popleft()
            self._filling = _Filling(
                waiting,
                self._choices(waiting, adapter),
                self._forward.mixer.mix([adapter]),
                self._forward.new_cache(rows=1, columns=len(waiting.prompt)),
            )
            return self._filling
        return None

    def _join(self, filling: _Filling, logits: Tensor) -> list[Delta]:
        """Draw the first token of each choice of a prompt; those that go on become rows."""
        deltas = self._take(filling.choices, logits.expand(len(filling.choices), -1))
        going_on = [choice for choice in filling.choices if not choice.finished]
        if going_on:
            self._rows += going_on
            rows, columns = self._room.size([choice.most_tokens for choice in self._rows])
            self._cache.join(filling.cache, len(going_on), rows=rows, columns=columns)
            self._mixture = self._forward.mixer.mix([choice.adapter for choice in self._rows])
        return deltas

    def _take(self, choices: list[Choice], logits: Tensor) -> list[Delta]:
        tokens = next_tokens(logits, [choice.sampler for choice in choices])
        return [delta for choice, token in zip(choices, tokens, strict=True) for delta in choice.take(token)]

    def _leave(self, rows: list[int]) -> None:
        """Take rows out, the last ones first: the last row takes the place of one that goes."""
        for row in reversed(rows):
            self._cache.drop(row)
            self._rows[row] = self._rows[-1]
            self._rows.pop()
        if not self._rows:
            self._cache = self._forward.new_cache()
        if rows:
            self._mixture = self._forward.mixer.mix([choice.adapter for choice in self._rows])

    def _choices(self, waiting: _Waiting, adapter: Adapter | None) -> list[Choice]:
        return [
            Choice(
                waiting.request,
                index,
                adapter=adapter,
                tokenizer=self._tokenizer,
                end_tokens=self._end_tokens,
                prompt_tokens=len(waiting.prompt),
                max_tokens=waiting.max_tokens,
            )
            for index in range(waiting.request.n)
        ]

    def _adapters_in_use(self) -> set[str]:
        choices = self._rows + (self._filling.choices if self._filling else [])
        return {choice.adapter.name for choice in choices if choice.adapter is not None}


def _end_tokens(base: BaseModel) -> set[int]:
    """Return the end tokens of the tokenizer, of the model and of its generation config."""
    tokens = {base.tokenizer.eos_token_id}
    for config in (base.model.config.get_text_config(decoder=True), base.model.generation_config):
        # Some text configs have no such field at all, and leave it to the generation config.
        own = getattr(config, "eos_token_id", None)
        tokens.update(own if isinstance(own, list) else [own])
    return {token for token in tokens if token is not None}
