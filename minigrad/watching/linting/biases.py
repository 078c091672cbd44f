"""Biases below batch normalisation, which takes them out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minigrad.layer import Layer
from minigrad.layers import (
    AvgPool1d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Bias,
    Bilinear,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    GlobalAveragePool,
    Linear,
    Scale,
)
from minigrad.typing import Array
from minigrad.watching.linting.finding import Places, Rule
from minigrad.watching.linting.runs import MOVES, Run
from minigrad.watching.watched import Event

BATCH_NORMS = (BatchNorm1d, BatchNorm2d)
UNITS = (Linear, Conv1d, Conv2d, ConvTranspose2d, Bilinear, Bias)
LEAVES_CHANNELS = (*MOVES, AvgPool1d, AvgPool2d, GlobalAveragePool, Scale)  # above which a bias is one still


class Idle(NamedTuple):
    """(unit, normalisation above, name of the bias), and by how much of itself the cost changes as all are moved."""

    biases: list[tuple[Event, Event, str]]
    change: float


def bias_before_normalization(run: Run) -> Places:
    """Units with a bias below batch normalisation."""
    found = run.once(idle_biases)
    which = "it is" if len(found.biases) == 1 else f"all {len(found.biases)} are"
    for event, above, _ in found.biases:
        yield (
            run.where(event, below=above),
            f"Batch normalisation takes out what is added to a channel, as the bias is: where {which} moved by one "
            f"standard deviation of z, the cost changes by {found.change:.1g} of itself.",
        )


def idle_biases(run: Run) -> Idle:
    """Trained biases below batch normalisation that do not change the cost."""
    candidates = [] if not run.gradients or run.nonfinite is not None else _candidates(run)
    return _unmoved(run, candidates)


def _candidates(run: Run) -> list[tuple[Event, Event, str]]:
    found: dict[str, tuple[Event, Event, str]] = {}
    for event in run.of(UNITS):
        name, above = run.name(event, "bias"), event
        while len(takers := run.takers(above)) == 1 and _leaves_channels(takers[0].layer):
            above = takers[0]
        if name is not None and len(takers) == 1 and isinstance(takers[0].layer, BATCH_NORMS):
            found.setdefault(name, (event, takers[0], name))
    return list(found.values())


def _leaves_channels(layer: Layer) -> bool:
    return isinstance(layer, LEAVES_CHANNELS) or (isinstance(layer, Dropout) and layer.p == 0)


def _unmoved(run: Run, biases: list[tuple[Event, Event, str]]) -> Idle:
    """Those that are idle: all at once, and by halves where that changes the cost."""
    if not biases:
        return Idle([], 0.0)
    change = run.change({name: _step(run, event, name) for event, _, name in biases})
    if change is not None:
        return Idle(biases, change)
    if len(biases) == 1:
        return Idle([], 0.0)
    low, high = (_unmoved(run, half) for half in (biases[: len(biases) // 2], biases[len(biases) // 2 :]))
    return Idle(low.biases + high.biases, max(low.change, high.change))


def _step(run: Run, event: Event, name: str) -> Array:
    return np.random.default_rng(0).standard_normal(run.parameters[name].shape) * event.result.std()


RULES = (
    Rule(
        "bias-before-normalization",
        bias_before_normalization,
        "It has no effect. Its gradient is rounding, which optimisers such as Adam take for a slope, and it has no "
        "standard error.",
        "Make the layer with bias=False: the normalisation has a bias of its own.",
    ),
)
