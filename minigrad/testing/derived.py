"""derive: a layer that has rule 1 alone gets rules 2 and 3 by numbers, so that an idea can be tried at once.

    cost = Sequential(Linear(4, 3), derive(Swish()), Linear(3, 2), LogSoftmax(), NLLLoss())

It is slow: the derivative for an array of P entries takes P forwards by complex steps, 8 P by differences and 59 P at
kinks.  Where `rows_independent` holds, the rows of a batch move together, and P counts the entries of one row.  A rule
that is written is used, and `check_layer` compares it with the same numbers.
"""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import kind, label, require_delta, require_layer, require_pair
from minigrad.layer import Layer
from minigrad.layers import Elementwise
from minigrad.testing.numeric import COMPLEX_STEP, Derivative, largest, line, quick_slope, slope
from minigrad.testing.precision import cast
from minigrad.testing.randomness import Randomness
from minigrad.testing.subject import copied
from minigrad.typing import Array, Delta, Gradients

MANY = 10_000  # forwards for one derivative: the user is told, once
CLOSE = 1e-8  # differences of a smaller relative error need no finer look


def derive(layer: Layer) -> Derived:
    """`layer`, with those of rules 2 and 3 that its author did not write by numbers.  It shares the parameters."""
    require_layer(derive, layer)
    return Derived(layer)


class Call(NamedTuple):
    """What forward leaves behind: all that it takes to run rule 1 again as it ran."""

    layer: Layer  # a copy from before the call: training moves the original
    randomness: Randomness
    z: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    shape: tuple[int, ...]  # of z_next
    own: Any  # the cache of the layer itself

    @contextmanager
    def replay(self) -> Iterator[Callable[[int | str, Array], Any]]:
        """(place, x) -> z_next in float64 with the same random numbers, x in place of z, z[i] or a parameter."""
        after = Randomness(self.layer)
        self.randomness.rewind()
        layer = self.layer.astype(np.float64)
        z, arguments = cast((self.z, self.arguments), np.float64)
        randomness = Randomness(layer)

        def run(place: int | str, x: Array) -> Any:
            randomness.rewind()
            if isinstance(place, str):
                return layer.with_parameters({place: x}).forward(z, *arguments, **self.options)[0]
            moved: Any = (*z[:place], x, *z[place + 1 :]) if type(z) is tuple else x
            return layer.forward(moved, *arguments, **self.options)[0]

        try:
            yield run
        finally:
            after.rewind()


class Derived(Layer):
    """Rule 1 of a layer; rule 2 by its author or by numbers.

        dz_i = sum_o delta_o dz_next_o/dz_i,    dz_next/dz_i = Im z_next(z + i h e_i) / h

    Complex steps are believed when differences along a random direction confirm them, as abs and its like pass through
    them silently; else differences stand in.  All is computed in float64, and has the floating type of the array whose
    derivative it is; integers have none, None.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        rule_2 = _written(layer, Layer, "backward")
        if isinstance(layer, Elementwise) and not _written(layer, Elementwise, "df"):
            rule_2 = _written(layer, Elementwise, "backward")
        rule_3 = not layer.parameters() or _written(layer, Layer, "parameter_gradients")
        self.derived = (2,) * (not rule_2) + (3,) * (not rule_3)  # the rules that the author did not write

    parameter_names = property(lambda self: tuple(self.layer.parameters()))
    rows_independent = property(lambda self: self.layer.rows_independent)
    # Numeric derivatives are real: no complex step goes through them.
    complex_safe = property(lambda self: self.layer.complex_safe and not self.derived)

    def parameters(self) -> dict[str, Array]:
        return self.layer.parameters()

    def parameter_places(self) -> list[tuple[str, Layer, str]]:
        return self.layer.parameter_places()

    def __call__(self, z: Any, *arguments: Any, **options: Any) -> Array:
        return self.layer(z, *arguments, **options)

    def forward(self, z: Any, *arguments: Any, **options: Any) -> tuple[Array, Any]:
        if not self.derived:
            return self.layer.forward(z, *arguments, **options)
        before = copy.deepcopy(self.layer)
        call = Call(before, Randomness(before), copied(z), copied(arguments), copied(options), (), None)
        result = self.layer.forward(z, *arguments, **options)
        require_pair(self.layer, result)
        return result[0], call._replace(shape=np.shape(result[0]), own=result[1])

    def backward(self, delta: Delta, cache: Any) -> Any:
        if 2 not in self.derived:
            return self.layer.backward(delta, cache.own if self.derived else cache)
        if type(cache.z) is tuple:
            return tuple(self._derivative(i, part, delta, cache) for i, part in enumerate(cache.z))
        return self._derivative(0, cache.z, delta, cache)

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        if 3 not in self.derived:
            return self.layer.parameter_gradients(delta, cache.own if self.derived else cache)
        arrays = cache.layer.parameters()
        return {name: self._derivative(name, array, delta, cache) for name, array in arrays.items()}

    def _derivative(self, place: int | str, array: Array, delta: Delta, call: Call) -> Any:
        require_delta(self.layer, delta, call.shape)
        if array.dtype.kind == "c" or np.iscomplexobj(delta):
            raise TypeError(f"{label(self)} gives real derivatives: it cannot take {kind(array)} with {kind(delta)}")
        if array.dtype.kind != "f":
            return None
        rows = self.rows_independent and isinstance(place, int) and call.shape[:1] == array.shape[:1] != ()
        with np.errstate(all="ignore"), call.replay() as run:
            numbers = _Numbers(functools.partial(run, place), array.astype(float), np.ravel(delta).astype(float))
            return numbers.gradient(self.layer.complex_safe, rows, label(self)).astype(array.dtype)

    def __repr__(self) -> str:
        by = "complex steps" if self.layer.complex_safe else "differences"
        rules = f"rule{'s' * (len(self.derived) > 1)} {' and '.join(map(str, self.derived))} by {by}, slow"
        return f"derive({label(self.layer)}): {rules if self.derived else 'its own rules'}"


class _Numbers(NamedTuple):
    """f at x, and the delta of its outputs in one vector."""

    f: Callable[[Array], Any]
    x: Array
    delta: Array

    def gradient(self, complex_safe: bool, rows: bool, who: str) -> Array:
        """delta . df/dx by the fastest way that differences along a random direction v confirm."""
        sizes = np.maximum(np.abs(self.x), 1.0)
        v = sizes * np.random.default_rng(0).normal(size=self.x.shape)
        total = self.differences(v).weigh(self.delta)
        by_steps = complex_safe and not total.kink and self.analytic(v, total)
        along = self.complex_step if by_steps else lambda v: self.differences(v).value
        for together in (True, False)[not rows :]:
            forwards = (1 if by_steps else 8) * self.x.size // (max(len(self.x), 1) if together else 1)
            if forwards > MANY:
                _warn_once(
                    f"{who}: one derivative takes {forwards} forwards or more; write the rule, or try a smaller z"
                )
            gradient = self.by_entry(along, sizes, together)
            if together and _confirmed(gradient * v, total):
                break
        return gradient

    def by_entry(self, along: Callable[[Array], Array], sizes: Array, together: bool) -> Array:
        """delta . df/dx_i for each i; with `together`, in all rows at once."""
        gradient = np.zeros(sizes.shape)
        for inner in np.ndindex(sizes.shape[together:]):
            place = (slice(None), *inner) if together else inner
            v = np.zeros(sizes.shape)
            v[place] = sizes[place]
            parts = self.delta * along(v)
            parts = parts.reshape(len(sizes), parts.size // len(sizes)) if together and len(sizes) else parts
            gradient[place] = parts.sum(axis=-1) / sizes[place]
        return gradient

    def complex_step(self, v: Array) -> Array:
        """Im f(x + i h v) / h."""
        return np.ravel(np.imag(self.f(self.x + 1j * COMPLEX_STEP * v))) / COMPLEX_STEP

    def differences(self, v: Array) -> Derivative:
        """df/dt along x + t v by 8 forwards, or by 59 where those disagree."""
        along, scale = line(self.f, self.x, v), largest(self.x) / (largest(v) or 1.0)
        quick, size = quick_slope(along, 1.0, scale), np.abs(self.delta)
        return quick if size @ quick.error <= CLOSE * (size @ np.abs(quick.value)) else slope(along, 1.0, scale)

    def analytic(self, v: Array, total: Derivative) -> bool:
        """Whether f takes complex numbers, and gives the derivative `total` along v."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                parts = self.delta * self.complex_step(v)
        except Exception:
            return False
        return _confirmed(parts, total)


def _confirmed(terms: Array, total: Derivative) -> bool:
    """Whether differences give the sum of these terms, to what they can tell."""
    size, error = float(np.abs(terms).sum()), 4 * float(total.error)
    return bool(abs(terms.sum() - total.value) <= error + CLOSE * size and error <= 1e-4 * size)


def _written(layer: Layer, base: type, name: str) -> bool:
    """Whether `layer` has a method `name` other than that of `base`."""
    return getattr(getattr(layer, name), "__func__", None) is not getattr(base, name)


@functools.cache
def _warn_once(said: str) -> None:
    warnings.warn(said, stacklevel=2)
