"""What a training method has to say: how examples become batches, and what the loss on a batch is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import Tensor


class Item(Protocol):
    """One encoded example."""

    @property
    def length(self) -> int:
        """How many tokens it has; examples of about the same length are put together."""
        ...


class MicroBatch(Protocol):
    """Examples that go through the model at once."""

    @property
    def size(self) -> int:
        """How many tokens are not padding."""
        ...

    @property
    def weight(self) -> int:
        """How many terms the loss is a sum of: supervised tokens, or pairs."""
        ...


ItemT = TypeVar("ItemT", bound=Item)
BatchT = TypeVar("BatchT", bound=MicroBatch)
ItemT_contra = TypeVar("ItemT_contra", bound=Item, contravariant=True)


@dataclass(frozen=True, slots=True)
class Measure:
    """How a batch does without being learnt from."""

    loss: float
    """The sum of its terms."""
    right: int
    """Terms that came out right: tokens predicted, or pairs whose better answer is preferred."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What is kept of decoder layers that nothing changes any more."""

    layers: int
    """The lowest so many."""
    rows: int
    """Rows that the layers need not read again."""
    bytes: int
    """On the disk."""


class Objective(Protocol[ItemT_contra, BatchT]):
    """A training method's loss."""

    accuracy: str
    """What the share of right terms is called in a record, such as `mean_token_accuracy`."""

    def settle(self, depth: int) -> None:
        """Know that the lowest `depth` decoder layers are never updated again; said once.

        Rows will come again, so what these layers make of them is worth keeping.
        """
        ...

    @property
    def settled(self) -> Settled | None:
        """What is kept of the layers that `settle` told of; None: nothing."""
        ...

    def collate(self, items: Sequence[ItemT_contra]) -> BatchT:
        """Return the examples as one batch on the training device."""
        ...

    def summed_loss(self, batch: BatchT) -> Tensor:
        """Return the sum of the loss's terms on a batch, a scalar that can be differentiated."""
        ...

    def measure(self, batch: BatchT) -> Measure:
        """Return how a batch does; the model is in evaluation mode, and there are no gradients."""
        ...

    def take_metrics(self) -> dict[str, float]:
        """Return what the method tells beside the loss of the batches since the last call, and forget it."""
        ...
