"""Greedy answers to prompts, in batches of similar length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor
from transformers import GenerationConfig, GenerationMixin, StoppingCriteria, StoppingCriteriaList

from ist_core.answer_sizes import answer_batch
from ist_core.errors import ModelError
from ist_core.models import BaseModel


class Answerer:
    """Answers the same prompts as often as asked: an adapter on `base.model` may be switched on and off.

    Args:
        prompts: tokens, the assistant's turn opened.
        check_stop: called before each batch and each token; may raise to end the run.
        progress: called with a line for a person, at most ten times.
    """

    def __init__(
        self,
        base: BaseModel,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        check_stop: Callable[[], None] = lambda: None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        if not isinstance(base.model, GenerationMixin):
            raise ModelError(f"the model {base.source.name!r} cannot generate text")
        self._model = base.model
        self._tokenizer = base.tokenizer
        self._prompts = prompts
        self._max_new_tokens = max_new_tokens
        self._check_stop = check_stop
        self._progress = progress
        self._config = GenerationConfig(  # type: ignore[no-untyped-call]  # transformers has no types here
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=_end_tokens(base),
            pad_token_id=base.tokenizer.pad_token_id,
        )

    def answers(self, name: str) -> list[str]:
        """Return one answer a prompt, in the prompts' order, without the white space around it.

        Args:
            name: who answers, for the progress lines.
        """
        found = [""] * len(self._prompts)
        done, told = 0, 0
        for chosen in self._batches():
            self._check_stop()
            for index, text in zip(chosen, self._generate(chosen), strict=True):
                found[index] = text
            done += len(chosen)
            if 10 * done // len(found) > told:
                told = 10 * done // len(found)
                self._progress(f"{name}: {done} of {len(found)} answers")
        return found

    def _batches(self) -> Iterator[list[int]]:
        """Yield the places of prompts that go together."""
        order = sorted(range(len(self._prompts)), key=lambda index: len(self._prompts[index]))
        kind: Literal["cpu", "cuda"] = "cuda" if self._model.device.type == "cuda" else "cpu"
        while order:
            # The longest first: what does not fit into memory is known at once.
            longest = len(self._prompts[order[-1]])
            count = min(len(order), answer_batch(kind, longest, self._max_new_tokens))
            yield order[-count:]
            order = order[:-count]

    @torch.no_grad()
    def _generate(self, chosen: Sequence[int]) -> list[str]:
        prompts = [self._prompts[index] for index in chosen]
        width = max(map(len, prompts))
        tokens = torch.full((len(prompts), width), self._tokenizer.pad_token_id)
        mask = torch.zeros_like(tokens)
        for row, prompt in enumerate(prompts):
            tokens[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        output = self._model.generate(  # type: ignore[misc]  # its self is a protocol that no model declares
            input_ids=tokens.to(self._model.device),
            attention_mask=mask.to(self._model.device),
            generation_config=self._config,
            stopping_criteria=StoppingCriteriaList([_Asked(self._check_stop)]),
        )
        answers = self._tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
        return [text.strip() for text in answers]


class _Asked(StoppingCriteria):
    """Looks after each token whether the run is to end; no row is done by it."""

    def __init__(self, check_stop: Callable[[], None]) -> None:
        self._check_stop = check_stop

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:
        self._check_stop()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def _end_tokens(base: BaseModel) -> list[int]:
    """Return the tokenizer's end token and the model's own, which may be several."""
    config = base.model.generation_config
    own = config.eos_token_id if config is not None else None
    tokens = {*(own if isinstance(own, list) else [own]), base.tokenizer.eos_token_id}
    return sorted(token for token in tokens if token is not None)
