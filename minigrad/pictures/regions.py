"""Decision regions: which class a model of two features says, everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.layer import Layer
from minigrad.mle.result import Result
from minigrad.pictures.canvas import HATCHES, MARKERS, canvas, clipped, entitle
from minigrad.pictures.classifier import Classifier, classifier
from minigrad.pictures.colours import Colours
from minigrad.pictures.wording import not_finite, number
from minigrad.typing import Array

FINE, COARSE = 200, 32  # points along each side: for the borders, and for the places of names
ALIKE = 3.0  # ranges of features by each other, up to which both axes have one unit
LOOKED_AT = 300  # rows that names keep away from


def decision_regions(model: Layer | Result, x: Any, target: Any, ax: Any = None, theme: str | None = None) -> Any:
    """The regions in which a model of two features says each class, with the rows x (N, 2) and their classes.

    `model` is a stack, with its loss or without, or what `mle.fit` found.  Without a loss, outputs are logits, or
    probabilities where a Sigmoid is on top.  Of one output, the border is where the probability is 1/2.  Where it is
    straight, as for the sigmoid of one linear unit, an arrow points into the half space w.x + b > 0 of the second
    class.  Each class has its name, a hatching and a marker, and rows that the model gets wrong a ring.  The axes are
    returned; those that are given stand best in a figure of layout="constrained".
    """
    points = np.asarray(x, float)
    if points.ndim == 2 and points.shape[1] == 2 and (lost := not_finite(points)):
        raise ValueError(
            f"decision_regions expects finite x, got {lost}, the first in row "
            f"{np.isfinite(points).all(axis=1).argmin()}: keep x[np.isfinite(x).all(axis=1)] and their classes"
        )
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(
            f"decision_regions expects finite x of shape (N, 2), got {points.shape}: choose two features, and fit a "
            "model of them alone"
        )
    of = classifier("decision_regions", model, points, target)
    if of.classes > len(MARKERS):
        raise ValueError(f"decision_regions expects {len(MARKERS)} classes or fewer, got {of.classes}")
    ax, colours = canvas("decision_regions", ax, theme, (6.6, 5.0))
    low, high = points.min(axis=0), points.max(axis=0)
    room = 0.08 * np.where(high > low, high - low, 1.0)
    low, high = low - room, high + room
    if max((high - low)[0] / (high - low)[1], (high - low)[1] / (high - low)[0]) < ALIKE:
        ax.set_aspect("equal", adjustable="box", anchor="W")
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    ax.locator_params(axis="x", nbins=6)
    ax.ticklabel_format(scilimits=(-3, 4))  # long numbers would touch
    ax.set(xlabel=clipped(of.features[0]), ylabel=clipped(of.features[1]))
    grid, scores = _scores(of, low, high, FINE)
    _fill(ax, grid, scores, colours)
    wrong = of.said(points) != of.target
    _rows(ax, of, points, wrong, colours)
    _name(ax, of, points, low, high, colours)
    line = _half_space(ax, points, grid, scores, colours) if of.classes == 2 else ""
    entitle(ax, colours, f"Decision regions, {len(points) - wrong.sum():,} of {len(points):,} rows right", line)
    return ax


def _scores(of: Classifier, low: Array, high: Array, side: int) -> tuple[tuple[Array, Array], Array]:
    """The points of a grid, and the score of each class there, (K, side, side)."""
    across, up = np.meshgrid(*(np.linspace(a, b, side) for a, b in zip(low, high, strict=True)))
    scores = of.scores(np.column_stack([across.ravel(), up.ravel()]))
    return (across, up), scores.T.reshape(-1, side, side)


def _fill(ax: Any, grid: tuple[Array, Array], scores: Array, colours: Colours) -> None:
    """A tint and a hatching for each class, and a line between."""
    for k in range(len(scores)):
        margin = scores[k] - np.delete(scores, k, axis=0).max(axis=0)
        if margin.max() <= 0:
            continue
        levels = [0.0, max(float(margin.max()), 1e-9)]
        ax.contourf(*grid, margin, levels=levels, colors=[colours.series[k]], alpha=0.14, zorder=0)
        hatched = ax.contourf(*grid, margin, levels=levels, colors="none", hatches=[HATCHES[k]], zorder=0.5)
        hatched.set(edgecolor=f"{colours.edge}70", linewidth=0)
        if margin.min() < 0:
            ax.contour(*grid, margin, levels=[0.0], colors=[colours.ink], linewidths=1.2, zorder=2)


def _rows(ax: Any, of: Classifier, points: Array, wrong: Array, colours: Colours) -> None:
    for k in np.unique(of.target).tolist():
        looks = {"marker": MARKERS[k], "color": colours.series[k], "edgecolors": colours.page, "linewidths": 0.6}
        ax.scatter(*points[of.target == k].T, s=30, label=clipped(of.names[k], 20), zorder=3, **looks)
    if wrong.any():
        ring = {"marker": "o", "facecolors": "none", "edgecolors": colours.ink, "linewidths": 1.2}
        ax.scatter(*points[wrong].T, s=95, zorder=4, label="ring: said wrong", **ring)
    looks = {"frameon": False, "labelcolor": colours.ink, "fontsize": 9.5, "title_fontsize": 9.5}
    legend = ax.legend(title="rows of class", loc="upper left", bbox_to_anchor=(1.01, 1.0), **looks)
    legend.get_title().set_color(colours.ink)


def _name(ax: Any, of: Classifier, points: Array, low: Array, high: Array, colours: Colours) -> None:
    """The name of each class within its region, as far from borders and rows as can be."""
    grid, scores = _scores(of, low, high, COARSE)
    said, cells = scores.argmax(axis=0).ravel(), (np.stack(grid, axis=-1).reshape(-1, 2) - low) / (high - low)
    rows = (points[:: max(1, len(points) // LOOKED_AT)] - low) / (high - low)
    from_rows = _nearest(cells, rows)
    for k in range(of.classes):
        own = said == k
        if own.sum() < 8:
            continue
        from_edge = np.minimum(cells, 1 - cells)[own] * (0.6, 1.0)  # words are wider than high
        from_others = _nearest(cells[own], cells[~own]) if not own.all() else np.ones(own.sum())
        clear = np.minimum(np.minimum(from_edge.min(axis=1), from_others), 0.14) + np.minimum(from_rows[own], 0.14)
        at = low + (high - low) * cells[own][clear.argmax()]
        behind = {"facecolor": colours.page, "edgecolor": colours.edge, "boxstyle": "round,pad=0.3", "linewidth": 0.7}
        name = f"class {clipped(of.names[k], 16)}"
        ax.text(*at, name, color=colours.ink, fontsize=9.5, ha="center", va="center", zorder=6, bbox=behind)


def _nearest(points: Array, others: Array) -> Array:
    return np.asarray(np.sqrt(((points[:, np.newaxis] - others) ** 2).sum(axis=-1).min(axis=1)))


def _half_space(ax: Any, points: Array, grid: tuple[Array, Array], scores: Array, colours: Colours) -> str:
    """Where the log odds are w.x + b, an arrow into the half space of the second class, and w and b in words."""
    odds = (scores[1] - scores[0]).ravel()
    known = np.abs(odds) < 15  # of probabilities nearer to 0 or 1 the odds have few digits
    if known.sum() < 9:
        return ""
    columns = np.column_stack([*(part.ravel() for part in grid), np.ones(odds.size)])[known]
    start, steps = np.array([part.min() for part in grid]), np.array([np.ptp(part) for part in grid])
    unit = np.column_stack([(columns[:, :2] - start) / steps, columns[:, 2]])  # else large features have no rank
    found, _, rank, _ = np.linalg.lstsq(unit, odds[known], rcond=None)
    if rank < 3 or np.abs(unit @ found - odds[known]).max() > 1e-7 * np.ptp(odds[known]) or not np.ptp(odds[known]):
        return ""
    w = found[:2] / steps
    b = found[2] - w @ start
    said = f"w·x + b > 0 with w = ({number(w[0])}, {number(w[1])}), b = {number(b)}"
    near = columns[np.abs(columns[:, :2] @ w + b) < np.abs(w) @ steps / FINE, :2]
    if not len(near):
        return ""
    # Where there are few rows, and the edge is far.
    cells, rows = (near - columns[:, :2].min(axis=0)) / steps, (points - columns[:, :2].min(axis=0)) / steps
    clear = np.minimum(_nearest(cells, rows[:: max(1, len(rows) // LOOKED_AT)]), 0.08)
    at = near[(clear + np.minimum(np.minimum(cells, 1 - cells).min(axis=1), 0.2)).argmax()]
    at = at - w * (at @ w + b) / (w @ w)
    # Upright on the border as it is seen, which is known when the axes have their place.
    if hasattr(ax.figure, "draw_without_rendering"):
        ax.figure.draw_without_rendering()
    to_screen = ax.transData.transform(np.array([at, at + np.array([-w[1], w[0]]) / np.abs(w).max()]))
    along = to_screen[1] - to_screen[0]
    upright = np.array([along[1], -along[0]]) / np.hypot(*along)
    inward = ax.transData.inverted().transform(to_screen[0] + upright) - at
    upright = upright if inward @ w > 0 else -upright
    arrow = {"arrowstyle": "<|-", "color": colours.ink, "linewidth": 1.8, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", at, 34 * upright, textcoords="offset points", arrowprops=arrow, zorder=5)
    return f"Arrow: into {said}"
