"""Models: base models, and those that jobs made."""

from __future__ import annotations

from isthmus.types.base import Identified, Lenient


class Model(Identified):
    """A model; `base_model` and `job_id` are None for a base model."""

    object: str = "model"
    created: int = 0
    """Unix seconds; 0 for base models, whose age is not known."""
    owned_by: str = ""
    base_model: str | None = None
    job_id: str | None = None


class ModelList(Lenient):
    """Every model."""

    data: list[Model]
