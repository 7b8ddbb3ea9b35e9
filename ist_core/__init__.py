"""The Isthmus engine: Importance-aware Sparse Tuning, alone in a notebook or inside the service.

Importing this package costs no torch; `train` loads it on first use.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

from ist_core.errors import EngineError
from ist_core.records import Checkpointed, Message, Started, StepRecord, TrainResult
from ist_core.spec import IstSpec, JobSpec, LoraSpec

if TYPE_CHECKING:
    from ist_core.ist import IST
    from ist_core.trainer import train

# Read by OpenMP when torch loads. Its default, spinning, made a training step 5 to 8 times slower (measured)
# as soon as another process wanted a core, and beside a database and a web server one always does.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Read by oneDNN at its first bfloat16 product. It keeps a compiled kernel for each size it met, by default
# 1,024 of them: as much memory as a small model after 60 steps, and no faster (measured).
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")

__all__ = [
    "IST",
    "Checkpointed",
    "EngineError",
    "IstSpec",
    "JobSpec",
    "LoraSpec",
    "Message",
    "Started",
    "StepRecord",
    "TrainResult",
    "train",
]

_LAZY = {"IST": "ist_core.ist", "train": "ist_core.trainer"}


def __getattr__(name: str) -> object:
    # By name, so that neither Python nor import-linter sees torch behind `import ist_core`.
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
