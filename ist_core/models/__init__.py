"""Base models: from a name's source to a plain torch model and its tokenizer."""

from ist_core.models.base import BaseModel, load_base_model

__all__ = ["BaseModel", "load_base_model"]
