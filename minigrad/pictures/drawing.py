"""Drawing: a layer cake as SVG, from the cost on top down to x."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minigrad.pictures.floors import Floor, Frame
from minigrad.pictures.glyphs import bar, decades, histogram
from minigrad.pictures.measures import (
    GLYPH,
    LANE,
    NAME,
    SMALL,
    TITLE,
    Measures,
    cells,
    insets,
    measures,
    named,
    said,
    side,
)
from minigrad.pictures.svg import cut, element, end, lines, text, width, words
from minigrad.pictures.wording import number

MARGIN = 20.0
HEADS = ("rule 1: z goes up ↑", "↓ δ comes down: rule 2")


class Cake(NamedTuple):
    """What is drawn: floors from the lowest up, containers around them, and what stands above and below."""

    title: str
    floors: tuple[Floor, ...]
    frames: tuple[Frame, ...]
    top: str  # C = 2.3
    aside: str  # beside the name of the layer on top: the shape of the target
    last: tuple[str, str] | None  # z⁴ = C = 2.3 and δ⁴ = ∂C/∂C = 1, where the cost is one number
    output: Floor  # the level above all floors
    deltas: bool


def draw(cake: Cake) -> tuple[str, float, float]:
    """(elements, width, height)."""
    return _Drawing(cake).all()


class _Drawing:
    """Elements, and how far down they have come."""

    def __init__(self, cake: Cake) -> None:
        self.cake = cake
        self.m: Measures = measures((*cake.floors, cake.output), cake.frames, HEADS, cake.deltas)
        self.behind: list[str] = []  # frames, whose heights are known when their floors are drawn
        self.drawn: list[str] = []
        self.stations: list[float] = []  # the heights of the levels, from the highest down
        self.pills: list[tuple[float, float]] = []  # the height of the middle and half the width: of C, and of x
        self.x = MARGIN + self.m.centre
        self.y = MARGIN
        self.scale = decades([floor.delta.norm for floor in cake.floors if floor.delta is not None])

    def all(self) -> tuple[str, float, float]:
        m, floors = self.m, self.cake.floors
        self.heads()
        self.pill(self.cake.top)
        self.top_station()
        tops: dict[int, float] = {}
        for i in reversed(range(len(floors))):
            around = [(k, frame) for k, frame in enumerate(self.cake.frames) if frame.first <= i <= frame.last]
            for k, frame in around:
                if frame.last == i:
                    tops[k] = self.y
                    self.y += m.head
            self.floor(floors[i], [frame for _, frame in around], i == len(floors) - 1)
            for k, frame in reversed(around):
                if frame.first == i:
                    self.y += 9
                    self.frame(frame, [f for j, f in around if j < k], tops[k])
            self.station(floors[i])
        self.pill("x")
        self.lanes()
        self.foot()
        return "".join(self.behind + self.drawn), m.whole + 2 * MARGIN, self.y + MARGIN

    def heads(self) -> None:
        """The title, and what each column is."""
        self.y += TITLE
        self.drawn.append(text(MARGIN, self.y, self.cake.title, TITLE, bold=True, class_="ink"))
        self.y += 28
        up, down = self.lane_at()
        middle = self.x + self.m.middle / 2
        self.drawn.append(text(up + 5, self.y, HEADS[0], SMALL, bold=True, text_anchor="end", class_="up"))
        self.drawn.append(text(middle, self.y, "layers", SMALL, bold=True, text_anchor="middle", class_="ink"))
        if self.cake.deltas:
            self.drawn.append(text(down - 5, self.y, HEADS[1], SMALL, bold=True, class_="down"))
        self.y += 12

    def pill(self, inside: str) -> None:
        """The cost on top, x at the bottom."""
        half, middle = width(inside, NAME, bold=True) / 2 + 22, self.x + self.m.middle / 2
        box = element("rect", x=middle - half, y=self.y, width=2 * half, height=30.0, rx=15, class_="pill")
        label = text(middle, self.y + 19.5, inside, NAME, bold=True, text_anchor="middle", class_="ink")
        self.drawn.append(element("g", box, label, data_box="pill"))
        self.pills.append((self.y + 15, half))
        self.y += 30

    def floor(self, floor: Floor, around: Sequence[Frame], on_top: bool) -> None:
        """A layer: its place and name, and a line for each parameter."""
        m = self.m
        x, wide = self.x + sum(insets(f)[0] for f in around), m.middle - sum(sum(insets(f)) for f in around)
        top = self.y
        inner = [element("title", words(f"{floor.place} {floor.name}".strip()))]
        self.y += m.pad + NAME - 1
        at = x + 12
        if floor.place:
            place = end(floor.place, 0.45 * (wide - 24), NAME)
            inner.append(text(at, self.y, place, NAME, class_="muted"))
            at += width(place + " ", NAME)
        aside = width(self.cake.aside, SMALL) + 12 if on_top and self.cake.aside else 0.0
        name = cut(floor.name, x + wide - 12 - aside - at, NAME, bold=True)
        inner.append(text(at, self.y, name, NAME, bold=True, class_="ink"))
        if aside:
            inner.append(text(x + wide - 12, self.y, self.cake.aside, SMALL, text_anchor="end", class_="muted"))
        numbers = sum(m.columns) + 12 * len(m.columns)
        beside = all(named(weights) + numbers <= wide - 24 for weights in floor.weights)
        for weights in floor.weights:
            self.y += m.line
            inner.append(text(x + 12, self.y, cut(said(weights), wide - 24, SMALL), SMALL, class_="ink"))
            self.y += 0 if beside else m.line
            right = x + wide - 12
            for cell, column in zip(reversed(cells(weights, self.cake.deltas)), reversed(m.columns), strict=True):
                inner.append(text(right, self.y, cell, SMALL, text_anchor="end", class_="muted"))
                right -= column + 12
        self.y += m.pad + 1
        box = element("rect", x=x, y=top, width=wide, height=self.y - top, rx=6, class_="box")
        self.drawn.append(element("g", inner[0], box, *inner[1:], data_box="layer"))

    def frame(self, frame: Frame, outside: Sequence[Frame], top: float) -> None:
        """A container around what has been drawn since `top`; past a residual one, z goes by itself."""
        x = self.x + sum(insets(f)[0] for f in outside)
        wide = self.m.middle - sum(sum(insets(f)) for f in outside)
        title = cut(frame.title, wide - 24, SMALL)
        foot = top + self.m.head - 6.5
        inside = [
            element("title", words(frame.title)),
            element("rect", x=x, y=top, width=wide, height=self.y - top, rx=8, class_="frame"),
            text(x + insets(frame)[0], foot, title, SMALL, class_="muted"),
        ]
        if frame.kind == "Residual":
            past, low, high = x + 13, self.y, foot - 4
            inside += [
                element("line", x1=past, y1=low, x2=past, y2=high + 6, class_="lane up-line"),
                element("circle", cx=past, cy=high, r=6.0, class_="up-ring"),
                element("path", d=f"M{past - 3:.1f} {high:.1f}h6m-3 -3v6", class_="lane up-line"),
            ]
        self.behind.insert(0, element("g", *inside, data_box="frame"))

    def lane_at(self) -> tuple[float, float]:
        """Where z goes up, and where delta comes down."""
        return self.x - LANE, self.x + self.m.middle + LANE

    def top_station(self) -> None:
        """The highest level: the cost, or what a model gives."""
        if self.cake.last is None:
            return self.station(self.cake.output)
        mid, (up, down) = self.y + self.m.gap / 2, self.lane_at()
        self.stations.append(mid)
        z, delta = self.cake.last
        self.drawn.append(text(up - 12, mid + 4, z, SMALL, text_anchor="end", class_="ink"))
        if self.cake.deltas:
            self.drawn.append(text(down + 12, mid + 4, delta, SMALL, class_="ink"))
        self.y += self.m.gap
        return None

    def station(self, floor: Floor) -> None:
        """z and delta below a floor, in words and as glyphs."""
        m, mid = self.m, self.y + self.m.gap / 2
        up, down = self.lane_at()
        high = 14.0 if m.compact else 26.0
        self.stations.append(mid)
        left, right = up - 12 - GLYPH, down + 12
        if floor.z is not None:
            self.drawn.append(histogram(floor.array, floor.z, left, mid + high / 2, GLYPH, high, "up-fill"))
        self.beside(side("z", floor, m.compact), left - 9, mid, "end", m.left)
        if self.cake.deltas:
            if floor.delta is not None:
                self.drawn.append(bar(floor.delta.norm, self.scale, right, mid + 5, GLYPH, 10, "down-fill"))
            at = right + GLYPH + 9 if floor.delta is not None else right
            self.beside(side("δ", floor, m.compact), at, mid, "start", m.right)
        self.y += m.gap

    def beside(self, both: list[str], x: float, mid: float, anchor: str, room: float) -> None:
        """One line or two around the height of a level."""
        feet = [mid + 4] if len(both) == 1 else [mid - 3.5, mid + 11.5]
        for i, (line, foot) in enumerate(zip(both, feet, strict=True)):
            shown = text(x, foot, cut(line, room, SMALL), SMALL, text_anchor=anchor, class_="muted" if i else "ink")
            full = element("title", words(line)) if cut(line, room, SMALL) != line else ""
            self.drawn.append(element("g", full, shown) if full else shown)

    def lanes(self) -> None:
        """z from x up to C, a solid line; delta down, a dashed one; a point at each level and an arrow between."""
        self.lane(self.lane_at()[0], "up", reaches_x=True)
        if self.cake.deltas:
            self.lane(self.lane_at()[1], "down", reaches_x=self.cake.floors[0].delta is not None)

    def lane(self, x: float, role: str, reaches_x: bool) -> None:
        middle = self.x + self.m.middle / 2
        inward = 1 if x < middle else -1
        (top, half_top), (foot, half_foot) = self.pills
        ends = [middle - inward * (half + 3) for half in (half_top, half_foot)]
        down = f"V{foot - 8:.1f}q0 8 {8 * inward} 8H{ends[1]:.1f}" if reaches_x else f"V{self.stations[-1]:.1f}"
        path = f"M{ends[0]:.1f} {top:.1f}H{x + 8 * inward:.1f}q{-8 * inward} 0 {-8 * inward} 8{down}"
        self.drawn.append(element("path", d=path, class_=f"lane {role}-line"))
        self.drawn += [element("circle", cx=x, cy=y, r=3.6, class_=f"{role}-ring") for y in self.stations]
        turn = -1 if role == "up" else 1
        for above, below in zip(self.stations, self.stations[1:], strict=False):
            head = f"M{x - 5:.1f} {(above + below) / 2 - 4 * turn:.1f}h10l-5 {8 * turn}z"
            self.drawn.append(element("path", d=head, class_=f"{role}-fill"))
        if role == "up" or reaches_x:
            y, tip = (top, ends[0]) if role == "up" else (foot, ends[1])
            head = f"M{tip:.1f} {y:.1f}l{-9 * inward} -5v10z"
            self.drawn.append(element("path", d=head, class_=f"{role}-fill"))

    def foot(self) -> None:
        """What sizes, histograms and bars are of."""
        low, high = (f"1e{number(power)}" if power else "1" for power in self.scale)
        told = "Histograms: the entries of z from the least to the largest, a tick at 0."
        if self.cake.deltas:
            told += f" Bars: the norm of δ on a logarithmic scale from {low} to {high}."
        if any(floor.weights for floor in self.cake.floors):
            rest = " and of ∂C/∂θ; ratio: gradient by size." if self.cake.deltas else "."
            told += f" Size{' and gradient' * self.cake.deltas} of a parameter: root mean square of its entries{rest}"
        if self.m.compact:
            told = f"Of z: mean ± spread. {told}"
        self.y += 24
        for line in lines(told, self.m.whole, SMALL):
            self.drawn.append(text(MARGIN, self.y, line, SMALL, class_="muted"))
            self.y += 16
        self.y -= 16
