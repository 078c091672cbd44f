"""Likelihoods of counts and measurements, and the divergence of two distributions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.checks import (
    ShapeError,
    require_count,
    require_delta,
    require_float_dtype,
    require_floating,
    require_number,
    require_tuple,
)
from minigrad.losses.base import REDUCTIONS, Loss
from minigrad.losses.elementwise import ElementwiseLoss, require_batch
from minigrad.losses.formulas import Written, decimal, reduced
from minigrad.losses.targets import first_of, named, require_target
from minigrad.shapes import require_shape, require_shapes
from minigrad.typing import Array, Delta, Formulas, Gradients, Shape, Shapes

HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)
_PARTS = ("z[0], the mean,", "z[1], the variance,")


class KLDivLoss(ElementwiseLoss):
    """Kullback-Leibler divergence of the model from the target: p (log p - z), z = log q, for p and z of one shape.

        dz  =  -p

    The target is p, 0 or more, or, with `log_target=True`, log p.  `reduction` "mean" is over all entries, as in
    PyTorch; the divergence of whole rows is "batchmean", the sum over N.
    """

    reductions = (*REDUCTIONS, "batchmean")
    means = ("mean", "batchmean")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def written(self) -> Written:
        if self.log_target:
            return Written(r"\exp(t) \odot (t - \z)", r"-\exp(t)")
        return Written(r"t \odot (\log t - \z)", "-t", "0 log 0 counts as 0")

    def targets(self, z: Array, target: Any) -> Array:
        fix = "log_target=True takes logarithms"
        return require_target(self, target, z) if self.log_target else require_target(self, target, z, 0.0, fix=fix)

    def f(self, z: Array, t: Array) -> Array:
        if self.log_target:
            return np.exp(t) * (t - z)
        return t * (np.log(np.where(t > 0, t, 1)) - z)

    def df(self, z: Array, t: Array) -> Array:
        return -np.exp(t) if self.log_target else -t

    def scale(self, terms: Array, weights: Any, own: Array | None = None, counted: Array | None = None) -> Any:
        scale = super().scale(terms, weights, own, counted)
        return scale * (terms.size // max(len(terms), 1)) if self.reduction == "batchmean" else scale

    def __repr__(self) -> str:
        return f"KLDivLoss({self.reduction}{', log_target' if self.log_target else ''})"


class PoissonNLLLoss(ElementwiseLoss):
    """Negative log-likelihood of counts t with the rate e^z: e^z - t z; derivative e^z - t.

    With `log_input=False`, z is the rate itself: z - t log(z + eps), derivative 1 - t / (z + eps).  `full=True` adds
    log t! of Stirling's formula, t log t - t + log(2 pi t) / 2, where t > 1, as PyTorch does.  Targets are 0 or more.
    """

    def __init__(self, reduction: str = "mean", log_input: bool = True, full: bool = False, eps: float = 1e-8) -> None:
        super().__init__(reduction)
        self.log_input, self.full = log_input, full
        self.eps = require_number(type(self), "eps", eps, least=0.0)

    def written(self) -> Written:
        rate = rf"\z + {decimal(self.eps)}" if self.eps else r"\z"
        term, slope = r"\exp(\z) - t \odot \z", r"(\exp(\z) - t)"
        if not self.log_input:
            term, slope = rf"\z - t \odot \log({rate})", rf"(1 - \frac{{t}}{{{rate}}})"
        if self.full:
            term += r" + [t > 1] \odot (t \odot \log t - t + \frac{1}{2} \log(2 \pi t))"
        return Written(rf"\left( {term} \right)", slope, "0 log 0 counts as 0" * self.full)

    def targets(self, z: Array, target: Any) -> Array:
        return require_target(self, target, z, 0.0, fix="counts are not negative")

    def f(self, z: Array, t: Array) -> Array:
        if not self.log_input and z.size and z.real.min() < 0:
            place = first_of(z.real < 0)
            raise ValueError(
                f"{self!r} expects rates of 0 or more, got {z[place]:g} in {named('z', place)}: an exponential below "
                "keeps them positive, or log_input=True takes their logarithm"
            )
        terms = np.exp(z) - t * z if self.log_input else z - t * np.log(z + self.eps)
        if self.full:
            large = np.where(t > 1, t, 1)
            terms += np.where(t > 1, t * np.log(large) - t + 0.5 * np.log(2 * math.pi * large), 0)
        return terms

    def df(self, z: Array, t: Array) -> Array:
        return np.exp(z) - t if self.log_input else 1 - t / (z + self.eps)

    def __repr__(self) -> str:
        of = "log rate" if self.log_input else "rate"
        return f"PoissonNLLLoss({self.reduction}, of the {of}{', full' if self.full else ''})"


class GaussianNLLLoss(Loss):
    """Negative log-likelihood of a normal distribution whose mean and variance both come from below, z = (m, v).

        m (N, ...), v of the same shape or of 1 in the last axis, target of the shape of m
        terms  (log v + r^2 / v) / 2 with r = m - t;   with `full`, + log(2 pi) / 2
        dm     r / v,    dv = (1 - r^2 / v) / (2 v), summed over the last axis where v was spread over it

    A variance below `eps` counts as eps, in dv too, so that one that has collapsed can grow again, as in PyTorch.
    Where the variance is one trained number for each feature, take HomoscedasticGaussianNLLLoss.  ValueError for a
    negative variance.
    """

    def __init__(self, reduction: str = "mean", full: bool = False, eps: float = 1e-6) -> None:
        super().__init__(reduction)
        self.full = full
        self.eps = require_number(type(self), "eps", eps, above=0.0)

    def written(self) -> Written:
        constant = r" + \log(2 \pi)" * self.full
        of_mean, of_variance = r"\frac{m - t}{v}", r"\frac{1}{2 v} \odot (1 - \frac{(m - t)^2}{v})"
        return Written(
            rf"\frac{{1}}{{2}} (\log v + \frac{{(m - t)^2}}{{v}}{constant})",
            rf"\left( {of_mean}, {of_variance} \right)",
            f"z = (m, v), mean and variance; v counts as {self.eps:g} at least, and where it stands for a row, its "
            "derivatives are summed",
        )

    def output_shape(self, shape: Shapes) -> Shape:
        require_shapes(self, shape, 2)
        for name, part in zip(_PARTS, shape, strict=True):
            require_shape(self, part, name)
        self._require_shapes(*shape)
        return self.value_shape(shape[0])

    def forward(self, z: Any, target: Any, weights: Any = None) -> tuple[Any, Any]:
        require_tuple(self, z, 2)
        for name, part in zip(_PARTS, z, strict=True):
            require_floating(self, part, name)
        mean, variance = z
        self._require_shapes(mean.shape, variance.shape)
        if not (variance.real >= 0).all():
            place = first_of(~(variance.real >= 0))
            raise ValueError(
                f"{self!r} expects variances of 0 or more, got {variance[place]:g} in {named('z[1]', place)}: "
                "an exponential below keeps them positive"
            )
        r = mean - require_target(self, target, mean)
        v = np.where(variance.real > self.eps, variance, self.eps).astype(variance.dtype, copy=False)
        terms = 0.5 * (np.log(v) + r * r / v)
        if self.full:
            terms += HALF_LOG_2_PI
        scale = self.scale(terms, weights)
        return self.reduce(terms, scale), (r, v, scale)

    def backward(self, delta: Delta, cache: Any) -> tuple[Array, Array]:
        r, v, scale = cache
        require_delta(self, delta, self.value_shape(r.shape))
        of_terms = delta * scale
        dv = of_terms * (0.5 / v) * (1 - r * r / v)
        return of_terms * r / v, dv if v.shape == r.shape else np.add.reduce(dv, axis=-1, keepdims=True)

    def _require_shapes(self, mean: Shape, variance: Shape) -> None:
        require_batch(self, mean, _PARTS[0])
        if variance not in (mean, (*mean[:-1], 1)):
            raise ShapeError(
                f"{self!r} expects a variance of the shape of the mean, {mean}, or of 1 in its last axis, "
                f"got {variance}: one number for each feature is what HomoscedasticGaussianNLLLoss trains"
            )

    def __repr__(self) -> str:
        return f"GaussianNLLLoss({self.reduction}{', full' if self.full else ''})"


class HomoscedasticGaussianNLLLoss(Loss):
    """Negative log-likelihood of a normal distribution around z, with a trained variance e^s for each feature.

        z (N, ..., features), target of the shape of z,   s = `log_variance` (features,), 0 at first
        terms  (s + r^2 e^-s) / 2 with r = z - t;   with `full`, + log(2 pi) / 2
        dz  =  r e^-s,    ds = sum_n (1 - r^2 e^-s) / 2,   both times delta w / sum w for the mean

    Trained by its logarithm, a variance is never negative.  At the least it is the mean of r^2, the maximum likelihood
    estimate.  A class apart from GaussianNLLLoss, as its input is one array, and its variance a parameter.
    """

    parameter_names = ("log_variance",)

    def __init__(self, features: int, reduction: str = "mean", full: bool = False, *, dtype: Any = np.float64) -> None:
        super().__init__(reduction)
        self.features = require_count(HomoscedasticGaussianNLLLoss, "features", features)
        self.full = full
        self.log_variance = np.zeros(self.features, require_float_dtype(HomoscedasticGaussianNLLLoss, dtype))

    def written(self) -> Written:
        constant = r" + \log(2 \pi)" * self.full
        return Written(rf"\frac{{1}}{{2}} (s + (\z - t)^2 \odot \exp(-s){constant})", r"(\z - t) \odot \exp(-s)")

    def _put_together(self, written: Written, weights: str | None) -> Formulas:
        """With the derivative by s."""
        of_terms = Written("", r"\left( \frac{1}{2} (1 - (\z_n - t_n)^2 \odot \exp(-s)) \right)")
        of_s = reduced(of_terms, self.reduction, weights).backward
        of_s = of_s.replace(r"\odot \d", r"\odot \d_n").replace(r"u \odot", r"u_n \odot")
        gradients, symbols = {"log_variance": rf"\sum_n {of_s}"}, {"log_variance": "s"}
        return reduced(written, self.reduction, weights)._replace(gradients=gradients, symbols=symbols)

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        self._require_shape(shape)
        return self.value_shape(shape)

    def forward(self, z: Array, target: Any, weights: Any = None) -> tuple[Any, Any]:
        require_floating(self, z)
        self._require_shape(z.shape)
        r = z - require_target(self, target, z)
        square = r * r * np.exp(-self.log_variance)
        terms = 0.5 * (self.log_variance + square)
        if self.full:
            terms += HALF_LOG_2_PI
        scale = self.scale(terms, weights)
        return self.reduce(terms, scale), (r, square, scale)

    def backward(self, delta: Delta, cache: Any) -> Array:
        r, _, scale = cache
        require_delta(self, delta, self.value_shape(r.shape))
        return delta * scale * (r * np.exp(-self.log_variance))

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        _, square, scale = cache
        require_delta(self, delta, self.value_shape(square.shape))
        of_terms = delta * scale * (0.5 - 0.5 * square)
        return {"log_variance": np.add.reduce(of_terms.reshape(-1, self.features), axis=0)}

    def _require_shape(self, shape: Shape) -> None:
        if len(shape) < 2 or shape[-1] != self.features:
            fix = "the first axis is the batch, the last the features"
            if len(shape) > 1 and shape[-1]:
                fix = f"HomoscedasticGaussianNLLLoss({shape[-1]}) takes {shape[-1]} features"
            raise ShapeError(f"{self!r} expects z of shape (batch, {self.features}), got {shape}: {fix}")

    def __repr__(self) -> str:
        return f"HomoscedasticGaussianNLLLoss({self.features}, {self.reduction}{', full' if self.full else ''})"
