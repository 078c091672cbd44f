"""Planted bugs of protocol: what a layer does to its arguments, its cache, its types and its shapes."""

from __future__ import annotations

import time
from functools import reduce

import numpy as np
from right.for_protocol import (
    BatchNorm,
    CentreBatch,
    Conv1d,
    CumSum,
    Dense,
    Dropout,
    Flatten,
    Gain,
    HuberLoss,
    LayerNorm,
    MaxPool,
    MeanPool,
    PlainSoftmax,
    PReLU,
    Residual,
    RowNorm,
    Scale,
    Softplus,
    SquaredLoss,
    Swish,
    with_target,
)
from right.inputs import rows

from bugs.base import Bug
from minigrad import Elementwise, Layer, Linear, LogSoftmax, Sigmoid, Softmax, Tanh
from minigrad.containers import Container

# delta: ignored, squared, thresholded.


class TanhWithoutDelta(Tanh):
    """Rule 2 returns the local derivative and leaves delta out."""

    def backward(self, delta, y):
        return 1 - y * y


class ScaleWithoutDelta(Scale):
    """Rule 3 sums z and leaves delta out."""

    def parameter_gradients(self, delta, z):
        return {"a": z.sum(axis=0)}


class HuberWithoutDelta(HuberLoss):
    """Rule 2 takes the loss for the end of everything and leaves delta out."""

    def backward(self, delta, cache):
        r, sign = cache
        return np.where(np.abs(r.real) < 1, r, sign)


class BiasSquared(Dense):
    """Rule 3 squares delta in the gradient of the bias."""

    def parameter_gradients(self, delta, z):
        return {"w": z.T @ delta, "b": (delta * delta).sum(axis=0)}


class SoftplusTwice(Softplus):
    """Rule 2 multiplies by delta, and df did it already."""

    def backward(self, delta, z):
        return delta * (delta * self.df(z))


class SquaredLossTwice(SquaredLoss):
    """Rule 2 multiplies by delta twice; right where the loss stands on top and delta is 1."""

    def backward(self, delta, residual):
        return delta * (delta * residual)


class GuidedReLU(Elementwise):
    """Rule 2 lets positive delta through only."""

    def f(self, z):
        return z * (z.real > 0)

    def df(self, y):
        return y.real > 0

    def backward(self, delta, y):
        return delta * self.df(y) * (np.real(delta) > 0)


class ClippedDense(Dense):
    """Rule 3 clips the gradient of w to a norm of 1."""

    complex_safe = False

    def parameter_gradients(self, delta, z):
        w = z.T @ delta
        return {"w": w / max(1.0, float(np.linalg.norm(w))), "b": delta.sum(axis=0)}


class ThresholdedMeanPool(MeanPool):
    """Rule 2 drops small entries of delta."""

    def backward(self, delta, shape):
        return super().backward(delta * (np.abs(delta.real) > 0.5), shape)


class SignedLoss(SquaredLoss):
    """Rule 2 takes the sign of delta."""

    def backward(self, delta, residual):
        return (1 if np.real(delta) > 0 else -1) * residual


class MaxForSum(PReLU):
    """Rule 3 takes the largest part over the batch in place of the sum."""

    def parameter_gradients(self, delta, z):
        parts = delta * z * (z.real <= 0)
        if not len(parts):
            return {"a": np.zeros_like(self.a)}
        index = parts.real.argmax(axis=0)[None]
        return {"a": np.take_along_axis(parts, index, axis=0)[0]}


# Right in a special case only.


class SoftmaxCentred(PlainSoftmax):
    """Rule 2 subtracts the plain mean of delta, not the mean under p."""

    def backward(self, delta, p):
        return p * (delta - delta.mean(axis=1, keepdims=True))


class OuterOfSums(Dense):
    """Rule 3 averages delta over the batch before the product with z."""

    def parameter_gradients(self, delta, z):
        n = max(len(z), 1)
        return {"w": np.outer(z.sum(axis=0), delta.sum(axis=0) / n), "b": delta.sum(axis=0)}


class MeanPoolFlat(MeanPool):
    """Rule 2 spreads the mean of delta over all features."""

    def backward(self, delta, shape):
        return np.broadcast_to(delta.mean(axis=1)[:, None, None] / shape[1], shape)


class SumTimesSum(Dense):
    """Rule 3 multiplies the sums over the batch, so that rows mix."""

    def parameter_gradients(self, delta, z):
        return {"w": np.outer(z.sum(axis=0), delta.sum(axis=0)), "b": delta.sum(axis=0)}


class FirstRowSlope(PReLU):
    """Rule 3 takes the first row only."""

    def parameter_gradients(self, delta, z):
        return {"a": (delta * z * (z.real <= 0))[:1].sum(axis=0)}


class RowNormOfBatch(RowNorm):
    """Rule 2 projects on the batch as a whole, not row by row."""

    def backward(self, delta, cache):
        unit, norm = cache
        return (delta - unit * (unit * delta).sum()) / norm


class ForgottenGamma(BatchNorm):
    """Rule 2 leaves out gamma, which is 1 in the beginning."""

    def backward(self, delta, cache):
        return super().backward(delta / self.gamma, cache)


class GammaFromOutput(LayerNorm):
    """Rule 3 of gamma takes the output for the normalised input: the same while gamma is 1 and beta is 0."""

    def forward(self, z):
        y, (unit, std) = super().forward(z)
        return y, (unit, std, y)

    def backward(self, delta, cache):
        return super().backward(delta, cache[:2])

    def parameter_gradients(self, delta, cache):
        return {"gamma": (delta * cache[2]).sum(axis=0), "beta": delta.sum(axis=0)}


class FixedSlope(PReLU):
    """Rule 2 takes the slope 0.25, with which a begins."""

    def backward(self, delta, z):
        return np.where(z.real > 0, delta, 0.25 * delta)


class LazyDense(Dense):
    """Rule 2 takes a copy of w that was made in __init__."""

    def __init__(self):
        super().__init__()
        self.transposed = self.w.T.copy()

    def backward(self, delta, z):
        return delta @ self.transposed.astype(delta.dtype)


# Rows of the batch.


class SoftmaxOverAll(PlainSoftmax):
    """Rule 2 sums over the batch as well."""

    def backward(self, delta, p):
        return p * (delta - (p * delta).sum())


class CentredAcrossRows(LayerNorm):
    """Rule 2 takes one of its means over the batch too."""

    def backward(self, delta, cache):
        unit, std = cache
        g = delta * self.gamma
        return (g - g.sum() / max(g.size, 1) - unit * (g * unit).mean(axis=1, keepdims=True)) / std


class UndeclaredCentre(CentreBatch):
    """Right rules, but it says that rows are independent."""

    rows_independent = True


class CentreForgotten(CentreBatch):
    """Rule 2 passes delta on as if the mean of the batch were a constant."""

    def backward(self, delta, cache):
        return delta.copy()


# State kept between calls.


class TanhOnSelf(Layer):
    """Rule 2 reads the output of the last forward from the layer."""

    def forward(self, z):
        self.y = np.tanh(z)
        return self.y, None

    def backward(self, delta, cache):
        return delta * (1 - self.y * self.y)


class Accumulating(Dense):
    """Rule 3 adds to the gradients of the calls before."""

    def __init__(self):
        super().__init__()
        self.total = {"w": 0.0, "b": 0.0}

    def parameter_gradients(self, delta, z):
        self.total = {name: self.total[name] + g for name, g in super().parameter_gradients(delta, z).items()}
        return dict(self.total)


class StdOnSelf(BatchNorm):
    """Rule 2 reads the standard deviation of the last forward."""

    def forward(self, z):
        y, (unit, self.std) = super().forward(z)
        return y, unit

    def backward(self, delta, unit):
        return super().backward(delta, (unit, self.std))

    def parameter_gradients(self, delta, unit):
        return super().parameter_gradients(delta, (unit, None))


class MaskOnSelf(Dropout):
    """Rule 2 reads the mask of the last forward."""

    def forward(self, z):
        y, self.mask = super().forward(z)
        return y, z.shape

    def backward(self, delta, shape):
        return super().backward(delta, self.mask)


class TargetOnSelf(SquaredLoss):
    """Rule 2 compares z of the cache with the target of the last forward."""

    def forward(self, z, target):
        value, residual = super().forward(z, target)
        self.target = z - residual
        return value, z

    def backward(self, delta, z):
        return delta * (z - self.target)


class CacheOnSelf(Residual):
    """The container keeps the cache of the inner layer for itself."""

    def forward(self, z):
        z_next, self.cache = self.inner.forward(z)
        return z + z_next, None

    def backward(self, delta, cache):
        return super().backward(delta, self.cache)

    def parameter_gradients(self, delta, cache):
        return super().parameter_gradients(delta, self.cache)


class BufferedColumns(Conv1d):
    """The cache is a buffer of the layer, which the next forward fills anew."""

    def __init__(self):
        super().__init__()
        self.buffer = None

    def forward(self, z):
        if self.buffer is None or self.buffer.shape != z.shape or self.buffer.dtype != z.dtype:
            self.buffer = np.empty_like(z)
        self.buffer[...] = z
        return super().forward(z)[0], self.buffer


class WarmUp(Elementwise):
    """The slope grows with the number of calls of forward, and rule 2 takes that of now."""

    keeps = "input"
    calls = 0

    def f(self, z):
        self.calls += 1
        return np.tanh(self.calls / 10 * z)

    def df(self, z):
        slope = self.calls / 10
        return slope * (1 - np.tanh(slope * z) ** 2)


# Arguments written to.


class InPlaceReLU(Layer):
    """Rule 1 writes zeros into z."""

    def forward(self, z):
        z[z.real < 0] = 0
        return z.copy(), z.real > 0

    def backward(self, delta, positive):
        return delta * positive


class InPlaceScale(Scale):
    """Rule 2 multiplies delta in place."""

    def __init__(self):
        self.a = np.array([2.0, -0.5, 1.5])

    def backward(self, delta, z):
        delta *= self.a
        return delta


class InPlaceSoftmax(PlainSoftmax):
    """Rule 2 writes its result into the p of the cache."""

    def backward(self, delta, p):
        inner = (p * delta).sum(axis=1, keepdims=True)
        p *= delta - inner
        return p


class SmoothedTarget(SquaredLoss):
    """Rule 1 shrinks the target in place."""

    def forward(self, z, target):
        target *= 0.9
        return super().forward(z, target)


class RenormalisedDense(Dense):
    """Rule 1 writes into w, whose columns it keeps below a length of 0.3."""

    complex_safe = False

    def forward(self, z):
        self.w *= np.minimum(1, 0.3 / np.sqrt((self.w * self.w).sum(axis=0)))
        return super().forward(z)


class PoppedCache(Layer):
    """Rule 2 pops z from the cache, and a second call finds none."""

    def forward(self, z):
        return np.sin(z), {"z": z}

    def backward(self, delta, cache):
        return delta * np.cos(cache.pop("z"))


class LossScaled(Conv1d):
    """Rule 3 scales delta in place against underflow, and leaves it so."""

    def parameter_gradients(self, delta, z):
        delta *= 1024
        return {"kernel": super().parameter_gradients(delta, z)["kernel"] / 1024}


class PutBack(Gain):
    """Rule 3 divides z of the cache by 49 in place and multiplies it again, which restores it up to rounding."""

    def parameter_gradients(self, delta, z):
        z /= 49
        g = 49 * (delta * z).sum()
        z *= 49
        return {"g": g}


# Returned arrays that change later.


class OutputBuffer(Dense):
    """Rule 1 returns a buffer that the next forward fills anew."""

    def __init__(self):
        super().__init__()
        self.buffer = np.empty(0)

    def forward(self, z):
        y, cache = super().forward(z)
        if self.buffer.shape != y.shape or self.buffer.dtype != y.dtype:
            self.buffer = np.empty_like(y)
        self.buffer[...] = y
        return self.buffer, cache


class DeltaBuffer(MaxPool):
    """Rule 2 returns a buffer that the next call fills anew."""

    def __init__(self):
        self.buffer = np.empty(0)

    def backward(self, delta, cache):
        index, shape = cache
        if self.buffer.shape != shape or self.buffer.dtype != delta.dtype:
            self.buffer = np.empty(shape, delta.dtype)
        self.buffer[...] = 0
        np.put_along_axis(self.buffer, index, delta[:, None], axis=1)
        return self.buffer


class GradientBuffer(LayerNorm):
    """Rule 3 returns the arrays of the call before, filled anew."""

    def __init__(self):
        super().__init__()
        self.gradients = {}

    def parameter_gradients(self, delta, cache):
        for name, g in super().parameter_gradients(delta, cache).items():
            held = self.gradients.setdefault(name, g)
            if held.dtype != g.dtype:
                held = self.gradients[name] = g
            held[...] = g
        return dict(self.gradients)


class Intercept(Layer):
    """Rule 1 returns a view of b, which an optimiser then writes to: z_next = b for every row."""

    parameter_names = ("b",)

    def __init__(self):
        self.b = np.array([0.5, -1.0, 2.0])

    def forward(self, z):
        return np.broadcast_to(self.b, (len(z), 3)), z.shape

    def backward(self, delta, shape):
        return np.zeros(shape, delta.dtype)

    def parameter_gradients(self, delta, shape):
        return {"b": delta.sum(axis=0)}


class ReusedOutput(Elementwise):
    """Rule 2 writes its result into the output that forward returned, to save memory."""

    def f(self, z):
        return np.tanh(z)

    def backward(self, delta, y):
        y *= -y
        y += 1
        y *= delta
        return y


# Two answers for one question.


class Dithered(Sigmoid):
    """Rule 1 adds noise of a new generator each time."""

    def f(self, z):
        return super().f(z) + 1e-3 * np.random.default_rng().normal(size=z.shape).astype(z.real.dtype)


class HalfOfTheRows(Dense):
    """Rule 3 of w takes a random half of the rows, twice."""

    def parameter_gradients(self, delta, z):
        half = np.random.default_rng().permutation(len(z))[: len(z) // 2]
        return {"w": 2 * z[half].T @ delta[half], "b": delta.sum(axis=0)}


class FreshMask(Dropout):
    """Rule 2 draws a mask of its own."""

    def backward(self, delta, mask):
        return delta * (self.rng.random(mask.shape) < self.keep) / self.keep


class GlobalDropout(Layer):
    """Rule 1 draws its mask from NumPy's global generator."""

    def forward(self, z):
        mask = np.random.rand(*z.shape) < 0.6  # noqa: NPY002 - the mistake
        return z * mask / 0.6, mask

    def backward(self, delta, mask):
        return delta * mask / 0.6


# Types.


class ScaledDense(Dense):
    """Rule 1 divides by np.sqrt(3), a float64, so that float32 becomes float64."""

    def forward(self, z):
        return z @ self.w / np.sqrt(3) + self.b, z

    def backward(self, delta, z):
        return delta @ self.w.T / 3**0.5

    def parameter_gradients(self, delta, z):
        return {"w": z.T @ delta / 3**0.5, "b": delta.sum(axis=0)}


class DoubleMaxPool(MaxPool):
    """Rule 2 fills np.zeros(shape), which is float64 whatever z is."""

    complex_safe = False

    def backward(self, delta, cache):
        index, shape = cache
        dz = np.zeros(shape)
        np.put_along_axis(dz, index, delta[:, None], axis=1)
        return dz


class DoubleGain(Gain):
    """Rule 3 sums in float64 and leaves the result there."""

    def parameter_gradients(self, delta, z):
        return {"g": (np.float64(1) * delta * z).sum()}


class SingleDropout(Dropout):
    """Rule 1 casts its output to float32, for the next layer."""

    complex_safe = False

    def forward(self, z):
        y, mask = super().forward(z)
        return y.astype(np.float32), mask


class SingleLinear(Linear):
    """Rule 1 multiplies in float32, for speed."""

    complex_safe = False

    def forward(self, z):
        product = z.astype(np.float32) @ self.weight.T.astype(np.float32)
        return product.astype(z.dtype) + self.bias, z


class SingleSoftmax(Softmax):
    """Rule 2 works on p in float32."""

    complex_safe = False

    def backward(self, delta, p):
        return super().backward(delta.astype(np.float32), p.astype(np.float32)).astype(p.dtype)


class SingleConv(Conv1d):
    """Rule 3 keeps z in the cache in float32."""

    complex_safe = False

    def parameter_gradients(self, delta, z):
        kernel = super().parameter_gradients(delta, z.astype(np.float32))["kernel"]
        return {"kernel": kernel.astype(z.dtype)}


# Complex steps.


class AbsNorm(Layer):
    """z / |z| row by row: np.linalg.norm takes absolute values, and it says complex_safe."""

    def forward(self, z):
        norm = np.linalg.norm(z, axis=1, keepdims=True)
        return z / norm, (z / norm, norm)

    def backward(self, delta, cache):
        unit, norm = cache
        return (delta - unit * (unit * delta).sum(axis=1, keepdims=True)) / norm


class AbsLeaky(Elementwise):
    """Leaky ReLU by way of |z|, which drops imaginary parts."""

    keeps = "input"

    def f(self, z):
        return 0.55 * z + 0.45 * np.abs(z)

    def df(self, z):
        return 0.55 + 0.45 * np.sign(z.real)


class ConjugatedDense(Dense):
    """Rule 3 takes the conjugate transposed of z."""

    def parameter_gradients(self, delta, z):
        return {"w": z.conj().T @ delta, "b": delta.sum(axis=0)}


class RealDelta(Swish):
    """Rule 2 takes the real part of its factor."""

    def backward(self, delta, z):
        return delta * self.df(z).real


class AbsLoss(SquaredLoss):
    """Rule 1 squares absolute values."""

    def forward(self, z, target):
        _, residual = super().forward(z, target)
        return 0.5 * (np.abs(residual) ** 2).sum(), residual


# Shapes.


class BiasRow(Dense):
    """Rule 3 keeps the axis of the batch in the gradient of the bias."""

    def parameter_gradients(self, delta, z):
        return {"w": z.T @ delta, "b": delta.sum(axis=0, keepdims=True)}


class MeanPoolNarrow(MeanPool):
    """Rule 2 leaves axis 1 at length 1."""

    def backward(self, delta, shape):
        return delta[:, None] / shape[1]


class LossOfOne(SquaredLoss):
    """Rule 1 returns an array of one entry."""

    def forward(self, z, target):
        value, residual = super().forward(z, target)
        return np.reshape(value, (1,)), residual


class FlattenForward(Flatten):
    """Rule 2 leaves delta flat."""

    def backward(self, delta, shape):
        return delta.copy()


class GainOfOne(Gain):
    """Rule 3 gives an array of shape (1,) for a parameter of no axes."""

    def parameter_gradients(self, delta, z):
        return {"g": np.array([(delta * z).sum()])}


class SqueezedSum(CumSum):
    """Rule 2 squeezes axes of length 1 away, that of a batch of one too."""

    def backward(self, delta, cache):
        return super().backward(delta, cache).squeeze()


# Names and parameters.


class PaperNames(Dense):
    """Rule 3 names the gradients as the paper does, not as parameter_names."""

    def parameter_gradients(self, delta, z):
        return {"dW": z.T @ delta, "db": delta.sum(axis=0)}


class NoBeta(LayerNorm):
    """Rule 3 gives no gradient for beta."""

    def parameter_gradients(self, delta, cache):
        return {"gamma": (delta * cache[0]).sum(axis=0)}


class BareNames(Residual):
    """Rule 3 hands on the names of the inner layer, without the place."""

    def parameter_gradients(self, delta, cache):
        return self.inner.parameter_gradients(delta, cache)


class WithInput(Scale):
    """Rule 3 returns the gradient of z as well."""

    def parameter_gradients(self, delta, z):
        return {"a": (delta * z).sum(axis=0), "z": delta * self.a}


class UntrainedBeta(LayerNorm):
    """beta is used, never listed and so never trained."""

    parameter_names = ("gamma",)

    def parameter_gradients(self, delta, cache):
        return {"gamma": (delta * cache[0]).sum(axis=0)}


class HiddenBias(Dense):
    """Rule 3 gives b, which parameter_names does not list."""

    parameter_names = ("w",)


class UnlistedSlope(PReLU):
    """Rule 3 gives a, and parameter_names is empty."""

    parameter_names = ()


class HalfListed(Container):
    """left(z) * right(z), with one of the two in `children`."""

    def __init__(self):
        self.left, self.right = Dense(seed=1), Dense(seed=2)

    def children(self):
        return [("left", self.left)]

    def forward(self, z):
        (x, x_cache), (y, y_cache) = self.left.forward(z), self.right.forward(z)
        return x * y, (x, y, x_cache, y_cache)

    def backward(self, delta, cache):
        x, y, x_cache, y_cache = cache
        return self.left.backward(delta * y, x_cache) + self.right.backward(delta * x, y_cache)

    def parameter_gradients(self, delta, cache):
        _, y, x_cache, _ = cache
        return self.gather([self.left.parameter_gradients(delta * y, x_cache)])


# Extreme but legal values.


class NaiveSoftplus(Softplus):
    """Rule 1 overflows at z = 1000."""

    def f(self, z):
        return np.log(1 + np.exp(z))


class NaiveSoftmax(PlainSoftmax):
    """Rule 1 exponentiates z as it is."""

    def forward(self, z):
        e = np.exp(z)
        p = e / e.sum(axis=1, keepdims=True)
        return p, p


class LogOfSoftmax(LogSoftmax):
    """Rule 1 takes the logarithm of a p that may have rounded to 0."""

    def forward(self, z):
        log_p = np.log(Softmax()(z))
        return log_p, log_p


class SigmoidByHand(Sigmoid):
    """Rule 2 exponentiates -z: infinity over infinity at z = -1000."""

    keeps = "input"

    def df(self, z):
        return np.exp(-z) / (1 + np.exp(-z)) ** 2


class OnePassNorm(LayerNorm):
    """Rule 1 takes the variance as E z^2 - (E z)^2, which has no digits left far from 0."""

    def forward(self, z):
        mean = z.mean(axis=1, keepdims=True)
        std = np.sqrt((z * z).mean(axis=1, keepdims=True) - mean * mean + self.eps)
        unit = (z - mean) / std
        return self.gamma * unit + self.beta, (unit, std)


class LogCosh(Layer):
    """Rule 1 overflows in cosh: the loss is infinite for a residual of 1000."""

    rows_independent = False

    def forward(self, z, target):
        residual = z - target.astype(z.real.dtype)
        return np.log(np.cosh(residual)).sum(), residual

    def backward(self, delta, residual):
        return delta * np.tanh(residual)


# Arrangement in memory.


class RavelledDense(Dense):
    """Rule 3 reads z in the order of memory."""

    def parameter_gradients(self, delta, z):
        x = np.ravel(z, order="K").reshape(z.shape)
        return {"w": x.T @ delta, "b": delta.sum(axis=0)}


class FlatOutput(Elementwise):
    """Rule 1 writes through ravel(), which is a copy where the output is not in C order."""

    def f(self, z):
        y = np.zeros_like(z)
        np.tanh(z.ravel(), out=y.ravel())
        return y

    def df(self, y):
        return 1 - y * y


class FlatConv(Conv1d):
    """Rule 1 reads z through a flat copy in the order of memory."""

    def forward(self, z):
        return super().forward(z.flatten(order="A").reshape(z.shape))[0], z


class ReversedSum(CumSum):
    """Rule 2 reverses delta in the order of memory."""

    def backward(self, delta, cache):
        n, d = delta.shape
        return np.ravel(delta, order="K")[::-1].reshape(n, d).cumsum(axis=1)[::-1, ::-1]


class FlatLoss(SquaredLoss):
    """Rule 1 flattens z and target each in its own order."""

    def forward(self, z, target):
        r = z.ravel(order="K") - target.ravel(order="K").astype(z.dtype)
        return 0.5 * (r * r).sum(), super().forward(z, target)[1]


class AssignedShape(MeanPool):
    """Rule 2 sets the shape of a view of delta, which fails for some strides."""

    def backward(self, delta, shape):
        flat = delta.view()
        flat.shape = (delta.size,)
        return np.broadcast_to(flat.reshape(shape[0], 1, shape[2]) / shape[1], shape)


# Empty batches.


class StackedSoftmax(PlainSoftmax):
    """Rule 1 stacks its rows, of which an empty batch has none."""

    def forward(self, z):
        p = np.stack([np.exp(row - row.real.max()) / np.exp(row - row.real.max()).sum() for row in z])
        return p, p


class ReducedDense(Dense):
    """Rule 3 adds outer products without a zero to begin with."""

    def parameter_gradients(self, delta, z):
        return {"w": reduce(np.add, [np.outer(x, d) for x, d in zip(z, delta, strict=True)]), "b": delta.sum(axis=0)}


class MeanTimesCount(Scale):
    """Rule 3 takes N times the mean, which is NaN for N = 0."""

    def parameter_gradients(self, delta, z):
        return {"a": len(z) * (delta * z).mean(axis=0)}


class FlattenUnknown(Flatten):
    """Rule 1 leaves the length of axis 1 to reshape, which cannot know it for an empty batch."""

    def forward(self, z):
        return z.reshape(len(z), -1), z.shape


# Exceptions.


class LookedUp(Layer):
    """Rule 1 finds no entry in its table for z below 0."""

    complex_safe = False
    table = np.linspace(0.0, 5.0, 51) ** 2

    def forward(self, z):
        place = (10 * z).astype(int)
        if (place < 0).any():
            raise IndexError("index out of range")
        left = np.minimum(place, 49)
        slope = (10 * (self.table[left + 1] - self.table[left])).astype(z.dtype)
        return self.table[left].astype(z.dtype) + slope * (z - left.astype(z.dtype) / 10), slope

    def backward(self, delta, slope):
        return delta * slope


class FiveRows(Dense):
    """Rule 3 was written for a batch of 5."""

    def parameter_gradients(self, delta, z):
        w = (z.reshape(5, -1, 1) * delta.reshape(5, 1, -1)).sum(axis=0)
        return {"w": w, "b": delta.sum(axis=0)}


class MisspelledKey(Layer):
    """Rule 2 asks the cache for a key that forward spelled otherwise."""

    def forward(self, z):
        y = 1 / (1 + z * z)
        return y, {"input": z, "output": y}

    def backward(self, delta, cache):
        return -2 * delta * cache["z"] * cache["output"] ** 2


class DeltaWithDtype(HuberLoss):
    """Rule 2 asks delta for its dtype, but delta may be the number 1.0."""

    def backward(self, delta, cache):
        return super().backward(delta, cache).astype(delta.dtype)


# Wrong types.


class BareTanh(Layer):
    """Rule 1 returns z_next without a cache."""

    def forward(self, z):
        return np.tanh(z)

    def backward(self, delta, cache):
        return delta * (1 - cache * cache)


class NoReturn(Scale):
    """Rule 2 lacks its return."""

    def backward(self, delta, z):
        delta * self.a


class NoneForward(Softplus):
    """Rule 1 lacks its return."""

    def forward(self, z):
        self.f(z)


class StringForward(Layer):
    """Rule 1 returns a string in place of an array."""

    def forward(self, z):
        return str(2 * z), z.shape

    def backward(self, delta, shape):
        return 2 * delta


class GradientList(Dense):
    """Rule 3 returns a list in place of a dictionary."""

    def parameter_gradients(self, delta, z):
        return [z.T @ delta, delta.sum(axis=0)]


class BareGradient(PReLU):
    """Rule 3 returns the array itself."""

    def parameter_gradients(self, delta, z):
        return super().parameter_gradients(delta, z)["a"]


class NoneForBeta(LayerNorm):
    """Rule 3 gives None for beta."""

    def parameter_gradients(self, delta, cache):
        return {"gamma": (delta * cache[0]).sum(axis=0), "beta": None}


class TrailingComma(CumSum):
    """Rule 2 returns a tuple by an accidental comma."""

    def backward(self, delta, cache):
        return (delta[:, ::-1].cumsum(axis=1)[:, ::-1],)


class NestedLists(MeanPool):
    """Rule 2 returns nested lists in place of an array."""

    def backward(self, delta, shape):
        return super().backward(delta, shape).tolist()


class ListForGain(Scale):
    """Rule 3 gives a list of numbers for a."""

    def parameter_gradients(self, delta, z):
        return {"a": [(delta[:, j] * z[:, j]).sum() for j in range(z.shape[1])]}


class ScalarDelta(SquaredLoss):
    """Rule 2 returns one number, the sum."""

    def backward(self, delta, residual):
        return delta * residual.sum()


class IntegerSlope(PReLU):
    """Rule 3 gives integers."""

    complex_safe = False

    def parameter_gradients(self, delta, z):
        return {"a": (delta * z * (z <= 0)).sum(axis=0).astype(int)}


class BooleanReLU(Layer):
    """Rule 2 returns the mask itself."""

    def forward(self, z):
        return z * (z.real > 0), z.real > 0

    def backward(self, delta, positive):
        return positive & (delta != 0)


class ListPair(Layer):
    """Rule 1 returns a list of two in place of a pair."""

    def forward(self, z):
        return [np.sin(z), z]

    def backward(self, delta, z):
        return delta * np.cos(z)


# Rules that are not written.


class UnfinishedDense(Layer):
    """Rule 3 is not written."""

    parameter_names = ("w",)

    def __init__(self):
        self.w = np.random.default_rng(2).normal(size=(3, 2))

    def forward(self, z):
        return z @ self.w, z

    def backward(self, delta, z):
        return delta @ self.w.T


class Misnamed(Layer):
    """Rule 2 is written as `backwards`."""

    def forward(self, z):
        return z * z, z

    def backwards(self, delta, z):
        return 2 * delta * z


class CalledOnly(Layer):
    """Rule 1 is written as __call__."""

    def __call__(self, z):
        return np.exp(z)

    def backward(self, delta, y):
        return delta * y


class UntrainedResidual(Container):
    """Rule 3 of a container is not written."""

    def __init__(self):
        self.inner = Dense(3, 3)

    def children(self):
        return [("inner", self.inner)]

    def forward(self, z):
        z_next, cache = self.inner.forward(z)
        return z + z_next, cache

    def backward(self, delta, cache):
        return delta + self.inner.backward(delta, cache)


# Rules 2 and 3 in one sweep of its own.


class SweptDense(Dense):
    """backpropagate forgets half of delta on the way to z."""

    def backpropagate(self, delta, z):
        return 0.5 * delta @ self.w.T, self.parameter_gradients(delta, z)


class SweptNorm(LayerNorm):
    """backpropagate takes the mean for the sum in the gradient of gamma."""

    def backpropagate(self, delta, cache):
        gradients = {"gamma": (delta * cache[0]).mean(axis=0), "beta": delta.sum(axis=0)}
        return self.backward(delta, cache), gradients


class SweptResidual(Residual):
    """backpropagate forgets the direct path."""

    def backpropagate(self, delta, cache):
        dz, gradients = self.inner.backpropagate(delta, cache)
        return dz, self.gather([gradients])


class SweptTanh(Tanh):
    """backpropagate returns its two results in reverse."""

    def backpropagate(self, delta, y):
        return self.parameter_gradients(delta, y), self.backward(delta, y)


# Nasty in other ways.


class SlowSign(Layer):
    """Each rule takes 0.05 s, and rule 2 has the wrong sign."""

    def forward(self, z):
        time.sleep(0.012)
        return np.cos(z), z

    def backward(self, delta, z):
        time.sleep(0.012)
        return delta * np.sin(z)


class NormAtZero(Layer):
    """Rule 2 of the norm of each row divides 0 by 0 in a row of zeros."""

    def forward(self, z):
        norm = np.sqrt((z * z).sum(axis=1, keepdims=True))
        return norm, (z, norm)

    def backward(self, delta, cache):
        z, norm = cache
        return delta * z / norm


class RootBelowZero(Elementwise):
    """Rule 2 of max(z, 0)^(3/2) is NaN for z below 0: the root of a negative number times 0."""

    keeps = "input"

    def f(self, z):
        return np.where(z.real > 0, z, 0) ** 1.5

    def df(self, z):
        return 1.5 * np.sqrt(z) * (z.real > 0)


class ForgottenAxis(MeanPool):
    """Declares the shape of its input for the output, though rule 1 takes an axis away."""

    def output_shape(self, shape):
        return shape


class FixedBatch(Tanh):
    """Declares its output for five rows alone."""

    def output_shape(self, shape):
        return (5, *shape[1:])


class CountedBatch(Tanh):
    """Declares a number for the batch, of whatever size."""

    def output_shape(self, shape):
        return (np.prod(shape[:1]).item(), *shape[1:])


class SecondBatch(Tanh):
    """Calculates with the size of the batch, which may not be known."""

    def output_shape(self, shape):
        return (2 * shape[0] - shape[0], *shape[1:])


class TakesAnyWidth(Dense):
    """Declares an output for inputs that rule 1 refuses."""

    def output_shape(self, shape):
        return (shape[0], len(self.b))


def zero_row(rng):
    """Draws (z,) with a row of zeros."""
    z = rng.normal(size=(4, 3))
    z[1] = 0
    return (z,)


def far(rng):
    """Draws (z,) with some entries of a thousand."""
    z = rng.normal(size=(4, 3))
    z[1, 0], z[2, 1] = 1000.0, -1000.0
    return (z,)


BUGS: list[Bug] = [
    Bug(TanhWithoutDelta, ("delta_ignored",), (2,)),
    Bug(ScaleWithoutDelta, ("delta_ignored",), (3,)),
    Bug(HuberWithoutDelta, ("delta_ignored",), (2,), with_target(5, 3)),
    Bug(BiasSquared, ("delta_twice", "nonlinear"), (3,)),
    Bug(SoftplusTwice, ("delta_twice", "nonlinear"), (2,)),
    Bug(SquaredLossTwice, ("delta_twice", "nonlinear"), (2,), with_target(5, 3)),
    Bug(GuidedReLU, ("nonlinear",), (2,)),
    Bug(ClippedDense, ("nonlinear",), (3,)),
    Bug(ThresholdedMeanPool, ("nonlinear",), (2,), rows(3, 4, 2)),
    Bug(SignedLoss, ("nonlinear", "delta_ignored"), (2,), with_target(5, 3)),
    Bug(MaxForSum, ("nonlinear",), (3,), rows(8, 3)),
    Bug(SoftmaxCentred, ("ones_only", "statistic"), (2,)),
    Bug(OuterOfSums, ("ones_only", "rows_coupled", "extra_sum"), (3,)),
    Bug(MeanPoolFlat, ("ones_only", "extra_sum", "leak"), (2,), rows(3, 4, 2)),
    Bug(SumTimesSum, ("batch_1_only", "rows_coupled", "extra_sum"), (3,)),
    Bug(FirstRowSlope, ("batch_1_only", "missing_sum"), (3,), rows(8, 3)),
    Bug(RowNormOfBatch, ("rows_coupled", "batch_1_only", "extra_sum", "axis"), (2,)),
    Bug(ForgottenGamma, ("initial_only", "chain_factor"), (2,)),
    Bug(GammaFromOutput, ("initial_only", "wrong_point"), (3,), rows(5, 4)),
    Bug(FixedSlope, ("initial_only", "branch"), (2,)),
    Bug(LazyDense, ("initial_only",), (2,)),
    Bug(SoftmaxOverAll, ("rows_coupled", "batch_1_only", "extra_sum", "axis"), (2,)),
    Bug(CentredAcrossRows, ("rows_coupled", "batch_1_only", "extra_sum", "axis"), (2,), rows(5, 4)),
    Bug(UndeclaredCentre, ("rows_coupled",), (1, 2)),
    Bug(CentreForgotten, ("statistic", "rows_coupled", "identity"), (2,)),
    Bug(TanhOnSelf, ("stale_cache",), (2,)),
    Bug(Accumulating, ("stale_cache",), (3,)),
    Bug(StdOnSelf, ("stale_cache",), (2,)),
    Bug(MaskOnSelf, ("stale_cache",), (2,), rows(5, 4)),
    Bug(TargetOnSelf, ("stale_cache",), (2,), with_target(5, 3)),
    Bug(lambda: CacheOnSelf(Tanh()), ("stale_cache",), (2,), name="CacheOnSelf"),
    Bug(BufferedColumns, ("stale_cache", "aliasing"), (1, 3), rows(3, 2, 6)),
    Bug(WarmUp, ("stale_cache", "nondeterministic"), (1, 2)),
    Bug(InPlaceReLU, ("mutation",), (1,)),
    Bug(InPlaceScale, ("mutation",), (2,)),
    Bug(InPlaceSoftmax, ("mutation",), (2,)),
    Bug(SmoothedTarget, ("mutation",), (1,), with_target(5, 3)),
    Bug(RenormalisedDense, ("mutation",), (1,)),
    Bug(PoppedCache, ("mutation",), (2,)),
    Bug(LossScaled, ("mutation",), (3,), rows(3, 2, 6)),
    Bug(PutBack, ("mutation",), (3,)),
    Bug(OutputBuffer, ("aliasing", "stale_cache"), (1,)),
    Bug(DeltaBuffer, ("aliasing", "stale_cache"), (2,), rows(3, 4, 2)),
    Bug(GradientBuffer, ("aliasing", "stale_cache"), (3,), rows(5, 4)),
    Bug(Intercept, ("aliasing",), (1,)),
    Bug(ReusedOutput, ("mutation", "aliasing"), (2,)),
    Bug(Dithered, ("nondeterministic",), (1,)),
    Bug(HalfOfTheRows, ("nondeterministic",), (3,), rows(6, 3)),
    Bug(FreshMask, ("nondeterministic", "branch"), (2,), rows(5, 4)),
    Bug(GlobalDropout, ("nondeterministic",), (1,), rows(5, 4)),
    Bug(ScaledDense, ("dtype",), (1,)),
    Bug(DoubleMaxPool, ("dtype",), (2,), rows(3, 4, 2)),
    Bug(DoubleGain, ("dtype",), (3,)),
    Bug(SingleDropout, ("float32", "dtype"), (1,), rows(5, 4)),
    Bug(lambda: SingleLinear(3, 2, rng=0), ("float32",), (1,), name="SingleLinear"),
    Bug(SingleSoftmax, ("float32", "small_error"), (2,)),
    Bug(SingleConv, ("float32", "small_error"), (3,), rows(3, 2, 6)),
    Bug(AbsNorm, ("complex_unsafe",), (1,)),
    Bug(AbsLeaky, ("complex_unsafe",), (1,)),
    Bug(ConjugatedDense, ("complex_unsafe",), (3,)),
    Bug(RealDelta, ("complex_unsafe",), (2,)),
    Bug(AbsLoss, ("complex_unsafe",), (1,), with_target(5, 3)),
    Bug(BiasRow, ("shape", "broadcast", "missing_sum"), (3,)),
    Bug(MeanPoolNarrow, ("shape", "broadcast"), (2,), rows(3, 4, 2)),
    Bug(LossOfOne, ("shape",), (1,), with_target(5, 3)),
    Bug(FlattenForward, ("shape",), (2,), rows(3, 2, 4)),
    Bug(GainOfOne, ("shape", "broadcast"), (3,)),
    Bug(SqueezedSum, ("shape", "broadcast"), (2,), rows(4, 5)),
    Bug(PaperNames, ("names",), (3,)),
    Bug(NoBeta, ("names",), (3,), rows(5, 4)),
    Bug(lambda: BareNames(Linear(3, 3, rng=0)), ("names",), (3,), name="BareNames"),
    Bug(WithInput, ("names", "unlisted_parameter"), (3,)),
    Bug(UntrainedBeta, ("unlisted_parameter", "dtype"), (3,), rows(5, 4)),
    Bug(HiddenBias, ("unlisted_parameter", "names", "dtype"), (3,)),
    Bug(UnlistedSlope, ("unlisted_parameter", "names", "dtype"), (3,)),
    Bug(HalfListed, ("unlisted_parameter", "dtype"), (3,)),
    Bug(NaiveSoftplus, ("unstable",), (1,)),
    Bug(NaiveSoftmax, ("unstable",), (1,), far),
    Bug(LogOfSoftmax, ("unstable",), (1,)),
    Bug(SigmoidByHand, ("unstable",), (2,)),
    Bug(OnePassNorm, ("unstable",), (1,), rows(5, 4)),
    Bug(LogCosh, ("unstable",), (1,), with_target(5, 3)),
    Bug(RavelledDense, ("layout",), (3,)),
    Bug(FlatOutput, ("layout",), (1,)),
    Bug(FlatConv, ("layout",), (1,), rows(3, 2, 6)),
    Bug(ReversedSum, ("layout",), (2,), rows(4, 5)),
    Bug(FlatLoss, ("layout",), (1,), with_target(5, 3)),
    Bug(AssignedShape, ("layout", "raises"), (2,), rows(3, 4, 2)),
    Bug(StackedSoftmax, ("empty",), (1,)),
    Bug(ReducedDense, ("empty",), (3,)),
    Bug(MeanTimesCount, ("empty",), (3,)),
    Bug(FlattenUnknown, ("empty",), (1,), rows(3, 2, 4)),
    Bug(LookedUp, ("raises",), (1,)),
    Bug(FiveRows, ("raises",), (3,)),
    Bug(MisspelledKey, ("raises",), (2,)),
    Bug(DeltaWithDtype, ("raises",), (2,), with_target(5, 3)),
    Bug(BareTanh, ("wrong_type",), (1,)),
    Bug(NoReturn, ("wrong_type",), (2,)),
    Bug(NoneForward, ("wrong_type",), (1,)),
    Bug(StringForward, ("wrong_type",), (1,)),
    Bug(GradientList, ("wrong_type",), (3,)),
    Bug(BareGradient, ("wrong_type",), (3,)),
    Bug(NoneForBeta, ("wrong_type",), (3,), rows(5, 4)),
    Bug(TrailingComma, ("wrong_type",), (2,), rows(4, 5)),
    Bug(NestedLists, ("wrong_type",), (2,), rows(3, 4, 2)),
    Bug(ListForGain, ("wrong_type",), (3,)),
    Bug(ScalarDelta, ("shape", "wrong_type", "extra_sum"), (2,), with_target(5, 3)),
    Bug(IntegerSlope, ("wrong_type", "dtype"), (3,), rows(8, 3)),
    Bug(BooleanReLU, ("wrong_type", "dtype", "delta_ignored"), (2,)),
    Bug(ListPair, ("wrong_type",), (1,)),
    Bug(UnfinishedDense, ("missing_rule",), (3,)),
    Bug(Misnamed, ("missing_rule",), (2,)),
    Bug(CalledOnly, ("missing_rule",), (1,)),
    Bug(UntrainedResidual, ("missing_rule", "names"), (3,)),
    Bug(SweptDense, ("sweep",), (2,)),
    Bug(SweptNorm, ("sweep",), (3,), rows(5, 4)),
    Bug(lambda: SweptResidual(Linear(3, 3, rng=0)), ("sweep",), (2,), name="SweptResidual"),
    Bug(SweptTanh, ("sweep", "wrong_type"), (2, 3)),
    Bug(SlowSign, ("sign",), (2,), rows(3, 2)),
    Bug(NormAtZero, ("zero", "unstable"), (2,), zero_row),
    Bug(ForgottenAxis, ("declared_shape",), (1,), rows(3, 4, 2)),
    Bug(FixedBatch, ("declared_shape",), (1,)),
    Bug(CountedBatch, ("declared_shape",), (1,)),
    Bug(SecondBatch, ("declared_shape",), (1,)),
    Bug(TakesAnyWidth, ("declared_shape",), (1,)),
    Bug(RootBelowZero, ("branch", "unstable"), (2,)),
]
