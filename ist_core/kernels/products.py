"""Matrix products by the kernels that are fastest on this processor.

torch multiplies float32 matrices with MKL, which takes AVX2 code paths on processors of other makers. oneDNN
generates code for what the processor has: 2.2 times the speed on an EPYC with AVX-512 (docs/performance.md),
with float32 sums all the same. Matrices in bfloat16 go to oneDNN anyway.

The code for each size of a product is kept, half a megabyte apiece, and batches come in many lengths: a run
would grow by hundreds of megabytes. So no more is kept than a step needs, unless the user has said how much.
Both caches read their size when the first product is made.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor

_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch has no types here

_KEPT = 64
"""Sizes; a step of one length has about twenty."""

for _cache in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_cache, str(_KEPT))


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return (M, K) times (K, N); `right` may be a transposed view."""
    if _ONEDNN and left.dtype == torch.float32 and left.device.type == "cpu":
        found: Tensor = torch.ops.mkldnn._linear_pointwise(left, right.t(), None, "none", [], "")  # noqa: SLF001  # torch's own compiler calls it, and there is no other way to oneDNN
        return found
    return left @ right
