"""What happens to the optimizer's moments of layers that are not selected: keep, reset or offload.

keep     they stay as they are and go on when the layer is selected again
reset    they are forgotten; a layer starts from zero each time it is selected
offload  they wait in the main memory and come back to the layer's device when it is selected

Those of layers that are never selected again are forgotten, whatever the policy: nothing will read them.

AdamW skips parameters without a gradient, and its step count is the parameter's own, so a layer's bias
correction is right whenever it starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ist_core.ist.layers import AdapterLayer

Groups = list[dict[str, Any]]


def layer_groups(layers: Sequence[AdapterLayer]) -> Groups:
    """Return one parameter group a layer, for an optimizer's constructor; `layer` is its index."""
    return [{"params": list(layer.parameters), "layer": layer.index} for layer in layers]


class OptimizerState:
    """Applies one policy to an optimizer, layer by layer.

    Args:
        optimizer: any torch optimizer whose `state` is keyed by parameter.
        store: where offloaded moments wait.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        layers: Sequence[AdapterLayer],
        policy: Literal["keep", "reset", "offload"],
        *,
        store: torch.device | None = None,
    ) -> None:
        self._optimizer = optimizer
        self._layers = layers
        self._policy = policy
        self._store = store or torch.device("cpu")

    def select(self, active: Sequence[int], *, settled: bool) -> None:
        """Do what the policy says before a step that updates the layers at these positions.

        Args:
            settled: whether all later steps update the same ones.
        """
        forget = settled or self._policy == "reset"
        if not forget and self._policy == "keep":
            return
        chosen = set(active)
        for index, layer in enumerate(self._layers):
            for parameter in layer.parameters:
                state = self._optimizer.state.get(parameter)
                if not state:
                    continue
                if forget and index not in chosen:
                    del self._optimizer.state[parameter]
                elif self._policy == "offload":
                    _move(state, parameter.device if index in chosen else self._store)


def _move(state: dict[str, Any], device: torch.device) -> None:
    """Move the moments; scalars such as AdamW's step count stay where the optimizer wants them."""
    for name, value in state.items():
        if isinstance(value, Tensor) and value.dim() > 0 and value.device != device:
            state[name] = value.to(device)
