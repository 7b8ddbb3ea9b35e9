"""Forward passes of the base model with adapters by row and a cache of keys and values."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from ist_core.errors import ModelError
from ist_core.inference.kv_cache import KeyValueCache
from ist_core.inference.mixer import Mixer, Mixture
from ist_core.models import BaseModel


class Forward:
    """Runs a model token by token.

    Raises:
        ModelError: if the model remembers its past by other means than keys and values.
    """

    def __init__(self, base: BaseModel) -> None:
        self._model = base.model
        self.mixer = Mixer(base.model)
        layers = DynamicCache(config=base.model.config).layers
        # A model without layer types gets no layers here: plain attention in all of them.
        odd = [
            type(layer) for layer in layers if type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer)
        ]
        if odd:
            raise ModelError(
                f"the model {base.source.name!r} has layers that keep a state of another kind than keys and "
                f"values ({odd[0].__name__}), so it cannot be talked to; use another model"
            )
        self._layers: int = base.model.config.get_text_config(decoder=True).num_hidden_layers

    def new_cache(self, *, rows: int = 0, columns: int = 0) -> KeyValueCache:
        """Return a cache for the model's layers."""
        return KeyValueCache(self._layers, rows=rows, columns=columns)

    def run(self, tokens: Sequence[Sequence[int]], cache: KeyValueCache, mixture: Mixture) -> Tensor:
        """Append tokens, shape (rows, new), to the cache's rows.

        Returns:
            The logits behind the last one of each, shape (rows, vocabulary), in float32.
        """
        device = self._model.device
        ids = torch.tensor(tokens, device=device)
        starts = torch.tensor(cache.lengths, device=device)[:, None]
        with self.mixer.applied(mixture):
            output = self._model(
                input_ids=ids,
                attention_mask=cache.padding_mask(ids.shape[1]),
                position_ids=starts + torch.arange(ids.shape[1], device=device),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        cache.advance(ids.shape[1])
        logits: Tensor = output.logits[:, -1].float()
        return logits
