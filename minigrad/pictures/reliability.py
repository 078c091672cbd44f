"""Reliability curve: how often what was predicted came true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.checks import kind
from minigrad.mle.result import Result
from minigrad.mle.use.calibration import Calibration
from minigrad.pictures.canvas import canvas, clipped, entitle
from minigrad.pictures.wording import number

MOST = 4  # curves that are told apart at once


def reliability_curve(
    calibration: Calibration | Result, ax: Any = None, theme: str | None = None, classes: Sequence[str] | None = None
) -> Any:
    """How often what was predicted with a probability came true, by bins, with intervals; on the diagonal they agree.

    `calibration` is what `result.calibration(...)` gives, or a result, of which it is taken on the rows fitted.
    `classes` are the names of the curves to show; else all, or, of more than four classes, the curve of the most
    probable class.  The axes are returned.
    """
    if isinstance(calibration, Result):
        calibration = calibration.calibration()
    if not isinstance(calibration, Calibration):
        raise TypeError(
            f"reliability_curve expects what result.calibration() gives, or a result, got {kind(calibration)}"
        )
    curves = {each.name: each for each in calibration.curves}
    if classes is not None:
        unknown = [name for name in classes if name not in curves]
        if unknown or not classes:
            said = repr(unknown[0]) if unknown else "none"
            raise ValueError(f"reliability_curve expects classes among {', '.join(curves)}, got {said}")
        shown = [curves[name] for name in classes]
    else:
        few = len(curves) <= MOST or calibration.top is None
        shown = list(curves.values()) if few else [calibration.top]  # type: ignore[list-item]
    ax, colours = canvas("reliability_curve", ax, theme, (5.6, 5.2))
    calibration.plot(ax, shown)
    ax.set_aspect("equal", adjustable="box")
    diagonal = ax.lines[0]
    diagonal.set(color=colours.edge, linestyle=(0, (4, 3)), zorder=1)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.grid(color=colours.grid, linewidth=0.7)
    if ax.get_legend() is not None:
        ax.get_legend().remove()
    if len(shown) > 1:
        looks = {"frameon": False, "labelcolor": colours.ink, "fontsize": 9.5, "title_fontsize": 9.5}
        handles, labels = ax.get_legend_handles_labels()
        legend = ax.legend(
            handles,
            [clipped(label, 24) for label in labels],
            title="probability of",
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            **looks,
        )
        legend.get_title().set_color(colours.ink)
    rows = "the rows fitted" if calibration.in_sample else "new rows"
    of = f" of the {shown[0].name}" if shown[0] is calibration.top else f" of {clipped(shown[0].name)}"
    entitle(
        ax,
        colours,
        "Reliability" + (of if len(shown) == 1 and len(calibration.curves) > 1 else ""),
        f"{calibration.count:,g} observations, {rows}; bars: {100 * calibration.level:.4g} % intervals; "
        f"error {number(calibration.error)}",
    )
    return ax
