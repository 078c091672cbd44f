"""What stands out in a flow: dead and saturated units, deltas that vanish or explode, what is not trained."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.losses import Loss
from minigrad.watching.responses import Response
from minigrad.watching.trace import LayerTrace

MANY_DEAD, ENOUGH = 0.5, 8  # the share of units that is remarkable, of batches that have as many values for each unit
MANY_SATURATED = 0.5  # of all entries
FADED, GREW = 1e-4, 1e4  # what the lowest trained layer moves the cost by, by what the highest does


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


def findings(
    layers: tuple[LayerTrace, ...], rows: tuple[FlowRow, ...], parameters: tuple[GradientRow, ...]
) -> list[str]:
    """What stands out, in sentences."""
    numbers = [row.largest for row in rows] + [row.delta for row in rows if row.delta is not None]
    if not np.isfinite(numbers + [row.gradient for row in parameters]).all():
        return ["There are NaN or infinities: find_nonfinite says where they arise."]
    said = _of_units(rows, [traced.response for traced in layers])
    trained = [
        row
        for traced, row in zip(layers, rows, strict=True)
        if traced.layer.parameter_names and not isinstance(traced.layer, Loss) and row.delta is not None
    ]
    said += _of_deltas(trained)
    still = [row.name for row in parameters if row.gradient == 0]
    if still:
        said.append(f"The gradient is 0 for {', '.join(still)}: unused_parameters says why.")
    return said


def _of_units(rows: tuple[FlowRow, ...], found: list[Response | None]) -> list[str]:
    said = []
    for row, of in zip(rows, found, strict=True):
        if of is None or of.values < ENOUGH:
            continue
        layer = f"layer {row.place}, {row.layer}"
        if of.dead > MANY_DEAD * of.units:
            said.append(f"{layer}: {of.dead} of {of.units} units are 0 for every row and do not respond.")
        if of.saturated > MANY_SATURATED:
            said.append(f"{layer}: saturated, {of.saturated:.0%} of its outputs hardly respond.")
    return said


def _of_deltas(trained: list[FlowRow]) -> list[str]:
    """That deltas vanish or explode from the highest trained layer to the lowest."""
    if len(trained) < 2:
        return []
    lowest, highest = trained[0], trained[-1]
    # Numbers in thousands have deltas of thousandths, which is no trouble: times std the unit is gone.
    low, high = (row.std * (row.delta or 0.0) for row in (lowest, highest))
    if not high or not lowest.std:
        return []
    kind = "vanish" if low < FADED * high else "explode" if low > GREW * high else ""
    if not kind:
        return []
    return [
        f"Deltas {kind}: at layer {lowest.place}, {lowest.layer}, delta times std is {low / high:.1g} of that at layer "
        f"{highest.place}, {highest.layer}."
    ]
