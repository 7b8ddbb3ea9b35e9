"""A tiny model that has something to say, and adapters of every kind for it."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from ist_core.models.quiet import no_progress_bars
from tests.tiny_model import make_tiny_model
from tests.unit.ist_core.inference.talks import CONFIGS, write_adapter


@pytest.fixture(scope="session")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama whose answers vary and depend on the prompt, in a folder."""
    return make_tiny_model(tmp_path_factory.mktemp("chat") / "talker", spread=0.2)


@pytest.fixture(scope="session")
def adapters(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One adapter folder of each kind for it."""
    folder = tmp_path_factory.mktemp("adapters")
    with warnings.catch_warnings(), no_progress_bars():
        # PEFT reads transformers' old name of this property.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        return {name: write_adapter(talker, make(), folder / name) for name, make in CONFIGS.items()}
