"""Softmax and its logarithm: K scores become the probabilities of K classes, over the last axis."""

from __future__ import annotations

from minigrad.checks import ShapeError, require_delta, require_floating, require_shape
from minigrad.layer import Layer
from minigrad.softmax_kernels import log_softmax, log_softmax_backward, softmax
from minigrad.typing import Array, Formulas, Shape


class LogSoftmax(Layer):
    """log p_k = z_k - log sum_j e^{z_j} over the last axis, for z (..., K) of any size of numbers.

        dz = delta - p sum_k delta_k

    Adding one number to all z_k changes nothing: the softmax is not identified.  ValueError for K = 0.
    """

    formulas = Formulas(
        forward=r"\z_k - \log \sum_j \exp(\z_j)",
        backward=r"\d_k - \exp(\y_k) \sum_j \d_j",
        where="k and j run over the last axis, the classes",
    )

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        _require_classes(self, shape)
        return shape

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        if z.ndim < 2 or not z.shape[-1]:
            _require_classes(self, z.shape)
        log_p = log_softmax(z)
        return log_p, log_p

    def backward(self, delta: Array, log_p: Array) -> Array:
        require_delta(self, delta, log_p.shape)
        return log_softmax_backward(delta, log_p)


class Softmax(Layer):
    """p_k = e^{z_k} / sum_j e^{z_j} over the last axis, for z (..., K) of any size of numbers.

        dz = p (delta - sum_k p_k delta_k)

    For a likelihood take LogSoftmax: the logarithm of a p that has rounded to 0 or 1 is lost.  ValueError for K = 0.
    """

    formulas = Formulas(
        forward=r"\frac{\exp(\z_k)}{\sum_j \exp(\z_j)}",
        backward=r"\y_k (\d_k - \sum_j \y_j \d_j)",
        where="k and j run over the last axis, the classes",
    )

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        _require_classes(self, shape)
        return shape

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        if z.ndim < 2 or not z.shape[-1]:
            _require_classes(self, z.shape)
        p = softmax(z)
        return p, p

    def backward(self, delta: Array, p: Array) -> Array:
        require_delta(self, delta, p.shape)
        return p * (delta - (p * delta).sum(axis=-1, keepdims=True))


def _require_classes(layer: Layer, shape: Shape) -> None:
    if len(shape) < 2 or shape[-1] == 0:
        fix = (
            "z[np.newaxis, :] is a batch of one" if len(shape) == 1 else "the last axis holds the classes, one or more"
        )
        raise ShapeError(f"{layer!r} expects z of shape (batch, classes), got {shape}: {fix}")
