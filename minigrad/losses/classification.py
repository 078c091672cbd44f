"""Classification: negative log-likelihoods of class labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.checks import require_delta, require_floating
from minigrad.kernels import log_sigmoid, sigmoid
from minigrad.losses.base import Loss
from minigrad.losses.targets import require_binary_labels, require_labels, require_weights
from minigrad.typing import Array, Delta


class LikelihoodLoss(Loss):
    """One term for each observation, weighted and reduced.

    Term n has the weight w_n = `class_weights[target_n]` * `weights[n]`, 1 where they are not given.  `reduction`:

        "mean"   sum_n w_n term_n / sum_n w_n       (ValueError where the weights sum to 0, as for an empty batch)
        "sum"    sum_n w_n term_n
        "none"   w_n term_n, of shape (N,)
    """

    def __init__(self, reduction: str = "mean", class_weights: Sequence[float] | Array | None = None) -> None:
        super().__init__(reduction)
        self.class_weights: Array | None = None
        if class_weights is not None:
            shape = (np.size(class_weights),)
            self.class_weights = require_weights(self, class_weights, shape, "class_weights").astype(float)

    def reduce(self, terms: Array, labels: Array, weights: Any) -> tuple[Array, Any]:
        """(the loss, its derivative with respect to each term)."""
        mean = self.reduction == "mean"
        if weights is None and self.class_weights is None:
            if mean and not len(terms):
                raise self._no_weight("the batch is empty")
            scale = 1 / len(terms) if mean else 1.0
            return (terms if self.reduction == "none" else np.add.reduce(terms) * scale), scale
        w = self._weights(labels, weights)
        if mean:
            w = w / w.max(initial=0.0) if w.any() else w  # so that the sum cannot overflow
            total = w.sum()
            if total == 0:
                raise self._no_weight("all weights are 0" if len(terms) else "the batch is empty")
            w = w / total
        w = w.astype(terms.real.dtype)
        # A weight of 0 takes its row out, also where the term is infinite.
        weighted = np.multiply(w, terms, out=np.zeros_like(terms), where=w != 0)
        return (weighted if self.reduction == "none" else np.add.reduce(weighted)), w

    def _weights(self, labels: Array, weights: Any) -> Array:
        """The weight of each observation, in float64."""
        w = np.ones(len(labels)) if self.class_weights is None else self.class_weights[labels]
        return w if weights is None else w * require_weights(self, weights, labels.shape, "weights")

    def _no_weight(self, cause: str) -> ValueError:
        return ValueError(f"{self!r} expects a batch of some weight, but {cause}: reduction 'sum' gives 0 there")

    def value_shape(self, n: int) -> tuple[int, ...]:
        """The shape of the loss of n observations."""
        return (n,) if self.reduction == "none" else ()

    def __repr__(self) -> str:
        weighted = "" if self.class_weights is None else ", class_weights"
        return f"{type(self).__name__}({self.reduction}{weighted})"


class NLLLoss(LikelihoodLoss):
    """Negative log-likelihood of class labels: term n is -log_p[n, target_n].

        log_p (N, K), target (N,) of integers 0 .. K - 1, weights (N,)  ->  a number, or (N,) for reduction "none"
        dlog_p  =  -delta w_n / sum w  at [n, target_n] for the mean, 0 elsewhere

    log_p must be log-probabilities: put LogSoftmax below.  On raw scores, or on the probabilities of Softmax, the
    number is no likelihood.  TypeError, ValueError for targets that are not such labels.
    """

    def forward(self, log_p: Array, target: Any, weights: Any = None) -> tuple[Array, Any]:
        chosen = self.chosen(log_p, target)
        value, scale = self.reduce(-log_p[chosen], chosen[1], weights)
        return value, (log_p, chosen, scale)

    def backward(self, delta: Delta, cache: Any) -> Array:
        log_p, chosen, scale = cache
        require_delta(self, delta, self.value_shape(len(log_p)))
        dlog_p = np.zeros_like(log_p, dtype=np.result_type(log_p, delta))
        dlog_p[chosen] = -delta * scale
        return dlog_p

    def chosen(self, log_p: Array, target: Any) -> tuple[Array, Array]:
        """The index of log_p[n, target_n] for every n, from labels that were looked at."""
        require_floating(self, log_p, "log_p")
        if log_p.ndim != 2 or not log_p.shape[1]:
            raise ValueError(f"{self!r} expects log_p of shape (batch, classes), got {log_p.shape}")
        n, classes = log_p.shape
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ValueError(f"{self!r} has {len(self.class_weights)} class weights, but log_p has {classes} classes")
        return np.arange(n), require_labels(self, target, n, classes)


class BernoulliNLLLoss(LikelihoodLoss):
    """Negative log-likelihood of labels 0 and 1, given the logit a of P(t = 1) = y = 1 / (1 + e^-a).

        logit (N, 1), target (N,), weights (N,)  ->  a number, or (N,) for reduction "none"
        term n   -t log y - (1 - t) log(1 - y)  =  -log sigmoid(s a),   s = +1 where t = 1, -1 where t = 0
        da       (y - t) w_n delta / sum w for the mean;  y - t = -s sigmoid(-s a), exact where y rounds to t

    It takes the logit itself: no Sigmoid below.  PyTorch's name for it is BCEWithLogitsLoss.  TypeError, ValueError for
    targets that are not such labels.
    """

    def forward(self, logit: Array, target: Any, weights: Any = None) -> tuple[Array, Any]:
        require_floating(self, logit, "logit")
        if logit.ndim != 2 or logit.shape[1] != 1:
            raise ValueError(
                f"{self!r} expects one logit for each row, of shape (batch, 1), got {logit.shape}: "
                "end the stack with Linear(..., 1), or take LogSoftmax and NLLLoss for several classes"
            )
        if self.class_weights is not None and len(self.class_weights) != 2:
            raise ValueError(f"{self!r} expects 2 class weights, got {len(self.class_weights)}")
        labels = require_binary_labels(self, target, len(logit))
        sign = (2 * labels - 1).astype(logit.real.dtype)
        margin = sign * logit[:, 0]
        value, scale = self.reduce(-log_sigmoid(margin), labels, weights)
        return value, (sign, margin, scale)

    def backward(self, delta: Delta, cache: Any) -> Array:
        sign, margin, scale = cache
        require_delta(self, delta, self.value_shape(len(sign)))
        da: Array = -sign * sigmoid(-margin) * delta * scale
        return da[:, np.newaxis]
