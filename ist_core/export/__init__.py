"""Takes a trained model away: merged weights or a GGUF file, each checked against the trained model.

Importing this package costs no torch; `export_model` loads it on first use. `python -m ist_core.export` is
its command line.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ist_core.export.manifest import ExportFormat, Manifest, WeightType

if TYPE_CHECKING:
    from ist_core.export.export import export_model

__all__ = ["ExportFormat", "Manifest", "WeightType", "export_model"]


def __getattr__(name: str) -> object:
    # By name, so that neither Python nor import-linter sees torch behind this package.
    if name == "export_model":
        return import_module("ist_core.export.export").export_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
