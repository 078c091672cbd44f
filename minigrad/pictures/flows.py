"""Histograms of what goes up and what comes down, layer by layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.checks import kind
from minigrad.pictures.canvas import canvas, clipped, dress, entitle
from minigrad.pictures.colours import Colours
from minigrad.pictures.wording import level, not_finite
from minigrad.typing import Array
from minigrad.watching.statistics import arrays_of
from minigrad.watching.trace import Trace

BINS = 60
UNLIKE = 30.0  # the widest spread by the narrowest, from which the scale is that of asinh
LARGE = 1e100  # what is beyond it stands there: matplotlib's scales overflow
NARROW = 1e-9  # of the widest spread: beside it, what is narrower is one line
TALL = 0.86  # of a histogram, where 1 is the distance between two


def histograms(trace: Trace, ax: Any = None, theme: str | None = None) -> Any:
    """The entries of every z^l, and the sizes of those of every delta^l, a histogram for each layer from x up.

    z is on a scale that is linear around 0 and logarithmic beyond, if layers differ by much; |delta| on a logarithmic
    one, with the share of entries that are 0 beside it, which that has no place for.  Each histogram is as high as its
    largest bin.  `trace(cost, x, target)` makes what is shown; the axes are returned, and hold one or two inside.
    """
    if not isinstance(trace, Trace):
        raise TypeError(f"histograms expects a Trace, got {kind(trace)}: histograms(trace(cost, x, target))")
    layers = [one for one in trace.layers if any(part.size for part in arrays_of(one.z))]
    if not layers:
        raise ValueError("histograms expects a trace that kept arrays of numbers, got none: trace(..., keep=True)")
    if not any(_entries(one.z).size for one in layers):
        raise ValueError(
            f"histograms expects finite numbers, got {not_finite(tuple(one.z for one in layers))} in z: "
            "find_nonfinite(cost, x, target) says where they arise"
        )
    below = [(not_finite(one.delta), _entries(one.delta)) for one in layers]
    deltas = any(delta.size or lost for lost, delta in below)
    ax, colours = canvas("histograms", ax, theme, (9.6 if deltas else 5.8, 1.6 + 0.42 * len(layers)))
    ax.axis("off")
    left = ax.inset_axes([0, 0, 0.47 if deltas else 1, 1])
    _ridges(left, [_entries(one.z) for one in layers], colours, colours.up)
    left.set_yticks(range(len(layers)), [_said(one) for one in layers])
    large = any(one.of_z and one.of_z.largest > LARGE for one in layers)
    left.set_xlabel("entries of z" + f", those beyond {LARGE:.0e} there" * large)
    entitle(left, colours, "z goes up ↑")
    if deltas:
        right = ax.inset_axes([0.53, 0, 0.47, 1])
        _sizes(right, below, colours)
        right.set_yticks(range(len(layers)), [level("δ", one.level) for one in layers])
        right.set_xlabel("size of the entries of δ")
        entitle(right, colours, "δ comes down ↓")
    return ax


def _said(one: Any) -> str:
    """The place and class of a layer, its level, and below them how many entries of its z are not finite."""
    name = f"{one.place} {type(one.layer).__name__}".strip()
    return "\n".join(filter(None, [clipped(f"{name}  {level('z', one.level)}", 40), not_finite(one.z)]))


def _entries(value: Any) -> Array:
    """All finite numbers of an array, or of a tuple of them, as real ones."""
    parts = [np.real(part).astype(float).ravel() for part in arrays_of(value)]
    numbers = np.concatenate(parts) if parts else np.zeros(0)
    return np.clip(numbers[np.isfinite(numbers)], -LARGE, LARGE)


def _spread(row: Array) -> float:
    """The standard deviation, of scaled numbers: squares of large ones overflow."""
    size = float(np.abs(row).max(initial=0.0))
    return size * float((row / size).std()) if size else 0.0


def _ridges(ax: Any, rows: list[Array], colours: Colours, colour: str) -> None:
    dress(ax, colours)
    spreads = [spread for row in rows if (spread := _spread(row))] or [1.0]
    wide = max(spreads) / UNLIKE > min(spreads)
    unit = max(min(spreads), NARROW * max(spreads)) if wide else 1.0
    if wide:
        ax.set_xscale("asinh", linear_width=unit)
        ax.xaxis.get_major_locator().numticks = 7
    ends = np.array([np.quantile(row, [0.001, 0.999]) for row in rows if row.size]) / unit
    seen = np.arcsinh(ends) if wide else ends
    low, high = float(seen.min()), float(seen.max())
    room = 0.04 * (high - low) or 0.5
    edges = np.linspace(low - room, high + room, BINS + 1)
    edges = unit * (np.sinh(edges) if wide else edges)
    for i, row in enumerate(rows):
        _ridge(ax, i, np.clip(row, edges[0], edges[-1]), edges, colours, colour, "")
    ax.axvline(0, color=colours.edge, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
    _finish(ax, len(rows), edges)


def _sizes(ax: Any, rows: list[tuple[str, Array]], colours: Colours) -> None:
    dress(ax, colours)
    ax.set_xscale("log")
    sizes = [np.abs(row[row != 0]) for _, row in rows]
    ends = [np.log10(np.quantile(size, share)) for size in sizes if size.size for share in (0.01, 1.0)] or [-1.0, 0.0]
    low, high = math.floor(min(ends)), math.ceil(max(ends))
    edges = 10.0 ** np.linspace(low, max(high, low + 1) + 0.2, BINS + 1)
    for i, ((lost, row), size) in enumerate(zip(rows, sizes, strict=True)):
        zero = 1 - size.size / row.size if row.size else 0.0
        said = f"{zero:.0%} are 0" if zero >= 0.005 else "" if row.size or lost else "none"
        said = "\n".join(filter(None, [said, lost]))
        _ridge(ax, i, np.clip(size, edges[0], edges[-1]), edges, colours, colours.down, said)
    _finish(ax, len(rows), edges)


def _ridge(ax: Any, i: int, row: Array, edges: Array, colours: Colours, colour: str, said: str) -> None:
    """A histogram that stands on the height i, and a word beside it."""
    counts = np.histogram(row, edges)[0]
    ax.stairs(
        i + TALL * counts / max(counts.max(), 1), edges, baseline=i, fill=True, color=colour, alpha=0.75, zorder=2
    )
    ax.axhline(i, color=colours.grid, linewidth=0.8, zorder=1)
    if said:
        ax.annotate(
            said,
            (1, i),
            (4, 3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=8.5,
            color=colours.muted,
        )


def _finish(ax: Any, rows: int, edges: Array) -> None:
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(-0.4, rows - 0.02)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.minorticks_off()
