"""Every method of peft passes the three checks on a tiny Llama, and LoRA and DoRA on every family."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from torch import nn

from benchmarks.ist_matrix import resumption, suppression
from benchmarks.ist_matrix.__main__ import main
from benchmarks.ist_matrix.case import Case, CheckFailed, NotAvailable
from benchmarks.ist_matrix.matrix import CHECKS, Cell, show, unknown_methods
from benchmarks.ist_matrix.methods import METHODS
from benchmarks.ist_matrix.models import FAMILIES
from benchmarks.ist_matrix.resumption import exact_resumption
from benchmarks.ist_matrix.selection import selected_only
from benchmarks.ist_matrix.suppression import exact_suppression
from benchmarks.ist_matrix.table import totals, unproven
from ist_core.ist import IST, AdapterLayer, IstState
from ist_core.ist.freezing import LayerFreezer
from ist_core.ist.suppression import suppressed

HERE = [name for name, row in METHODS.items() if not row.missing]
OTHERS = [family for family in FAMILIES if family != "llama"]
# peft's FRoD multiplies by sparse matrices.
pytestmark = pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled:UserWarning")


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("method", HERE)
def test_every_method_passes_every_check(method: str, check: Callable[[Case], None]) -> None:
    check(Case(method, "llama"))


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("family", OTHERS)
def test_lora_passes_every_check_on_every_family(family: str, check: Callable[[Case], None]) -> None:
    check(Case("LoRA", family))


@pytest.mark.parametrize("family", OTHERS)
def test_dora_is_suppressed_exactly_on_every_family(family: str) -> None:
    exact_suppression(Case("DoRA", family))


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_experts_pass_every_check(check: Callable[[Case], None]) -> None:
    check(Case("LoRA on parameters", "mixtral"))


@pytest.mark.parametrize("family", ["gpt2", "opt"])
def test_trained_biases_pass_the_check_of_selections(family: str) -> None:
    """Llama has no biases."""
    selected_only(Case("LoRA, bias lora_only", family))


def test_what_peft_cannot_make_is_told_from_what_fails() -> None:
    assert show("HRA", "gpt2").verdict == "n/a"  # peft's HRA knows no Conv1D
    assert show("OLoRA", "gpt2").verdict == "n/a"  # made, but no forward pass works
    with pytest.raises(NotAvailable, match="fails without IST too"):
        Case("OLoRA", "gpt2").make()


def test_no_method_of_peft_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert unknown_methods() == []
    name = next(kind for kind in PEFT_TYPE_TO_CONFIG_MAPPING if kind.value == "HRA")
    monkeypatch.setattr("benchmarks.ist_matrix.matrix.METHODS", {})
    assert str(name.value) in unknown_methods()


def test_a_trained_layer_that_was_not_selected_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LayerFreezer, "hold", lambda *_: None)
    with pytest.raises(CheckFailed, match="weights changed that must not"):
        selected_only(Case("LoRA", "llama"))


def test_a_scaling_that_is_not_the_response_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """DoRA's magnitude is left as it is when `scaling` alone is multiplied, as in the reference code."""
    monkeypatch.setattr("ist_core.ist.suppression.is_plain_lora", lambda _: True)
    with pytest.raises(CheckFailed, match="is off by"):
        exact_suppression(Case("DoRA", "llama"))


def test_a_trace_that_is_left_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaky(layers: Iterable[AdapterLayer], beta: float) -> object:
        for layer in layers:
            for module in layer.adapted:
                assert isinstance(module, nn.Module)
                module.register_forward_hook(lambda *_: None)
        return suppressed(layers, beta)

    monkeypatch.setattr(suppression, "suppressed", leaky)
    with pytest.raises(CheckFailed, match="the state is another one"):
        exact_suppression(Case("LoRA", "llama"))


def test_a_state_that_is_not_loaded_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(IST):
        def load_state_dict(self, state: IstState) -> None:
            super().load_state_dict(state | {"scores": [0.0] * len(state["scores"])})

    monkeypatch.setattr(resumption, "IST", Forgetful)
    with pytest.raises(CheckFailed, match="IST ends in another state"):
        exact_resumption(Case("LoRA", "llama"))


def test_the_run_fails_when_a_cell_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(methods: list[str], families: list[str], *, processes: int) -> Iterable[Cell]:
        return [verdict]

    monkeypatch.setattr("benchmarks.ist_matrix.__main__.fill", fill)
    verdict = Cell("LoRA", "llama", "supported")
    assert main([]) == 0
    assert "1 methods supported, 0 refused; of 1 cells 1 supported" in capsys.readouterr().out
    verdict = Cell("LoRA", "llama", "failed", ("", "off by 3", ""))
    assert main([]) == 1
    printed = capsys.readouterr().out
    assert "✓✗✓" in printed
    assert "FAILED  LoRA on llama: off by 3" in printed
    verdict = Cell("LoRA", "llama", "n/a", ("nothing works",))
    assert main([]) == 1
    assert "LoRA is shown by no family" in capsys.readouterr().out


def test_a_row_whose_package_is_missing_is_no_failure() -> None:
    cells = [Cell("AdaMSS", "llama", "n/a", ("scikit-learn is required",))]
    assert unproven(cells) == ([] if METHODS["AdaMSS"].missing else ["AdaMSS"])
    assert totals(cells).startswith("0 methods supported")
