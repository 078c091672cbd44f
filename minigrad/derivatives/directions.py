"""Directions: derivatives of what a layer computes, along a direction v in its parameters theta.

    complex step           f'(theta) v  =  Im f(theta + i h v) / h            exact to rounding
    central differences    D(h)  =  (f(theta + h v) - f(theta - h v)) / 2h,   R  =  (16 D(h/4) - D(h)) / 15

h follows the sizes of the parameters: |theta_j|, and for one near 0 that which makes the cost change by all of itself.
A complex step has room: h may be a hundred orders of magnitude off.  That it is small enough shows in the real part,
which then is f(theta); it starts large, so that no entry of v underflows, and is cut until it is.  Differences have no
room: h runs down by factors of 4, and the R that agrees best with both of its neighbours is taken.

Squire and Trapp, SIAM Review 40 (1998) 110-112; Ridders, Advances in Engineering Software 4 (1982) 75-76.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from minigrad.checks import label
from minigrad.layer import Layer
from minigrad.typing import Array

Function = Callable[[Layer], Array]
"""What is computed of a layer with some parameters, as one real or complex vector."""

STEP = 2.0**-332  # of a complex step, relative to the parameters, about 1e-100
CUT = 2.0**-133  # of a complex step that was too long
TRIES = 12
LINEAR = 1e-11  # the real part changes by less than so much, or not at all from one step to the next
WIDE = 100.0  # of sizes in one direction, in powers of two
LEAST = 1e-200  # a parameter below it is 0
LEVELS = 40  # of differences, each with a quarter of the step


class Directions:
    """Derivatives of functions of `layer` at its parameters as they are now, taken to double precision."""

    def __init__(self, layer: Layer, who: str) -> None:
        self.arrays = layer.parameters()
        if not self.arrays:
            raise ValueError(f"{who} expects a cost with parameters, got {label(layer)}")
        self.method = "complex step" if layer.complex_safe else "central differences"
        self.point = np.concatenate([np.ravel(array) for array in self.arrays.values()]).astype(float)
        # The copies' arrays are views of one vector: a step along v writes that vector, and copies nothing again.
        self._moved = self.point.astype(complex if layer.complex_safe else float)
        self.layer = layer.with_parameters(split(self._moved, self.arrays))
        self.plain = layer.with_parameters(split(self.point.copy(), self.arrays))
        self.known = np.abs(self.point) >= LEAST
        self.sizes = np.where(self.known, np.abs(self.point), 1.0)
        self._real: Array | None = None  # the real part of the last complex step: that of any step short enough
        self.error = 0.0  # the largest estimated error of differences so far, relative to the largest entry
        self._level = 4  # of the last differences

    def sizes_for(self, value: float, gradient: Array) -> None:
        """Enlarge `sizes` to what changes the cost by all of its value."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            reach = (abs(value) or 1.0) / np.abs(gradient)
        self.sizes = np.maximum(np.where(np.isfinite(reach), reach, 0.0), np.abs(self.point))
        self.known = self.sizes >= LEAST
        self.sizes[~self.known] = 1.0

    def along(self, function: Function, vector: Array, base: Array, noise: float, units: Array | float = 1.0) -> Array:
        """f'(theta) v, where `base` is f(theta) and `noise` a number beside which a change of f u, u = `units`, is 0.

        FloatingPointError where no step leaves the layer finite.
        """
        if not vector.any():
            return np.zeros(base.shape)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
            if self.method == "complex step":
                return self._complex_step(function, vector, base, noise, units)
            return self._differences(function, vector, base, units)

    def _complex_step(
        self, function: Function, vector: Array, base: Array, noise: float, units: Array | float
    ) -> Array:
        moving = vector != 0
        reach = np.log2(self.sizes[moving]) - np.log2(np.abs(vector[moving]))
        h = STEP * 2.0 ** min(float(np.floor(reach.max())), 1000.0)
        # Of an odd function at 0, the real part stays whatever the step; the imaginary part must then go with it.
        sure = bool(self.known[moving].all()) and reach.max() - reach.min() < WIDE
        before = None
        for _ in range(TRIES):
            found = self._at(function, 1j * (h * vector))
            if found is not None and (real := found.real) is not None:
                near = LINEAR * (noise + float(np.abs(base * units).max(initial=0.0)))
                as_before = self._real is not None and np.array_equal(self._real, real)
                self._real = real.copy()
                product = np.asarray(found.imag / h)
                if as_before or bool((np.abs((real - base) * units) <= near).all()):
                    if sure or (before is not None and _alike(product, before)):
                        return product
                    before = product
            h *= CUT
        raise FloatingPointError(
            f"no complex step along this direction leaves {label(self.layer)} as it is: columns of the data or "
            "parameters differ too much in size, or a layer is another function at each call"
        )

    def _differences(self, function: Function, vector: Array, base: Array, units: Array | float) -> Array:
        moving = vector != 0
        sizes = np.where(np.abs(self.point) >= LEAST, np.abs(self.point), 1.0)
        start = 0.5 / float((np.abs(vector) / sizes)[moving].max())
        differences: dict[int, Array] = {}

        def difference(level: int) -> Array:
            if level not in differences:
                h = start * 4.0**-level
                up, down = self._at(function, h * vector), self._at(function, -h * vector)
                lost = up is None or down is None
                differences[level] = np.full(base.shape, np.nan) if lost else (up - down) / (2 * h)  # type: ignore[operator]
            return differences[level]

        def better(level: int) -> Array:
            return np.asarray((16 * difference(level) - difference(level - 1)) / 15)

        def error(level: int) -> float:
            r = better(level)
            apart = np.maximum(np.abs(r - better(level - 1)), np.abs(r - better(level + 1))) * units
            size, largest = float(np.abs(r * units).max(initial=0.0)), float(apart.max(initial=0.0))
            return np.inf if not np.isfinite(largest + size) else largest / size if size else largest

        best = self._level
        least = error(best)
        for step in (1, -1):  # to shorter steps, then to longer ones
            level, worse = best, 0
            while worse < 2 and -LEVELS < level < LEVELS and least > 0:
                level += step
                now = error(level)
                worse += now >= least and least < 1e-3
                if now < least:
                    best, least, worse = level, now, 0
        if not np.isfinite(least):
            raise FloatingPointError(f"no step along this direction leaves {label(self.layer)} finite")
        self._level, self.error = best, max(self.error, least)
        return better(best)

    def _at(self, function: Function, step: Array) -> Array | None:
        """f(theta + step); None where it is not finite."""
        self._moved[:] = self.point + step
        try:
            return function(self.layer)
        except FloatingPointError:
            return None


def _alike(product: Array, before: Array) -> bool:
    """Those of two steps: but for numbers too small to be represented, they are the same."""
    size = np.abs(before)
    return bool((np.abs(product - before) <= 1e-9 * size + 1e-90 * size.max(initial=0.0)).all())


def split(vector: Array, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """One vector as {name: array}: views of it, in the shapes of `arrays`."""
    ends = np.cumsum([array.size for array in arrays.values()])[:-1]
    parts = np.split(vector, ends)
    return {name: part.reshape(array.shape) for (name, array), part in zip(arrays.items(), parts, strict=True)}


def joined(arrays: Mapping[str, Array], gradients: Mapping[str, Array]) -> Array:
    """{name: array} as one vector, in the order of `arrays`."""
    return np.concatenate([np.ravel(gradients[name]) for name in arrays])
