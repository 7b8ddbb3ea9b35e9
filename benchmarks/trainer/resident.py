"""What a contender holds in memory while it trains, above the loaded base model."""

from __future__ import annotations

import torch

from ist_core.device import pick_device
from ist_core.memory import PeakMemory, resident_bytes


class Peak:
    """The peak of a process: made before it has a model, `begin` when the model is loaded.

    It is what the process has taken since `begin`, less what it held before, less the base model's weights.
    """

    def __init__(self) -> None:
        self._device = pick_device()
        # CUDA counts the run's tensors alone.
        self._before = 0 if self._device.type == "cuda" else resident_bytes()
        self.base_bytes = 0

    def begin(self, base: torch.nn.Module) -> None:
        """Count from here on."""
        self.base_bytes = sum(weight.numel() * weight.element_size() for weight in base.parameters())
        self._memory = PeakMemory(self._device)

    def bytes(self) -> int:
        """The peak so far."""
        return self._memory.peak_bytes() - self._before - self.base_bytes
