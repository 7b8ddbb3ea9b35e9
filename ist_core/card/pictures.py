"""A card's pictures: the loss by step, and what IST found of each layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ist_core.card.facts import Curve, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOSS, LAYERS = "loss.png", "layers.png"

_INK, _QUIET, _GRID = "#1f2933", "#7b8794", "#e4e7eb"
_BLUE, _ORANGE = "#2f6fde", "#d9730d"
_STYLE = {
    "font.size": 9,
    "axes.edgecolor": _QUIET,
    "axes.labelcolor": _INK,
    "axes.titlecolor": _INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "xtick.color": _QUIET,
    "ytick.color": _QUIET,
    "legend.frameon": False,
    "savefig.facecolor": "white",
}
_SIZE, _DPI = (7.2, 2.8), 130
_MOST_POINTS = 2000
_SMOOTHED_OVER = 60
"""One in so many steps is a standard deviation of the bell curve that smooths."""


def draw_losses(run: Run, folder: Path) -> str:
    """Draw training and validation loss into `folder`; return the file's name."""
    with _picture(folder / LOSS) as figure:
        axes = figure.subplots()
        training = _thinned(run.training)
        axes.plot(training.steps, training.losses, color=_BLUE, alpha=0.3, linewidth=0.8)
        axes.plot(
            training.steps, _smooth(training.losses), color=_BLUE, linewidth=1.8, label="training, smoothed"
        )
        if run.validation.steps:
            axes.plot(
                run.validation.steps,
                run.validation.losses,
                color=_ORANGE,
                linewidth=1.4,
                marker="o",
                markersize=3.5,
                label="validation",
            )
        axes.set(title="Loss", xlabel="step")
        axes.margins(x=0.01)
        axes.legend(loc="upper right")
    return LOSS


def draw_layers(run: Run, folder: Path) -> str:
    """Draw each layer's importance, if it was scored, and how often it was updated; return the file name."""
    shares = [100 * count / run.report["steps"] for count in run.report["layer_updates"]]
    with _picture(folder / LAYERS) as figure:
        axes = list(figure.subplots(1, 1 + run.scored, squeeze=False).flat)
        _bars(axes[-1], shares, _ORANGE, "Steps that updated the layer, in percent")
        if run.scored:
            _bars(axes[0], run.report["importance"], _BLUE, "Importance of the layer")
            axes[0].axhline(0, color=_QUIET, linewidth=0.8)
    return LAYERS


def _bars(axes: Axes, values: list[float], colour: str, title: str) -> None:
    axes.bar(range(len(values)), values, color=colour, width=0.8)
    axes.set(title=title, xlabel="layer, from the input up")
    axes.grid(visible=False, axis="x")
    axes.locator_params(axis="x", integer=True)
    axes.margins(x=0.01)


@contextmanager
def _picture(path: Path) -> Iterator[Figure]:
    """Yield a figure to draw into, and save it; not of pyplot, which keeps figures and looks for a screen."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):  # type: ignore[arg-type]  # its own keys
        figure = Figure(figsize=_SIZE)
        # Fixed, because laying it out anew for each picture takes as long as drawing it.
        figure.subplots_adjust(left=0.09, right=0.985, top=0.9, bottom=0.17, wspace=0.18)
        yield figure
        # Without its version, so that the same run makes the same picture.
        figure.savefig(path, dpi=_DPI, metadata={"Software": None})


def _thinned(curve: Curve) -> Curve:
    """Return means of neighbours where there are more steps than a picture can show."""
    width = -(-len(curve.steps) // _MOST_POINTS)
    if width <= 1:
        return curve
    parts = range(0, len(curve.steps), width)
    losses = [float(np.mean(curve.losses[at : at + width])) for at in parts]
    return Curve([curve.steps[at] for at in parts], losses)


def _smooth(losses: list[float]) -> list[float]:
    """Return means of each loss's neighbours, weighted by a bell curve, so that none is behind or ahead."""
    width = len(losses) / _SMOOTHED_OVER
    reach = np.arange(-int(3 * width), int(3 * width) + 1)
    weights = np.exp(-0.5 * (reach / width) ** 2)
    middle = slice(len(reach) // 2, len(reach) // 2 + len(losses))
    total = np.convolve(losses, weights)[middle]
    return list(total / np.convolve(np.ones(len(losses)), weights)[middle])
