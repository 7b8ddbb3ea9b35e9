"""What a run is expected to take, by the planner, beside what it took: its report's `memory`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from ist_core.catalog import ModelSource
from ist_core.device import device_name
from ist_core.encoding import Example
from ist_core.errors import EngineError
from ist_core.examples import Examples
from ist_core.gguf_cache import needs_conversion
from ist_core.memory import PeakMemory
from ist_core.objectives.objective import ItemT
from ist_core.planner import (
    Device,
    KeptLayers,
    Lengths,
    Setting,
    again_at_most,
    find_device,
    plan,
    read_config,
    said_kept,
    shape_of,
)
from ist_core.planner.advice import relief
from ist_core.records import JsonValue, Message
from ist_core.spec import JobSpec


class Forecast:
    """The plan of a run, made of what is known when it begins: the base model, then its examples.

    Args:
        source: the base model, not yet loaded or converted.
    """

    def __init__(self, spec: JobSpec, source: ModelSource, *, cache_dir: Path, device: torch.device) -> None:
        self._spec = spec
        self._setting: Setting | None = None
        self._refusal: str | None = None
        try:
            shape = shape_of(read_config(source))
            known = _device(device)
        except EngineError as error:
            # A model or GPU that cannot be planned for can still be trained.
            self._refusal = error.message
        else:
            unseen = Lengths.at_limit(spec.batch_size, spec.max_length)
            self._setting = Setting(shape, known, unseen, converts=needs_conversion(source, cache_dir))

    def see(self, examples: Examples[ItemT]) -> None:
        """Take the lengths of the run's own examples in place of the longest that may be."""
        if self._setting is None:
            return
        validation = None if examples.validation is None else len(examples.validation)
        items: list[ItemT] = list(examples.training)
        if validation is None and len(items) > 1:
            items += examples.probe
        self._setting = Setting(
            self._setting.shape,
            self._setting.device,
            Lengths.counted(_sizes(items)),
            validation_rows=validation,
            converts=self._setting.converts,
        )

    def kept(self, layers: int) -> KeptLayers | None:
        """Return what the spec's `recompute` comes to on this device; None: no layer computes again.

        Args:
            layers: of the model.
        """
        if self._spec.recompute != "auto":
            return said_kept(self._spec, layers)
        return plan(self._spec, self._setting).kept if self._setting else None

    def messages(self, kept: KeptLayers | None) -> list[Message]:
        """Say how many layers compute again, if that was left open."""
        if self._spec.recompute != "auto" or kept is None or self._setting is None:
            return []
        chosen = plan(self._spec, self._setting).selections
        warmup, later = again_at_most(kept, chosen)
        told = f"{later} of {self._setting.shape.layers} layers"
        if chosen.warmup_steps:
            told = f"{warmup} of {self._setting.shape.layers} layers, after the warm-up {later},"
        return [Message(f"To fit the memory, {told} compute again for the backward pass")]

    def relief(self) -> str | None:
        """Say what to change after the device ran out of memory; None: the planner does not know."""
        change = relief(self._spec, self._setting) if self._setting else None
        return str(change) if change else None

    def operations_per_token(self) -> float | None:
        """Return the floating-point operations of a token; None: not known. Later plans' times are by it."""
        return plan(self._spec, self._setting).operations_per_token if self._setting else None

    def report(self, peak_bytes: int, memory: PeakMemory) -> dict[str, JsonValue]:
        """Return predicted beside measured bytes.

        On a CPU both are what the process took beside what it held when the run began; on a GPU, of tensors.
        """
        baseline = memory.baseline_bytes
        measured = max(0, peak_bytes - baseline)
        told: dict[str, JsonValue] = {
            "predicted_bytes": None,
            "measured_bytes": measured,
            "ratio": None,
            "baseline_bytes": baseline,
        }
        if self._setting is None:
            return told | {"not_predicted": self._refusal}
        found = plan(self._spec, self._setting).memory
        predicted = found.above_runtime if self._setting.device.kind == "cpu" else found.job
        told["predicted_bytes"] = predicted
        told["ratio"] = predicted / measured if measured else None
        return told | {"parts": asdict(found)}


def _device(device: torch.device) -> Device:
    name = device_name(device)
    if device.type == "cpu":
        return find_device(name)
    memory = torch.cuda.get_device_properties(device).total_memory
    try:
        return find_device(name).with_memory(memory)
    except EngineError:
        # Its speed is not asked for here, and its memory is known.
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return Device(name, "cuda", memory, bfloat16=fast, flops=1.0, bfloat16_flops=1.0)


def _sizes(items: Sequence[ItemT]) -> list[tuple[int, int]]:
    """Of each example its tokens, and how many of them are learnt."""
    return [
        (item.length, sum(item.supervised) if isinstance(item, Example) else item.length) for item in items
    ]
