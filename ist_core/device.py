"""Which device and number format a run uses."""

import torch

from ist_core import processor
from ist_core.errors import EngineError
from ist_core.spec import JobSpec


def pick_device() -> torch.device:
    """Return the first CUDA device, or the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def pick_dtype(spec: JobSpec, device: torch.device) -> torch.dtype:
    """Return the base model's number format; adapters are float32 always.

    Raises:
        EngineError: if bfloat16 is asked for on a GPU that has none.
    """
    fast = _gpu_has_bfloat16() if device.type == "cuda" else processor.has_bfloat16()
    if spec.precision == "bfloat16" and device.type == "cuda" and not fast:
        raise EngineError("this GPU has no bfloat16; use precision float32 or auto", param="precision")
    if spec.precision == "bfloat16" or (spec.precision == "auto" and fast):
        return torch.bfloat16
    return torch.float32


def likely_dtype(precision: str) -> torch.dtype:
    """Return the number format that a run probably uses, without a look at a GPU: that cannot be undone."""
    fast = torch.cuda.is_available() or processor.has_bfloat16()
    bfloat16 = precision == "bfloat16" or (precision == "auto" and fast)
    return torch.bfloat16 if bfloat16 else torch.float32


def inference_dtype(device: torch.device) -> torch.dtype:
    """Return the number format that a base model answers in: bfloat16 where a GPU has it, else float32."""
    return torch.bfloat16 if device.type == "cuda" and _gpu_has_bfloat16() else torch.float32


def device_name(device: torch.device) -> str:
    """Return a name for people: the GPU's model, or `cpu` with the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu ({torch.get_num_threads()} threads)"


def _gpu_has_bfloat16() -> bool:
    found: bool = torch.cuda.is_bf16_supported(including_emulation=False)
    return found
