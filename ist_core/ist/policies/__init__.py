"""Selection policies: which layers a step updates. A new one is a file here and a line in `make_policy`."""

from __future__ import annotations

from ist_core.ist.policies.contiguous import Contiguous
from ist_core.ist.policies.depth import Depth
from ist_core.ist.policies.even import Lisa, RandomSparse
from ist_core.ist.policies.importance import Importance
from ist_core.ist.policies.policy import Policy
from ist_core.ist.policies.settling import Settling
from ist_core.ist.policies.static import Static
from ist_core.spec import IstSpec

__all__ = [
    "Contiguous",
    "Depth",
    "Importance",
    "Lisa",
    "Policy",
    "RandomSparse",
    "Settling",
    "Static",
    "make_policy",
]


def make_policy(spec: IstSpec, *, layers: int, count: int) -> Policy:
    """Return the policy that `spec` names, which selects `count` of `layers` layers."""
    floor = spec.floor if spec.mode == "standard" else 0.0
    match spec.policy:
        case "importance":
            return Importance(count, floor=floor, reading=spec.reading)
        case "depth":
            return Depth(count, floor=floor)
        case "contiguous":
            return Contiguous(layers, count, runs=spec.runs, floor=floor)
        case "random":
            return RandomSparse(layers, count)
        case "lisa":
            return Lisa(layers, count)
        case "settling":
            return Settling(spec.update_fraction)
        case "static":
            return Static(layers, count)
