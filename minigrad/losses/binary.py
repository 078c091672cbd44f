"""Losses of two classes: probabilities or logits against numbers in [0, 1], scores against the labels -1 and +1."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import ShapeError
from minigrad.kernels import log1p, log_sigmoid, positive_part, sigmoid
from minigrad.losses.elementwise import ElementwiseLoss
from minigrad.losses.formulas import Written
from minigrad.losses.targets import first_of, named, require_signs, require_target, require_weights
from minigrad.shapes import N
from minigrad.typing import Array, Shape

LEAST_LOG = -100.0  # log 0, as in PyTorch, so that the loss of an impossible target is large, but finite
LEAST_VARIANCE = 1e-12  # of y (1 - y) in its derivative


class _BinaryLoss(ElementwiseLoss):
    """Targets from 0 to 1, and `weight`, PyTorch's: a factor of the terms, of a shape that broadcasts to theirs."""

    def __init__(self, reduction: str = "mean", weight: Any = None) -> None:
        super().__init__(reduction)
        self.weight = _factor(self, weight, "weight")

    def targets(self, z: Array, target: Any) -> Array:
        return require_target(self, target, z, 0.0, 1.0)

    def factor(self, name: str, weight: Array | None, z: Array) -> Any:
        """`weight` in the precision of z, 1 for none (ValueError unless it broadcasts to the shape of z)."""
        if weight is None:
            return 1.0
        self._require_broadcast(name, weight.shape, z.shape)
        return weight.astype(z.real.dtype)

    def _require_shape(self, shape: Shape) -> None:
        super()._require_shape(shape)
        for name in ("weight", "pos_weight"):
            if (weight := getattr(self, name, None)) is not None:
                self._require_broadcast(name, weight.shape, shape)

    def _require_broadcast(self, name: str, own: Shape, shape: Shape) -> None:
        pairs = zip(reversed(own), reversed(shape), strict=False)
        if len(own) > len(shape) or any(a not in (1, b) and b is not N for a, b in pairs):
            raise ShapeError(
                f"{self!r} expects {name} that broadcasts to the shape of z, {shape}, got {own}: "
                "one number for all, or one for each entry of a row"
            )

    def weighted(self, factors: str) -> str:
        """LaTeX, times `weight` where there is one."""
        return factors if self.weight is None else rf"w \odot {factors}"


class BCELoss(_BinaryLoss):
    """Binary cross-entropy of probabilities: -t log y - (1 - t) log(1 - y), for y and t of one shape, in [0, 1].

        dy  =  (y - t) / (y (1 - y))

    As in PyTorch, logarithms are -100 at least, and y (1 - y) in dy is 1e-12 at least; `weight` multiplies the terms,
    and the mean is over all entries.  From logits, BCEWithLogitsLoss is more accurate, and needs no such limits.
    """

    def written(self) -> Written:
        return Written(
            self.weighted(r"\left( -t \odot \log \z - (1 - t) \odot \log(1 - \z) \right)"),
            self.weighted(r"\frac{\z - t}{\z \odot (1 - \z)}"),
            "" if self.weight is None else "w is the factor `weight` of the terms",
        )

    def f(self, y: Array, t: Array) -> Array:
        low, high = y.real.min(initial=0), y.real.max(initial=0)
        if not (low >= 0 and high <= 1):
            place = first_of(~((y.real >= 0) & (y.real <= 1)))
            raise ValueError(
                f"{self!r} expects probabilities from 0 to 1, got {y[place]:g} in {named('z', place)}: "
                "put Sigmoid below, or take BCEWithLogitsLoss"
            )
        with np.errstate(divide="ignore"):
            log_y, log_1_minus_y = np.log(y), _log_1_minus(y)
        terms = -t * _at_least(log_y, LEAST_LOG) - (1 - t) * _at_least(log_1_minus_y, LEAST_LOG)
        return terms * self.factor("weight", self.weight, y)

    def df(self, y: Array, t: Array) -> Array:
        return (y - t) / _at_least(y * (1 - y), LEAST_VARIANCE) * self.factor("weight", self.weight, y)


class BCEWithLogitsLoss(_BinaryLoss):
    """Binary cross-entropy of logits a, y = sigmoid(a): -p t log y - (1 - t) log(1 - y), for a and t of one shape.

        da  =  (1 - t) y - p t (1 - y),   each of y and 1 - y exact where it is tiny

    Targets lie in [0, 1].  p = `pos_weight`, 1 by default, weighs the positives; it and `weight`, which multiplies the
    terms, broadcast to the shape of a.  The mean is over all entries, as in PyTorch.
    """

    def __init__(self, reduction: str = "mean", weight: Any = None, pos_weight: Any = None) -> None:
        super().__init__(reduction, weight)
        self.pos_weight = _factor(self, pos_weight, "pos_weight")

    def written(self) -> Written:
        said = [] if self.weight is None else ["w is the factor `weight` of the terms"]
        p, slope = "", r"(\sigma(\z) - t)"
        if self.pos_weight is not None:
            p, slope = r"p \odot ", r"\left( (1 - t) \odot \sigma(\z) - p \odot t \odot \sigma(-\z) \right)"
            said.append("p is `pos_weight`")
        term = rf"\left( -{p}t \odot \log \sigma(\z) - (1 - t) \odot \log \sigma(-\z) \right)"
        return Written(self.weighted(term), self.weighted(slope), "; ".join(said))

    def f(self, a: Array, t: Array) -> Array:
        excess = positive_part(a)
        tail = -log_sigmoid(excess + (excess - a))  # log(1 + e^-|a|)
        of_positives = self.factor("pos_weight", self.pos_weight, a) * t * (excess - a + tail)
        return (of_positives + (1 - t) * (excess + tail)) * self.factor("weight", self.weight, a)

    def df(self, a: Array, t: Array) -> Array:
        of_positives = self.factor("pos_weight", self.pos_weight, a) * t * sigmoid(-a)
        return ((1 - t) * sigmoid(a) - of_positives) * self.factor("weight", self.weight, a)


class HingeLoss(ElementwiseLoss):
    """max(0, 1 - t z) for labels t = -1 and +1, of the shape of z; its square with `squared=True`.

        dz  =  -t where t z < 1, else 0;   of the square  -2 t max(0, 1 - t z)

    The loss of support vector machines: Cortes and Vapnik, "Support-vector networks", 1995.
    """

    def __init__(self, reduction: str = "mean", squared: bool = False) -> None:
        super().__init__(reduction)
        self.squared = squared

    def written(self) -> Written:
        short = r"\max(0, 1 - t \odot \z)"
        if self.squared:
            return Written(f"{short}^2", rf"-2 t \odot {short}")
        return Written(short, r"-t \odot [t \odot \z < 1]")

    def targets(self, z: Array, target: Any) -> Array:
        return require_signs(self, target, z)

    def f(self, z: Array, t: Array) -> Array:
        short = _at_least(1 - t * z, 0.0)
        return short * short if self.squared else short

    def df(self, z: Array, t: Array) -> Array:
        short = _at_least(1 - t * z, 0.0)
        return -2 * t * short if self.squared else -t * (short.real > 0)

    def __repr__(self) -> str:
        return f"HingeLoss({self.reduction}{', squared' if self.squared else ''})"


def _factor(loss: ElementwiseLoss, weight: Any, name: str) -> Array | None:
    """`weight` as numbers of 0 or more, its own copy."""
    return None if weight is None else require_weights(loss, weight, np.shape(weight), name).astype(float)


def _log_1_minus(y: Array) -> Array:
    """log(1 - y) for 0 <= y <= 1, accurate at both ends."""
    return np.where(y.real < 0.5, log1p(-y), np.log(1 - y)) if y.dtype.kind == "c" else np.log1p(-y)


def _at_least(z: Array, least: float) -> Array:
    """max(z, least), by the real part."""
    return np.maximum(z, least) if z.dtype.kind == "f" else np.where(z.real > least, z, least).astype(z.dtype)
