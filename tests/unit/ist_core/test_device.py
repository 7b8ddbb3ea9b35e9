"""The number format of a run on a CPU, by what is asked for and what its processor can do."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from ist_core import processor
from ist_core.device import inference_dtype, likely_dtype, pick_dtype
from ist_core.planner.devices import cpu
from ist_core.spec import JobSpec

CPU = torch.device("cpu")


@pytest.mark.parametrize("has_it", [True, False])
@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16"])
def test_all_who_ask_are_told_the_same(
    monkeypatch: pytest.MonkeyPatch, precision: Literal["auto", "float32", "bfloat16"], has_it: bool
) -> None:
    monkeypatch.setattr(processor, "has_bfloat16", lambda: has_it)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    narrow = has_it if precision == "auto" else precision == "bfloat16"
    spec = JobSpec(model="tiny", training_file="file", precision=precision)
    assert pick_dtype(spec, CPU) is (torch.bfloat16 if narrow else torch.float32)
    assert likely_dtype(precision) is pick_dtype(spec, CPU), "else a base model is held in vain"
    assert cpu().width(precision) == pick_dtype(spec, CPU).itemsize


@pytest.mark.parametrize("has_it", [True, False])
def test_a_finished_model_answers_in_float32(monkeypatch: pytest.MonkeyPatch, has_it: bool) -> None:
    monkeypatch.setattr(processor, "has_bfloat16", lambda: has_it)
    assert inference_dtype(CPU) is torch.float32
