"""The matrix as text: one line a method, one column a family, then the reasons and the totals."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from benchmarks.ist_matrix.matrix import CHECKS, Cell
from benchmarks.ist_matrix.methods import METHODS

WIDTH = 300
MARKS = {"supported": "✓" * len(CHECKS), "refused": "refused", "n/a": "n/a"}


def table(cells: Sequence[Cell]) -> str:
    """Return the table of all cells."""
    families = dict.fromkeys(cell.family for cell in cells)
    rows: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        rows[cell.method].append(cell)
    label = max(map(len, rows))
    lines = [" " * label + "".join(f"  {family:>7}" for family in families)]
    for name, row in rows.items():
        marks = (f"  {_mark(cell):>{max(7, len(cell.family))}}" for cell in row)
        lines.append(f"{name:<{label}}{''.join(marks)}")
    return "\n".join(lines)


def notes(cells: Sequence[Cell]) -> str:
    """Return what the marks mean, and why cells are not available, refused or failed."""
    lines = ["", f"✓✓✓  {', '.join(CHECKS)}; a check that failed is ✗", ""]
    for verdict, title in (("n/a", "peft cannot:"), ("refused", "IST refuses:")):
        found = [cell for cell in cells if cell.verdict == verdict]
        lines += [title] if found else []
        for method in dict.fromkeys(cell.method for cell in found):
            families = [cell.family for cell in found if cell.method == method]
            reason = next(cell.reasons[0] for cell in found if cell.method == method)
            lines.append(f"  {method} ({', '.join(families)}): {' '.join(reason.split())}"[:WIDTH])
    for cell in cells:
        if cell.verdict == "failed":
            lines += [
                f"FAILED  {cell.method} on {cell.family}: {reason}" for reason in cell.reasons if reason
            ]
    return "\n".join(lines)


def totals(cells: Sequence[Cell]) -> str:
    """Return how many cells and methods there are of each kind."""
    verdicts = Counter(cell.verdict for cell in cells)
    supported = {cell.method for cell in cells if cell.verdict == "supported"}
    refused = {cell.method for cell in cells if cell.verdict == "refused"}
    counted = ", ".join(f"{verdicts[name]} {name}" for name in ("supported", "refused", "n/a", "failed"))
    return f"{len(supported)} methods supported, {len(refused)} refused; of {len(cells)} cells {counted}"


def unproven(cells: Sequence[Cell]) -> list[str]:
    """Return the supported methods that no family shows, though all that they need is here."""
    shown = {cell.method for cell in cells if cell.verdict != "n/a"}
    return [
        name
        for name in dict.fromkeys(cell.method for cell in cells)
        if name not in shown and name in METHODS and not METHODS[name].missing
    ]


def _mark(cell: Cell) -> str:
    if cell.verdict != "failed":
        return MARKS[cell.verdict]
    return "".join("✗" if reason else "✓" for reason in cell.reasons)
