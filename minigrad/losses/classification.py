"""Classification: negative log-likelihoods of class labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.checks import ShapeError, kind, require_delta, require_floating
from minigrad.kernels import log_sigmoid, sigmoid
from minigrad.losses.base import LikelihoodLoss
from minigrad.losses.formulas import Written, of_classes, of_labels
from minigrad.losses.targets import require_binary_labels, require_labels, require_target
from minigrad.shapes import require_shape
from minigrad.softmax_kernels import cross_entropy
from minigrad.typing import Array, Delta, Shape


class NLLLoss(LikelihoodLoss):
    """Negative log-likelihood of class labels: term n is -log_p[n, target_n].

        log_p (N, ..., K), target (N, ...) of integers 0 .. K - 1  ->  a number, or (N, ...) for reduction "none"
        dlog_p  =  -delta w_n / sum w  at [n, target_n] for the mean, 0 elsewhere

    log_p must be log-probabilities: put LogSoftmax below.  On raw scores, or on the probabilities of Softmax, the
    number is no likelihood.  Classes stand on the last axis; in PyTorch, on axis 1.  A target of `ignore_index` counts
    as a weight of 0.  TypeError, ValueError for targets that are not such labels; ValueError where a mean would be of
    none, or all are ignored: PyTorch gives NaN.
    """

    def __init__(
        self,
        reduction: str = "mean",
        class_weights: Sequence[float] | Array | None = None,
        ignore_index: int = -100,
    ) -> None:
        super().__init__(reduction, class_weights)
        if not isinstance(ignore_index, int | np.integer) or isinstance(ignore_index, bool):
            raise ValueError(f"{type(self).__name__} expects ignore_index to be an integer, got {kind(ignore_index)}")
        self.ignore_index = int(ignore_index)

    def written(self) -> Written:
        w, count, where = self.written_weights()
        return Written(rf"-{w}\z_{{n, t_n}}", f"-{w}[k = t_n]", where, "n", count)

    def written_at(self, z: Array, target: Any) -> Written | None:
        ignored = self.ignore_index if np.any(np.asarray(target) == self.ignore_index) else None
        return of_labels(self.written(), np.ndim(z) > 2, ignored)

    def output_shape(self, shape: Shape) -> Shape:
        return self._output_shape(shape, "log_p")

    def shape_of_logits(self, shape: Shape) -> Shape:
        """The output shape of `of_logits`, in its words."""
        return self._output_shape(shape, "z")

    def _output_shape(self, shape: Shape, name: str) -> Shape:
        require_shape(self, shape, name)
        self._require_shape(shape, name)
        return self.value_shape(shape[:-1])

    def forward(self, log_p: Array, target: Any, weights: Any = None) -> tuple[Any, Any]:
        self._require_scores(log_p, "log_p")
        labels, own = self._labels(log_p.shape[:-1], log_p.shape[-1], target)
        chosen = (*np.ogrid[tuple(map(slice, labels.shape))], labels)
        terms = -log_p[chosen]
        scale = self.scale(terms, weights, own)
        return self.reduce(terms, scale), (log_p, chosen, scale)

    def backward(self, delta: Delta, cache: Any) -> Array:
        log_p, chosen, scale = cache
        require_delta(self, delta, self.value_shape(log_p.shape[:-1]))
        dlog_p = np.zeros_like(log_p, dtype=np.result_type(log_p, delta))
        dlog_p[chosen] = -delta * scale
        return dlog_p

    def of_logits(self, z: Array, target: Any, weights: Any = None) -> tuple[Any, Array]:
        """(the loss of log-softmax z, its derivative by z), without log-probabilities in between."""
        self._require_scores(z, "z")
        labels, scale = self.labels_and_scale(z[..., 0], z.shape[-1], target, weights)
        if z.ndim == 2:
            terms, residual = cross_entropy(z, labels, scale)
        else:
            terms, residual = cross_entropy(z.reshape(-1, z.shape[-1]), labels.ravel(), _of_rows(scale))
            terms, residual = terms.reshape(labels.shape), residual.reshape(z.shape)
        return self.reduce(terms, scale), residual

    def is_sum_of_labels(self, target: Any = None) -> bool:
        """It is one number, a weighted sum of the terms -log p_t of labels t; of this target, where one is given."""
        return self.reduction != "none"

    def labels_and_scale(self, terms: Array, classes: int, target: Any, weights: Any) -> tuple[Array, Any]:
        """Labels that were looked at, and the derivative of the loss by each term, as `scale` gives it."""
        self.require_class_weights("z", classes)
        labels, own = self._labels(terms.shape, classes, target)
        return labels, self.scale(terms, weights, own)

    def of_residual(self, delta: Delta, residual: Array) -> Array:
        """Rule 2 of `of_logits`."""
        require_delta(self, delta, self.value_shape(residual.shape[:-1]))
        if type(delta) is float and delta == 1.0:
            return residual  # the start of every sweep: a product by 1 would be one more pass over the data
        return (delta[..., np.newaxis] if np.ndim(delta) else delta) * residual

    def _labels(self, shape: tuple[int, ...], classes: int, target: Any) -> tuple[Array, Array | None]:
        """Labels that were looked at, and the weights that the loss gives them, None for 1."""
        labels, kept = self._kept_labels(shape, classes, target)
        if self.class_weights is None:
            return labels, kept
        own = self.class_weights[labels]
        return labels, own if kept is None else own * kept

    def _kept_labels(self, shape: tuple[int, ...], classes: int, target: Any) -> tuple[Array, Array | None]:
        """Labels that were looked at, and 0 for those that are ignored, with 1 for all others; None where none is."""
        labels, all_are_classes = require_labels(self, target, shape, classes, self.ignore_index)
        if all_are_classes and not 0 <= self.ignore_index < classes:
            return labels, None
        kept = labels != self.ignore_index
        if self.reduction == "mean" and self._totals is None and not kept.any():
            raise self._no_weight(f"all targets are {self.ignore_index}, which is ignored")
        return np.where(kept, labels, 0), kept.astype(float)

    def _require_scores(self, z: Array, name: str) -> None:
        require_floating(self, z, name)
        if z.ndim < 2 or not z.shape[-1]:
            self._require_shape(z.shape, name)
        self.require_class_weights(name, z.shape[-1])

    def _require_shape(self, shape: Shape, name: str) -> None:
        if len(shape) < 2 or not shape[-1]:
            fix = f"{name}[np.newaxis, :] is a batch of one" if len(shape) == 1 else "the last axis holds the classes"
            raise ShapeError(f"{self!r} expects {name} of shape (batch, classes), got {shape}: {fix}")
        self.require_class_weights(name, shape[-1])


class CrossEntropyLoss(NLLLoss):
    """Cross-entropy of raw scores: LogSoftmax and NLLLoss in one, and more kinds of targets.

        z (N, ..., K), target (N, ...) of integers, or (N, ..., K) of probabilities  ->  a number, or (N, ...)
        term n  =  -sum_k c_nk log p_nk,    p = softmax(z)
        dz_n    =  (p_n sum_k c_nk - c_n) delta / sum w  for the mean

    c_nk = class_weights_k q_nk for a target of probabilities q_n, and for a label t those of q_nk = [k = t].  Label
    smoothing takes (1 - s) c_nk + class_weights_k s / K in place of c_nk, or of probabilities (1 - s) q_nk + s / K in
    place of q_nk.  sum w counts, as in PyTorch, class_weights[t_n] weights_n for labels, but weights_n alone for
    probabilities.

    Classes stand on the last axis, as in LogSoftmax; in PyTorch, on axis 1: np.moveaxis(z, 1, -1).  Tiny terms and
    derivatives are as accurate as large ones.  Probabilities need not sum to 1, which is not checked.  TypeError,
    ValueError for other targets; ValueError where a mean would be of none, or all are ignored: PyTorch gives NaN.
    """

    def __init__(
        self,
        reduction: str = "mean",
        class_weights: Sequence[float] | Array | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction, class_weights, ignore_index)
        if not isinstance(label_smoothing, int | float | np.number) or not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropyLoss expects label_smoothing from 0 to 1, got {label_smoothing!r}")
        self.label_smoothing = float(label_smoothing)

    formulas = NLLLoss.formulas  # of what is written here

    def written(self) -> Written:
        return of_classes("[k = t_n]", self.label_smoothing, *self.written_weights())

    def written_at(self, z: Array, target: Any) -> Written | None:
        if not _is_of_probabilities(z, target) or self.written() is None:
            return super().written_at(z, target)
        w, _, where = self.written_weights()
        return of_classes(r"t_{n, k}", self.label_smoothing, w, "N", where)

    def output_shape(self, shape: Shape) -> Shape:
        return self.shape_of_logits(shape)

    def forward(self, z: Array, target: Any, weights: Any = None) -> tuple[Any, Array]:
        if _is_of_probabilities(z, target):
            return self._of_probabilities(z, target, weights)
        if self.label_smoothing:
            return self._of_smoothed_labels(z, target, weights)
        return self.of_logits(z, target, weights)

    def backward(self, delta: Delta, residual: Array) -> Array:
        return self.of_residual(delta, residual)

    def is_sum_of_labels(self, target: Any = None) -> bool:
        labels = target is None or np.asarray(target).dtype.kind != "f"
        return super().is_sum_of_labels() and not self.label_smoothing and labels

    def _of_smoothed_labels(self, z: Array, target: Any, weights: Any) -> tuple[Any, Array]:
        """As for labels, with sum_k c_nk in place of the weight of the label, and a part that is linear in z."""
        self._require_scores(z, "z")
        labels, kept = self._kept_labels(z.shape[:-1], z.shape[-1], target)
        counted = None if self.class_weights is None else self.class_weights[labels]
        scale = self.scale(z[..., 0], weights, kept, counted)
        rows, real = z.reshape(-1, z.shape[-1]), z.real.dtype
        by_class = np.ones(z.shape[-1]) if self.class_weights is None else self.class_weights
        even = (by_class * (self.label_smoothing / len(by_class))).astype(real)
        sums = ((1 - self.label_smoothing) * by_class[labels.ravel()] + even.sum()).astype(real)
        scales = np.broadcast_to(_of_rows(scale), sums.shape).astype(real)
        chosen = np.arange(labels.size), labels.ravel()
        terms, residual = cross_entropy(rows, chosen[1], scales * sums)
        terms = sums * terms + (rows[chosen][:, np.newaxis] - rows) @ even
        residual -= scales[:, np.newaxis] * even
        residual[chosen] += scales * even.sum()
        return self.reduce(terms.reshape(labels.shape), scale), residual.reshape(z.shape)

    def _of_probabilities(self, z: Array, target: Any, weights: Any) -> tuple[Any, Array]:
        """As for the label t of the largest c_nk, with sum_k c_nk as its weight, and a part that is linear in z."""
        self._require_scores(z, "z")
        q = require_target(self, target, z, 0.0, 1.0, fix="they are probabilities")
        scale = self.scale(z[..., 0], weights)
        rows, c = (array.reshape(-1, z.shape[-1]) for array in (z, q))
        if self.label_smoothing:
            c = (1 - self.label_smoothing) * c + self.label_smoothing / z.shape[-1]
        if self.class_weights is not None:
            c = c * self.class_weights.astype(c.dtype)
        sums = np.add.reduce(c, axis=1)
        scales = np.broadcast_to(_of_rows(scale), sums.shape).astype(c.dtype)
        chosen = np.arange(len(c)), c.argmax(axis=1)
        terms, residual = cross_entropy(rows, chosen[1], scales * sums)
        others = c.copy()
        others[chosen] = 0  # of a target that is a label after all, nothing is left, and its residual stays exact
        terms = sums * terms + np.add.reduce((rows[chosen][:, np.newaxis] - rows) * others, axis=1)
        residual -= scales[:, np.newaxis] * others
        residual[chosen] += scales * np.add.reduce(others, axis=1)
        return self.reduce(terms.reshape(z.shape[:-1]), scale), residual.reshape(z.shape)

    def __repr__(self) -> str:
        smoothing = f", label_smoothing={self.label_smoothing:g})" if self.label_smoothing else ")"
        return super().__repr__()[:-1] + smoothing


class BernoulliNLLLoss(LikelihoodLoss):
    """Negative log-likelihood of labels 0 and 1, given the logit a of P(t = 1) = y = 1 / (1 + e^-a).

        logit (N, 1), target (N,), weights (N,)  ->  a number, or (N,) for reduction "none"
        term n   -t log y - (1 - t) log(1 - y)  =  -log sigmoid(s a),   s = +1 where t = 1, -1 where t = 0
        da       (y - t) w_n delta / sum w for the mean;  y - t = -s sigmoid(-s a), exact where y rounds to t

    It takes the logit itself: no Sigmoid below.  PyTorch's name for it is BCEWithLogitsLoss, which also stands here,
    for any shape and for targets between 0 and 1.  TypeError, ValueError for targets that are not such labels.
    """

    def written(self) -> Written:
        w, count, where = self.written_weights()
        return Written(rf"-{w}\log \sigma((2 t_n - 1) \z_n)", rf"{w}(\sigma(\z_n) - t_n)", where, "n", count)

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape, "logit")
        self._require_shape(shape)
        return self.value_shape(shape[:1])

    def forward(self, logit: Array, target: Any, weights: Any = None) -> tuple[Any, Any]:
        require_floating(self, logit, "logit")
        self._require_shape(logit.shape)
        sign, scale = self.signs_and_scale(logit[:, 0], target, weights)
        margin = sign * logit[:, 0]
        return self.reduce(-log_sigmoid(margin), scale), (sign, margin, scale)

    def signs_and_scale(self, terms: Array, target: Any, weights: Any) -> tuple[Array, Any]:
        """s, from labels that were looked at, and the derivative of the loss by each term, as `scale` gives it."""
        self._require_two_weights()
        labels = require_binary_labels(self, target, terms.shape)
        scale = self.scale(terms, weights, None if self.class_weights is None else self.class_weights[labels])
        return (2 * labels - 1).astype(terms.real.dtype), scale

    def backward(self, delta: Delta, cache: Any) -> Array:
        sign, margin, scale = cache
        require_delta(self, delta, self.value_shape(sign.shape))
        da: Array = -sign * sigmoid(-margin) * delta * scale
        return da[:, np.newaxis]

    def _require_shape(self, shape: Shape) -> None:
        if len(shape) != 2 or shape[1] != 1:
            raise ShapeError(
                f"{self!r} expects one logit for each row, of shape (batch, 1), got {shape}: "
                "end the stack with Linear(..., 1), or take LogSoftmax and NLLLoss for several classes"
            )
        self._require_two_weights()

    def _require_two_weights(self) -> None:
        if self.class_weights is not None and len(self.class_weights) != 2:
            raise ValueError(f"{self!r} expects 2 class weights, got {len(self.class_weights)}")


def _is_of_probabilities(z: Any, target: Any) -> bool:
    """The target has a number for each class."""
    given = np.asarray(target)
    return given.dtype.kind == "f" and given.ndim == np.ndim(z)


def _of_rows(scale: Any) -> Any:
    """The scale of each row of the scores (N * ..., K)."""
    return scale.ravel() if isinstance(scale, np.ndarray) else scale
