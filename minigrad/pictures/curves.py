"""Training curves: the cost of every epoch, in training and in validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.checks import kind
from minigrad.pictures.canvas import DASHES, MARKERS, apart, below, canvas, dress, entitle
from minigrad.pictures.colours import Colours
from minigrad.pictures.wording import count, not_finite, number
from minigrad.typing import Array

NAMES = {"cost": "training", "validation_cost": "validation"}
WIDE = 30.0  # the largest cost by the smallest, from which the scale is logarithmic
LARGE = 1e100  # costs up to which, and down to whose inverse, matplotlib's scales reach
FEW = 40  # epochs, up to which every one is a point


def training_curves(history: Mapping[str, Array], ax: Any = None, theme: str | None = None) -> Any:
    """The cost by epoch, of training and of validation, and below it the learning rate, if that varies.

    The best epoch is marked: what `history.best_epoch` says, else that of the least validation cost.  Of a mapping
    that is no History, "cost", "validation_cost" and "learning_rate" are shown.  The axes are returned.
    """
    if not hasattr(history, "keys"):
        raise TypeError(
            f"training_curves expects what fit returns, or a mapping, got {kind(history)}: {{'cost': [2.0, 1.0]}}"
        )
    lines = {name: _line(name, history[name]) for name in NAMES if name in history}
    if len({len(line) for line in lines.values()}) > 1:
        found = ", ".join(f"{len(line)} of {name}" for name, line in lines.items())
        raise ValueError(f"training_curves expects a number for each epoch, got {found}: NaN where there is none")
    if not lines or not any(np.isfinite(line).any() for line in lines.values()):
        raise ValueError(
            "training_curves expects a history with a finite cost of an epoch or more, as fit returns, got "
            f"{', '.join(history) or 'an empty one'}"
        )
    ax, colours = canvas("training_curves", ax, theme, (7.0, 4.4))
    epochs = len(next(iter(lines.values())))
    steps = np.arange(1, epochs + 1)
    for i, (name, line) in enumerate(lines.items()):
        marker = MARKERS[i] if epochs <= FEW else None
        ax.plot(steps, line, linestyle=DASHES[i], marker=marker, markersize=4, linewidth=1.8, label=NAMES[name])
    _scale(ax, np.concatenate(list(lines.values())), epochs)
    _label(ax, lines, colours)
    best = _best(history, lines, ax, colours)
    ax.set_ylabel("cost")
    ax.grid(axis="y", color=colours.grid, linewidth=0.8)
    rate = np.asarray(history["learning_rate"], float) if "learning_rate" in history else np.zeros(0)
    if rate.size and np.ptp(rate) > 1e-12 * np.abs(rate).max():
        _rate(ax, steps, rate, colours)
    else:
        ax.set_xlabel("epoch")
    title = "Training and validation cost" if len(lines) > 1 else "Cost in training"
    lost = not_finite(lines["cost"]) if "cost" in lines else ""
    large = any((np.abs(line) == LARGE).any() for line in lines.values())
    title += f", {count(epochs, 'epoch')}" + f", {lost}" * bool(lost) + f", drawn up to {LARGE:.0e}" * large
    entitle(ax, colours, title, best)
    return ax


def _line(name: str, values: Any) -> Array:
    """As numbers; what is too large or small to be drawn stands at the end of what is not."""
    try:
        line = np.asarray(values, float)
    except (TypeError, ValueError):
        line = np.zeros(())
    if line.ndim != 1:
        raise TypeError(
            f"training_curves expects {name} to be a list of numbers, one for each epoch, got {kind(values)}"
        )
    return np.where(np.isfinite(line) & (line != 0), np.sign(line) * np.clip(np.abs(line), 1 / LARGE, LARGE), line)


def _scale(ax: Any, costs: Array, epochs: int) -> None:
    """Logarithmic where costs differ by much, and whole numbers of epochs."""
    finite = costs[np.isfinite(costs)]
    if finite.min() > 0 and finite.max() > WIDE * finite.min():
        ax.set_yscale("log")
    ax.margins(x=0.02, y=0.08)
    ax.set_xlim(1 - max(0.02 * epochs, 0.2), epochs + max(0.02 * epochs, 0.2))
    ax.locator_params(axis="x", integer=True) if epochs > 1 else ax.set_xticks([1])


def _label(ax: Any, lines: Mapping[str, Array], colours: Colours) -> None:
    """The name of each line to the right of its end."""
    ends = [line[np.isfinite(line)][-1] if np.isfinite(line).any() else np.nan for line in lines.values()]
    shown = [i for i, end in enumerate(ends) if np.isfinite(end)]
    points = ax.transData.transform([(1.0, ends[i]) for i in shown])
    heights = apart(ax.transAxes.inverted().transform(points)[:, 1].tolist(), 0.085)
    for i, height in zip(shown, heights, strict=True):
        name = [*lines][i]
        ax.text(1.015, height, NAMES[name], transform=ax.transAxes, va="center", color=colours.series[i], fontsize=10)


def _best(history: Any, lines: Mapping[str, Array], ax: Any, colours: Colours) -> str:
    """Mark the best epoch and say which it is."""
    best, shown = getattr(history, "best_epoch", None), [*lines.values()][-1]
    if best is None and "validation_cost" in lines and np.isfinite(shown).any():
        best = int(np.nanargmin(np.where(np.isfinite(shown), shown, np.nan))) + 1
    if best is None or not 1 <= best <= len(shown):
        return ""
    ax.axvline(best, color=colours.edge, linewidth=1.2, linestyle=(0, (2, 2)), zorder=0)
    ax.plot(
        [best], [shown[best - 1]], marker="o", markersize=10, fillstyle="none", color=colours.ink, markeredgewidth=1.5
    )
    what = "validation cost" if "validation_cost" in lines else "cost"
    return f"Ring and dotted line: the best epoch, {best}, with {what} {number(shown[best - 1])}"


def _rate(ax: Any, steps: Array, rate: Array, colours: Colours) -> None:
    """The learning rate, in axes of its own below the others."""
    lower = below(ax, 0.22, 0.06)
    dress(lower, colours)
    lower.plot(steps, rate, drawstyle="steps-mid", color=colours.muted, linewidth=1.6)
    if rate.min() > 0 and rate.max() > WIDE * np.median(rate):
        lower.set_yscale("log")
    else:
        lower.set_ylim(0, 1.12 * rate.max())
        lower.locator_params(axis="y", nbins=3)
    lower.set(xlabel="epoch", ylabel="learning\nrate")
    ax.tick_params(labelbottom=False)
    lower.grid(axis="y", color=colours.grid, linewidth=0.8)
