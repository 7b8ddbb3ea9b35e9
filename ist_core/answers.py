"""Greedy answers to prompts, in batches of similar length."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers import GenerationConfig, GenerationMixin, PreTrainedTokenizerBase

from ist_core.errors import ModelError
from ist_core.models import BaseModel


class Answerer:
    """Answers the same prompts as often as asked: an adapter on `base.model` may be switched on and off.

    Args:
        prompts: rendered with the model's chat template, the assistant's turn opened.
        progress: called with a line for a person after each batch.
    """

    def __init__(
        self,
        base: BaseModel,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        batch_size: int,
        progress: Callable[[str], None],
    ) -> None:
        if not isinstance(base.model, GenerationMixin):
            raise ModelError(f"the model {base.source.name!r} cannot generate text")
        self._model = base.model
        self._tokenizer = base.tokenizer
        self._prompts = prompts
        self._batch_size = batch_size
        self._progress = progress
        self._order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
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
        for at in range(0, len(self._order), self._batch_size):
            chosen = self._order[at : at + self._batch_size]
            for index, text in zip(chosen, self._generate(chosen), strict=True):
                found[index] = text
            self._progress(f"{name}: {at + len(chosen)} of {len(found)} answers")
        return found

    @torch.inference_mode()
    def _generate(self, chosen: Sequence[int]) -> list[str]:
        batch = self._tokenizer(
            [self._prompts[index] for index in chosen],
            padding=True,
            padding_side="left",
            add_special_tokens=False,
            return_tensors="pt",
        ).to(self._model.device)
        output = self._model.generate(  # type: ignore[misc]  # its self is a protocol that no model declares
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            generation_config=self._config,
        )
        answers = output[:, batch["input_ids"].shape[1] :]
        return [text.strip() for text in self._tokenizer.batch_decode(answers, skip_special_tokens=True)]


def longest(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> int:
    """Return how many tokens the longest of the texts has."""
    return max(len(tokens) for tokens in tokenizer(list(texts), add_special_tokens=False)["input_ids"])


def _end_tokens(base: BaseModel) -> list[int]:
    """Return the tokenizer's end token and the model's own, which may be several."""
    config = base.model.generation_config
    own = config.eos_token_id if config is not None else None
    tokens = {*(own if isinstance(own, list) else [own]), base.tokenizer.eos_token_id}
    return sorted(token for token in tokens if token is not None)
