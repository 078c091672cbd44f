"""Directions: derivatives of what a layer computes, along a direction v in its parameters theta.

    complex step           f'(theta) v  =  Im f(theta + i h v) / h            exact to rounding
    central differences    D(h)  =  (f(theta + h v) - f(theta - h v)) / 2h,   R  =  (16 D(h/4) - D(h)) / 15

h follows the sizes of the parameters: |theta_j|, and for one near 0 that which makes the cost change by all of itself.
A complex step has room: h may be a hundred orders of magnitude off.  That it is small enough shows in the real part,
which then is f(theta); it starts large, so that no entry of v underflows, and is cut until it is.  It is made longer
again where the imaginary part itself underflows, as of parameters of 1e-120.  Differences have no room: h runs down by
factors of 4, and the R that agrees best with both of its neighbours is taken.

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
TINY = 2.0**-1070  # what is lost where numbers are too small to be represented, with a margin
LOST = 1e-40  # of the largest entry, beyond which a longer step is tried
LONGER = 2.0**64
LONGEST = 2.0**-30  # of a complex step, relative to the parameters: its square, the error, is nothing yet
OUTSIDE = (ArithmeticError, ValueError)  # of a step that goes too far, as of math.exp, or out of a domain
LEVELS = 40  # of differences, each with a quarter of the step


class Directions:
    """Derivatives of functions of `layer` at its parameters as they are now, taken to double precision."""

    def __init__(self, layer: Layer, who: str) -> None:
        self.arrays = layer.parameters()
        if not self.arrays:
            raise ValueError(f"{who} expects a cost with parameters, got {label(layer)}")
        self._who = who
        self._beside: tuple[Array, Layer] | None = None  # of real steps
        point = np.concatenate([np.ravel(array) for array in self.arrays.values()])
        if np.iscomplexobj(point) and point.imag.any():
            raise TypeError(
                f"{who} expects real parameters, got complex ones in {label(layer)}: give it their real parts"
            )
        self.point = point.real.astype(float)
        self.plain = layer.with_parameters(split(self.point.copy(), self.arrays))
        self._use("complex step" if layer.complex_safe else "central differences")
        self.known = np.abs(self.point) >= LEAST
        self.sizes = np.where(self.known, np.abs(self.point), 1.0)
        self._real: Array | None = None  # the real part of the last complex step: that of any step short enough
        self.error = 0.0  # the largest estimated error so far, relative to the largest entry
        self._level = 4  # of the last differences

    def use_differences(self) -> None:
        """Take no complex step from now on."""
        if self.method == "complex step":
            self._use("central differences")

    def aside(self, part: float) -> Directions:
        """The same at a point beside this one, each parameter off by so large a part of itself."""
        signs = np.random.default_rng(1).choice([-1.0, 1.0], self.point.size)
        near = self.point + part * signs * np.where(self.point == 0, 1.0, np.abs(self.point))
        return Directions(self.plain.with_parameters(split(near, self.arrays)), self._who)

    def relative_size(self, vector: Array) -> float:
        """max |v_j / theta_j|, and |v_j| for parameters that are 0."""
        sizes = np.where(np.abs(self.point) >= LEAST, np.abs(self.point), 1.0)
        moving = vector != 0
        return float((np.abs(vector) / sizes)[moving].max(initial=0.0))

    def _use(self, method: str) -> None:
        self.method = method
        if method == "complex step":
            self._moved, self.layer = self._form(complex)
        else:
            self._moved, self.layer = self._real_form()

    def sizes_for(self, value: float, gradient: Array) -> None:
        """Enlarge `sizes` to what changes the cost by all of its value."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            reach = (abs(value) or 1.0) / np.abs(gradient)
        self.sizes = np.maximum(np.where(np.isfinite(reach), reach, 0.0), np.abs(self.point))
        self.known = self.sizes >= LEAST
        self.sizes[~self.known] = 1.0

    def along(self, function: Function, vector: Array, base: Array, noise: float, units: Array | float = 1.0) -> Array:
        """f'(theta) v, where `base` is f(theta) and `noise` a number beside which a change of f u, u = `units`, is 0.

        By differences from the first time on that the rules take no complex numbers (NotAnalyticWarning).
        FloatingPointError where no step leaves the layer finite.
        """
        if not vector.any():
            return np.zeros(base.shape)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
            if self.method == "complex step":
                try:
                    return self._complex_step(function, vector, base, noise, units)
                except TypeError as error:  # of real numbers there was none: `base` is the value of them
                    from minigrad.derivatives.analytic import fall_back  # on use

                    fall_back(self, f"its rules take no complex numbers ({error})")
            found, error_of_it = self.differences(function, vector, base, units)
            self.error = max(self.error, error_of_it)
            return found

    def _complex_step(
        self, function: Function, vector: Array, base: Array, noise: float, units: Array | float
    ) -> Array:
        moving = vector != 0
        reach = np.log2(self.sizes[moving]) - np.log2(np.abs(vector[moving]))
        h = STEP * 2.0 ** min(float(np.floor(reach.max())), 1000.0)
        # Of an odd function at 0, the real part stays whatever the step; the imaginary part must then go with it.
        sure = bool(self.known[moving].all()) and reach.max() - reach.min() < WIDE
        before, whole = None, noise + float(np.abs(base * units).max(initial=0.0))
        near = LINEAR * whole
        for _ in range(TRIES):
            found = self._at(function, 1j * (h * vector))
            if found is not None and (real := found.real) is not None:
                as_before = self._real is not None and np.array_equal(self._real, real)
                self._real = real.copy()
                product = np.asarray(found.imag / h)
                if as_before or bool((np.abs((real - base) * units) <= near).all()):
                    if sure or (before is not None and _alike(product, before)):
                        return self._longer(function, vector, base, units, whole, product, h)
                    before = product
            h *= CUT
        raise FloatingPointError(
            f"no complex step along this direction leaves {label(self.layer)} as it is: columns of the data or "
            "parameters differ too much in size, or a layer is another function at each call"
        )

    def _longer(
        self,
        function: Function,
        vector: Array,
        base: Array,
        units: Array | float,
        whole: float,
        product: Array,
        h: float,
    ) -> Array:
        """The product of a step h, or of a longer one where too much of it is too small to be represented."""
        relative, largest = self.relative_size(vector), float(np.max(units))

        def lost() -> float:
            size = float(np.abs(product * units).max(initial=0.0)) or relative * whole
            return TINY / h * largest / size if size else np.inf

        while lost() > LOST and (factor := min(LONGER, LONGEST / (h * relative))) > 1:
            found = self._at(function, 1j * (h * factor * vector))
            if found is None:
                break
            second = 16 * h * factor * relative * float(np.abs(found.imag * units).max(initial=0.0))
            if not (np.abs((found.real - base) * units) <= LINEAR * whole + second).all():
                break
            other = np.asarray(found.imag / (h * factor))
            if not (np.abs(other - product) <= 1e-9 * np.abs(other) + TINY / h).all():
                break
            product, h = other, h * factor
        missing = lost()
        if np.finfo(float).eps < missing < np.inf:  # else all of it is 0, value and gradient too
            self.error = max(self.error, min(missing, 1.0))
        return product

    def difference(self, function: Function, vector: Array, h: float) -> Array:
        """One central difference.  FloatingPointError where it leaves the layer not finite."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
            up, down = self._at(function, h * vector, real=True), self._at(function, -h * vector, real=True)
            if up is None or down is None:
                raise FloatingPointError(f"a step along this direction leaves {label(self.layer)} not finite")
            return np.asarray((up - down) / (2 * h))

    def differences(self, function: Function, vector: Array, base: Array, units: Array | float) -> tuple[Array, float]:
        """f'(theta) v by extrapolated differences, and their estimated error, relative to the largest entry."""
        start = 0.5 / self.relative_size(vector)
        differences: dict[int, Array] = {}

        def difference(level: int) -> Array:
            if level not in differences:
                try:
                    differences[level] = self.difference(function, vector, start * 4.0**-level)
                except FloatingPointError:
                    differences[level] = np.full(base.shape, np.nan)
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
        self._level = best
        return better(best), least

    def _at(self, function: Function, step: Array, real: bool = False) -> Array | None:
        """f(theta + step); None where it is not finite."""
        moved, layer = self._real_form() if real else (self._moved, self.layer)
        moved[:] = self.point + step
        try:
            return function(layer)
        except OUTSIDE:
            return None

    def _real_form(self) -> tuple[Array, Layer]:
        """The vector, and the layer whose arrays are views of it, for real steps."""
        if self._beside is None:
            self._beside = self._form(float)
        return self._beside

    def _form(self, dtype: type) -> tuple[Array, Layer]:
        # The copy's arrays are views of one vector: a step along v writes that vector, and copies nothing again.
        vector: Array = self.point.astype(dtype)
        return vector, self.plain.with_parameters(split(vector, self.arrays))


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
