"""A model with bottleneck adapters: PEFT's tuner that places, switches and removes them."""

from __future__ import annotations

from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner
from torch import nn

from ist_core.bottleneck.config import BottleneckConfig
from ist_core.bottleneck.layer import UNMERGEABLE, BottleneckLinear


class BottleneckModel(BaseTuner):
    """Puts a `BottleneckLinear` in the place of every targeted module; `get_peft_model` makes one."""

    prefix = "bottleneck_"
    tuner_layer_cls = BottleneckLinear
    # No defaults per architecture: target_modules says which modules, or 'all-linear'.
    target_module_mapping: dict[str, list[str]] = {}  # noqa: RUF012  # PEFT declares it without ClassVar

    def _create_and_replace(
        self,
        peft_config: PeftConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        if not isinstance(peft_config, BottleneckConfig):
            raise TypeError(f"BottleneckModel needs a BottleneckConfig, not a {type(peft_config).__name__}.")
        if isinstance(target, BottleneckLinear):
            target.update_layer(adapter_name, peft_config, current_key)
        else:
            layer = BottleneckLinear(target, adapter_name, peft_config, current_key)
            self._replace_module(parent, target_name, layer, target)

    def _check_merge_allowed(self) -> None:
        raise ValueError(UNMERGEABLE)
