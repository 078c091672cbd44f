"""LogSoftmax and NLLLoss as one; and softmax regression, Linear below them, over blocks of rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.fusions.base import Fusion
from minigrad.fusions.rows import (
    are_moderate,
    counted,
    fits,
    has_few_units,
    is_moderate_scale,
    ones,
    over_blocks,
    weighted_sum,
)
from minigrad.softmax_kernels import cross_entropy
from minigrad.typing import Array, Delta, Gradients


class LogSoftmaxNLLLoss(Fusion):
    """LogSoftmax and NLLLoss in one pass, as CrossEntropyLoss is: see `softmax_kernels.cross_entropy`."""

    def forward(self, z: Array, target: Any, weights: Any = None) -> tuple[float, Array]:
        return self.layers[-1].of_logits(z, target, weights)

    def backward(self, delta: Delta, residual: Array) -> Array:
        return self.layers[-1].of_residual(delta, residual)


class LinearLogSoftmaxNLLLoss(Fusion):
    """Softmax regression in one pass over z, of labels.

    With e_nk = e^{z_nk} of the logits, others_n = sum_{k != t} e_nk and total_n = others_n + e_nt, for the label t,

        term n = log(1 + others_n / e_nt);    r_nk = scale e_nk / total_n,  r_nt = -scale others_n / total_n
        dW = r^T z,    db = sum_n r_n

    Nothing is subtracted that is nearly equal.  Blocks of rows where e^z would overflow or lose digits are left to
    `softmax_kernels.cross_entropy`.
    """

    one_pass = True

    @classmethod
    def takes(cls, *layers: Any) -> bool:
        return has_few_units(layers[0]) and layers[-1].is_sum_of_labels()

    def value_and_gradients(self, z: Array, target: Any, weights: Any = None) -> tuple[Any, Gradients] | None:
        linear, loss = self.layers[0], self.layers[-1]
        if not (fits(linear, z) and loss.is_sum_of_labels(target)):
            return None
        labels, scale = loss.labels_and_scale(z[:, 0], len(linear.weight), target, weights)

        is_moderate = is_moderate_scale(scale)

        def of_block(logits: Array, rows: slice) -> tuple[float, Array] | None:
            part = scale[rows] if isinstance(scale, np.ndarray) else scale
            if is_moderate and are_moderate(logits):
                return _residual(logits, labels[rows], part)
            terms, r = cross_entropy(logits.T, labels[rows], part)
            cost = weighted_sum(terms, part)
            return (cost, r.T) if math.isfinite(cost) else None

        return over_blocks(z, linear, of_block)


def _residual(z: Array, labels: Array, scale: Array | float) -> tuple[float, Array]:
    """(the cost, r) of moderate logits z (K, n), which become r."""
    classes, n = z.shape
    e = np.exp(z, out=z)
    entries, of_labels = e.reshape(-1), labels * n
    of_labels += counted(n)
    own = entries[of_labels]
    entries[of_labels] = 0
    others = ones(classes, z.dtype).dot(e)
    factor = np.reciprocal(others + own)
    factor *= np.asarray(scale, z.dtype)  # which is read faster than a number
    r = np.multiply(e, factor, out=e)
    factor *= others
    entries[of_labels] = np.negative(factor, out=factor)
    others /= own
    return weighted_sum(np.log1p(others, out=others), scale), r
