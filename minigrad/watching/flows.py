"""A table of what goes up and what comes down: outputs, dead and saturated units, deltas, gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

from minigrad.checks import require_layer
from minigrad.layer import Layer
from minigrad.typing import Input
from minigrad.watching.findings import FlowRow, GradientRow, findings
from minigrad.watching.passes import run
from minigrad.watching.statistics import Statistics
from minigrad.watching.tables import as_html, as_text
from minigrad.watching.trace import LayerTrace, ParameterTrace, trace_layers, trace_parameters


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

    >>> import numpy as np
    >>> from minigrad import Linear, MSELoss, ReLU, Sequential
    >>> cost = Sequential(Linear(2, 16, rng=0), ReLU(), Linear(16, 1, rng=1), MSELoss())
    >>> cost[0].bias[:12] = -100
    >>> x = np.random.default_rng(2).normal(size=(20, 2))
    >>> flow(cost, x, x[:, :1]).findings
    ('layer 1, ReLU(): 12 of 16 units are 0 for every row and do not respond.',)
    """
    require_layer(flow, cost)
    passed = run(cost, x, arguments, options, to_input=False)
    layers = trace_layers(passed, keep=False, repeats=0)
    parameters = tuple(
        _gradient_row(row) for row in trace_parameters(passed, keep=False) if passed.gradients is not None
    )
    rows = tuple(map(_row, layers))
    return Flow(rows, parameters, tuple(findings(layers, rows, parameters)))


def _row(traced: LayerTrace) -> FlowRow:
    z_next = traced.of_z_next or Statistics((), *(0.0,) * 6)
    shape, of, above, below = z_next.shape, traced.response, traced.of_delta_next, traced.of_delta
    return FlowRow(
        traced.place,
        " ".join(repr(traced.layer).split()),
        shape[0] if len(shape) == 1 and type(shape[0]) is tuple else shape,
        z_next.mean,
        z_next.std,
        z_next.largest,
        z_next.zeros,
        None if of is None else of.units,
        None if of is None else of.dead,
        None if of is None else of.saturated,
        None if above is None else above.norm,
        below.norm / above.norm if below is not None and above is not None and above.norm else None,
    )


def _gradient_row(traced: ParameterTrace) -> GradientRow:
    return GradientRow(traced.name, traced.array.shape, traced.size, traced.gradient_size or 0.0, traced.ratio)
