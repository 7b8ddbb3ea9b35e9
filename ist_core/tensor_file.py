"""Writes tensors as a safetensors file, without the package's look at each tensor by numpy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import TensorSpec, serialize_file
from torch import Tensor


def write_tensors(
    tensors: Mapping[str, Tensor], path: Path, *, metadata: dict[str, str] | None = None
) -> None:
    """Write what `safetensors.torch.save_file` writes, byte for byte, in half its time for many small ones.

    Tensors elsewhere than in main memory, or that do not lie in one piece, are copied first. Two that share
    memory are written twice.

    Raises:
        OSError: if the file cannot be written.
    """
    # Held until the file is written: a specification is an address only.
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    specs = {
        name: TensorSpec(
            dtype=str(tensor.dtype).removeprefix("torch."),
            shape=tensor.shape,
            data_ptr=tensor.data_ptr(),
            data_len=tensor.nbytes,
        )
        for name, tensor in held.items()
    }
    serialize_file(specs, path, metadata)
