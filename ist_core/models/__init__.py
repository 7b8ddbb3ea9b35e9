"""Base models: from a name's source to a plain torch model and its tokenizer."""

from ist_core.models.base import BaseModel, context_window, default_cache, load_base_model
from ist_core.models.held import HeldModel

__all__ = ["BaseModel", "HeldModel", "context_window", "default_cache", "load_base_model"]
