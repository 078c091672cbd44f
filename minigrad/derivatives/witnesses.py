"""Witnesses: layers that stand in for those with parameters, and keep what each row adds to their gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from minigrad.checks import label
from minigrad.containers import Container
from minigrad.derivatives.by_row import Rows, offered, one_by_one
from minigrad.derivatives.factors import total_of
from minigrad.layer import Layer
from minigrad.typing import Array, Delta, Gradients, Input

Found: TypeAlias = dict[int, tuple[Any, Array]]
"""{id of parameter: (what each row adds to its gradient, the gradient)}."""


class Witness:
    """`layer`, by its own rules; whenever its rule 3 is asked, `found` is given {id of parameter: (rows, their sum)}.

    ValueError where the rows do not sum to what rule 3 gives.
    """

    def __init__(self, layer: Layer, found: Found, divisor: Callable[[int], float]) -> None:
        self.layer, self._found, self._divisor = layer, found, divisor

    def forward(self, z: Input, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        z_next, cache = self.layer.forward(z, *arguments, **options)
        return z_next, ((z, *arguments), options, cache)

    def backward(self, delta: Delta, cache: Any) -> Delta:
        return self.layer.backward(delta, cache[2])

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        inputs, options, own = cache
        gradients, rule = self.layer.parameter_gradients(delta, own), offered(self.layer)
        count = len(inputs[0][0] if type(inputs[0]) is tuple else inputs[0])
        if not count:
            rows: Rows = {name: np.zeros((0, *array.shape), array.dtype) for name, array in gradients.items()}
        elif rule is None:
            if type(delta) is not tuple and np.ndim(delta) == 0:
                delta = delta / (self._divisor(count) or 1.0)
            rows = one_by_one(self.layer, delta, inputs, options, range(count), self._divisor)
        else:
            rows = rule(delta, own)
        who = "parameter_gradients_by_row" if rule else "rule 3 of each row alone"
        require_sums(self.layer, rows, gradients, who, sum(float(np.abs(part).sum()) for part in _parts(delta)))
        for name, array in self.layer.parameters().items():
            of_rows, total = self._found.get(id(array), (None, 0.0))
            self._found[id(array)] = rows[name] if of_rows is None else of_rows + rows[name], total + gradients[name]
        return gradients

    def backpropagate(self, delta: Delta, cache: Any) -> tuple[Delta, Gradients]:
        return self.backward(delta, cache), self.parameter_gradients(delta, cache)

    def __call__(self, z: Input, *arguments: Any, **options: Any) -> Any:
        return self.layer(z, *arguments, **options)

    def __getattr__(self, name: str) -> Any:
        # What else is asked of it, such as its names and its state, is that of the layer.
        if name.startswith("__") or name == "layer":
            raise AttributeError(name)
        return getattr(self.layer, name)

    def __repr__(self) -> str:
        return repr(self.layer)


def witnessed(cost: Layer, found: Found, divisor: Callable[[int], float], kept: list[Any]) -> Any:
    """A copy of `cost` with the same arrays and `kept` list, in which every layer with parameters has a witness."""
    shared = {id(array): array for array in cost.parameters().values()}
    stand_ins = {key: Witness(leaf, found, divisor) for key, leaf in _leaves(cost).items()}
    return copy.deepcopy(cost, {**shared, **stand_ins, id(kept): kept})


def require_sums(layer: Layer, rows: Rows, gradients: Gradients, who: str, size: float = 0.0) -> None:
    """The rows of each parameter sum to its gradient (ValueError), but for rounding, that of numbers of `size` too."""
    for name, gradient in gradients.items():
        if name not in rows or rows[name].shape[1:] != gradient.shape:
            got = "none" if name not in rows else str(rows[name].shape)
            raise ValueError(
                f"{who} of {label(layer)} must give {name!r} of shape (N, {str(gradient.shape)[1:]}, got {got}"
            )
    sizes = {name: total_of(abs(rows[name])) for name in gradients}
    size = max([size, *(float(array.max(initial=0.0)) for array in sizes.values())])
    for name, gradient in gradients.items():
        eps, apart = np.finfo(gradient.real.dtype).eps, np.abs(total_of(rows[name]) - gradient)
        if not (apart <= eps**0.6 * sizes[name] + 100 * eps * size).all():
            raise ValueError(
                f"{who} of {label(layer)} sums to another gradient of {name!r} than rule 3 of all rows, by "
                f"{float(apart.max()):.3g}: one of them is wrong, or rows depend on one another, which a layer says by "
                "rows_independent = False; minigrad.testing.check_layer finds out"
            )


def _parts(delta: Delta) -> tuple[Any, ...]:
    return delta if type(delta) is tuple else (delta,)


def _leaves(layer: Layer) -> dict[int, Layer]:
    """{id: layer} of those whose rule 3 is their own; a container that has arrays of its own is one of them."""
    if isinstance(layer, Container) and not layer.parameter_names:
        inner: dict[int, Layer] = {}
        if layer.parameters():
            for _, child in layer.children():
                inner |= _leaves(child)
        return inner
    return {id(layer): layer} if layer.parameters() else {}
