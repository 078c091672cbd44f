"""Data that do not suit descent: scales far apart, integers, NaN, too few rows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from minigrad.layers import (
    GRU,
    LSTM,
    RNN,
    BatchNorm1d,
    BatchNorm2d,
    Bilinear,
    Conv1d,
    Conv2d,
    Linear,
    MultiHeadAttention,
)
from minigrad.typing import Array
from minigrad.watching.linting.finding import Places, Rule
from minigrad.watching.linting.runs import Run, parts_of
from minigrad.watching.watched import Event

APART = 1e6  # the factor between scales
CONSTANT = 1e-10  # of the size of a column: less spread than that is rounding


def scales(run: Run) -> Places:
    """Columns that go into the lowest units, and are of very different sizes."""
    for event, columns in _columns(run):
        if columns.dtype.kind != "f" or not np.isfinite(columns).all() or len(columns) < 2:
            continue
        for what, sizes in (("a spread", _spreads(columns)), ("a size", np.sqrt((columns**2).mean(axis=0)))):
            seen = np.flatnonzero(sizes > 0)
            if not len(seen):
                continue
            low, high = seen[sizes[seen].argmin()], seen[sizes[seen].argmax()]
            if sizes[high] >= APART * sizes[low]:
                yield (
                    run.where(event),
                    f"Feature {high} has {what} of {sizes[high]:.3g} and feature {low} one of {sizes[low]:.3g}, "
                    f"{sizes[high] / sizes[low]:.1g} times less.",
                )
                break


def _columns(run: Run) -> Iterator[tuple[Event, Array]]:
    """The arrays that go into the lowest units, feature by feature."""
    for event in run.of((Linear, Conv1d, Conv2d, RNN, GRU, LSTM, Bilinear, MultiHeadAttention)):
        layer, parts = event.layer, parts_of(event.given[0])
        if event.error is not None or all(run.name(event, name) is None for name in layer.parameter_names):
            continue
        for z in parts[:1] if isinstance(layer, RNN | GRU | LSTM) else parts:  # above z is the state at the start
            if isinstance(z, np.ndarray) and z.ndim > 1 and run.is_bottom(z):
                columns = np.moveaxis(z, 1, -1) if isinstance(layer, Conv1d | Conv2d) else z
                wide = np.result_type(z.dtype, np.float64)
                yield event, columns.reshape(-1, columns.shape[-1]).astype(wide, copy=False)


def not_finite(run: Run) -> Places:
    """NaN or infinities, wherever they arise."""
    if run.nonfinite is not None:
        yield "the run", f"{run.nonfinite}."


def integers(run: Run) -> Places:
    """An array of integers where a layer takes floats."""
    for event in run.leaves:
        z = event.given[0]
        if isinstance(event.error, TypeError) and isinstance(z, np.ndarray) and z.dtype.kind in "iub" and z.size:
            pixels = z.dtype == np.uint8
            scaled = "x.astype(float) / 255" if pixels else "x.astype(float)"
            yield run.where(event), f"It is given {z.dtype} from {z.min()} to {z.max()}: {scaled}."


def batch_of_one(run: Run) -> Places:
    """Batch normalisation of a single row."""
    for event in run.of((BatchNorm1d, BatchNorm2d)):
        z = event.given[0]
        if event.error is not None and z.ndim > 1 and math.prod((len(z), *z.shape[2:])) < 2:
            yield run.where(event), f"z has the shape {z.shape}: there is one value for each channel."


def _spreads(columns: Array) -> Array:
    spread, size = columns.std(axis=0), np.abs(columns).max(axis=0)
    return np.where(spread > CONSTANT * size, spread, 0.0)


RULES = (
    Rule(
        "feature-scales",
        scales,
        "A step that suits the one is nothing for the other: descent ends where the large feature allows, and the "
        "small one is not learned.",
        "Bring each feature to mean 0 and variance 1 first.",
    ),
    Rule(
        "not-finite",
        not_finite,
        "One such number spreads to all parameters in a step.",
        "Mend that first: what else is found here may come of it.",
    ),
    Rule(
        "integers-for-floats",
        integers,
        "Rules in integers would round every number on its way.",
        "Pass floats, scaled to about 1.",
        explains=True,
    ),
    Rule(
        "batch-of-one",
        batch_of_one,
        "The mean is the value itself, so that nothing is left of it.",
        "Train on larger batches, the last of an epoch too, or take LayerNorm.",
        explains=True,
    ),
)
