"""Independent random streams from a job's one seed."""

import hashlib

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
