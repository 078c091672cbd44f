"""Margins: the score of the right class is to exceed all others by some distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.checks import ShapeError, require_delta, require_floating, require_number
from minigrad.losses.base import LikelihoodLoss
from minigrad.losses.formulas import Written, decimal
from minigrad.losses.targets import require_labels
from minigrad.shapes import require_shape
from minigrad.typing import Array, Delta, Shape


class MultiMarginLoss(LikelihoodLoss):
    """sum_{k != t} max(0, margin - z_t + z_k)^p / K for scores z of K classes and the label t, with p = 1 or 2.

        z (N, K), target (N,) of integers 0 .. K - 1  ->  a number, or (N,) for reduction "none"
        dz_k  =  p max(0, margin - z_t + z_k)^{p-1} / K where it is positive, k != t;   dz_t  =  -sum_{k != t} dz_k

    `class_weights[t]` multiplies the term of a row, but, as in PyTorch, is not counted by the mean, which is over N, or
    weighted by `weights`.  TypeError, ValueError for targets that are not such labels.
    """

    def __init__(
        self,
        reduction: str = "mean",
        class_weights: Sequence[float] | Array | None = None,
        p: int = 1,
        margin: float = 1.0,
    ) -> None:
        super().__init__(reduction, class_weights)
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss expects p to be 1 or 2, got {p!r}")
        self.p = int(p)
        self.margin = require_number(type(self), "margin", margin)

    def written(self) -> Written:
        w = r"" if self.class_weights is None else "w_{t_n} "
        short = rf"\max(0, {decimal(self.margin)} - \z_{{n, t_n}} + \z_{{n, k}})"
        slope = rf"2 {short}" if self.p == 2 else short.replace(r"\max(0, ", "[")[:-1] + " > 0]"
        return Written(
            rf"\frac{{1}}{{K}} {w}\sum_k [k \ne t_n] {short}" + "^2" * (self.p == 2),
            r"\left( g_{n, k} - [k = t_n] \sum_j g_{n, j} \right)",
            "K counts the classes" + "; w are the class weights" * bool(w),
            "n",
            "N",
            rf", \quad g_{{n, k}} = \frac{{1}}{{K}} {w}[k \ne t_n] {slope}",
        )

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        self._require_shape(shape)
        return self.value_shape(shape[:1])

    def forward(self, z: Array, target: Any, weights: Any = None) -> tuple[Any, Any]:
        require_floating(self, z)
        self._require_shape(z.shape)
        n, classes = z.shape
        labels, _ = require_labels(self, target, (n,), classes)
        chosen = np.arange(n), labels
        short = self.margin - z[chosen][:, np.newaxis] + z
        short = np.where(short.real > 0, short, 0)
        short[chosen] = 0
        factor = 1 / classes
        if self.class_weights is not None:
            factor = (self.class_weights[labels] / classes).astype(z.real.dtype)[:, np.newaxis]
        slopes = factor * (2 * short if self.p == 2 else (short.real > 0).astype(z.real.dtype))
        terms = np.add.reduce(factor * (short * short if self.p == 2 else short), axis=1)
        slopes[chosen] = -np.add.reduce(slopes, axis=1)
        scale = self.scale(terms, weights)
        return self.reduce(terms, scale), (slopes, scale)

    def backward(self, delta: Delta, cache: Any) -> Array:
        slopes, scale = cache
        require_delta(self, delta, self.value_shape(slopes.shape[:1]))
        of_rows = delta * scale
        return slopes * (of_rows[:, np.newaxis] if np.ndim(of_rows) else of_rows)

    def _require_shape(self, shape: Shape) -> None:
        if len(shape) != 2 or not shape[1]:
            fix = "z[np.newaxis, :] is a batch of one" if len(shape) == 1 else "a row for each observation"
            raise ShapeError(f"{self!r} expects z of shape (batch, classes), got {shape}: {fix}")
        self.require_class_weights("z", shape[1])

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, p={self.p}, margin={self.margin:g})"
