"""Each layer's importance as a bar, the layers updated in the step marked below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII_BLOCKS = " .#"
ROWS = 3
LABEL_EVERY = 5
UPDATED = Style(color="cyan", bold=True)
RESTING = Style(color="bright_black")
MARK, ASCII_MARK = "▲", "^"
TOP_LAYERS = 5


@dataclass(frozen=True)
class ImportanceBars:
    """Bars for the scores of all layers, as many in a row as the terminal has room for."""

    scores: Sequence[float]
    """One a layer; higher is more important."""
    active: Sequence[int]
    """The layers updated in the step."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rows of bars, a row of marks, a row of layer numbers."""
        cell = 2 if 2 * len(self.scores) <= options.max_width else 1
        wide = max(1, options.max_width // cell)
        wide = wide - wide % LABEL_EVERY if LABEL_EVERY <= wide < len(self.scores) else wide
        blocks = ASCII_BLOCKS if options.ascii_only else BLOCKS
        mark = ASCII_MARK if options.ascii_only else MARK
        heights = _heights(self.scores, ROWS * (len(blocks) - 1))
        updated = set(self.active)
        for start in range(0, len(heights), wide):
            layers = range(start, min(start + wide, len(heights)))
            for row in reversed(range(ROWS)):
                for layer in layers:
                    filled = min(max(heights[layer] - row * (len(blocks) - 1), 0), len(blocks) - 1)
                    style = UPDATED if layer in updated else RESTING
                    yield Segment(blocks[filled].ljust(cell), style)
                yield Segment.line()
            yield Segment(
                "".join((mark if layer in updated else " ").ljust(cell) for layer in layers), UPDATED
            )
            yield Segment.line()
            yield Segment(_labels(layers, cell), RESTING)
            yield Segment.line()


def importance_text(scores: Sequence[float], active: Sequence[int]) -> str:
    """The most important layers in words, those updated with an asterisk: `4* (+0.90)  1 (+0.10)`."""
    if not any(scores):
        return "not scored yet"
    ranked = sorted(range(len(scores)), key=lambda layer: scores[layer], reverse=True)[:TOP_LAYERS]
    updated = set(active)
    return "  ".join(f"{layer}{'*' if layer in updated else ''} ({scores[layer]:+.2f})" for layer in ranked)


def legend(*, ascii_only: bool) -> Text:
    """What the marks mean."""
    return Text(f"{ASCII_MARK if ascii_only else MARK} updated in this step", style="bright_black")


def _heights(scores: Sequence[float], most: int) -> list[int]:
    """1 for the least important layer, `most` for the most important one; 1 for all that are the same."""
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    if high == low:
        return [1] * len(scores)
    return [1 + round((score - low) / (high - low) * (most - 1)) for score in scores]


def _labels(layers: Sequence[int], cell: int) -> str:
    """The numbers of every fifth layer below its bar, where they do not run into each other."""
    line = ""
    for place, layer in enumerate(layers):
        if layer % LABEL_EVERY == 0 and len(line) <= place * cell:
            line = line.ljust(place * cell) + f"{layer} "
    return line[: len(layers) * cell].ljust(len(layers) * cell)
