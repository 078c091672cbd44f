"""Coefficient plot: estimates with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.checks import kind as kind_of
from minigrad.mle.regressions.firth import Firth
from minigrad.mle.result import Result
from minigrad.pictures.canvas import canvas, clipped, entitle
from minigrad.pictures.wording import number

KINDS = {"wald": "Wald", "profile": "profile likelihood"}


def coefficient_plot(
    result: Result,
    names: Sequence[str] | None = None,
    level: float = 0.95,
    kind: str = "wald",
    sort: bool = False,
    ax: Any = None,
    theme: str | None = None,
) -> Any:
    """Each estimate as a point on its confidence interval, beside its name and numbers, and a line at 0.

    `names` are the parameters to show, all where not given; `sort` has the largest estimate on top, else they stand in
    order.  `level` and `kind` are those of `result.ci`.  What is not estimable is said to be so; an interval without
    an end ends in an arrow.  Where no estimate exists, EstimateError says why.  The axes are returned.
    """
    if not isinstance(result, Result):
        raise TypeError(f"coefficient_plot expects what mle.fit found, got {kind_of(result)}")
    result.require_estimate("coefficient plot")
    if isinstance(names, str):
        raise TypeError(f"coefficient_plot expects a list of names, got {names!r}: [{names!r}]")
    places = [result.at(name) for name in (result.names if names is None else names)]
    if not places:
        raise ValueError("coefficient_plot expects the names of a parameter or more, got none")
    intervals = result.ci(level, kind)
    if sort:
        places.sort(key=lambda i: -np.inf if np.isnan(result.params[i]) else result.params[i], reverse=True)
    ax, colours = canvas("coefficient_plot", ax, theme, (7.6, 1.5 + 0.34 * len(places)))
    heights = np.arange(len(places))[::-1]
    ends = np.array([[*intervals[i], result.params[i]] for i in places])
    ends = ends[np.isfinite(ends)]
    low, high = (float(ends.min(initial=0.0)), float(ends.max(initial=0.0))) if ends.size else (-1.0, 1.0)
    room = 0.06 * ((high - low) or 1.0)
    ax.set(xlim=(low - room, high + room), ylim=(-0.7, len(places) - 0.3))
    ax.axvline(0, color=colours.ink, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    for i, height in zip(places, heights, strict=True):
        estimate, (start, end) = float(result.params[i]), intervals[i].tolist()
        if not result.estimable[i]:
            ax.text(
                1.02,
                height,
                "not estimable",
                transform=ax.get_yaxis_transform(),
                va="center",
                fontsize=9,
                color=colours.muted,
            )
            continue
        _interval(ax, height, estimate, start, end, colours)
        said = f"{number(estimate)}  [{number(start)}, {number(end)}]"
        ax.text(1.02, height, said, transform=ax.get_yaxis_transform(), va="center", fontsize=9, color=colours.ink)
    ax.set_yticks(heights, [clipped(result.names[i]) for i in places], color=colours.ink)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color=colours.grid, linewidth=0.7)
    ax.set_xlabel("estimate")
    shown = f"{100 * level:.4g} % {KINDS[kind]} intervals"
    entitle(
        ax,
        colours,
        f"Estimates with {shown}",
        f"{_fitted(result, kind)}filled: the interval leaves out 0; open: it holds 0",
    )
    return ax


def _fitted(result: Result, kind: str) -> str:
    """How, in the words of `summary`, where that is not maximum likelihood with the covariance of its Hessian."""
    method = "Firth" if isinstance(result.likelihood, Firth) else "MAP" if result.likelihood.penalized else ""
    said = [f"Method: {method}"] * bool(method)
    if kind == "wald" and result.cov_type != "observed":
        said.append(f"Covariance Type: {result.cov_type}")
    return "".join(f"{each}; " for each in said)


def _interval(ax: Any, height: float, estimate: float, start: float, end: float, colours: Any) -> None:
    """A line with a point, which is filled where 0 is left out; arrows where there is no end."""
    left, right = ax.get_xlim()
    shown = max(start, left), min(end, right)
    ax.plot(shown, [height, height], color=colours.up, linewidth=2, solid_capstyle="butt", zorder=2)
    for at, is_end, arrow in ((shown[0], start == shown[0], "<"), (shown[1], end == shown[1], ">")):
        ax.plot(
            [at],
            [height],
            marker="|" if is_end else arrow,
            markersize=8,
            color=colours.up,
            markeredgewidth=1.8,
            zorder=2,
        )
    face = colours.page if start <= 0 <= end else colours.up
    ax.plot(
        [estimate],
        [height],
        marker="o",
        markersize=7.5,
        markerfacecolor=face,
        markeredgecolor=colours.up,
        markeredgewidth=1.8,
        zorder=3,
    )
