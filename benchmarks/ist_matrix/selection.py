"""First check: in every step exactly the selected layers' adapters change, and the base never does."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from benchmarks.ist_matrix.case import Case, CheckFailed, optimizer_of, perturb, trainable
from benchmarks.ist_matrix.models import make_batch, make_model
from ist_core.ist import IST
from ist_core.spec import IstSpec

STEPS = 5
Tensors = Mapping[str, Tensor]


def selected_only(case: Case) -> None:
    """Train a few steps on two of three layers, the other ones in each.

    Raises:
        CheckFailed: if a weight changes that should not, or does not change that should.
    """
    model = case.make()
    perturb(model)
    optimizer = optimizer_of(model)
    base = _base_tensors(model, case.family)
    start = _copies(base)
    ist = IST(model, IstSpec(policy="random", update_fraction=0.67, warmup_steps=0))
    owners = {
        id(parameter): place for place, layer in enumerate(ist.layers) for parameter in layer.parameters
    }
    trained = trainable(model)
    selections = set()
    for number in range(STEPS):
        before = _copies(trained)
        with ist.step():
            case.loss(model, make_batch(number)).backward()  # type: ignore[no-untyped-call]  # torch has no types here
            optimizer.step()
            optimizer.zero_grad()
        selections.add(ist.active)
        # What lies outside the layers is trained in every step.
        expected = {
            name for name, item in trained.items() if owners.get(id(item), ist.active[0]) in ist.active
        }
        _expect(expected, _changed(before, trained), f"step {number}, layers {ist.active}")
    if len(selections) < 2:
        raise CheckFailed("all steps had the same selection, which shows little")
    _expect(set(), _changed(start, base), "the base")


def _base_tensors(model: nn.Module, family: str) -> Tensors:
    """Return the frozen weights and buffers that the model had before it was adapted."""
    base = make_model(family)
    missing = dict(base.named_parameters()).keys() | dict(base.named_buffers()).keys()
    found = {}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        plain = name.removeprefix("base_model.model.")
        plain = plain.replace(".base_layer", "").replace(".original_module", "")
        if plain in missing:
            missing.remove(plain)
            if not tensor.requires_grad:
                found[name] = tensor
    if missing:
        raise CheckFailed(f"where is the base's {min(missing)}?")
    return found


def _copies(tensors: Tensors) -> Tensors:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _changed(before: Tensors, tensors: Tensors) -> set[str]:
    return {name for name, tensor in tensors.items() if not torch.equal(before[name], tensor)}


def _expect(expected: set[str], changed: set[str], where: str) -> None:
    if wrong := sorted(changed - expected):
        raise CheckFailed(f"{where}: {len(wrong)} weights changed that must not, such as {wrong[0]}")
    if still := sorted(expected - changed):
        raise CheckFailed(f"{where}: {len(still)} weights did not change, such as {still[0]}")
