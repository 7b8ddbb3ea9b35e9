"""The adapters that a spec puts on a model, counted.

LoRA                  r * (in + out) for each module          DoRA  + out
bottleneck parallel   in * b + b + b * out + out              series  out * b + b + b * out + out

r  rank      b  size      in, out  features of the adapted linear module
"""

from __future__ import annotations

from dataclasses import dataclass

from ist_core.errors import AdapterError
from ist_core.planner.shape import Linear, ModelShape
from ist_core.spec import BottleneckSpec, LoraSpec

_FLOAT32 = 4
"""Adapters, their gradients and their moments are float32, whatever the base model is."""


@dataclass(frozen=True, slots=True)
class LayerAdapters:
    """The adapters of one decoder layer; every layer has the same."""

    spec: LoraSpec | BottleneckSpec
    targets: tuple[Linear, ...]

    @property
    def parameters(self) -> int:
        """Trainable parameters of one layer."""
        return sum(self._of(target) for target in self.targets)

    @property
    def bytes(self) -> int:
        """Bytes of one layer's adapters, and as many of their gradients."""
        return _FLOAT32 * self.parameters

    @property
    def moment_bytes(self) -> int:
        """Bytes of AdamW's state of one layer: two moments, and a count of steps for each tensor."""
        return 2 * self.bytes + _FLOAT32 * self.tensors

    @property
    def tensors(self) -> int:
        """Parameter tensors of one layer."""
        if isinstance(self.spec, BottleneckSpec):
            return 4 * len(self.targets)
        return (3 if self.spec.dora else 2) * len(self.targets)

    @property
    def width(self) -> int:
        """Features between the two projections."""
        return self.spec.size if isinstance(self.spec, BottleneckSpec) else self.spec.rank

    @property
    def multiplications(self) -> int:
        """Multiplications of one layer's adapters for one token, forward."""
        return sum(self.width * (self.source(target) + target.outputs) for target in self.targets)

    def source(self, target: Linear) -> int:
        """Features that the adapter of a module reads."""
        series = isinstance(self.spec, BottleneckSpec) and self.spec.variant == "series"
        return target.outputs if series else target.inputs

    def _of(self, target: Linear) -> int:
        ends = self.source(target) + target.outputs
        if isinstance(self.spec, BottleneckSpec):
            return self.width * ends + self.width + target.outputs
        return self.width * ends + (target.outputs if self.spec.dora else 0)


def layer_adapters(shape: ModelShape, spec: LoraSpec | BottleneckSpec) -> LayerAdapters:
    """Return what `spec` puts on each layer of a model.

    Raises:
        AdapterError: if a target is the name of no linear module of its layers.
    """
    known = {linear.name for linear in shape.linears}
    wanted = known if spec.target_modules is None else set(spec.target_modules)
    if unknown := sorted(wanted - known):
        reason = f"the model's layers have no linear module called {', '.join(map(repr, unknown))}"
        raise AdapterError(f"{reason}; they have {', '.join(sorted(known))}", param="adapter.target_modules")
    return LayerAdapters(spec, tuple(linear for linear in shape.linears if linear.name in wanted))
