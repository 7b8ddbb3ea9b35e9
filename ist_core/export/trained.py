"""The trained model: a base model with its adapter, in float32, which can be merged."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

import ist_core.bottleneck  # noqa: F401  # so that peft knows the adapters when it reads their config
from ist_core.artifacts import ADAPTER_WEIGHTS
from ist_core.catalog import ModelSource
from ist_core.encoding import ensure_template
from ist_core.errors import AdapterError, ExportUnsupported
from ist_core.export.manifest import Origin, list_files
from ist_core.gguf_cache import converted_folder
from ist_core.models import load_base_model

_CONFIG = "adapter_config.json"
_UNMERGEABLE = "BOTTLENECK"


@dataclass(frozen=True, slots=True)
class Trained:
    """A base model with its adapter, and the tokenizer it was trained with; all weights are float32."""

    model: PeftModel
    tokenizer: PreTrainedTokenizerBase
    origin: Origin
    parameters: int
    """Of the base model, which are as many as of the merged one."""
    stored: str
    """What the base model's files hold, such as float32."""

    @property
    def config(self) -> PreTrainedConfig:
        """The base model's."""
        return cast("PreTrainedConfig", self.model.get_base_model().config)

    def merged(self) -> PreTrainedModel:
        """Merge the adapter into the base, in place and in float32; afterwards there is only the result.

        Raises:
            AdapterError: if the sum holds numbers that are not finite, or the method cannot be merged.
        """
        try:
            model = self.model.merge_and_unload(safe_merge=True)
        except (ValueError, NotImplementedError) as error:
            raise AdapterError(f"the adapter cannot be merged: {error}") from error
        if not isinstance(model, PreTrainedModel):
            raise AdapterError(f"merging made a {type(model).__name__}, which is no transformers model")
        return model


def load_trained(source: ModelSource, adapter: Path, *, cache_dir: Path, device: torch.device) -> Trained:
    """Load what was trained. Takes 4 bytes a parameter.

    Raises:
        ModelError: if the base model cannot be read.
        AdapterError: if `adapter` is no adapter of it.
        ExportUnsupported: if it is of a kind that no weights of the base can stand for.
    """
    method = _method(adapter)
    base = load_base_model(source, cache_dir=cache_dir, dtype=torch.float32, device=device)
    parameters = base.model.num_parameters()
    with warnings.catch_warnings():
        # peft reads transformers' old name of this property.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        try:
            model = PeftModel.from_pretrained(base.model, str(adapter)).eval()
            _check_whole(model, adapter)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise AdapterError(f"the adapter does not fit {source.name!r}: {reason}") from error
    digest = next(entry.sha256 for entry in list_files(adapter) if entry.path == ADAPTER_WEIGHTS)
    origin = Origin(base=source.name, base_kind=source.kind, adapter_sha256=digest, method=method)
    tokenizer = _tokenizer(adapter, base.tokenizer)
    return Trained(model, tokenizer, origin, parameters, _stored(source, cache_dir))


def _method(adapter: Path) -> str:
    """Return the adapter's kind; checked here, because peft would look for a missing folder on the Hub."""
    for name in (_CONFIG, ADAPTER_WEIGHTS):
        if not (adapter / name).is_file():
            raise AdapterError(f"the folder {adapter} holds no {name}; give the adapter folder of a job")
    try:
        method = str(json.loads((adapter / _CONFIG).read_text(encoding="utf-8"))["peft_type"])
    except (ValueError, KeyError, TypeError) as error:
        raise AdapterError(f"{_CONFIG} of the adapter cannot be read: {error}") from error
    if method == _UNMERGEABLE:
        raise ExportUnsupported(
            "bottleneck adapters are not linear in their input, so no weights equal base plus adapter; "
            "download the adapter itself and load it with peft and ist_core.bottleneck, or train with the "
            "adapter type lora, which can be merged"
        )
    return method


def _check_whole(model: PeftModel, adapter: Path) -> None:
    """Raise ValueError unless the model took up each tensor of the adapter: peft passes over the others."""
    taken = get_peft_model_state_dict(model, save_embedding_layers=False).keys()
    with safe_open(adapter / ADAPTER_WEIGHTS, framework="pt") as file:
        stored = set(file.keys())
    if different := sorted(stored ^ set(taken)):
        raise ValueError(f"{len(different)} tensors have no counterpart, such as {different[0]}")


def _tokenizer(adapter: Path, of_base: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Return the tokenizer with its chat template as training used them."""
    if (adapter / "tokenizer_config.json").is_file():
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(adapter))
        return tokenizer
    ensure_template(of_base)
    return of_base


def _stored(source: ModelSource, cache_dir: Path) -> str:
    location = (
        converted_folder(Path(source.location), cache_dir) if source.kind == "gguf" else source.location
    )
    stored = AutoConfig.from_pretrained(location).dtype
    return str(stored).removeprefix("torch.") if isinstance(stored, torch.dtype) else "float32"
