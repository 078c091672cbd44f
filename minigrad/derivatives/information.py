"""The expected curvature of a likelihood by its input: E[d^2 l / dz^2], over targets that follow the model itself.

A loss of your own offers it as a method

    expected_curvature(z, u, target, ...) -> E[d^2 l / dz^2] u,    of the shape of z

which takes what its forward takes, with a direction u after z, and weighs and divides its terms as its forward does.
One with parameters of its own takes and returns (u, {name: array}) for u.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.checks import label
from minigrad.kernels import sigmoid
from minigrad.layer import Layer
from minigrad.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HomoscedasticGaussianNLLLoss,
    MSELoss,
    NLLLoss,
    PoissonNLLLoss,
)
from minigrad.softmax_kernels import softmax
from minigrad.typing import Array, Gradients

Direction = tuple[Any, Gradients]
"""Along the input of a loss, and along its own parameters."""


def expected_curvature(loss: Any, z: Any, direction: Direction, arguments: tuple[Any, ...]) -> Direction:
    """E[H] (u, v) of `loss` at z, for a direction u in z and v in its own parameters (ValueError where unknown)."""
    require_likelihood("fisher_product", loss)
    u, own = direction
    if hasattr(loss, "expected_curvature"):
        found = loss.expected_curvature(z, direction if own else u, *arguments)
        return found if own else (found, {})
    if type(loss) is HomoscedasticGaussianNLLLoss:
        return _homoscedastic(loss, z, u, own, *arguments)
    return INFORMATION[type(loss)](loss, z, u, *arguments), {}


def require_likelihood(who: str, loss: Layer) -> None:
    """`loss` is a likelihood whose expected curvature is known (ValueError)."""
    if hasattr(loss, "expected_curvature"):
        return
    if type(loss) not in (*INFORMATION, HomoscedasticGaussianNLLLoss):
        raise ValueError(
            f"{who} expects a loss that is a known likelihood, got {label(loss)}: write a method "
            "expected_curvature(self, z, u, target) that returns E[d2 l / dz2] u, or take gauss_newton_product"
        )
    for name in ("class_weights", "pos_weight", "label_smoothing"):
        value = getattr(loss, name, None)
        if value is not None and np.any(value):
            raise ValueError(
                f"{who} expects a likelihood, and {label(loss)} with {name} is none: leave it out, or take "
                "gauss_newton_product"
            )


def _nll(loss: Any, log_p: Array, u: Array, target: Any, weights: Any = None) -> Array:
    # Of log-probabilities the loss is linear; E[s s^T] = diag p is the same information as long as they sum to 1.
    return np.exp(log_p) * u * _of_rows(NLLLoss.forward(loss, log_p, target, weights)[1][2])


def _cross_entropy(loss: Any, z: Array, u: Array, target: Any, weights: Any = None) -> Array:
    labels = np.asarray(target).ndim < z.ndim
    scale = NLLLoss.forward(loss, z, target, weights)[1][2] if labels else loss.scale(z[..., 0], weights)
    p = softmax(z)
    if not labels:
        scale = scale * np.asarray(target).sum(axis=-1)
    return (p * u - p * (p * u).sum(axis=-1, keepdims=True)) * _of_rows(scale)


def _bernoulli(loss: Any, z: Array, u: Array, target: Any, weights: Any = None) -> Array:
    return sigmoid(z) * sigmoid(-z) * u * _of_rows(loss.scale(z[:, 0], weights))


def _elementwise(curvature: Callable[[Any, Array], Array]) -> Callable[..., Array]:
    def rule(loss: Any, z: Array, u: Array, target: Any, weights: Any = None) -> Array:
        return np.asarray(curvature(loss, z) * u * loss.scale(z, weights))

    return rule


def _of_logit(loss: Any, a: Array) -> Array:
    return np.asarray(sigmoid(a) * sigmoid(-a) * loss.factor("weight", loss.weight, a))


def _of_probability(loss: Any, y: Array) -> Array:
    return np.asarray(loss.factor("weight", loss.weight, y) / (y * (1 - y)))


def _poisson(loss: Any, z: Array) -> Array:
    return np.exp(z) if loss.log_input else 1 / (z + loss.eps)


def _gaussian(loss: Any, z: Any, u: Any, target: Any, weights: Any = None) -> Any:
    (mean, variance), (of_mean, of_variance) = z, u
    v, scale = np.maximum(variance, loss.eps), loss.scale(mean, weights)
    terms = np.broadcast_to(scale * (0.5 / (v * v)), mean.shape) * of_variance
    return of_mean * scale / v, terms if v.shape == mean.shape else terms.sum(axis=-1, keepdims=True)


def _homoscedastic(loss: Any, z: Array, u: Array, own: Gradients, target: Any, weights: Any = None) -> Direction:
    scale = np.broadcast_to(loss.scale(z, weights), z.shape)
    terms = 0.5 * scale.reshape(-1, loss.features).sum(axis=0)
    return u * scale * np.exp(-loss.log_variance), {"log_variance": terms * own["log_variance"]}


def _of_rows(scale: Any) -> Any:
    return scale[..., np.newaxis] if isinstance(scale, np.ndarray) else scale


INFORMATION: dict[type, Callable[..., Any]] = {
    NLLLoss: _nll,
    CrossEntropyLoss: _cross_entropy,
    BernoulliNLLLoss: _bernoulli,
    BCELoss: _elementwise(_of_probability),
    BCEWithLogitsLoss: _elementwise(_of_logit),
    PoissonNLLLoss: _elementwise(_poisson),
    MSELoss: _elementwise(lambda loss, z: np.full(z.shape, 2.0)),  # a normal distribution of variance 1/2
    GaussianNLLLoss: _gaussian,
}
