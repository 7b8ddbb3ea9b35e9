"""A base model kept in memory between runs: taken only where it is the one that would be loaded."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ist_core.catalog import ModelSource
from ist_core.models import HeldModel
from ist_core.trainer import train
from tests.tiny_model import make_tiny_model
from tests.train.runs import make_spec, weights_of

CPU = torch.device("cpu")
LARGE = 2**40


@pytest.fixture
def source(tiny_folder: Path) -> ModelSource:
    return ModelSource("folder", str(tiny_folder), str(tiny_folder))


def holding(source: ModelSource, cache: Path) -> HeldModel:
    held = HeldModel(LARGE)
    assert held.hold(source, cache_dir=cache, dtype=torch.float32)
    return held


def test_it_is_taken_once_and_by_who_wants_this_model(source: ModelSource, tmp_path: Path) -> None:
    for wanted, dtype, found in (
        (source, torch.float32, True),
        (source, torch.bfloat16, False),
        (replace(source, name="other"), torch.float32, False),
    ):
        held = holding(source, tmp_path)
        taken = held.take(wanted, cache_dir=tmp_path, dtype=dtype, device=CPU)
        assert (taken is not None) is found
        assert held.take(source, cache_dir=tmp_path, dtype=torch.float32, device=CPU) is None


def test_a_model_whose_files_have_changed_is_loaded_anew(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "tiny", layers=2)
    source = ModelSource("folder", "tiny", str(tmp_path / "tiny"))
    held = holding(source, tmp_path)
    os.utime(tmp_path / "tiny" / "config.json", ns=(1, 1))
    assert held.hold(source, cache_dir=tmp_path, dtype=torch.float32)
    os.utime(tmp_path / "tiny" / "config.json", ns=(2, 2))
    assert held.take(source, cache_dir=tmp_path, dtype=torch.float32, device=CPU) is None


def test_a_model_beyond_the_bound_and_one_that_is_not_here_are_not_held(
    source: ModelSource, tmp_path: Path
) -> None:
    small = HeldModel(1000)
    assert not small.hold(source, cache_dir=tmp_path, dtype=torch.float32)
    assert small.take(source, cache_dir=tmp_path, dtype=torch.float32, device=CPU) is None
    hub = ModelSource("hub", "no/model", "no/model")
    assert not HeldModel(LARGE).hold(hub, cache_dir=tmp_path, dtype=torch.float32)


def test_a_run_with_it_ends_with_the_weights_of_one_without(
    source: ModelSource, tiny_folder: Path, chat_file: Path, tmp_path: Path
) -> None:
    spec = make_spec(tiny_folder, chat_file, max_steps=3)
    held = holding(source, tmp_path)
    train(spec, output_dir=tmp_path / "cold", cache_dir=tmp_path)
    train(spec, output_dir=tmp_path / "warm", cache_dir=tmp_path, held=held)
    assert held.take(source, cache_dir=tmp_path, dtype=torch.float32, device=CPU) is None, "it was not used"
    cold, warm = weights_of(tmp_path / "cold"), weights_of(tmp_path / "warm")
    assert cold.keys() == warm.keys()
    assert all(torch.equal(cold[name], warm[name]) for name in cold)
