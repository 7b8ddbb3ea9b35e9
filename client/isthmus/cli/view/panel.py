"""A job as a picture that is drawn again and again: progress, loss, importance; also in narrow terminals."""

from __future__ import annotations

from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from isthmus.cli.view.importance import ImportanceBars, legend
from isthmus.cli.view.progress import JobProgress
from isthmus.cli.view.sparkline import sparkline
from isthmus.cli.view.tables import STYLES

BORDER_FROM = 60
"""Columns; a narrower terminal has no room for a frame."""
BAR_FROM = 30
"""A narrower one has none for a bar beside the figures."""
DIM = "bright_black"


@dataclass(frozen=True)
class JobPanel:
    """A job as it is now."""

    progress: JobProgress
    connected: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As wide as the terminal is."""
        framed = options.max_width >= BORDER_FROM
        inner = options.max_width - 4 if framed else options.max_width
        body = Group(*self._parts(inner, ascii_only=options.ascii_only))
        if not framed:
            yield self._title()
            yield body
            return
        shape = box.ASCII if options.ascii_only else box.ROUNDED
        yield Panel(body, title=self._title(), title_align="left", border_style=DIM, box=shape)

    def _title(self) -> Text:
        job = self.progress.job
        title = Text.assemble((job.id, "bold"), "  ", (job.state or job.status, STYLES.get(job.state, "")))
        if not self.connected:
            title.append("  reconnecting ...", style="yellow")
        return title

    def _parts(self, width: int, *, ascii_only: bool) -> list[RenderableType]:
        progress = self.progress
        parts: list[RenderableType] = [self._bar(width)]
        if figures := progress.figures():
            parts.append(Text("   ".join(figures)))
        if waiting := progress.waiting_text():
            parts.append(Text(waiting))
        if progress.losses.last is not None:
            parts.append(self._loss(width, ascii_only=ascii_only))
        step = progress.step
        if step is not None and step.importance:
            heading = Text("importance of the layers  ", style=DIM)
            parts += [heading.append_text(legend(ascii_only=ascii_only))]
            parts.append(ImportanceBars(step.importance, step.active))
        return parts

    def _bar(self, width: int) -> RenderableType:
        progress = self.progress
        total = progress.total
        share = f"{progress.done / total:4.0%}" if total else ""
        if width < BAR_FROM:
            return Text(f"{progress.steps_text}{share}")
        line = Table.grid(expand=True, padding=(0, 1))
        line.add_column(no_wrap=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True, justify="right")
        bar = ProgressBar(total=total or 1, completed=progress.done if total else 0)
        line.add_row(f"step {progress.steps_text}", bar, share)
        return line

    def _loss(self, width: int, *, ascii_only: bool) -> Text:
        losses = self.progress.losses
        text = Text(f"loss {self.progress.loss_text}", no_wrap=True, overflow="crop")
        low = f"  lowest {losses.low:.4f}" if losses.low is not None else ""
        room = width - len(text) - len(low) - 2
        if room < len("loss"):
            return text
        text.append("  ").append(sparkline(losses.points(), room, ascii_only=ascii_only), style="cyan")
        return text.append(low, style=DIM)
