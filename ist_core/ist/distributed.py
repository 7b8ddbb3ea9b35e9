"""What ranks of a distributed run agree on: probe losses and seeds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import distributed

from ist_core.errors import IstError


def is_distributed() -> bool:
    """Whether this process is one of several ranks."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def mean_over_ranks(value: float) -> float:
    """Return the mean of `value` over all ranks: the same number, bit for bit, on each of them."""
    return means_over_ranks([value])[0]


def means_over_ranks(values: Sequence[float]) -> list[float]:
    """Return the mean of each value over all ranks."""
    if not is_distributed():
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64, device=_device())
    distributed.all_reduce(tensor)
    means: list[float] = (tensor / distributed.get_world_size()).tolist()
    return means


def check_same_seed(seed: int) -> None:
    """Raise IstError unless every rank has the same seed: they would draw different layers."""
    if not is_distributed():
        return
    extremes = torch.tensor([seed, -seed], dtype=torch.int64, device=_device())
    distributed.all_reduce(extremes, op=distributed.ReduceOp.MAX)
    highest, lowest = int(extremes[0]), -int(extremes[1])
    if highest != lowest:
        raise IstError(
            f"the ranks have different seeds ({lowest} and {highest}), so they would draw different layers; "
            "give IST the same seed on every rank",
            param="seed",
        )


def _device() -> torch.device:
    """NCCL reduces CUDA tensors only."""
    return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")
