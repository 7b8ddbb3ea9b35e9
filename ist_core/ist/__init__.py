"""Importance-aware Sparse Tuning (Yao et al., 2024, arXiv 2410.11772)."""

from ist_core.ist.engine import IST
from ist_core.ist.layers import AdapterLayer, adapter_layers, decoder_layers
from ist_core.ist.optimizer_state import layer_groups
from ist_core.ist.probe import BatchProbe, Probe
from ist_core.ist.record import IstRecord
from ist_core.ist.scorers import ProbeReport
from ist_core.ist.selection import IstState

__all__ = [
    "IST",
    "AdapterLayer",
    "BatchProbe",
    "IstRecord",
    "IstState",
    "Probe",
    "ProbeReport",
    "adapter_layers",
    "decoder_layers",
    "layer_groups",
]
