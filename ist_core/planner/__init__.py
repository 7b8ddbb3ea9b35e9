"""Plans a job before it runs: memory, time, and what to change so that it fits (no torch, no weights)."""

from ist_core.planner.config import read_config
from ist_core.planner.devices import Device, cpu, find_device
from ist_core.planner.families import shape_of
from ist_core.planner.kept_layers import KeptLayers, again_at_most, said_kept
from ist_core.planner.lengths import Lengths
from ist_core.planner.memory import Memory
from ist_core.planner.plan import Plan, Setting, plan
from ist_core.planner.shape import ModelShape

__all__ = [
    "Device",
    "KeptLayers",
    "Lengths",
    "Memory",
    "ModelShape",
    "Plan",
    "Setting",
    "again_at_most",
    "cpu",
    "find_device",
    "plan",
    "read_config",
    "said_kept",
    "shape_of",
]
