"""How the outputs of a layer respond to its inputs: dead and saturated units."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.layers import HardSigmoid, Sigmoid
from minigrad.typing import Array
from minigrad.watching.watched import Event

FROM_0_TO_1 = (Sigmoid, HardSigmoid)
HARDLY = 1e-3  # a derivative below which an output hardly responds


class Response(NamedTuple):
    """Of a layer that works entry by entry, over a batch.

    `units` on one axis, each with `values` numbers; `dead` are those whose output and derivative are 0 everywhere,
    though something went in, and rule 1 gives more for another z; `saturated` is the share of entries, other than 0,
    that hardly respond: the derivative is below 1e-3 in size, and so is the relative one, |z dz_next/dz| / |z_next|,
    which is in no unit.  At the lower end of a sigmoid, 1 - z_next takes the place of z_next.
    """

    units: int
    values: int
    dead: int
    saturated: float


def response(event: Event, axis: int) -> Response | None:
    """How the layer of `event`, a run of rule 1, responded, with units on `axis`; None for one that mixes entries.

    Layers with parameters or a state are left out too: a factor may have been trained to be small, and noise is 0 on
    purpose.
    """
    layer, z, z_next = event.layer, event.given[0], event.result
    if layer.parameter_names or layer.state_names or not isinstance(z_next, np.ndarray) or z_next.ndim < 2:
        return None
    if getattr(z, "shape", None) != z_next.shape or z_next.dtype.kind != "f" or not z_next.size:
        return None
    slope = _slope(event, z_next)
    if slope is None:
        return None
    others = tuple(i for i in range(z_next.ndim) if i != axis % z_next.ndim)
    silent = ((z_next == 0) & (slope == 0)).all(axis=others) & (z != 0).any(axis=others)
    if silent.any():
        silent &= _responds_elsewhere(event, others)
    size = np.abs(slope)
    # Of exp z for z = -9 the slope is small, since the output is.  One slope everywhere is a change of units, or 0.
    is_scale = bool(0 < size.min() == size.max())
    # At its lower end a sigmoid gives 0, which is as far from the other end as 1 is.
    level = np.maximum(np.abs(z_next), np.abs(1 - z_next)) if isinstance(layer, FROM_0_TO_1) else np.abs(z_next)
    hardly = (size < HARDLY) & (size * np.abs(z) < HARDLY * level) & (not is_scale)
    return Response(z_next.shape[axis], z_next.size // z_next.shape[axis], int(silent.sum()), float(hardly.mean()))


def _responds_elsewhere(event: Event, others: tuple[int, ...]) -> Any:
    """Units that give something for another z: a mask does not, and is 0 on purpose."""
    z = event.given[0]
    far = (-z, 1e3 * z)
    try:
        given = [type(event.layer).forward(event.layer, other, *event.given[1:])[0] for other in far]
    except Exception:  # of a layer that refuses those, nothing more is known
        return True
    return np.logical_or.reduce([(z_next != 0).any(axis=others) for z_next in given])


def _slope(event: Event, z_next: Array) -> Array | None:
    """dz_next/dz, entry by entry; None where entries depend on others.

    Of a layer that works entry by entry, rule 2 multiplies: what it gives for ones it gives for any delta, times delta.
    """
    delta = np.asarray(np.random.default_rng(0).uniform(0.5, 1.5, z_next.shape), z_next.dtype)
    slope, scaled = (_backward(event, d) for d in (np.ones_like(z_next), delta))
    if slope is None or scaled is None or slope.shape != z_next.shape:
        return None
    rounding = 16 * np.finfo(z_next.dtype).eps
    return slope if np.allclose(scaled, slope * delta, rtol=rounding, atol=0) else None


def _backward(event: Event, delta: Array) -> Any:
    """Rule 2 alone, unseen by the observer; None where the layer has none for such a delta."""
    try:
        return type(event.layer).backward(event.layer, delta, event.cache)
    except Exception:
        return None
