"""A table of what goes up and what comes down: outputs, dead and saturated units, deltas, gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.layer import Layer
from minigrad.layers import BatchNorm1d, Conv1d
from minigrad.losses import Loss
from minigrad.typing import Array, Input
from minigrad.watching.responses import Response, response
from minigrad.watching.tables import as_html, as_text
from minigrad.watching.watched import Event, watched

MANY_DEAD, ENOUGH = 0.5, 8  # the share of units that is remarkable, of batches that have as many values for each unit
MANY_SATURATED = 0.5  # of all entries
FADED, GREW = 1e-4, 1e4  # the delta at the lowest trained layer, by that at the highest


class FlowRow(NamedTuple):
    """One layer, at one place.  Where something does not apply, None.

    mean, std, largest (of |z|) and zeros (a share) are of the output; `dead` and `saturated` are those of `Response`.
    `delta` is the norm sqrt(sum delta^2) of the delta at the output, and `ratio` what that of the input is to it: by
    how much rule 2 of the layer lets it grow or fade on the way down.
    """

    place: str
    layer: str
    shape: Any
    mean: float
    std: float
    largest: float
    zeros: float
    units: int | None
    dead: int | None
    saturated: float | None
    delta: float | None
    ratio: float | None


class GradientRow(NamedTuple):
    """One parameter: the root mean squares of its entries and of its gradient's, and the second by the first."""

    name: str
    shape: tuple[int, ...]
    size: float
    gradient: float
    ratio: float | None


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
        vanishing    the delta at the lowest trained layer is less than 1e-4 of that at the highest
        exploding    it is more than 1e4 times as large
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
    return Flow(rows, of_parameters, tuple(_findings(leaves, rows, found, of_parameters)))


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
    return largest * float(sum(square.sum() for square in squares)) ** 0.5


def _findings(
    leaves: list[Event], rows: tuple[FlowRow, ...], found: list[Response | None], parameters: tuple[GradientRow, ...]
) -> list[str]:
    """What stands out, in sentences."""
    said = []
    numbers = [row.largest for row in rows] + [row.delta for row in rows if row.delta is not None]
    if not np.isfinite(numbers + [row.gradient for row in parameters]).all():
        return ["There are NaN or infinities: find_nonfinite says where they arise."]
    for row, of in zip(rows, found, strict=True):
        if of is None or of.values < ENOUGH:
            continue
        if of.dead > MANY_DEAD * of.units:
            said.append(
                f"layer {row.place}, {row.layer}: {of.dead} of {of.units} units are 0 for every row and do not respond."
            )
        if of.saturated > MANY_SATURATED:
            said.append(f"layer {row.place}, {row.layer}: saturated, {of.saturated:.0%} of its outputs hardly respond.")
    trained = [
        row
        for event, row in zip(leaves, rows, strict=True)
        if event.layer.parameter_names and not isinstance(event.layer, Loss) and row.delta is not None
    ]
    if len(trained) > 1 and trained[-1].delta:
        lowest = trained[0]
        ratio = (lowest.delta or 0.0) / trained[-1].delta
        kind = "vanish" if ratio < FADED else "explode" if ratio > GREW else ""
        if kind:
            said.append(
                f"Deltas {kind}: at layer {lowest.place}, {lowest.layer}, the delta is {ratio:.1g} of that at layer "
                f"{trained[-1].place}, {trained[-1].layer}."
            )
    still = [row.name for row in parameters if row.gradient == 0]
    if still:
        said.append(f"The gradient is 0 for {', '.join(still)}: unused_parameters says why.")
    return said
