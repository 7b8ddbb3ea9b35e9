"""Base models: from a name's source to a plain torch model and its tokenizer."""

from ist_core.models.base import BaseModel, default_cache, load_base_model

__all__ = ["BaseModel", "default_cache", "load_base_model"]
