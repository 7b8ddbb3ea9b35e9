"""What a bottleneck adapter is: its shape, where it sits, and how it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, get_args

from peft import PeftConfig

Variant = Literal["series", "parallel"]
NonLinearity = Literal["relu", "gelu", "silu", "tanh"]


class BottleneckType(str, Enum):  # noqa: UP042  # PEFT prints str(type) from the dot on; StrEnum has no dot
    """The name PEFT knows these adapters by; PEFT's own enum is closed to other packages.

    PEFT reads `peft_type.value` and compares with strings from adapter_config.json, so it has to be both
    an enum member and a string.
    """

    BOTTLENECK = "BOTTLENECK"


@dataclass
class BottleneckConfig(PeftConfig):
    """Series (Houlsby et al., 2019) or parallel (He et al., 2022) bottleneck adapters for `get_peft_model`.

    With h = W x + b the output of an adapted module and f the non-linearity:

    - series:   h + scaling * up(f(down(h)))   (arXiv 1902.00751)
    - parallel: h + scaling * up(f(down(x)))   (arXiv 2110.04366)

    The response is not linear in x, so these adapters cannot be merged into W.

    Raises:
        ValueError: a field is out of range, or two fields contradict each other.
    """

    variant: Variant = field(
        default="parallel", metadata={"help": "series reads a module's output, parallel its input."}
    )
    bottleneck_size: int = field(default=64, metadata={"help": "Features between down and up."})
    non_linearity: NonLinearity = field(default="relu", metadata={"help": "f: relu, gelu, silu or tanh."})
    scaling: float = field(default=1.0, metadata={"help": "Factor on the adapter's response."})
    dropout: float = field(default=0.0, metadata={"help": "Dropout on the bottleneck's activations."})
    target_modules: list[str] | set[str] | str | None = field(
        default=None,
        metadata={
            "help": "Names of the linear modules to adapt (a suffix is enough), a regex, or 'all-linear'. "
            "There is no default."
        },
    )
    exclude_modules: list[str] | set[str] | str | None = field(
        default=None, metadata={"help": "Names (or a regex) of modules that are left alone."}
    )
    layers_to_transform: list[int] | int | None = field(
        default=None, metadata={"help": "Adapt only the layers of these indices."}
    )
    layers_pattern: list[str] | str | None = field(
        default=None, metadata={"help": "Name of the list of layers, such as 'layers' or 'h'."}
    )
    modules_to_save: list[str] | None = field(
        default=None, metadata={"help": "Modules that are trained in full and saved with the adapter."}
    )
    init_weights: bool = field(
        default=True,
        metadata={"help": "Start equal to the base model (up is zero); False draws up at random, for tests."},
    )
    init_seed: int | None = field(
        default=None,
        metadata={"help": "Draw every module's weights from this seed and its name, not from torch's RNG."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[no-untyped-call]  # PEFT has no types here
        self.peft_type = BottleneckType.BOTTLENECK
        # Sets, as in PEFT's own configs: module names are looked up once for every module of the model.
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)
        if isinstance(self.exclude_modules, list):
            self.exclude_modules = set(self.exclude_modules)
        self._check_numbers()
        self._check_choices()
        self._check_layers()

    def _check_numbers(self) -> None:
        if self.bottleneck_size < 1:
            raise ValueError(f"bottleneck_size is {self.bottleneck_size}; give a whole number of 1 or more.")
        if not (math.isfinite(self.scaling) and self.scaling > 0):
            raise ValueError(f"scaling is {self.scaling}; give a finite number above 0.")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}; give a number from 0 up to, not including, 1.")

    def _check_choices(self) -> None:
        if self.variant not in get_args(Variant):
            raise ValueError(f"variant is {self.variant!r}; give one of {', '.join(get_args(Variant))}.")
        if self.non_linearity not in get_args(NonLinearity):
            choices = ", ".join(get_args(NonLinearity))
            raise ValueError(f"non_linearity is {self.non_linearity!r}; give one of {choices}.")

    def _check_layers(self) -> None:
        if isinstance(self.target_modules, str) and self.layers_to_transform is not None:
            raise ValueError(
                "layers_to_transform does not work with a regex or 'all-linear' in target_modules; "
                "give target_modules as a list of names."
            )
        if self.layers_pattern and self.layers_to_transform is None:
            raise ValueError(
                "layers_pattern needs layers_to_transform: say which layers of the list to adapt."
            )
