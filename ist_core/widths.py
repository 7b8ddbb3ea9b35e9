"""To which length a batch is padded where every new length costs memory (no torch: plans count with it)."""

PAIRS_STEP = 32
"""Batches of preference pairs are padded to multiples of it: TRL pads them, and knows nothing else."""


def rounded_width(width: int) -> int:
    """Return the next of eight lengths an octave: at most an eighth longer."""
    step = 1 << max(0, width.bit_length() - 4)
    return -(-width // step) * step
