"""Measures: how much room everything in a layer cake takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from minigrad.pictures.floors import Floor, Frame, Weights
from minigrad.pictures.svg import width
from minigrad.pictures.wording import level, number
from minigrad.watching.statistics import Statistics

NAME, SMALL, TITLE = 13.0, 11.5, 16.0  # sizes of letters
MANY = 10  # floors, above which they stand closer
LEAST, MOST = 300.0, 560.0  # widths of the middle
SIDE = 280.0  # the widest side
GLYPH = 46.0
LANE = 16.0  # from the middle to the line that goes up or down
INSET, PAST = 12.0, 26.0  # of what stands in a container; with room for what goes past it


class Measures(NamedTuple):
    """Widths of the columns, and heights."""

    left: float
    middle: float
    right: float
    columns: tuple[float, ...]  # of size, gradient and ratio
    compact: bool
    gap: float  # between floors
    pad: float  # within them
    line: float  # of a parameter
    head: float  # of a container

    @property
    def centre(self) -> float:
        """Where the middle column begins."""
        return self.left + GLYPH + 2 * LANE + 8

    @property
    def whole(self) -> float:
        beside = self.right + GLYPH + 2 * LANE + 8
        return self.centre + self.middle + (beside if self.right else 0.0)


def measures(floors: Sequence[Floor], frames: Sequence[Frame], heads: tuple[str, str], deltas: bool = True) -> Measures:
    """As much room as the longest words take, within limits."""
    compact = len(floors) > MANY + 1
    sides = [
        max([0.0, *(width(line, SMALL) for floor in floors for line in side(letter, floor, compact))])
        for letter in ("z", "δ")
    ]
    left, right = (
        min(max(own, width(head, SMALL, bold=True) - GLYPH - LANE), SIDE)
        for own, head in zip(sides, heads, strict=True)
    )
    right = right if deltas else 0.0
    numbers = [cells(weights, deltas) for floor in floors for weights in floor.weights]
    columns = tuple(max(width(cell, SMALL) for cell in column) for column in zip(*numbers, strict=True))
    room, deepest = [LEAST], 0.0
    for i, floor in enumerate(floors):
        around = 24 + sum(sum(insets(frame)) for frame in frames if frame.first <= i <= frame.last)
        deepest = max(deepest, around)
        room.append(around + width(f"{floor.place}  {floor.name}", NAME, bold=True))
        room += [around + named(weights) + sum(columns) + 38 for weights in floor.weights]
    heights = (26.0, 6.0, 15.0, 19.0) if compact else (46.0, 9.0, 17.0, 21.0)
    return Measures(left, min(max(room), max(MOST, LEAST + deepest)), right, columns, compact, *heights)


def insets(frame: Frame) -> tuple[float, float]:
    """Left and right of what stands in a container."""
    return (PAST if frame.kind == "Residual" else INSET), INSET


def named(weights: Weights) -> float:
    """The width of the name of a parameter and its shape."""
    return width(said(weights), SMALL)


def said(weights: Weights) -> str:
    """The name of a parameter and its shape."""
    return f"{weights.name} {weights.shape}" + f" as {weights.shared}" * bool(weights.shared)


def cells(weights: Weights, deltas: bool = True) -> tuple[str, ...]:
    """What is said of a parameter."""
    if not deltas:
        return (f"size {number(weights.size)}",)
    return f"size {number(weights.size)}", f"gradient {number(weights.gradient)}", f"ratio {number(weights.ratio)}"


def side(letter: str, floor: Floor, compact: bool) -> list[str]:
    """What is said of z or delta below a floor, in one line or two."""
    found = floor.z if letter == "z" else floor.delta
    if found is None:
        return [f"{level(letter, floor.level)} none"]
    name = f"{level(letter, floor.level)} {shape(found)}"
    lost = floor.lost if letter == "z" else floor.lost_delta
    if is_empty(found.shape):
        lost = "no entries"
    if lost and compact:
        return [f"{name}: {lost}"]
    if is_empty(found.shape):
        return [name, lost]
    name += f", {lost}" * bool(lost)
    if compact:
        rest = f"± {number(found.std)}"
        return [f"{name}: {mean(found)} {rest}" if letter == "z" else f"{name}: {rest}, norm {number(found.norm)}"]
    if letter == "z":
        return [name, f"mean {mean(found)}, spread {number(found.std)}"]
    return [name, f"spread {number(found.std)}, norm {number(found.norm)}"]


def is_empty(shapes: Any) -> bool:
    """An array of that shape, or all of several, have no entries."""
    return all(map(is_empty, shapes)) if shapes and isinstance(shapes[0], tuple) else 0 in shapes


def mean(found: Statistics) -> str:
    """The mean; what is rounding beside the spread is 0."""
    return number(0.0 if abs(found.mean) < 1e-12 * found.std else found.mean)


def shape(found: Statistics) -> str:
    """The shape of an array, or those of several."""
    return " ".join(map(str, found.shape)) if found.shape and isinstance(found.shape[0], tuple) else str(found.shape)
