"""Layer: the three rules, and everything that follows from them.  Read this file first.

A layer maps z to z_next.  Write C for the cost at the end of a stack and delta for dC/dz_next, which has the
shape of z_next.  A layer is complete when it has

    rule 1   forward(z)                          ->  z_next = f(z; theta), and a cache
    rule 2   backward(delta, cache)              ->  dC/dz     = delta . dz_next/dz
    rule 3   parameter_gradients(delta, cache)   ->  dC/dtheta = delta . dz_next/dtheta, by name

where the dot sums over all entries of z_next: vector times matrix, and the matrix is never built.

Conventions, here once for the whole package:
- The first axis of z is the batch.  N counts observations, D features, K classes.
- z may be a tuple of arrays, for a layer of several inputs; rule 2 then returns a tuple of their deltas.
- The cache is whatever rules 2 and 3 need of rule 1.  The caller keeps it and hands it back, so that a layer holds
  its parameters and nothing of any one call: it may be used twice in a stack, or by several threads at once.
- forward is training, layer(z) inference: there dropout is off and running statistics are used.
- Rules are pure: they never write into z, delta or the cache, and never later change an array they have returned.
- Rules 2 and 3 are linear in delta.
- A parameter is an array, of no axes where it is one number: np.array(1.0).
- Rules are array expressions on any floating type, complex included: f(x + i h) then gives derivatives of the rules
  themselves.  A layer that uses abs or the like, which is not analytic, says `complex_safe = False`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Self

from minigrad.checks import (
    is_floating,
    require_float_dtype,
    require_held,
    require_pair,
    require_parameter,
    require_replacement,
)
from minigrad.shapes import CLAIMS, is_outdated, shape_by_running, with_batch
from minigrad.typing import Array, Delta, Formulas, Gradients, Input, Shapes


class Layer:
    """A function with three rules.  Subclasses write the rules; the rest is derived."""

    parameter_names: tuple[str, ...] = ()  # the attributes that hold trained arrays
    state_names: tuple[str, ...] = ()  # the attributes that rule 1 moves on: running statistics, a generator
    complex_safe: bool = True  # the rules are analytic, so that complex steps through them give derivatives
    rows_independent: bool = True  # row n of z_next depends on row n of z alone; declared, for the tests
    formulas: Formulas | None = None  # the rules in LaTeX, for `explain`

    def __init_subclass__(cls) -> None:
        if isinstance(cls.parameter_names, str):
            raise TypeError(f"{cls.__name__}.parameter_names is a string: write ({cls.parameter_names!r},)")
        # What is said of rules that this class writes anew holds no more: it says so itself, or it is not known.
        for claim, rules in CLAIMS.items():
            if is_outdated(cls, claim, rules, Layer):
                setattr(cls, claim, getattr(Layer, claim, None))

    # The three rules.

    def forward(self, z: Input, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        """Rule 1: (z_next, cache).  A loss also takes a target after z."""
        raise NotImplementedError(f"{type(self).__name__} lacks rule 1: forward(self, z) -> (z_next, cache)")

    def backward(self, delta: Delta, cache: Any) -> Delta:
        """Rule 2: dC/dz, of the shape of z, from delta = dC/dz_next."""
        raise NotImplementedError(f"{type(self).__name__} lacks rule 2: backward(self, delta, cache) -> dC/dz")

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        """Rule 3: {name: dC/dparameter} for every name in `parameter_names`."""
        if not self.parameter_names:
            return {}
        raise NotImplementedError(
            f"{type(self).__name__} lacks rule 3: parameter_gradients(self, delta, cache) -> "
            f"{{name: gradient}} for {self.parameter_names}"
        )

    # What follows from them.

    def __call__(self, z: Input, *arguments: Any, **options: Any) -> Any:
        """Inference: z_next alone, nothing kept."""
        result = self.at_inference().forward(z, *arguments, **options)
        require_pair(self, result)
        return result[0]

    def at_inference(self) -> Layer:
        """The layer that `layer(z)` applies, with rules of its own: itself, unless it behaves otherwise in training."""
        return self

    def output_shape(self, shape: Shapes) -> Shapes:
        """The shape of z_next for z of `shape`, batch first; of a tuple of arrays, a tuple of shapes.

        Layers declare it, with the errors of rule 1; keep shape[0] as it is, since it may be N.  Of a layer that does
        not, rule 1 is run on zeros; it is None, not known, where that needs a target.
        """
        return shape_by_running(self, shape)

    def check(self, input_shape: Any) -> Shapes:
        """That all layers fit, before any data is seen: the shape of the output, such as (N, 10), for a batch of N.

        `input_shape` is that of one row, such as (784,); for several inputs, a tuple of such.  The first layer that
        does not fit raises the error of its rule 1, which says where it stands, what it is given and what would fit.
        """
        return self.output_shape(with_batch(self, input_shape))

    def backpropagate(self, delta: Delta, cache: Any) -> tuple[Delta, Gradients]:
        """Rules 2 and 3 in one sweep: (dC/dz, {name: dC/dparameter})."""
        return self.backward(delta, cache), self.parameter_gradients(delta, cache)

    def parameters(self) -> dict[str, Array]:
        """{name: array}: the arrays themselves, so that `array -= step` trains the layer."""
        return {name: require_parameter(self, name, getattr(self, name, None)) for name in self.parameter_names}

    def parameter_places(self) -> list[tuple[str, Layer, str]]:
        """(name, owner, attribute) for each place that holds a parameter, shared ones included, so that another array
        can be put there: `setattr(owner, attribute, array)`.
        """
        return [(name, self, name) for name in self.parameter_names]

    def with_parameters(self, arrays: Mapping[str, Array]) -> Self:
        """A copy that holds `arrays` under their names and shares the other parameters; this layer is unchanged.

        Shapes must agree and values be finite (ValueError); the floating type is free, complex included.  What else
        a layer keeps, such as a random generator, is copied too: using the copy does not advance the original's.
        """
        return self._twin(self.parameters(), arrays)

    def astype(self, dtype: Any) -> Self:
        """A copy whose parameters, and arrays of state, have the floating type `dtype`."""
        dtype = require_float_dtype(self, dtype)
        named = self.parameters() | {name: value for name, value in self.state().items() if is_floating(value)}
        # An array of several places, as in Repeat(BatchNorm1d(4), 2), once: it is to stay one.
        own = dict({id(array): (name, array) for name, array in reversed(named.items())}.values())
        return self._twin(own, {name: array.astype(dtype) for name, array in own.items()})

    def state(self) -> dict[str, Any]:
        """{name: value}: what rule 1 moves on in training, and is saved with the parameters."""
        return {name: getattr(self, name) for name in self.state_names}

    def _twin(self, own: dict[str, Array], arrays: Mapping[str, Array]) -> Self:
        arrays = require_replacement(self, own, arrays)
        # deepcopy looks objects up by identity in its memo first: what stands there takes the place of the old array
        # wherever that was, so that layers and arrays that were shared stay shared.
        memo = {id(array): array for array in own.values()} | {id(own[name]): array for name, array in arrays.items()}
        twin = copy.deepcopy(self, memo)
        require_held(twin, arrays)
        return twin

    # f >> g stacks g on top of f, and f + g adds their outputs: how, stands in containers/operators.py.
    __rshift__: Callable[[Any, Any], Any]
    __add__: Callable[[Any, Any], Any]
    # model.summary(input_shape), a table of its layers: how, stands in watching/summary.py.
    summary: Callable[..., Any]

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
