"""A table of what goes up and what comes down: outputs, dead and saturated units, deltas, gradients."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minigrad.layer import Layer
from minigrad.layers import BatchNorm1d, Conv1d
from minigrad.losses import Loss
from minigrad.typing import Array, Input
from minigrad.watching.findings import FlowRow, GradientRow, findings
from minigrad.watching.responses import Response, response
from minigrad.watching.tables import as_html, as_text
from minigrad.watching.watched import Event, watched


class Flow(NamedTuple):
    """What `flow` found: rows from the lowest layer to the one on top, the parameters, and what stands out."""

    layers: tuple[FlowRow, ...]
    parameters: tuple[GradientRow, ...]
    findings: tuple[str, ...]

    def __str__(self) -> str:
        return as_text([FlowRow._fields, *self.layers], [GradientRow._fields, *self.parameters], self._said())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return as_html([FlowRow._fields, *self.layers], [GradientRow._fields, *self.parameters], self._said())

    def _said(self) -> list[str]:
        return list(self.findings) or ["Nothing stands out."]


def flow(cost: Layer, x: Input, *arguments: Any, **options: Any) -> Flow:
    """A table of how numbers go up through the layers of a cost and deltas come down; print it.

    The rules run once, as in training, on a copy that shares the parameters and moves no state.  What stands out is
    said below the table, where the batch shows enough of it:

        dead         more than half of the units of a layer give 0, and do not respond, for any row
        saturated    more than half of the outputs of a layer hardly respond to its inputs
        vanishing    what the lowest trained layer gives moves the cost, for a change by one standard deviation of it,
                     less than 1e-4 times as much as what the highest gives: delta times std, which is in no unit
        exploding    more than 1e4 times as much
        not finite   there are NaN or infinities: `find_nonfinite` says where they arise

    Of a layer whose output is not one number, there are no deltas.  After Glorot and Bengio, "Understanding the
    difficulty of training deep feedforward neural networks", 2010.

    >>> from minigrad import Linear, MSELoss, ReLU, Sequential
    >>> cost = Sequential(Linear(2, 16, rng=0), ReLU(), Linear(16, 1, rng=1), MSELoss())
    >>> cost[0].bias[:12] = -100
    >>> x = np.random.default_rng(2).normal(size=(20, 2))
    >>> flow(cost, x, x[:, :1]).findings
    ('layer 1, ReLU(): 12 of 16 units are 0 for every row and do not respond.',)
    """
    events: list[Event] = []
    with np.errstate(all="ignore"):
        copy = watched(cost, events.append)
        value, cache = copy.forward(x, *arguments, **options)
        one_number = type(value) is not tuple and not np.ndim(value)
        gradients = copy.parameter_gradients(1.0, cache) if one_number else {}
        deltas = {event.place: _norm(event.given) for event in events if event.rule != "forward"}
        below = {event.place: _norm(event.result) for event in events if event.rule == "backward"}
        below |= {event.place: _norm(event.result[0]) for event in events if event.rule == "backpropagate"}
        leaves = _leaves(events)
        found = [_response(event, trained) for event, trained in zip(leaves, _trained_below(leaves), strict=True)]
        rows = tuple(
            _row(event, of, deltas.get(event.place), below.get(event.place))
            for event, of in zip(leaves, found, strict=True)
        )
        arrays = copy.parameters()
        of_parameters = tuple(_gradient_row(name, arrays[name], gradient) for name, gradient in gradients.items())
    return Flow(rows, of_parameters, tuple(findings(leaves, rows, found, of_parameters)))


def _leaves(events: list[Event]) -> list[Event]:
    """Rule 1 of the layers that work on arrays themselves, from the lowest up, each place once."""
    upwards = {event.place: event for event in events if event.rule == "forward"}
    inside = {place.rpartition(".")[0] for place in upwards if place}
    return [event for place, event in upwards.items() if place not in inside or event.layer.parameter_names]


def _trained_below(leaves: list[Event]) -> list[Layer | None]:
    """For each, itself or the nearest below that has parameters: it says on which axis units stand."""
    nearest: Layer | None = None
    below = []
    for event in leaves:
        nearest = event.layer if event.layer.parameter_names else nearest
        below.append(nearest)
    return below


def _response(event: Event, trained: Layer | None) -> Response | None:
    channels_first = np.ndim(event.result) == 4 or isinstance(trained, Conv1d | BatchNorm1d)
    return None if isinstance(event.layer, Loss) else response(event, 1 if channels_first else -1)


def _row(event: Event, of: Response | None, delta: float | None, below: float | None) -> FlowRow:
    parts = [np.asarray(part) for part in (event.result if type(event.result) is tuple else (event.result,))]
    shapes = tuple(part.shape for part in parts)
    z = np.concatenate([part.ravel() for part in parts])
    wide = z.astype(np.result_type(z.dtype, np.float64))
    size = np.abs(wide)
    return FlowRow(
        event.place,
        " ".join(repr(event.layer).split()),
        shapes[0] if len(shapes) == 1 else shapes,
        *(
            (float(wide.mean().real), float(wide.std()), float(size.max()), float((z == 0).mean()))
            if z.size
            else (0.0,) * 4
        ),
        None if of is None else of.units,
        None if of is None else of.dead,
        None if of is None else of.saturated,
        delta,
        below / delta if below is not None and delta else None,
    )


def _gradient_row(name: str, array: Array, gradient: Array) -> GradientRow:
    size, of_gradient = (_norm(a) / max(a.size, 1) ** 0.5 for a in (array, gradient))
    return GradientRow(name, array.shape, size, of_gradient, of_gradient / size if size else None)


def _norm(delta: Any) -> float:
    """sqrt(sum |delta|^2), of all parts of a tuple."""
    parts = [np.asarray(part).ravel() for part in (delta if type(delta) is tuple else (delta,))]
    # Scaled, so that squares neither overflow nor vanish.
    largest = max((float(np.abs(part).max(initial=0)) for part in parts), default=0.0)
    if not largest or not np.isfinite(largest):
        return largest
    squares = ((np.abs(part) / largest).astype(np.float64) ** 2 for part in parts)
    return largest * math.sqrt(sum(square.sum() for square in squares))
