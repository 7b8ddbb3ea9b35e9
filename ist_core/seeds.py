"""Independent random streams from a job's one seed, and the state of torch's own."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def stream_seed(seed: int, *purpose: str | int) -> int:
    """Return the seed of the stream called `purpose`, such as ("epoch", 3).

    Hashed, because torch's CPU generator looks at the low 32 bits of a seed only: plain sums collide.
    """
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def stream(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator for the stream called `purpose`."""
    return torch.Generator().manual_seed(stream_seed(seed, *purpose))


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Return the state of the generators that dropout draws from: the CPU's, and that of a CUDA `device`."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Continue from a state that `random_state` returned, as far as it is of the same kind of device."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


@contextmanager
def callers_random_kept() -> Iterator[None]:
    """Give Python's and numpy's generators their states back: libraries that set a seed set those, too."""
    python, numpy = random.getstate(), np.random.get_state()  # the one that libraries set
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # the same
