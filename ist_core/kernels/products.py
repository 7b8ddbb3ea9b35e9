"""Matrix products by the kernels that are fastest on this processor.

torch multiplies float32 matrices with MKL, which takes AVX2 code paths on processors of other makers. oneDNN
generates code for what the processor has: 2.2 times the speed on an EPYC with AVX-512 (docs/performance.md),
with float32 sums all the same. Matrices in bfloat16 go to oneDNN anyway.
"""

from __future__ import annotations

import torch
from torch import Tensor

_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch has no types here


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return (M, K) times (K, N); `right` may be a transposed view."""
    if _ONEDNN and left.dtype == torch.float32 and left.device.type == "cpu":
        found: Tensor = torch.ops.mkldnn._linear_pointwise(left, right.t(), None, "none", [], "")  # noqa: SLF001  # torch's own compiler calls it, and there is no other way to oneDNN
        return found
    return left @ right
