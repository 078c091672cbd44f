"""Two classes: Linear under the Bernoulli likelihood over blocks of rows, and Sigmoid under its cross-entropy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.checks import require_delta
from minigrad.fusions.base import Fusion
from minigrad.fusions.rows import are_moderate, fits, has_few_units, over_blocks, weighted_sum
from minigrad.kernels import log_sigmoid, sigmoid
from minigrad.losses.binary import LEAST_VARIANCE
from minigrad.typing import Array, Delta, Gradients


class LinearBernoulliNLLLoss(Fusion):
    """Logistic regression: Linear to one logit under its likelihood; where no delta is read, in one pass over z.

    With s_n = +1 where t_n = 1, else -1, and u_n = e^{-s_n a_n} for the logit a_n,

        term n = log(1 + u_n);   r_n = -s_n scale u_n / (1 + u_n);   dW = r^T z;   db = sum_n r_n
    """

    one_pass = True

    @classmethod
    def takes(cls, *layers: Any) -> bool:
        return has_few_units(layers[0]) and layers[0].out_features == 1 and layers[1].reduction != "none"

    def value_and_gradients(self, z: Array, target: Any, weights: Any = None) -> tuple[Any, Gradients] | None:
        linear, loss = self.layers
        if not (fits(linear, z) and len(linear.weight) == 1 and loss.reduction != "none"):
            return None
        signs, scale = loss.signs_and_scale(z[:, 0], target, weights)

        def of_block(logits: Array, rows: slice) -> tuple[float, Array] | None:
            part = scale[rows] if isinstance(scale, np.ndarray) else scale
            cost = _residual(logits, signs[rows], part)
            return (cost, logits) if math.isfinite(cost) else None

        return over_blocks(z, linear, of_block)


def _residual(z: Array, signs: Array, scale: Array | float) -> float:
    """The cost of the logits z (1, n), which become r."""
    r = z[0]
    r *= -signs  # -s a
    if are_moderate(z):
        u = np.exp(r, out=r)
        terms = np.log1p(u)
        u /= 1 + u
    else:
        terms = -log_sigmoid(-r)
        r[:] = sigmoid(r)
    r *= -signs
    r *= scale
    return weighted_sum(terms, scale)


class SigmoidBCELoss(Fusion):
    """Sigmoid under BCELoss, whose derivatives cancel: da = delta w (y - t), with y (1 - y) at least 1e-12 as there."""

    def forward(self, z: Array, target: Any, weights: Any = None) -> tuple[Any, Any]:
        sigmoid, loss = self.layers
        y, _ = sigmoid.forward(z)
        value, (_, t, scale) = loss.forward(y, target, weights)
        return value, (y, t, scale)

    def backward(self, delta: Delta, cache: Any) -> Array:
        y, t, scale = cache
        loss = self.layers[1]
        require_delta(loss, delta, loss.value_shape(y.shape))
        variance = y * (1 - y)
        if y.dtype.kind == "c":
            da = loss.df(y, t) * variance
        else:
            da = (y - t) * loss.factor("weight", loss.weight, y)
            if variance.min(initial=1.0) < LEAST_VARIANCE:
                da *= np.minimum(variance / LEAST_VARIANCE, 1)
        da *= delta * scale
        return da
