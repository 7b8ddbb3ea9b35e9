"""Scorers: what moves importance scores. A new one is one file here and one line in `make_scorer`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ist_core.ist.layers import AdapterLayer
from ist_core.ist.scorers.combined import Combined
from ist_core.ist.scorers.gate import GateGradients
from ist_core.ist.scorers.gradient import GradientNorms, GradientState
from ist_core.ist.scorers.scorer import ProbeReport, Scorer
from ist_core.ist.scorers.suppression import SuppressionProbes
from ist_core.spec import IstSpec

__all__ = [
    "Combined",
    "GateGradients",
    "GradientNorms",
    "GradientState",
    "ProbeReport",
    "Scorer",
    "SuppressionProbes",
    "make_scorer",
    "suppress_count",
]


def make_scorer(spec: IstSpec, layers: Sequence[AdapterLayer]) -> Scorer | GradientNorms:
    """Return what moves the scores: a scorer that probes, or one that looks at training itself."""
    gates = GateGradients(layers, beta=spec.suppression, rate=spec.score_rate)
    probes = SuppressionProbes(
        layers,
        count=suppress_count(spec, len(layers)),
        beta=spec.suppression,
        candidates=spec.candidates,
        mode=spec.mode,
        rate=spec.score_rate,
    )
    match spec.scorer:
        case "suppression":
            return probes
        case "gate":
            return gates
        case "gradient":
            return GradientNorms(layers, rate=spec.score_rate)
        case "combined":
            return Combined(probes, gates)


def suppress_count(spec: IstSpec, layers: int) -> int:
    """Return how many layers a candidate suppresses: at least one, never all."""
    return min(layers - 1, max(1, math.floor(spec.suppress_fraction * layers)))
