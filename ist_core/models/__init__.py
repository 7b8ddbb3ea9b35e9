"""Base models: from a name's source to a plain torch model and its tokenizer."""

from ist_core.models.base import BaseModel, default_cache, load_base_model
from ist_core.models.held import HeldModel

__all__ = ["BaseModel", "HeldModel", "default_cache", "load_base_model"]
