"""The picture of growth.json: time and memory of a step against four sizes, a line for each library."""

from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

# Colours that the colour-blind tell apart, and for whom they are none: dashes and markers.
STYLES: dict[str, dict[str, Any]] = {
    "minigrad": {"color": "#0072b2", "marker": "o", "linestyle": "-", "linewidth": 2.2, "zorder": 3},
    "PyTorch": {"color": "#d55e00", "marker": "s", "linestyle": "--", "linewidth": 1.5},
    "JAX": {"color": "#505050", "marker": "^", "linestyle": ":", "linewidth": 1.5},
}
AXES = {
    "batch": "rows in a batch",
    "width": "width of the two hidden layers",
    "depth": "hidden layers",
    "classes": "classes",
}
ROWS = {
    "seconds": ("milliseconds a step", 1e3),
    "ratio": ("time divided by minigrad's", 1.0),
    "bytes": ("memory of a step, MB", 1e-6),
}
LEAST = 1e5  # bytes: what is less is lost among pages


def growth(report: dict[str, Any]) -> Figure:
    """Small multiples: sizes across, time, time beside minigrad's, and memory, all in logarithms."""
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "growth", "font.size": 9})
    figure = Figure(figsize=(11, 8), layout="constrained")
    grid = figure.subplots(len(ROWS), len(AXES), sharex="col", sharey="row", squeeze=False)
    for line, (key, (title, unit)) in zip(grid, ROWS.items(), strict=True):
        line[0].set_ylabel(title)
        for axes, axis in zip(line, AXES, strict=True):
            panel(axes, [result for result in report["results"] if result["axis"] == axis], key, unit)
    for axes, title in zip(grid[-1], AXES.values(), strict=True):
        axes.set_xlabel(title)
    figure.canvas.draw()  # the scales are known now
    for axes in grid.flat:
        label(axes)
    return figure


def panel(axes: Any, results: list[dict[str, Any]], key: str, unit: float) -> None:
    """The lines of one size."""
    axes.set_xscale("log")
    axes.set_yscale("log", base=2 if key == "ratio" else 10)
    sizes = [result["size"] for result in results]
    for name, style in STYLES.items():
        values = [of(result, key).get(name) for result in results]
        if any(values):
            shown = [max(value or 0, LEAST if key == "bytes" else 0) * unit for value in values]
            axes.plot(sizes, shown, label=name, markersize=4.5, markeredgewidth=0, **style)
    ticks = sizes[:: 2 if len(sizes) > 6 else 1]
    axes.set_xticks(ticks, [f"{size // 1000}k" if size >= 1000 else str(size) for size in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:g}x" if key == "ratio" else "{x:g}")
    axes.margins(x=0.06, y=0.16)
    axes.set_xlim(right=sizes[-1] * (sizes[-1] / sizes[0]) ** 0.36)
    axes.grid(axis="y", color="#e0e0e0", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def of(result: dict[str, Any], key: str) -> dict[str, float | None]:
    """By library; the ratios are made of the seconds."""
    if key != "ratio":
        found: dict[str, float | None] = result[key]
        return found
    seconds = result["seconds"]
    return {name: value / seconds["minigrad"] for name, value in seconds.items()}


def label(axes: Any) -> None:
    """The name of each line beside its end, moved apart where they would meet."""
    ends = sorted(
        ((axes.transData.transform(line.get_xydata()[-1])[1], line) for line in axes.lines), key=lambda end: end[0]
    )
    apart = 11.5 * axes.figure.dpi / 72
    heights = [height for height, _ in ends]
    for _ in range(20):  # each pair that is too close parts by half of what is missing
        for i in range(len(heights) - 1):
            missing = max(0.0, apart - (heights[i + 1] - heights[i])) / 2
            heights[i], heights[i + 1] = heights[i] - missing, heights[i + 1] + missing
    for height, (at, line) in zip(heights, ends, strict=True):
        axes.annotate(
            line.get_label(),
            line.get_xydata()[-1],
            xytext=(7, (height - at) * 72 / axes.figure.dpi),
            textcoords="offset points",
            color=line.get_color(),
            va="center",
            fontweight="bold" if line.get_label() == "minigrad" else "normal",
            annotation_clip=False,
        )
