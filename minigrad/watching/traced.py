"""The tables of a trace: numbers on the way up, deltas on the way down, parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.shapes import is_shape
from minigrad.watching.readable import Figure, duration
from minigrad.watching.statistics import Statistics
from minigrad.watching.tables import Table

if TYPE_CHECKING:
    from minigrad.watching.trace import LayerTrace, ParameterTrace, Trace

WIDEST = 24  # letters of a cell: the tables fit 120


def tables_of(traced: Trace) -> list[Any]:
    """Three tables, and a sentence on the cost."""
    said = [*(_of_container(row, traced.layers) for row in traced.layers if row.is_container), _said(traced.value)]
    return [_upwards(traced.layers), _downwards(traced.layers), _of_parameters(traced.parameters), said]


def _upwards(layers: tuple[LayerTrace, ...]) -> Table:
    heads = ("place", "layer", "shape", "mean", "std", "min", "max", "norm", "zeros", "sat.", "rule 1")
    below = [("", "what goes in", *_figures(layers[0].of_z), None)] if layers else []
    rows = [(row.place, row.name, *_figures(row.of_z_next), _time(row, "forward")) for row in layers]
    return Table("Upwards: z_next, what each layer gives", [heads, *below, *rows], WIDEST)


def _downwards(layers: tuple[LayerTrace, ...]) -> Table:
    heads = ("place", "layer", "shape", "mean", "std", "min", "max", "norm", "zeros", "rule 2", "rule 3")
    rows = [
        (row.place, row.name, *_figures(row.of_delta)[:-1], _time(row, "backward"), _time(row, "parameter_gradients"))
        for row in reversed(layers)
        if row.of_delta is not None
    ]
    return Table("Downwards: delta = dC/dz, what each layer hands to those below", [heads, *rows], WIDEST)


def _of_parameters(parameters: tuple[ParameterTrace, ...]) -> Table:
    rows = [(row.name, row.array.shape, row.size, row.gradient_size, row.ratio) for row in parameters]
    heads = ("parameter", "shape", "rms", "of gradient", "ratio")
    return Table("Parameters: root mean squares of entries and of their gradients", [heads, *rows], WIDEST)


def _said(value: Any) -> str:
    if type(value) is tuple or np.ndim(value):
        return "What is traced is not one number: nothing comes down."
    return f"The cost is {value:.6g}."


def _of_container(row: LayerTrace, layers: tuple[LayerTrace, ...]) -> str:
    """That its row is of more than itself."""
    within = f"{row.place}." if row.place else ""
    inside = [other.place for other in layers if other is not row and other.place.startswith(within)]
    who = " ".join(filter(None, ("layer", row.place, type(row.layer).__name__)))
    return f"What {who} gives, and its times, are with the layers inside: {', '.join(inside)}."


def _figures(of: Statistics | None) -> tuple[Any, ...]:
    if of is None:
        return ("",) + (None,) * 7
    saturated = None if of.saturated is None else _share(of.saturated)
    shape = of.shape if is_shape(of.shape) else f"{len(of.shape)} arrays"
    return (shape, of.mean, of.std, of.min, of.max, of.norm, _share(of.zeros), saturated)


def _share(share: float) -> Figure:
    return Figure(f"{100 * share:.3g}%")


def _time(row: LayerTrace, rule: str) -> Figure | None:
    return duration(row.seconds[rule]) if rule in row.seconds else None
