"""The layer cake: a cost drawn from x at the bottom to C on top, with what goes up and what comes down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minigrad.checks import kind
from minigrad.layer import Layer
from minigrad.losses import Penalized
from minigrad.pictures.colours import require_theme
from minigrad.pictures.drawing import Cake, draw
from minigrad.pictures.floors import Floor, floors_of, frames_of
from minigrad.pictures.measures import cells, is_empty, mean, shape
from minigrad.pictures.measures import said as told
from minigrad.pictures.styles import style
from minigrad.pictures.svg import FONTS, element, words
from minigrad.pictures.wording import count, level, not_finite, number
from minigrad.watching.statistics import statistics
from minigrad.watching.trace import Trace, trace


class LayerCake:
    """A picture: `svg` is its text, and `description` what it shows in words; notebooks show it by themselves."""

    def __init__(self, svg: str, title: str, description: str) -> None:
        self.svg, self.title, self.description = svg, title, description

    def save(self, path: str | Path) -> None:
        """Write a file, .svg or .html (ValueError)."""
        path = Path(path)
        if path.suffix == ".svg":
            written = f'<?xml version="1.0" encoding="UTF-8"?>\n{self.svg}\n'
        elif path.suffix == ".html":
            written = _page(self)
        else:
            raise ValueError(f"save expects a file that ends in .svg or .html, got {path.name!r}: cake.svg")
        path.write_text(written, encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return self.svg

    def __str__(self) -> str:
        return self.description

    def __repr__(self) -> str:
        return f"LayerCake({self.title!r})"


def layer_cake(cost: Layer | Trace, x: Any = None, *arguments: Any, theme: str = "auto", **options: Any) -> LayerCake:
    """The layers of a cost as boxes from x up to C; z^l with shape, mean and spread goes up on the left, delta^l with
    shape, spread and norm comes down on the right, and each parameter stands in its layer, with the root mean squares
    of its entries and its gradient, and their ratio.

    `cost` is a layer and x what is handed to it, with a target and more, or what `trace` found; containers are drawn
    where the layer is given.  A model without a loss has no deltas.  The pass is that of `trace`: nothing is moved.
    `theme` "auto" follows the reader's light or dark, "light" and "dark" do not.

    It shows itself in notebooks, and `.save("cake.svg")` writes it, or an .html page.  It has a title and a
    description for those who do not see it, and says nothing by colour alone.

    >>> from minigrad import Linear, NLLLoss, LogSoftmax, Sequential
    >>> cost = Sequential(Linear(4, 3, rng=0), LogSoftmax(), NLLLoss())
    >>> layer_cake(cost, np.zeros((5, 4)), np.arange(5) % 3)
    LayerCake('Layer cake: 3 layers, 15 parameters, C = 1.2')
    """
    require_theme("layer_cake", theme, ("auto",))
    if isinstance(cost, Trace):
        if x is not None or arguments or options:
            raise TypeError("layer_cake expects a Trace alone, or a cost, x and its target, got a Trace and more")
        return _cake(cost, None, "", theme)
    if x is None:
        raise TypeError(f"layer_cake expects x after the cost, got {kind(x)}: layer_cake(cost, x, target)")
    aside = f"target {np.shape(arguments[0])}" if arguments and isinstance(arguments[0], np.ndarray | list) else ""
    return _cake(trace(cost, x, *arguments, repeats=1, **options), cost, aside, theme)


def _cake(found: Trace, cost: Layer | None, aside: str, theme: str) -> LayerCake:
    if not found.layers:
        raise ValueError("layer_cake expects a stack of a layer or more, got none")
    floors = floors_of(found)
    deltas = any(floor.delta is not None for floor in floors)
    value = None if type(found.value) is tuple or np.ndim(found.value) else complex(found.value).real
    top = "output" if value is None else f"C = {number(value)}"
    alone = top
    z, delta = (level(letter, len(floors) + 1) for letter in "zδ")
    last = None if value is None else (f"{z} = {top}", f"{delta} = ∂C/∂C = 1")
    loss, slope = _top(found)
    if value is not None and loss is not None and loss != value:
        last = f"{z} = {number(loss)}", f"{delta} = ∂C/∂{z}" + ("" if slope is None else f" = {number(slope)}")
        if isinstance(cost, Penalized) or slope == 1:
            top += f" = {z} + {number(value - loss)} {'of penalties' if isinstance(cost, Penalized) else 'more'}"
    arrays = {id(one.array): one.array.size for one in found.parameters}
    title = f"Layer cake: {count(len(floors), 'layer')}, {count(sum(arrays.values()), 'parameter')}"
    title += "" if value is None else f", {alone}"
    frames = tuple(frames_of(cost, [floor.place for floor in floors]))
    of_output = None if value is not None else statistics(found.value)
    output = Floor("", "", len(floors) + 1, (), of_output, None, found.value, not_finite(found.value))
    cake = Cake(title, floors, frames, top, aside, last, output, deltas)
    said = _described(cake)
    return LayerCake(_svg(cake, said, theme), title, said)


def _top(found: Trace) -> tuple[float | None, float | None]:
    """What the layer on top gives, of which the cost may be more, or a multiple; and the delta that comes to it."""
    on_top = found.layers[-1]
    if on_top.of_z_next is None or on_top.of_z_next.shape != () or np.ndim(found.value):
        return None, None
    return on_top.of_z_next.mean, None if on_top.of_delta_next is None else on_top.of_delta_next.mean


def _described(cake: Cake) -> str:
    """All that is drawn, in words, from the lowest layer up."""
    said = [f"{cake.title}. From x at the bottom up to {cake.top} on top:"]
    for floor in (*cake.floors, *([cake.output] if cake.output.z is not None else [])):
        parts = [f"{floor.place} {floor.name}".strip() or cake.top]
        if floor.z is not None:
            z = floor.z
            numbers = "no entries" if is_empty(z.shape) else f"mean {mean(z)}, spread {number(z.std)}"
            parts.append(f"{level('z', floor.level)} {shape(z)}, {numbers}")
            parts += [floor.lost] * bool(floor.lost)
        if floor.delta is not None:
            d = floor.delta
            parts.append(f"{level('δ', floor.level)} {shape(d)}, spread {number(d.std)}, norm {number(d.norm)}")
            parts += [floor.lost_delta] * bool(floor.lost_delta)
        parts += [f"{told(own)}, {', '.join(cells(own, cake.deltas))}" for own in floor.weights]
        said.append("; ".join(parts) + ".")
    said += [f"Layers inside {frame.title}." for frame in cake.frames if frame.kind]
    return " ".join(said)


def _svg(cake: Cake, said: str, theme: str) -> str:
    from hashlib import sha256

    drawn, wide, high = draw(cake)
    # The same picture has the same name, so that what is made again is the same file.
    own = "cake-" + sha256((drawn + words(said) + theme).encode()).hexdigest()[:10]
    behind = element("rect", x=0.5, y=0.5, width=wide - 1, height=high - 1, rx=8, class_="page")
    return element(
        "svg",
        element("title", words(cake.title), id=f"{own}-title"),
        element("desc", words(said), id=f"{own}-text"),
        element("style", style(own, theme)),
        behind,
        drawn,
        xmlns="http://www.w3.org/2000/svg",
        id=own,
        role="img",
        aria_labelledby=f"{own}-title {own}-text",
        viewBox=f"0 0 {wide:.0f} {high:.0f}",
        width=round(wide),
        height=round(high),
        style="max-width:100%;height:auto",
        font_family=FONTS,
    )


def _page(cake: LayerCake) -> str:
    """A page that holds the picture alone."""
    style = ":root{color-scheme:light dark}body{margin:1rem}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f"<title>{words(cake.title)}</title><style>{style}</style></head>\n<body>{cake.svg}</body>\n</html>\n"
    )
