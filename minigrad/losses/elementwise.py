"""Elementwise losses: every number has a target of its own, and a term."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.checks import ShapeError, require_delta, require_floating, require_number
from minigrad.losses.base import Loss
from minigrad.losses.formulas import Written, decimal
from minigrad.losses.targets import require_target
from minigrad.shapes import require_shape
from minigrad.typing import Array, Delta, Shape


class ElementwiseLoss(Loss):
    """Terms f(z, t), entry by entry, of z (N, ...) and a target t of its shape, which is never broadcast.

        dz = delta w df / sum w  for the mean, over all entries of all rows

    A subclass writes `f` and its derivative `df` by z.
    """

    def f(self, z: Array, t: Array) -> Array:
        """The terms."""
        raise NotImplementedError(f"{type(self).__name__} lacks f(self, z, t) -> terms")

    def df(self, z: Array, t: Array) -> Array:
        """Their derivatives by z."""
        raise NotImplementedError(f"{type(self).__name__} lacks df(self, z, t) -> derivative of f by z")

    def targets(self, z: Array, target: Any) -> Array:
        """`target` as numbers of the shape and precision of z, looked at once."""
        return require_target(self, target, z)

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        self._require_shape(shape)
        return self.value_shape(shape)

    def forward(self, z: Array, target: Any, weights: Any = None) -> tuple[Any, Any]:
        require_floating(self, z)
        self._require_shape(z.shape)
        t = self.targets(z, target)
        terms = self.f(z, t)
        scale = self.scale(terms, weights)
        return self.reduce(terms, scale), (z, t, scale)

    def backward(self, delta: Delta, cache: Any) -> Array:
        z, t, scale = cache
        require_delta(self, delta, self.value_shape(z.shape))
        df = self.df(z, t)
        if not isinstance(scale, np.ndarray):
            return df * (delta * scale)
        # A weight of 0 takes its term out, also where the derivative is infinite.
        dz = np.zeros(df.shape, np.result_type(df, delta, scale))
        return np.multiply(df, delta * scale, out=dz, where=scale != 0)

    def _require_shape(self, shape: Shape) -> None:
        require_batch(self, shape)


class MSELoss(ElementwiseLoss):
    """Squared error (z - t)^2; derivative 2 (z - t).  The mean is over all entries, not rows, as in PyTorch."""

    def written(self) -> Written:
        return Written(r"(\z - t)^2", r"2 (\z - t)")

    def f(self, z: Array, t: Array) -> Array:
        r = z - t
        return r * r

    def df(self, z: Array, t: Array) -> Array:
        return 2 * (z - t)


class L1Loss(ElementwiseLoss):
    """Absolute error |z - t|; derivative sign(z - t), 0 at the kink."""

    def written(self) -> Written:
        return _ABSOLUTE

    def f(self, z: Array, t: Array) -> Array:
        return (z - t) * _sign(z - t)

    def df(self, z: Array, t: Array) -> Array:
        return _sign(z - t)


class HuberLoss(ElementwiseLoss):
    """r^2 / 2 where |r| <= d, else d (|r| - d / 2), with r = z - t and d = `delta`; derivative r cut to -d .. d.

    Huber, "Robust estimation of a location parameter", 1964.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = require_number(type(self), "delta", delta, above=0.0)

    def written(self) -> Written:
        d, half = decimal(self.delta), decimal(self.delta / 2)
        near, far = r"\frac{1}{2} (\z - t)^2", rf"{_times(self.delta)}(|\z - t| - {half})"
        return Written(_split(near, far, rf"\le {d}", f"> {d}"), rf"\max(-{d}, \min({d}, \z - t))")

    def f(self, z: Array, t: Array) -> Array:
        r, d = z - t, self.delta
        size = r * _sign(r)
        cut = np.where(size.real <= d, size, d)
        return cut * (size - 0.5 * cut)

    def df(self, z: Array, t: Array) -> Array:
        r, d = z - t, self.delta
        return np.where(r.real * _sign(r) <= d, r, d * _sign(r))

    def __repr__(self) -> str:
        return f"HuberLoss({self.reduction}, delta={self.delta:g})"


class SmoothL1Loss(ElementwiseLoss):
    """r^2 / (2 b) where |r| < b, else |r| - b / 2, with r = z - t and b = `beta`: HuberLoss / b.

    The derivative is r / b cut to -1 .. 1.  beta = 0 is L1Loss.
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = require_number(type(self), "beta", beta, least=0.0)

    def written(self) -> Written:
        if not self.beta:
            return _ABSOLUTE
        b, half, r = decimal(self.beta), decimal(self.beta / 2), r"\z - t"
        near, far = rf"\frac{{1}}{{{decimal(2 * self.beta)}}} ({r})^2", rf"(|{r}| - {half})"
        slope = r if self.beta == 1 else rf"\frac{{{r}}}{{{b}}}"
        return Written(_split(near, far, f"< {b}", rf"\ge {b}"), rf"\max(-1, \min(1, {slope}))")

    def f(self, z: Array, t: Array) -> Array:
        r, b = z - t, self.beta
        size = r * _sign(r)
        cut = np.where(size.real < b, size, b)
        return (cut / b if b else 1.0) * (size - 0.5 * cut)

    def df(self, z: Array, t: Array) -> Array:
        r, b = z - t, self.beta
        return np.where(r.real * _sign(r) < b, (1 / b if b else 0.0) * r, _sign(r))

    def __repr__(self) -> str:
        return f"SmoothL1Loss({self.reduction}, beta={self.beta:g})"


class QuantileLoss(Loss):
    """The pinball loss, least in the mean where z is the q-quantile of t: q r for r = t - z > 0, else (q - 1) r.

        one q:       z (N, ...),      t (N, ...)    ->  a number, or (N, ...) for reduction "none"
        several q:   z (N, ..., Q),   t (N, ...)    ->  a number, or (N, ..., Q); the last axis holds the quantiles
        dz  =  -q where r > 0, 1 - q where r < 0, 0 at the kink, times delta w / sum w for the mean

    Koenker and Bassett, "Regression quantiles", 1978.  ValueError unless 0 < q < 1.
    """

    def __init__(self, q: float | Sequence[float] = 0.5, reduction: str = "mean") -> None:
        super().__init__(reduction)
        given = np.asarray(q)
        if given.dtype.kind not in "iuf" or given.ndim > 1 or not given.size or not ((given > 0) & (given < 1)).all():
            raise ValueError(f"QuantileLoss expects q between 0 and 1, one number or several, got {q!r}")
        self.q: float | tuple[float, ...] = float(given) if given.ndim == 0 else tuple(map(float, given))

    def written(self) -> Written:
        if isinstance(self.q, tuple):
            listed = ", ".join(map(decimal, self.q))
            r = r"t_n - \z_{n, k}"
            return Written(
                rf"\max(q_k ({r}), (q_k - 1) ({r}))",
                r"\left( (1 - q_k) [\z_{n, k} > t_n] - q_k [\z_{n, k} < t_n] \right)",
                f"q = ({listed})",
                "n, k",
            )
        q, rest = decimal(self.q), decimal(1 - self.q)
        return Written(rf"\max({q} (t - \z), -{rest} (t - \z))", rf"\left( {rest} [\z > t] - {q} [\z < t] \right)")

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        self._require_shape(shape)
        return self.value_shape(shape)

    def forward(self, z: Array, target: Any, weights: Any = None) -> tuple[Any, Any]:
        require_floating(self, z)
        self._require_shape(z.shape)
        if isinstance(self.q, float):
            t = require_target(self, target, z)
        else:
            t = require_target(self, target, z, shape=z.shape[:-1])[..., np.newaxis]
        r = t - z
        q = np.asarray(self.q, dtype=z.real.dtype)
        slope = np.where(r.real > 0, q, q - 1) * (r.real != 0)
        terms = slope * r
        scale = self.scale(terms, weights)
        return self.reduce(terms, scale), (slope, scale)

    def backward(self, delta: Delta, cache: Any) -> Array:
        slope, scale = cache
        require_delta(self, delta, self.value_shape(slope.shape))
        return -slope * (delta * scale)

    def _require_shape(self, shape: Shape) -> None:
        require_batch(self, shape)
        if isinstance(self.q, tuple) and (len(shape) < 2 or shape[-1] != len(self.q)):
            raise ShapeError(
                f"{self!r} expects z of shape (batch, ..., {len(self.q)}), got {shape}: "
                "the last axis holds the quantiles"
            )

    def __repr__(self) -> str:
        return f"QuantileLoss(q={self.q}, {self.reduction})"


def require_batch(loss: Loss, shape: Shape, name: str = "z") -> None:
    """`shape` has an axis, the batch (ValueError)."""
    if not shape:
        raise ShapeError(f"{loss!r} expects {name} of shape (batch, ...), got (): {name}[np.newaxis] is a batch of one")


_ABSOLUTE = Written(r"|\z - t|", r"\left( [\z > t] - [\z < t] \right)")


def _split(near: str, far: str, is_near: str, is_far: str) -> str:
    """One formula for small residuals, and another for large ones."""
    return rf"\left( {near} \odot [|\z - t| {is_near}] + {far} \odot [|\z - t| {is_far}] \right)"


def _times(number: float) -> str:
    return "" if number == 1 else f"{decimal(number)} "


def _sign(r: Array) -> Array:
    """-1, 0 or 1, by the real part, which keeps |r| = r sign(r) analytic."""
    return np.sign(r.real)
