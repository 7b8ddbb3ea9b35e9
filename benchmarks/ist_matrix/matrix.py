"""Fills the matrix: what each method's cell with each family shows, and which methods of peft it lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
from peft import PeftModel
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

from benchmarks.ist_matrix.case import Case, CheckFailed, NotAvailable
from benchmarks.ist_matrix.methods import METHODS
from benchmarks.ist_matrix.models import quiet
from benchmarks.ist_matrix.refusals import REFUSALS
from benchmarks.ist_matrix.resumption import exact_resumption
from benchmarks.ist_matrix.selection import selected_only
from benchmarks.ist_matrix.suppression import exact_suppression
from ist_core.errors import AdapterError
from ist_core.ist import IST

CHECKS: dict[str, Callable[[Case], None]] = {
    "selected only": selected_only,
    "exact suppression": exact_suppression,
    "resume": exact_resumption,
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What one method does on one family's model."""

    method: str
    family: str
    verdict: Literal["supported", "refused", "n/a", "failed"]
    reasons: tuple[str, ...] = ()
    """Of a failed cell one for each check, empty where it passed; else peft's or IST's reason."""


def fill(methods: Sequence[str], families: Sequence[str], *, processes: int) -> Iterator[Cell]:
    """Yield the cells of these methods and families, method by method."""
    pairs = [(method, family) for method in methods for family in families]
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_one_thread) as pool:
        yield from pool.map(show, *zip(*pairs, strict=True), chunksize=len(families))


def show(method: str, family: str) -> Cell:
    """Fill one cell."""
    return _show_refusal(method, family) if method in REFUSALS else _show_checks(method, family)


def refusal(model: PeftModel) -> str:
    """Return why IST refuses a model.

    Raises:
        CheckFailed: if it does not.
    """
    try:
        IST(model)
    except AdapterError as error:
        return error.message
    raise CheckFailed("IST takes it")


def unknown_methods() -> list[str]:
    """Return the methods of peft that are in neither table: a new peft has brought them."""
    known = {row.kind for row in METHODS.values()} | {row.kind for row in REFUSALS.values()}
    return sorted(str(kind.value) for kind in PEFT_TYPE_TO_CONFIG_MAPPING if kind.value not in known)


def _show_checks(method: str, family: str) -> Cell:
    case = Case(method, family)
    try:
        case.make()
    except NotAvailable as error:
        return Cell(method, family, "n/a", (str(error),))
    reasons = tuple(_reason(check, case) for check in CHECKS.values())
    return Cell(method, family, "failed", reasons) if any(reasons) else Cell(method, family, "supported")


def _reason(check: Callable[[Case], None], case: Case) -> str:
    """Return why a check fails, or an empty text."""
    try:
        with quiet():
            check(case)
    except Exception as error:  # whatever it is, the table says it
        return f"{type(error).__name__}: {error}"
    return ""


def _show_refusal(method: str, family: str) -> Cell:
    row = REFUSALS[method]
    with TemporaryDirectory() as folder:
        try:
            model = row.make(family, Path(folder))
        except Exception as error:  # peft's own reason
            return Cell(method, family, "n/a", (f"{type(error).__name__}: {error}",))
    try:
        reason = refusal(model)
    except CheckFailed as error:
        return Cell(method, family, "failed", (str(error),))
    if row.reason not in reason:
        return Cell(method, family, "failed", (f"refused, but for another reason: {reason}",))
    return Cell(method, family, "refused", (reason,))


def _one_thread() -> None:
    """Tiny tensors run far faster on one thread."""
    torch.set_num_threads(1)
