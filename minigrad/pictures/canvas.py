"""The canvas of plots: matplotlib's axes in the colours of a theme, with room for what stands beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.pictures.colours import THEMES, Colours, require_theme

# With a colour each, for whom it is none: what lines and points are told apart by.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "p", ">")
DASHES = (
    "-",
    "--",
    "-.",
    ":",
    (0, (7, 2)),
    (0, (1, 2)),
    (0, (5, 1, 1, 1)),
    (0, (3, 3)),
    (0, (9, 2, 2, 2)),
    (0, (2, 1)),
)
HATCHES = ("", "///", "...", "\\\\\\", "xxx", "|||", "---", "+++", "ooo", "***")


def canvas(who: str, ax: Any, theme: str | None, size: tuple[float, float]) -> tuple[Any, Colours]:
    """(axes, colours): those given, or new ones in a figure of `size`; a theme of None is that of the background."""
    try:
        from matplotlib import colors as of_matplotlib
        from matplotlib import pyplot as plt
    except ImportError:
        raise ImportError(f"{who} needs matplotlib: pip install 'minigrad[plot]'") from None
    require_theme(who, theme, (None,))
    if ax is not None and not hasattr(ax, "transAxes"):
        raise TypeError(f"{who} expects ax to be matplotlib's axes, got {type(ax).__name__}: plt.subplots() makes some")
    if theme is None:
        behind = plt.rcParams["figure.facecolor"] if ax is None else ax.figure.get_facecolor()
        red, green, blue, alpha = of_matplotlib.to_rgba(behind)
        theme = "dark" if alpha > 0.5 and 0.3 * red + 0.6 * green + 0.1 * blue < 0.4 else "light"
        if ax is not None and behind not in ("none", (0, 0, 0, 0)):
            colours = THEMES[theme]._replace(page=of_matplotlib.to_hex(behind))
        else:
            colours = THEMES[theme]
    else:
        colours = THEMES[theme]
    if ax is None:
        figure = plt.figure(figsize=size, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.14, h_pad=0.14)
        ax = figure.add_subplot()
    ax.figure.set_facecolor(colours.page)
    dress(ax, colours)
    return ax, colours


def dress(ax: Any, colours: Colours) -> None:
    """Axes in the colours of a theme; what is drawn next takes its series in order."""
    ax.set_facecolor(colours.page)
    ax.set_prop_cycle(color=colours.series)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(colours.edge)
    ax.tick_params(colors=colours.edge, labelcolor=colours.muted, labelsize=9)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_color(colours.ink)
        axis.get_offset_text().set_color(colours.muted)


def entitle(ax: Any, colours: Colours, title: str, below: str = "", room: float = 8) -> None:
    """What is seen, above the axes, and in smaller letters what else is to be known."""
    pad = 22 if below else room
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold", color=colours.ink, pad=pad)
    if below:
        ax.annotate(
            below, (0, 1), (0, 7), xycoords="axes fraction", textcoords="offset points", fontsize=9, color=colours.muted
        )


def below(ax: Any, share: float, gap: float) -> Any:
    """Axes of the same x under `ax`, which gives them these shares of its height; layouts see both as one."""
    top = 1 - share - gap

    def place(_: Any, renderer: Any) -> Any:
        whole = ax.get_position(original=True)
        return whole.shrunk(1, top).anchored("N", whole)

    ax.set_axes_locator(place)
    return ax.inset_axes([0, -(share + gap) / top, 1, share / top], sharex=ax)


def apart(heights: Sequence[float], least: float) -> list[float]:
    """Heights moved as little as need be so that neighbours are `least` apart; between 0 and 1 if they can."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    groups: list[tuple[float, int]] = []  # the middle of labels that touch, and how many
    for i in order:
        middle, many = heights[i], 1
        while groups and groups[-1][0] + least * (groups[-1][1] + many) / 2 > middle:
            other, more = groups.pop()
            middle, many = (middle * many + other * more) / (many + more), many + more
        half = least * (many - 1) / 2
        groups.append((min(max(middle, half), max(1 - half, half)), many))
    placed = [middle + least * (k - (many - 1) / 2) for middle, many in groups for k in range(many)]
    found = [0.0] * len(placed)
    for i, height in zip(order, placed, strict=True):
        found[i] = height
    return found


def clipped(said: str, letters: int = 32) -> str:
    """Text of no more letters than fit, and plain: a dollar sign starts no formula."""
    short = said if len(said) <= letters else said[: letters - 1] + "…"
    return short.replace("$", r"\$")
