"""Importance-aware Sparse Tuning (Yao et al., 2024, arXiv 2410.11772)."""

from ist_core.ist.controller import IST
from ist_core.ist.layers import AdapterLayer, adapter_layers, decoder_layers

__all__ = ["IST", "AdapterLayer", "adapter_layers", "decoder_layers"]
