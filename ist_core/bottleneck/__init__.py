"""Series and parallel bottleneck adapters as a PEFT method; importing this package registers it.

PEFT's own `register_peft_method` takes only names of its closed `PeftType` enum, so the three tables that it
would fill are filled here. After the import `get_peft_model`, `PeftConfig.from_pretrained` and
`PeftModel.from_pretrained` know the adapters by the name BOTTLENECK.
"""

from __future__ import annotations

from typing import cast

from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)
from peft.utils import PeftType

from ist_core.bottleneck.config import BottleneckConfig, BottleneckType
from ist_core.bottleneck.layer import BottleneckLinear
from ist_core.bottleneck.model import BottleneckModel

__all__ = ["BottleneckConfig", "BottleneckLinear", "BottleneckModel", "BottleneckType"]


def _register() -> None:
    # The tables are looked up by value: a str-enum member of another enum is as good a key.
    name = cast("PeftType", BottleneckType.BOTTLENECK)
    if name in PEFT_TYPE_TO_CONFIG_MAPPING:
        owner = PEFT_TYPE_TO_CONFIG_MAPPING[name].__module__
        raise KeyError(f"PEFT already has a method named {name.value}, from {owner}; only one can be loaded.")
    PEFT_TYPE_TO_CONFIG_MAPPING[name] = BottleneckConfig
    PEFT_TYPE_TO_TUNER_MAPPING[name] = BottleneckModel
    PEFT_TYPE_TO_PREFIX_MAPPING[name] = BottleneckModel.prefix


_register()
