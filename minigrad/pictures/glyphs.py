"""Glyphs: small drawings of many numbers, each beside the words that say the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.pictures.svg import element
from minigrad.watching.statistics import Statistics, arrays_of

BARS = 11
LARGE = 1e300  # beyond it, differences overflow


def histogram(value: Any, found: Statistics, x: float, y: float, width: float, height: float, role: str) -> str:
    """How the entries of z lie between the least and the largest, with a tick where 0 is.

    The foot is at y.  Entries that are not finite are left out.  Where the array was not kept, mean and spread are
    drawn between the extremes.
    """
    foot = element("line", x1=x, y1=y, x2=x + width, y2=y, class_="line")
    low, high = found.min, found.max
    parts = arrays_of(value)
    if not (math.isfinite(low) and math.isfinite(high)):
        parts = [part[np.isfinite(part)] for part in parts if part.dtype.kind != "c"]
        parts = [part for part in parts if part.size]
        if not parts:
            return foot
        low, high = min(float(part.min()) for part in parts), max(float(part.max()) for part in parts)
    if max(-low, high) > LARGE and parts:
        low, high, parts = low / LARGE, high / LARGE, [part / LARGE for part in parts]

    def at(number: float) -> float:
        return x + width * ((number - low) / (high - low) if high > low else 0.5)

    zero = element("line", x1=at(0.0), y1=y, x2=at(0.0), y2=y + 4, class_="tick") if low <= 0 <= high else ""
    if not parts or parts[0].dtype.kind == "c":
        ends = max(low, found.mean - found.std), min(high, found.mean + found.std)
        drawn = element("line", x1=x, y1=y - height / 2, x2=x + width, y2=y - height / 2, class_=f"{role}-line")
        half = max(at(ends[1]) - at(ends[0]), 1.0)
        drawn += element("rect", x=at(ends[0]), y=y - height * 0.8, width=half, height=height * 0.6, class_=role)
        return foot + drawn + zero
    counts = np.zeros(BARS)
    reach = (low, high) if high > low else (low - 1, low + 1)
    for part in parts:
        counts += np.histogram(np.asarray(part, np.float64), BARS, reach)[0]
    heights = counts / max(counts.max(), 1) * height
    step = width / BARS
    drawn = "".join(
        element("rect", x=x + i * step, y=y - max(h, 1.0), width=step - 0.8, height=max(h, 1.0), class_=role)
        for i, h in enumerate(heights.tolist())
        if counts[i]
    )
    return foot + drawn + zero


def bar(value: float, ends: tuple[int, int], x: float, y: float, width: float, height: float, role: str) -> str:
    """A size on a logarithmic scale between two powers of ten, in a frame that shows the whole scale; its foot at y."""
    frame = element("rect", x=x, y=y - height, width=width, height=height, class_="scale")
    if not (value > 0 and math.isfinite(value)):
        return frame
    share = (math.log10(value) - ends[0]) / (ends[1] - ends[0])
    length = width * min(max(share, 0.0), 1.0)
    return frame + element("rect", x=x, y=y - height, width=max(length, 1.0), height=height, class_=role)


def decades(values: list[float]) -> tuple[int, int]:
    """The powers of ten around positive numbers, one apart or more; what is far below the largest is left out."""
    logs = [math.log10(value) for value in values if value > 0 and math.isfinite(value)]
    if not logs:
        return -1, 0
    high = math.ceil(max(logs))
    low = max(math.floor(min(logs)), high - 12)
    return min(low, high - 1), high
