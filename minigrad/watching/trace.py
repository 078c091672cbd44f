"""The pass through a cost as data: every z and delta, every parameter and its gradient, and what they are like."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import require_flag, require_layer
from minigrad.layer import Layer
from minigrad.layers import BatchNorm1d, Conv1d
from minigrad.losses import Loss
from minigrad.typing import Array, Delta, Gradients, Input
from minigrad.watching.passes import Leaf, Pass, run
from minigrad.watching.responses import Response, response
from minigrad.watching.statistics import Statistics, norm, statistics
from minigrad.watching.tables import as_html, as_text
from minigrad.watching.timing import seconds
from minigrad.watching.traced import tables_of

LONGEST = 60  # letters of the name of a layer


class LayerTrace(NamedTuple):
    """A layer at one place: z = z^level goes in, z_next comes out; delta_next comes down to it, and delta goes on down.

    delta is dC/dz and delta_next dC/dz_next.  None where nothing comes down: where what is traced is not one number,
    and below a layer without a rule 2.  `gradients` are those of this place alone, by the layer's own names.  Of a
    place that runs several times in one pass, all of this is of its last run of rule 1, and of rules 2 and 3 for that
    run; the gradients of other runs are in the sum of `ParameterTrace`.

    `is_container` says that layers inside have rows of their own, the next ones: a container with parameters of its
    own, such as MultiHeadAttention, stands before what it runs.  Its z_next and its seconds are with those inside.
    """

    place: str
    layer: Layer
    name: str
    level: int
    z: Input
    z_next: Any
    delta: Delta
    delta_next: Delta
    of_z: Statistics | None
    of_z_next: Statistics | None
    of_delta: Statistics | None
    of_delta_next: Statistics | None
    gradients: Gradients
    parameters: dict[str, Array]
    seconds: dict[str, float]
    response: Response | None
    is_container: bool = False

    def __repr__(self) -> str:
        return f"LayerTrace(level {self.level}, place {self.place!r}: {self.name})"


class ParameterTrace(NamedTuple):
    """A parameter: root mean squares of its entries and of its gradient's, and the second by the first.

    `place` is that of the layer which holds it; `gradient` the sum over all places, None where there is none.
    """

    name: str
    place: str
    array: Array
    gradient: Array | None
    size: float
    gradient_size: float | None
    ratio: float | None

    def __repr__(self) -> str:
        return f"ParameterTrace({self.name}: {self.array.shape})"


class Trace(NamedTuple):
    """What `trace` found: the layers from the lowest up, the parameters, and the cost, or what a model gives.

    It prints as three tables: numbers on the way up, deltas on the way down, and parameters.
    """

    layers: tuple[LayerTrace, ...]
    parameters: tuple[ParameterTrace, ...]
    value: Any

    def __str__(self) -> str:
        return as_text(*tables_of(self))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return as_html(*tables_of(self))


def trace(cost: Layer, x: Input, *arguments: Any, keep: bool = True, repeats: int = 3, **options: Any) -> Trace:
    """The pass through a cost as data: each z^l and delta^l, what they are like, how long each rule takes; print it.

        .layers       a `LayerTrace` for each layer that works on arrays itself, once for each place, in the order in
                      which the data reach them: a container with parameters of its own before what stands inside
        .parameters   a `ParameterTrace` for each parameter, with its gradient, the sum over all places and runs
        .value        the cost

    The rules run once, as in training, on a copy that shares the parameters and moves no state: of dropout, what goes
    up and what comes down belong to one draw.  Deltas go down to x.  What is not one number, as a model without its
    loss, has no deltas and no gradients.  The arrays are those of the pass, and those of the model: copy what you
    change, or what is to outlast a step.  keep=False gives statistics alone, and lets the arrays go.

    `seconds` of a layer are the shortest of `repeats` further runs of each rule alone, on what went into it in the
    pass, in this thread: what lies between layers, and what runs layers as one, is not in them.  repeats=0 spares them.

    >>> from minigrad import Linear, MSELoss, Sequential, Tanh
    >>> cost = Sequential(Linear(2, 3, rng=0), Tanh(), Linear(3, 1, rng=1), MSELoss())
    >>> traced = trace(cost, np.ones((5, 2)), np.zeros((5, 1)))
    >>> [(layer.level, layer.name, layer.delta.shape) for layer in traced.layers[:2]]
    [(1, 'Linear(2 -> 3)', (5, 2)), (2, 'Tanh()', (5, 3))]
    >>> traced.layers[1].of_z_next.zeros
    0.0
    """
    require_layer(trace, cost)
    require_flag(trace, "keep", keep)
    if not isinstance(repeats, int | np.integer) or isinstance(repeats, bool) or repeats < 0:
        raise ValueError(f"trace expects repeats to be a whole number of 0 or more, got {repeats!r}")
    passed = run(cost, x, arguments, options, to_input=True)
    return Trace(trace_layers(passed, keep, repeats), trace_parameters(passed, keep), passed.value)


def trace_layers(passed: Pass, keep: bool, repeats: int) -> tuple[LayerTrace, ...]:
    """Every leaf of a pass; arrays that stand in several places are looked at once."""
    known: dict[int, Statistics | None] = {}

    def of(value: Any) -> Statistics | None:
        if id(value) not in known:
            known[id(value)] = statistics(value)
        return known[id(value)]

    layers = []
    nearest: Layer | None = None  # itself or the nearest below that has parameters
    for level, leaf in enumerate(passed.leaves, 1):
        nearest = leaf.layer if leaf.layer.parameter_names else nearest
        z, z_next = leaf.up.given[0], leaf.up.result
        of_z, of_z_next, found = of(z), of(z_next), _response(leaf, nearest)
        if of_z_next is not None and found is not None:
            of_z_next = of_z_next._replace(saturated=found.saturated)
            known[id(z_next)] = of_z_next
        of_delta, of_delta_next = (None if delta is None else of(delta) for delta in (leaf.delta, leaf.delta_next))
        layers.append(
            LayerTrace(
                leaf.up.place,
                leaf.layer,
                name_of(leaf.layer),
                level,
                z if keep else None,
                z_next if keep else None,
                leaf.delta if keep else None,
                leaf.delta_next if keep else None,
                of_z,
                of_z_next,
                of_delta,
                of_delta_next,
                (leaf.gradients or {}) if keep else {},
                leaf.parameters,
                seconds(leaf, repeats),
                found,
                leaf.has_inside,
            )
        )
    return tuple(layers)


def trace_parameters(passed: Pass, keep: bool) -> tuple[ParameterTrace, ...]:
    """Every parameter of a pass, with its gradient where there is one."""
    found = []
    for name, array in passed.parameters.items():
        gradient = (passed.gradients or {}).get(name)
        size = root_mean_square(array)
        of_gradient = None if gradient is None else root_mean_square(gradient)
        ratio = None if of_gradient is None or not size else of_gradient / size
        place = name.rpartition(".")[0]
        found.append(ParameterTrace(name, place, array, gradient if keep else None, size, of_gradient, ratio))
    return tuple(found)


def name_of(layer: Layer) -> str:
    """Its repr on one line, of a readable length."""
    name = " ".join(repr(layer).split())
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."


def root_mean_square(array: Array) -> float:
    """sqrt(mean |array|^2)."""
    return norm(array) / float(max(array.size, 1)) ** 0.5


def _response(leaf: Leaf, trained: Layer | None) -> Response | None:
    if isinstance(leaf.layer, Loss):
        return None
    channels_first = np.ndim(leaf.up.result) == 4 or isinstance(trained, Conv1d | BatchNorm1d)
    return response(leaf.up, 1 if channels_first else -1)
