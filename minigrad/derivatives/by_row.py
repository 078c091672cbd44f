"""Rule 3 by rows: what each row of the batch adds to the gradient of a layer's parameters.

    {name: (N, *shape)}  with the sum over N that rule 3 gives

A layer may offer it, as a method parameter_gradients_by_row(delta, cache); `RULES` has it for some layers here, by
their rules 1 and 3, so that a subclass that writes one of them anew has none.  Of all others each row is taken alone:
rule 1 again, for a cache of its own, and rule 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.derivatives.factors import RowFactors
from minigrad.derivatives.parts import cut
from minigrad.layer import Layer
from minigrad.layers import Bias, Conv1d, Embedding, LayerNorm, Linear, Scale
from minigrad.layers.embedding import sum_by_index
from minigrad.layers.patches import outer
from minigrad.losses import HomoscedasticGaussianNLLLoss
from minigrad.typing import Array

Rows = dict[str, Any]
"""{name: (N, *shape)}: arrays, or RowFactors."""


def offered(layer: Layer) -> Callable[[Any, Any], Rows] | None:
    """(delta, cache) -> rule 3 by rows, of all rows at once; None where the layer has no such form."""
    own = getattr(layer, "parameter_gradients_by_row", None)
    if own is not None:
        return own
    kind = type(layer)
    rule = RULES.get((kind.forward, kind.parameter_gradients))
    return None if rule is None else lambda delta, cache: rule(layer, delta, cache)


def one_by_one(
    layer: Layer,
    delta: Any,
    inputs: tuple[Any, ...],
    options: dict[str, Any],
    rows: range,
    divisor: Callable[[int], float],
) -> Rows:
    """The same, of each of `rows` alone.

    A `delta` that is a number is that of the sum of all terms; divisor(n) is what the cost of n rows, the last that
    rule 1 saw, divides this sum by.
    """
    arrays = layer.parameters()
    found: Rows = {name: np.empty((len(rows), *array.shape), array.dtype) for name, array in arrays.items()}
    of_cost = type(delta) is not tuple and np.ndim(delta) == 0
    for i, n in enumerate(rows):
        of_row = {name: cut(value, n, n + 1) for name, value in options.items()}
        _, cache = layer.forward(*(cut(value, n, n + 1) for value in inputs), **of_row)
        own = delta * divisor(1) if of_cost else cut(delta, n, n + 1)
        for name, gradient in layer.parameter_gradients(own, cache).items():
            if found[name].dtype != gradient.dtype:
                found[name] = found[name].astype(np.result_type(found[name], gradient))
            found[name][i] = gradient
    return found


def _linear(layer: Any, delta: Array, z: Array) -> Rows:
    rows = RowFactors(delta.reshape(len(z), -1, delta.shape[-1]), z.reshape(len(z), -1, z.shape[-1]))
    return {"weight": rows} if layer.bias is None else {"weight": rows, "bias": rows.delta.sum(axis=1)}


def _scale(layer: Any, delta: Array, z: Array) -> Rows:
    return {"scale": _to_shape(delta * z, layer.scale.shape)}


def _bias(layer: Any, delta: Array, _: Any) -> Rows:
    return {"bias": _to_shape(delta, layer.bias.shape)}


def _embedding(layer: Any, delta: Array, z: Array) -> Rows:
    rows, count = len(z), layer.num_embeddings
    place = np.arange(rows).reshape(-1, *(1,) * (z.ndim - 1)) * count + z
    total = sum_by_index(delta.reshape(-1, layer.embedding_dim), place.reshape(-1), rows * count)
    total = total.reshape(rows, count, layer.embedding_dim)
    if layer.padding_idx is not None:
        total[:, layer.padding_idx] = 0
    return {"weight": total}


def _convolution(layer: Any, delta: Array, z: Array) -> Rows:
    n, shape = len(z), layer.weight.shape
    # As many groups of channels as there are rows, in a batch of one.
    d, a = delta.reshape(1, -1, *delta.shape[2:]), z.reshape(1, -1, *z.shape[2:])
    of_weight = outer(d, a, layer.windows, n * layer.groups, (n * shape[0], *shape[1:])).reshape(n, *shape)
    of_bias = {} if layer.bias is None else {"bias": delta.sum(axis=tuple(range(2, delta.ndim)))}
    return {"weight": of_weight, **of_bias}


def _layer_norm(layer: Any, delta: Array, kept: Any) -> Rows:
    centred, s, plan, _ = kept
    d, found = delta.reshape(plan.shape), {}
    shape = (1,) * (d.ndim - len(plan.of_parameters)) + tuple(plan.of_parameters)
    axes = tuple(axis for axis in range(1, d.ndim) if shape[axis] == 1)
    if layer.weight is not None:
        found["weight"] = (d * centred * s).sum(axis=axes).reshape(-1, *layer.weight.shape)
    if layer.bias is not None:
        found["bias"] = d.sum(axis=axes).reshape(-1, *layer.bias.shape)
    return found


def _homoscedastic(layer: Any, delta: Any, cache: Any) -> Rows:
    _, square, scale = cache
    terms = delta * scale * (0.5 - 0.5 * square)
    return {"log_variance": terms.reshape(len(terms), -1, layer.features).sum(axis=1)}


def _to_shape(products: Array, shape: tuple[int, ...]) -> Array:
    """Summed over the axes that `shape`, which stands at the end, does not have or has of length 1, but for rows."""
    before = products.ndim - len(shape)
    stretched = tuple(before + i for i, size in enumerate(shape) if size == 1)
    return np.asarray(products.sum(axis=(*range(1, before), *stretched)).reshape(len(products), *shape))


def _rules(kind: type) -> tuple[Any, Any]:
    return kind.forward, kind.parameter_gradients  # type: ignore[attr-defined]


RULES: dict[tuple[Any, Any], Callable[[Any, Any, Any], Rows]] = {
    _rules(Linear): _linear,
    _rules(Scale): _scale,
    _rules(Bias): _bias,
    _rules(Embedding): _embedding,
    _rules(Conv1d): _convolution,  # and Conv2d
    _rules(LayerNorm): _layer_norm,  # and RMSNorm
    _rules(HomoscedasticGaussianNLLLoss): _homoscedastic,
}
