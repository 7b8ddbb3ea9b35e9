"""The terminal's view of a job: progress bar, loss, speed, layers updated, most important layers."""

from __future__ import annotations

from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

TOP_LAYERS = 5
PLAIN_EVERY = 10
SMOOTHING = 0.9


class JobProgress:
    """Fed with stream frames; draws a live panel on a terminal, a line every few steps elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("step"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._bar.add_task("steps", total=None)
        self._layers = 0
        self._total: int | None = None
        self._state = "queued"
        self._step: dict[str, Any] | None = None
        self._seconds_per_step: float | None = None
        self._live = Live(
            self._render(),
            console=console,
            refresh_per_second=8,
            auto_refresh=console.is_terminal,
            transient=False,
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def job(self, job: dict[str, Any]) -> None:
        """A new snapshot of the job."""
        if job["state"] != self._state:
            self._state = job["state"]
            if not self._console.is_terminal:
                self._console.print(f"  {self._state}")
        self._layers = job["layers"] or self._layers
        self._total = job["total_steps"] or self._total
        self._draw()

    def step(self, record: dict[str, Any]) -> None:
        """One step's record."""
        self._step = record
        seconds = record["metrics"]["step_seconds"]
        before = self._seconds_per_step
        self._seconds_per_step = seconds if before is None else SMOOTHING * before + (1 - SMOOTHING) * seconds
        self._draw()
        if not self._console.is_terminal and (
            record["step"] % PLAIN_EVERY == 0 or record["step"] == self._total
        ):
            self._console.print("  " + ", ".join(f"{name} {value}" for name, value in self._figures()))

    def message(self, event: dict[str, Any]) -> None:
        """A line of the job's event log, kept above the panel."""
        colour = {"warn": "yellow", "error": "red"}.get(event["level"], "dim")
        self._console.print(f"  {event['message']}", style=colour, markup=False, highlight=False)

    def _draw(self) -> None:
        if self._step is not None:
            self._bar.update(self._task, completed=self._step["step"], total=self._total)
        if self._console.is_terminal:
            self._live.update(self._render())

    def _figures(self) -> list[tuple[str, str]]:
        if self._step is None:
            return [("state", self._state)]
        metrics = self._step["metrics"]
        figures = [
            ("step", f"{self._step['step']}/{self._total or '?'}"),
            ("loss", f"{metrics['loss']:.4f}"),
            ("tokens/s", f"{metrics['tokens_per_second']:,.0f}"),
            ("ETA", self._eta()),
            ("memory", f"{metrics['memory_bytes'] / 2**20:,.0f} MiB"),
            ("updating", _ranges(self._step["active"])),
        ]
        return [*figures, ("most important", self._top_layers())]

    def _eta(self) -> str:
        if self._total is None or self._step is None or self._seconds_per_step is None:
            return "?"
        seconds = round((self._total - self._step["step"]) * self._seconds_per_step)
        return f"{seconds // 60}:{seconds % 60:02d}"

    def _top_layers(self) -> str:
        importance = self._step["importance"] if self._step is not None else []
        ranked = sorted(range(len(importance)), key=lambda layer: importance[layer], reverse=True)
        if not any(importance):
            return "not scored yet"
        return "  ".join(f"{layer} ({importance[layer]:+.2f})" for layer in ranked[:TOP_LAYERS])

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for name, value in self._figures():
            table.add_row(f"[dim]{name}[/dim]", value)
        return Panel(Group(self._bar, table), title=f"job [bold]{self._state}[/bold]", border_style="cyan")


def _ranges(layers: list[int]) -> str:
    """`[0, 1, 2, 5]` as `layers 0-2, 5`."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    return "layers " + ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
