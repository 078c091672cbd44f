"""Total: the loss on top of a stack, whatever its reduction, as the sum over rows that a likelihood is."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minigrad.checks import label, shape_of
from minigrad.containers import Container
from minigrad.derivatives.information import Direction, expected_curvature
from minigrad.layer import Layer
from minigrad.losses import Loss
from minigrad.mle.stacks.trying import AGREE, FEW, does_as_told, first, not_finite, rows_of
from minigrad.typing import Array, Delta, Gradients, Input


class Total(Container):
    """J = sum_n w_n l_n: forward(z, target, weights) of a loss whose own number is a sum, a mean, or one for each row.

    `reduction` says which: "sum", "mean" or "rows".  "weighted": it is a sum, and takes weights itself.  Others are
    called once for all rows of one weight.
    """

    def __init__(self, loss: Layer, reduction: str) -> None:
        self.loss, self.reduction = loss, reduction

    def children(self) -> Sequence[tuple[str, Layer]]:
        return (("loss", self.loss),)

    def forward(self, z: Input, target: Any, weights: Any = None) -> tuple[Any, Any]:
        if self.reduction == "weighted":
            options = () if weights is None else (weights,)
            return self.loss.forward(z, target, *options)
        total: Any = 0.0
        caches = []
        for index, weight in self._groups(z, weights):
            value, cache = self.loss.forward(rows_of(z, index), rows_of(target, index))
            shape = np.shape(value)
            total = total + weight * (value if not shape else np.add.reduce(value, axis=None))
            caches.append((index, weight, shape, cache))
        return total, (z, caches)

    def backward(self, delta: Delta, cache: Any) -> Delta:
        if self.reduction == "weighted":
            return self.loss.backward(delta, cache)
        z, caches = cache
        parts = [
            (index, self.loss.backward(_spread(delta, weight, shape), inner)) for index, weight, shape, inner in caches
        ]
        if len(parts) == 1:
            return parts[0][1]
        return _joined(z, parts)

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        if self.reduction == "weighted":
            return self.gather([self.loss.parameter_gradients(delta, cache)])
        total: Gradients = {}
        for _, weight, shape, inner in cache[1]:
            for name, part in self.loss.parameter_gradients(_spread(delta, weight, shape), inner).items():
                total[name] = total[name] + part if name in total else part
        return self.gather([total])

    def terms(self, z: Input, target: Any) -> Array:
        """l_n, (N,): the loss of each row."""
        count = len(first(z))
        if self.reduction == "weighted":
            rows = copy.copy(self.loss)
            rows.reduction = "none"  # type: ignore[attr-defined]
            value = rows.forward(z, target)[0]
        elif self.reduction == "rows":
            value = self.loss.forward(z, target)[0]
        else:
            value = np.array([self.loss.forward(rows_of(z, [n]), rows_of(target, [n]))[0] for n in range(count)])
        return np.asarray(np.add.reduce(np.reshape(value, (count, -1)), axis=1))

    def expected_curvature(self, z: Input, direction: Direction, target: Any, weights: Any = None) -> Direction:
        """E[d2J] along a direction in z and in the parameters of the loss (ValueError where it is not known)."""
        if self.reduction == "weighted":
            return expected_curvature(self.loss, z, direction, (target,) if weights is None else (target, weights))
        parts, of_own = [], {name: np.zeros_like(value) for name, value in direction[1].items()}
        for index, weight in self._groups(z, weights):
            some = rows_of(direction[0], index), direction[1]
            of_z, own = expected_curvature(self.loss, rows_of(z, index), some, (rows_of(target, index),))
            parts.append((index, _scaled(of_z, weight)))
            for name, value in own.items():
                of_own[name] = of_own[name] + weight * value
        return _joined(z, parts), of_own

    def _groups(self, z: Input, weights: Array | None) -> Iterator[tuple[Any, float]]:
        """(rows, what their loss counts): those of one weight together."""
        count = len(first(z))
        if weights is None:
            yield slice(None), float(count) if self.reduction == "mean" else 1.0
            return
        for weight in np.unique(weights):
            index = np.flatnonzero(weights == weight)
            yield index, float(weight) * (len(index) if self.reduction == "mean" else 1.0)


def total_of(loss: Layer, z: Input, target: Any) -> Total:
    """`loss` as a sum; whether it is one or a mean is found by evaluating it (ValueError where it is neither)."""
    if isinstance(loss, Loss):
        if "sum" in loss.reductions:
            loss.reduction = "sum"
        if _takes_weights(loss) and does_as_told(loss, z, target):
            return Total(loss, "weighted")
    count = len(first(z))
    with np.errstate(all="ignore"):
        value = loss.forward(z, target)[0]
        if not np.isfinite(value).all():
            raise not_finite(loss, z, target)
    if np.ndim(value):
        if np.shape(value)[0] != count:
            raise ValueError(
                f"{label(loss)} expects to give one number, or one for each of {count} rows, got {shape_of(value)}"
            )
        alone = loss.forward(rows_of(z, slice(0, FEW)), rows_of(target, slice(0, FEW)))[0]
        if not np.allclose(alone, value[:FEW], rtol=AGREE, atol=AGREE * float(np.abs(value).max(initial=0.0))):
            raise ValueError(
                f"{label(loss)} expects to be a negative log-likelihood of independent rows, but its numbers for the "
                "first rows depend on the others"
            )
        return Total(loss, "rows")
    whole = float(np.real(value))
    found = {_reduction(loss, z, target, whole, max(1, count // parts)) for parts in (2, 3)}
    found.discard(None)
    if len(found) != 1 or "neither" in found:
        raise ValueError(
            f"{label(loss)} expects to be a negative log-likelihood, the sum or the mean over rows, but its number for "
            "all rows is neither that of the numbers for two parts of them: have it give one number for each row, or "
            "derive it from Loss, whose reduction says what it is"
        )
    reduction = found.pop()
    if reduction == "mean" and np.size(first(z)) > count and np.size(first(target)) > count:
        raise ValueError(
            f"{label(loss)} is a mean, over rows or over all {np.size(first(target))} targets, which its number does "
            "not say: let it be the sum, or one number for each row"
        )
    return Total(loss, reduction or "sum")


def _reduction(loss: Layer, z: Input, target: Any, whole: float, cut: int) -> str | None:
    """What `loss` is, by its numbers for the rows before and after `cut`; None where both fit."""
    count = len(first(z))
    if count < 2:
        return "sum"
    one, two = (
        float(np.real(loss.forward(rows_of(z, part), rows_of(target, part))[0]))
        for part in (slice(0, cut), slice(cut, None))
    )
    error = AGREE * (abs(one) + abs(two) + abs(whole))
    is_sum = abs(one + two - whole) <= error
    is_mean = abs((cut * one + (count - cut) * two) / count - whole) <= error
    return None if is_sum and is_mean else "sum" if is_sum else "mean" if is_mean else "neither"


def _takes_weights(loss: Layer) -> bool:
    return "weights" in inspect.signature(loss.forward).parameters


def _scaled(value: Any, weight: float) -> Any:
    return tuple(weight * part for part in value) if type(value) is tuple else weight * value


def _spread(delta: Delta, weight: float, shape: tuple[int, ...]) -> Any:
    return delta * weight if not shape else np.full(shape, delta * weight)


def _joined(z: Input, parts: list[tuple[Any, Any]]) -> Any:
    """The deltas of groups of rows as those of all rows."""
    if type(z) is tuple:
        return tuple(_joined(each, [(index, delta[i]) for index, delta in parts]) for i, each in enumerate(z))
    whole = np.zeros(z.shape, np.result_type(*[delta.dtype for _, delta in parts]))
    for index, delta in parts:
        whole[index] = delta
    return whole
