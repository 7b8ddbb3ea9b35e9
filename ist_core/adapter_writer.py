"""Writes a run's adapter again and again: under PEFT's names, which are asked for once."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

from peft import PeftModel, get_peft_model_state_dict
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ist_core.artifacts import ADAPTER_DIR, ADAPTER_WEIGHTS, save_adapter
from ist_core.tensor_file import write_tensors


class AdapterWriter:
    """Writes what `save_adapter` would, of a model whose parameters stay the same tensors."""

    def __init__(self, model: PeftModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._settings: dict[str, Any] | None = None
        self._named: dict[str, Tensor] | None = None

    def write(self, folder: Path, *, earlier: Path | None = None) -> bool:
        """Write the adapter into `folder`; False: only its weights, and all else is as it was the last time.

        PEFT is asked for the names once, and again when the adapter's settings have changed, as AdaLoRA's do.

        Args:
            earlier: the folder that was written the last time; the tokenizer is copied from there.
        """
        settings = self._model.active_peft_config.to_dict()
        if earlier is not None and self._named is not None and settings == self._settings:
            (folder / ADAPTER_DIR).mkdir(parents=True)
            write_tensors(self._named, folder / ADAPTER_DIR / ADAPTER_WEIGHTS, metadata={"format": "pt"})
            return False
        before = earlier / ADAPTER_DIR if earlier else None
        save_adapter(self._model, self._tokenizer, folder, earlier=before)
        self._settings = self._model.active_peft_config.to_dict()
        self._named = _saved_parameters(self._model)
        return True


def copy_rest(earlier: Path, folder: Path) -> None:
    """Copy from the folder of an earlier checkpoint what is in its adapter beside the weights."""
    shutil.copytree(
        earlier / ADAPTER_DIR,
        folder / ADAPTER_DIR,
        ignore=shutil.ignore_patterns(ADAPTER_WEIGHTS),
        copy_function=shutil.copyfile,
        dirs_exist_ok=True,
    )


def _saved_parameters(model: PeftModel) -> dict[str, Tensor] | None:
    """The parameters and buffers that PEFT saves, by the names that it gives them.

    None: some of what it saves is made for the occasion, such as AdaLoRA's pruned matrices, or there is
    another adapter beside, which has files of its own.
    """
    if len(model.peft_config) > 1:
        return None
    live = {_place(tensor): tensor for tensor in itertools.chain(model.parameters(), model.buffers())}
    saved = get_peft_model_state_dict(model, save_embedding_layers=False)
    named = {name: live.get(_place(tensor)) for name, tensor in saved.items()}
    found = {name: tensor for name, tensor in named.items() if tensor is not None}
    return found if len(found) == len(named) else None


def _place(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.device, tensor.dtype, tensor.shape, tensor.stride()
