"""Mistakes in the values of rules 2 and 3, one for each layer."""

import math

import numpy as np
from right.for_derivatives import (
    Asinh,
    BatchNorm,
    BetaSwish,
    Bilinear,
    CausalAttention,
    Centre,
    Conv1d,
    CrossEntropy,
    Cubic,
    Cumsum,
    Decay,
    Dense,
    Elu,
    ExpScale,
    FixedDropout,
    GatedDense,
    Gaussian,
    Gelu,
    Glu,
    HardTanh,
    Hinge,
    Huber,
    Increments,
    KullbackLeibler,
    L2Normalise,
    LayerNorm,
    LeakyReLU,
    LogCosh,
    LogProbabilities,
    LogSumExp,
    MaskedLinear,
    Maxout,
    MaxPool,
    MeanSquares,
    Mlp,
    Offset,
    Perceptron,
    PoissonLoss,
    Powers,
    PReLU,
    Product,
    QuadraticForm,
    RadialBasis,
    Repeat,
    Residual,
    RMSNorm,
    RowMax,
    ScalarAffine,
    ScaledDense,
    ScaleShift,
    SideBySide,
    Sine,
    Snake,
    Softplus,
    Softshrink,
    Softsign,
    Sort,
    SquaredHinge,
    Swish,
    Times,
    WarmSoftmax,
    WeightNorm,
    pair,
    residual,
    with_counts,
    with_labels,
    with_probabilities,
    with_signs,
    with_values,
)
from right.for_derivatives import Attention as RightAttention
from right.inputs import rows

from bugs.base import Bug
from minigrad import Linear
from minigrad.kernels import sigmoid

# sign


class OffsetSign(Offset):
    """The gradient of mu lacks its minus."""

    def parameter_gradients(self, delta, cache):
        return {"mu": delta.sum(axis=0)}


class DecaySign(Decay):
    """The derivative of e^{-z} without the minus."""

    def df(self, y):
        return y


class PoissonSign(PoissonLoss):
    """Target minus rate."""

    def backward(self, delta, cache):
        rate, t = cache
        return delta * (t - rate) / t.size


class CentresSign(RadialBasis):
    """The gradient of the centres has the sign of that of z."""

    def parameter_gradients(self, delta, cache):
        distance, y = cache
        return {"c": -(delta * distance * y).sum(axis=0)}


# factor


class MeanSquaresHalf(MeanSquares):
    """The 2 of the square is forgotten."""

    def backward(self, delta, r):
        return delta * r / r.size


class QuadraticDouble(QuadraticForm):
    """The 1/2 is forgotten in the gradient of A."""

    def parameter_gradients(self, delta, z):
        return {"a": (delta * z).T @ z, "b": (delta * z).sum(axis=0)}


class WarmSoftmaxCold(WarmSoftmax):
    """Not divided by the temperature."""

    def backward(self, delta, p):
        return p * (delta - (p * delta).sum(axis=-1, keepdims=True))


class DropoutUnscaled(FixedDropout):
    """Not divided by 1 - p on the way down."""

    def backward(self, delta, cache):
        return delta * self.mask


class DenseUnscaled(ScaledDense):
    """sqrt(D) is forgotten in rule 2."""

    def backward(self, delta, z):
        return delta @ self.weight.T


class DenseScaledTwice(ScaledDense):
    """1 / sqrt(D) twice in rule 3."""

    def parameter_gradients(self, delta, z):
        return {"weight": self.scale**2 * z.T @ delta}


class SoftplusBeta(Softplus):
    """beta once too often."""

    def df(self, z):
        return self.beta * sigmoid(self.beta * z)


class MeanSquaresForward(MeanSquares):
    """The forward halves the mean; rule 2 is that of the plain mean."""

    def forward(self, z, target):
        value, r = super().forward(z, target)
        return value / 2, r


class LogCoshMean(LogCosh):
    """The sum of the terms, but a derivative divided by the number of features."""

    def backward(self, delta, r):
        return delta * np.tanh(r) / r.shape[1]


# mean_for_sum


class DenseMeanBias(Dense):
    """The gradient of the bias averages over the batch."""

    def parameter_gradients(self, delta, z):
        return {"weight": z.T @ delta, "bias": delta.sum(axis=0) / max(len(delta), 1)}


class ScaleMean(ScaleShift):
    """Both gradients are means over the batch."""

    def parameter_gradients(self, delta, z):
        n = max(len(z), 1)
        return {"gamma": (delta * z).sum(axis=0) / n, "beta": delta.sum(axis=0) / n}


class CrossEntropySum(CrossEntropy):
    """The mean in rule 1, the sum in rule 2."""

    def backward(self, delta, cache):
        log_p, labels = cache
        p = np.exp(log_p)
        p[np.arange(len(p)), labels] -= 1
        return delta * p


class DivergenceMean(KullbackLeibler):
    """The sum in rule 1, the mean over the batch in rule 2."""

    def backward(self, delta, cache):
        p, log_q = cache
        return delta * (np.exp(log_q) - p) / len(p)


class GatedDenseMean(GatedDense):
    """The gradients of both matrices are divided by N."""

    def parameter_gradients(self, delta, cache):
        z, a, s = cache
        n = max(len(z), 1)
        return {"w": z.T @ (delta * s) / n, "v": z.T @ (delta * a * s * (1 - s)) / n}


# transposed


class SquareDense(Dense):
    """As many outputs as inputs: delta W in place of delta W^T."""

    def backward(self, delta, z):
        return delta @ self.weight


class SquareDenseGradient(Dense):
    """The gradient of W comes out transposed."""

    def parameter_gradients(self, delta, z):
        return {"weight": delta.T @ z, "bias": delta.sum(axis=0)}


class BilinearTransposed(Bilinear):
    """The gradient of A is that of its transpose."""

    def parameter_gradients(self, delta, cache):
        x, y = cache
        return {"a": (delta * y).T @ x}


class QuadraticSymmetric(QuadraticForm):
    """Takes A for symmetric: z A in place of z (A + A^T) / 2."""

    def backward(self, delta, z):
        return delta * (z @ self.a + self.b)


# missing_sum


class ScaleUnsummed(ScaleShift):
    """The gradient of gamma is not summed over the batch."""

    def parameter_gradients(self, delta, z):
        return {"gamma": delta * z, "beta": delta.sum(axis=0)}


class DenseFirstRow(Dense):
    """The gradient of the bias is that of the first row."""

    def parameter_gradients(self, delta, z):
        return {"weight": z.T @ delta, "bias": delta[:1].sum(axis=0)}


class AttentionUnsummed(RightAttention):
    """The gradients of the matrices, one for each observation."""

    def parameter_gradients(self, delta, cache):
        z = cache[0].swapaxes(1, 2)
        dq, dk, dv = self.deltas(delta, cache)
        return {"wq": z @ dq, "wk": z @ dk, "wv": z @ dv}


# extra_sum


class ShiftSummed(ScaleShift):
    """The gradient of beta is summed over the features too."""

    def parameter_gradients(self, delta, z):
        return {"gamma": (delta * z).sum(axis=0), "beta": delta.sum() + np.zeros_like(self.beta)}


class RepeatSummed(Repeat):
    """Sums over the features too."""

    def backward(self, delta, cache):
        dz = delta[:, 0] - 2 * delta[:, 1]
        return dz.sum(axis=1, keepdims=True) + np.zeros_like(dz)


class PReLUShared(PReLU):
    """The slopes are treated as one number."""

    def parameter_gradients(self, delta, z):
        return {"a": np.where(z.real > 0, 0, delta * z).sum() + np.zeros_like(self.a)}


# broadcast


class ScalarShift(ScalarAffine):
    """The gradient of the number b keeps the axis of the features."""

    def parameter_gradients(self, delta, z):
        return {"a": np.array((delta * z).sum()), "b": delta.sum(axis=0)}


class LayerNormKeepdims(LayerNorm):
    """Gradients of shape (1, D)."""

    def parameter_gradients(self, delta, cache):
        y, _ = cache
        return {"gamma": (delta * y).sum(axis=0, keepdims=True), "beta": delta.sum(axis=0, keepdims=True)}


class RadialBasisWide(RadialBasis):
    """The column z was broadcast, its derivative is not reduced."""

    def backward(self, delta, cache):
        distance, y = cache
        return -delta * distance * y


# axis


class SoftmaxAxis(WarmSoftmax):
    """The inner sum runs over the batch."""

    def backward(self, delta, p):
        return p * (delta - (p * delta).sum(axis=0)) / self.temperature


class LayerNormAxis(LayerNorm):
    """The means of rule 2 are over the batch."""

    def backward(self, delta, cache):
        y, s = cache
        g = delta * self.gamma
        if not len(g):
            return g
        return (g - g.mean(axis=0) - y * (g * y).mean(axis=0)) / s


class ScaleAxis(ScaleShift):
    """The gradient of gamma sums over the features; it fits for square batches alone."""

    def parameter_gradients(self, delta, z):
        return {"gamma": (delta * z).sum(axis=1), "beta": delta.sum(axis=0)}


class CentreAxis(Centre):
    """Subtracts the mean over the batch."""

    def backward(self, delta, cache):
        return delta - (delta.mean(axis=0) if len(delta) else 0)


# order


class CumsumForwards(Cumsum):
    """The sums run upwards in rule 2 as well."""

    def backward(self, delta, cache):
        return np.cumsum(delta, axis=1)


class SortTwice(Sort):
    """Sorts delta in place of undoing the sort."""

    def backward(self, delta, order):
        return np.take_along_axis(delta, order, axis=1)


class ConvUnflipped(Conv1d):
    """The kernel is not reversed."""

    def backward(self, delta, padded):
        d = np.pad(delta, ((0, 0), (1, 1)))
        n = delta.shape[1]
        return sum(self.kernel[k] * d[:, k : k + n] for k in range(3))


class KernelReversed(Conv1d):
    """The gradient of the kernel runs backwards."""

    def parameter_gradients(self, delta, padded):
        right = super().parameter_gradients(delta, padded)
        return {"kernel": right["kernel"][::-1].copy(), "bias": right["bias"]}


# exchanged


class ScaleExchanged(ScaleShift):
    """gamma has the gradient of beta, and beta that of gamma."""

    def parameter_gradients(self, delta, z):
        return {"gamma": delta.sum(axis=0), "beta": (delta * z).sum(axis=0)}


class GluExchanged(Glu):
    """The derivatives of the halves change places."""

    def backward(self, delta, cache):
        a, s = cache
        return np.concatenate([delta * a * s * (1 - s), delta * s], axis=1)


class AttentionExchanged(RightAttention):
    """Queries and keys have each other's gradients."""

    def parameter_gradients(self, delta, cache):
        right = super().parameter_gradients(delta, cache)
        return {"wq": right["wk"], "wk": right["wq"], "wv": right["wv"]}


class ConcatExchanged(SideBySide):
    """Each of two layers is handed the delta of the other."""

    def backward(self, delta, cache):
        k, left, right = cache
        return self.left.backward(delta[:, k:], left) + self.right.backward(delta[:, :k], right)


# zeros


class LayerNormFrozen(LayerNorm):
    """No gradient for beta."""

    def parameter_gradients(self, delta, cache):
        y, _ = cache
        return {"gamma": (delta * y).sum(axis=0), "beta": np.zeros_like(self.beta)}


class SoftshrinkDead(Softshrink):
    """Rule 2 left as zeros."""

    def backward(self, delta, z):
        return np.zeros_like(delta)


class ResidualFrozen(Residual):
    """The layer inside learns nothing."""

    def parameter_gradients(self, delta, cache):
        return self.gather([{name: np.zeros_like(array) for name, array in self.inner.parameters().items()}])


# identity


class SwishIdentity(Swish):
    """delta passes as it is."""

    def backward(self, delta, kept):
        return delta.copy()


class HardTanhStraight(HardTanh):
    """delta passes where z is clipped as well."""

    def backward(self, delta, z):
        return delta.copy()


class NormaliseIdentity(L2Normalise):
    """delta passes as it is."""

    def backward(self, delta, cache):
        return delta.copy()


# wrong_point


class SineWave(Sine):
    """The cosine of the output."""

    def forward(self, z):
        y = np.sin(self.w * z)
        return y, (z, y)

    def backward(self, delta, cache):
        return delta * np.cos(self.w * cache[1]) * self.w

    def parameter_gradients(self, delta, cache):
        return super().parameter_gradients(delta, cache[0])


class AsinhOutput(Asinh):
    """Keeps the output where its derivative takes the input."""

    keeps = "output"


class DecayInput(Decay):
    """Keeps the input where its derivative takes the output."""

    keeps = "input"


class SoftplusOutput(Softplus):
    """The sigmoid of the output."""

    keeps = "output"


class BetaSwishOutput(BetaSwish):
    """The gradient of beta with the output in place of z."""

    def parameter_gradients(self, delta, z):
        s = sigmoid(self.beta * z)
        y = z * s
        return {"beta": np.array((delta * y * y * s * (1 - s)).sum())}


# chain_factor


class ScaleForgotten(ScaleShift):
    """Rule 2 without gamma."""

    def backward(self, delta, z):
        return delta.copy()


class SineInner(Sine):
    """The inner derivative w is missing."""

    def backward(self, delta, z):
        return delta * np.cos(self.w * z)


class GaussianInner(Gaussian):
    """The inner derivative -2 z is missing."""

    def backward(self, delta, cache):
        return delta * cache[1]


class MlpActivation(Mlp):
    """The gradients of w and b skip the derivative of tanh."""

    def parameter_gradients(self, delta, cache):
        z, h = cache
        inner = delta @ self.v.T
        return {"w": z.T @ inner, "b": inner.sum(axis=0), "v": h.T @ delta}


class PowersInner(Powers):
    """The derivative of z^3 is given as 3 z."""

    def backward(self, delta, z):
        first, second, third = np.split(delta, 3, axis=1)
        return first + 2 * z * second + 3 * z * third


class RMSNormGamma(RMSNorm):
    """Rule 2 without gamma."""

    def backward(self, delta, cache):
        z, s = cache
        return delta / s - z * (delta * z).mean(axis=1, keepdims=True) / s**3


class ExpScaleInner(ExpScale):
    """The gradient of a is that of e^a."""

    def parameter_gradients(self, delta, z):
        return {"a": (delta * z).sum(axis=0)}


class PerceptronSkipping(Perceptron):
    """An own rule 2 that skips the layer in the middle."""

    def backward(self, delta, caches):
        first, _, last = self.layers
        return first.backward(last.backward(delta, caches[2]), caches[0])


# diagonal


class SoftmaxDiagonal(WarmSoftmax):
    """p (1 - p), as for a sigmoid."""

    def backward(self, delta, p):
        return delta * p * (1 - p) / self.temperature


class LogSoftmaxDiagonal(LogProbabilities):
    """1 - p for each entry on its own."""

    def backward(self, delta, y):
        return delta * (1 - np.exp(y))


class NormaliseDiagonal(L2Normalise):
    """(1 - y^2) / norm for each entry on its own."""

    def backward(self, delta, cache):
        y, norm = cache
        return delta * (1 - y * y) / norm


class AttentionDiagonal(RightAttention):
    """The softmax inside has a diagonal Jacobian, in rule 2."""

    def backward(self, delta, cache):
        _, q, k, v, p = cache
        ds = self.scale * p * (1 - p) * (delta @ v.swapaxes(1, 2))
        dv = p.swapaxes(1, 2) @ delta
        return ds @ k @ self.wq.T + ds.swapaxes(1, 2) @ q @ self.wk.T + dv @ self.wv.T


# statistic


class LayerNormVariance(LayerNorm):
    """The standard deviation of the row is taken for a constant."""

    def backward(self, delta, cache):
        _, s = cache
        g = delta * self.gamma
        return (g - g.mean(axis=1, keepdims=True)) / s


class BatchNormMean(BatchNorm):
    """The mean of the batch is taken for a constant."""

    def backward(self, delta, cache):
        y, s = cache
        g = delta * self.gamma
        return (g - y * (g * y).mean(axis=0)) / s if len(g) else g


class BatchNormInference(BatchNorm):
    """Mean and deviation of the batch are taken for constants."""

    def backward(self, delta, cache):
        return delta * self.gamma / cache[1]


class NormaliseNorm(L2Normalise):
    """The norm is taken for a constant."""

    def backward(self, delta, cache):
        return delta / cache[1]


class LogSoftmaxSum(LogProbabilities):
    """The log-sum-exp is taken for a constant."""

    def backward(self, delta, y):
        return delta.copy()


class WeightNormConstant(WeightNorm):
    """The norms of the rows are taken for constants in rule 3."""

    def parameter_gradients(self, delta, cache):
        z, unit, norm = cache
        return {"v": (delta * self.g).T @ z / norm, "g": (delta * (z @ unit.T)).sum(axis=0)}


# additive


class ResidualForgotten(Residual):
    """delta does not take the path around the layer."""

    def backward(self, delta, cache):
        return self.inner.backward(delta, cache)


class DecayedLinear(Linear):
    """Weight decay in the gradient, not in the cost."""

    def parameter_gradients(self, delta, z):
        gradients = super().parameter_gradients(delta, z)
        return {**gradients, "weight": gradients["weight"] + 0.01 * self.weight}


class SnakeWithout(Snake):
    """The 1 of the straight part is forgotten."""

    def df(self, z):
        return np.sin(2 * self.a * z)


class SwishProduct(Swish):
    """One term of the product rule."""

    def df(self, z):
        s = sigmoid(z)
        return z * s * (1 - s)


class TimesLeft(Times):
    """The product rule without its second term."""

    def backward(self, delta, cache):
        _, left, b, _ = cache
        return self.left.backward(delta * b, left)


# branch


class EluAlpha(Elu):
    """alpha is forgotten below 0."""

    def backward(self, delta, cache):
        positive, below = cache
        return np.where(positive, delta, delta * (below + 1))


class LeakyDead(LeakyReLU):
    """0 below 0, as for a ReLU."""

    def backward(self, delta, positive):
        return delta * positive


class HuberSquare(Huber):
    """The residual beyond the threshold too."""

    def backward(self, delta, r):
        return delta * r / len(r)


class HardTanhOneSided(HardTanh):
    """The lower end is forgotten."""

    def backward(self, delta, z):
        return delta * (z < 1)


class HingeEverywhere(Hinge):
    """Beyond the margin as well."""

    def backward(self, delta, cache):
        margin, t = cache
        return -delta * t * np.ones_like(margin)


class PReLUPositive(PReLU):
    """The gradient of a counts the positive entries too."""

    def parameter_gradients(self, delta, z):
        return {"a": (delta * z).sum(axis=0)}


# zero


class SoftsignZero(Softsign):
    """sign(z)^2 in the derivative, which is 0 at 0."""

    def df(self, z):
        return np.sign(z) ** 2 / (1 + np.abs(z)) ** 2


class SwishQuotient(Swish):
    """The sigmoid as y / z, with 0 for 0 / 0."""

    def df(self, z):
        s = np.divide(self.f(z), z, out=np.zeros_like(z), where=z != 0)
        return s + z * s * (1 - s)


class ProductQuotient(Product):
    """The product divided by each factor, 0 where that is 0."""

    def backward(self, delta, z):
        y = z.prod(axis=1, keepdims=True)
        return delta * np.divide(y, z, out=np.zeros_like(z), where=z != 0)


def with_zeros(*shape):
    """Draws normal numbers, about a fifth of them 0."""
    return lambda rng: (rng.normal(size=shape) * (rng.random(shape) > 0.2),)


# ties


class RowMaxTies(RowMax):
    """All that equal the largest entry receive the whole delta."""

    def backward(self, delta, cache):
        z, index = cache
        return delta * (z == np.take_along_axis(z, index, axis=1))


class MaxPoolTies(MaxPool):
    """Two equal neighbours both receive delta."""

    def backward(self, delta, cache):
        pairs, _ = cache
        a, b = pairs[..., 0].real, pairs[..., 1].real
        dz = np.stack([delta * (a >= b), delta * (b >= a)], axis=-1)
        return dz.reshape(len(pairs), 2 * pairs.shape[1])


class MaxoutTies(Maxout):
    """Of two equal halves neither receives delta."""

    def backward(self, delta, cache):
        a, b = cache
        return np.concatenate([delta * (a.real > b.real), delta * (b.real > a.real)], axis=1)


def whole(*shape):
    """Draws small whole numbers, so that many are tied."""
    return lambda rng: (rng.integers(0, 3, size=shape).astype(float),)


# border


class IncrementsBorder(Increments):
    """The first feature receives nothing."""

    def backward(self, delta, shape):
        dz = super().backward(delta, shape)
        dz[:, 0] = 0
        return dz


class ConvBorder(Conv1d):
    """The row of deltas is padded with its own ends, not with 0."""

    def backward(self, delta, padded):
        d = np.pad(delta, ((0, 0), (1, 1)), mode="edge")
        n = delta.shape[1]
        return sum(self.kernel[2 - k] * d[:, k : k + n] for k in range(3))


class CumsumOffByOne(Cumsum):
    """The last sum is left out for all but the last feature."""

    def backward(self, delta, cache):
        dz = np.cumsum(delta[:, -2::-1], axis=1)[:, ::-1]
        return np.concatenate([dz, delta[:, -1:]], axis=1)


class CubicLast(Cubic):
    """The gradient of the last coefficient stays 0."""

    def parameter_gradients(self, delta, z):
        c = np.zeros(4, np.result_type(delta, z))
        for k in range(3):
            c[k] = (delta * z**k).sum()
        return {"c": c}


# leak


class DropoutUnmasked(FixedDropout):
    """Dropped features receive delta too."""

    def backward(self, delta, cache):
        return delta / (1 - self.p)


class MaxPoolBoth(MaxPool):
    """The smaller neighbour receives delta too."""

    def backward(self, delta, cache):
        return np.repeat(delta, 2, axis=1)


class CausalLeak(CausalAttention):
    """The softmax of rule 2 does not know the mask: later positions receive delta."""

    def backward(self, delta, cache):
        z, q, k, v, _ = cache
        scores = self.scale * q @ k.swapaxes(1, 2)
        p = np.exp(scores - scores.real.max(axis=-1, keepdims=True))
        return super().backward(delta, (z, q, k, v, p / p.sum(axis=-1, keepdims=True)))


class LogSumExpLeak(LogSumExp):
    """Each row receives a little of the next row's delta."""

    def backward(self, delta, cache):
        z, y = cache
        return (delta + 0.1 * np.roll(delta, 1, axis=0)) * np.exp(z - y)


class MaskForgotten(MaskedLinear):
    """The weights that are masked out have a gradient."""

    def parameter_gradients(self, delta, z):
        return {"weight": delta.T @ z, "bias": delta.sum(axis=0)}


class MaskForgottenBelow(MaskedLinear):
    """delta goes through the weights that are masked out."""

    def backward(self, delta, z):
        return delta @ self.weight


# small_error


class LayerNormEps(LayerNorm):
    """eps once more, in rule 2."""

    def backward(self, delta, cache):
        y, s = cache
        return super().backward(delta, (y, s + self.eps))


class NormaliseEps(L2Normalise):
    """A guard against 0 in rule 2 alone."""

    def backward(self, delta, cache):
        y, norm = cache
        return super().backward(delta, (y, norm + 1e-7))


class GeluConstant(Gelu):
    """0.0447 for 0.044715 in the derivative."""

    def df(self, z):
        t = np.tanh(self.scale * (z + 0.0447 * z * z * z))
        return 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * self.scale * (1 + 3 * 0.0447 * z * z)


class RMSNormEps(RMSNorm):
    """A guard of 1e-8 in the gradient of gamma alone."""

    def parameter_gradients(self, delta, cache):
        z, s = cache
        return {"gamma": (delta * z / (s + 1e-8)).sum(axis=0)}


class SquaredHingeEps(SquaredHinge):
    """The margin of rule 2 is 1 + 1e-4."""

    def backward(self, delta, cache):
        slack, t = cache
        return -2 * delta * t * np.where(slack > 0, slack + 1e-4, 0)


class DenseRounded(ScaledDense):
    """1 / sqrt(3) to six digits in the gradient of the weight."""

    def parameter_gradients(self, delta, z):
        return {"weight": 0.57735 * z.T @ delta}


class GeluRoot(Gelu):
    """sqrt(2 / pi) rounded to 0.7979 in the derivative of the inner function."""

    def df(self, z):
        t = np.tanh(self.scale * (z + 0.044715 * z * z * z))
        return 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * 0.7979 * (1 + 3 * 0.044715 * z * z)


# A factor hidden inside, and a forward at fault.


class AttentionUnscaled(RightAttention):
    """sqrt(D) is forgotten in the gradients of queries and keys."""

    def parameter_gradients(self, delta, cache):
        right = super().parameter_gradients(delta, cache)
        return {"wq": right["wq"] / self.scale, "wk": right["wk"] / self.scale, "wv": right["wv"]}


class AttentionForward(RightAttention):
    """Rule 1 divides by D in place of sqrt(D)."""

    def forward(self, z):
        q, k, v = z @ self.wq, z @ self.wk, z @ self.wv
        scores = q @ k.swapaxes(1, 2) / z.shape[-1]
        e = np.exp(scores - scores.real.max(axis=-1, keepdims=True))
        p = e / e.sum(axis=-1, keepdims=True)
        return p @ v, (z, q, k, v, p)


class RadialForward(RadialBasis):
    """Rule 1 forgets the 1/2 in the exponent."""

    def forward(self, z):
        distance = z - self.c
        y = np.exp(-distance * distance)
        return y, (distance, y)


class SoftplusForward(Softplus):
    """Rule 1 forgets to divide by beta."""

    def f(self, z):
        return self.beta * super().f(z)


class GluRoot(Glu):
    """Divided by sqrt(D) in rule 2 alone."""

    def backward(self, delta, cache):
        return super().backward(delta, cache) / math.sqrt(2 * delta.shape[1])


BUGS: list[Bug] = [
    Bug(OffsetSign, ("sign",), (3,)),
    Bug(DecaySign, ("sign",), (2,)),
    Bug(PoissonSign, ("sign",), (2,), with_counts(5, 2)),
    Bug(CentresSign, ("sign",), (3,), rows(5, 1)),
    Bug(MeanSquaresHalf, ("factor",), (2,), with_values(5, 2)),
    Bug(QuadraticDouble, ("factor",), (3,)),
    Bug(WarmSoftmaxCold, ("factor",), (2,)),
    Bug(DropoutUnscaled, ("factor",), (2,), rows(4, 5)),
    Bug(DenseUnscaled, ("factor",), (2,)),
    Bug(DenseScaledTwice, ("factor",), (3,)),
    Bug(SoftplusBeta, ("factor",), (2,)),
    Bug(MeanSquaresForward, ("factor",), (1, 2), with_values(5, 3)),
    Bug(LogCoshMean, ("factor",), (2,), with_values(4, 3)),
    Bug(AttentionUnscaled, ("factor", "chain_factor"), (3,), rows(3, 4, 2)),
    Bug(GluRoot, ("factor",), (2,), rows(3, 6)),
    Bug(SoftplusForward, ("factor",), (1, 2)),
    Bug(DenseMeanBias, ("mean_for_sum", "factor"), (3,)),
    Bug(ScaleMean, ("mean_for_sum", "factor"), (3,)),
    Bug(CrossEntropySum, ("mean_for_sum", "factor"), (2,), with_labels(6, 3)),
    Bug(DivergenceMean, ("mean_for_sum", "factor"), (2,), with_probabilities(5, 3)),
    Bug(GatedDenseMean, ("mean_for_sum", "factor"), (3,), rows(6, 3)),
    Bug(lambda: SquareDense(3, 3), ("transposed",), (2,)),
    Bug(lambda: SquareDenseGradient(3, 3), ("transposed",), (3,)),
    Bug(BilinearTransposed, ("transposed",), (3,), rows(5, 4)),
    Bug(QuadraticSymmetric, ("transposed", "additive"), (2,)),
    Bug(ScaleUnsummed, ("missing_sum", "broadcast"), (3,)),
    Bug(DenseFirstRow, ("missing_sum",), (3,)),
    Bug(AttentionUnsummed, ("missing_sum", "broadcast"), (3,), rows(3, 4, 2)),
    Bug(ShiftSummed, ("extra_sum",), (3,)),
    Bug(RepeatSummed, ("extra_sum",), (2,)),
    Bug(PReLUShared, ("extra_sum",), (3,)),
    Bug(ScalarShift, ("broadcast", "missing_sum"), (3,)),
    Bug(LayerNormKeepdims, ("broadcast", "shape"), (3,), rows(5, 4)),
    Bug(RadialBasisWide, ("broadcast", "missing_sum"), (2,), rows(5, 1)),
    Bug(SoftmaxAxis, ("axis", "rows_coupled"), (2,)),
    Bug(LayerNormAxis, ("axis", "rows_coupled"), (2,), rows(5, 4)),
    Bug(ScaleAxis, ("axis", "shape"), (3,), rows(3, 3)),
    Bug(CentreAxis, ("axis", "rows_coupled"), (2,), rows(5, 4)),
    Bug(CumsumForwards, ("order",), (2,), rows(5, 4)),
    Bug(SortTwice, ("order",), (2,), rows(5, 4)),
    Bug(ConvUnflipped, ("order",), (2,), rows(4, 5)),
    Bug(KernelReversed, ("order",), (3,), rows(4, 5)),
    Bug(ScaleExchanged, ("exchanged",), (3,)),
    Bug(GluExchanged, ("exchanged", "order"), (2,), rows(5, 4)),
    Bug(AttentionExchanged, ("exchanged",), (3,), rows(3, 4, 2)),
    Bug(lambda: pair(ConcatExchanged), ("exchanged", "order"), (2,)),
    Bug(LayerNormFrozen, ("zeros",), (3,), rows(5, 4)),
    Bug(SoftshrinkDead, ("zeros",), (2,)),
    Bug(lambda: residual(ResidualFrozen), ("zeros",), (3,)),
    Bug(SwishIdentity, ("identity",), (2,)),
    Bug(HardTanhStraight, ("identity", "branch"), (2,), rows(5, 4)),
    Bug(NormaliseIdentity, ("identity",), (2,), rows(5, 4)),
    Bug(SineWave, ("wrong_point",), (2,)),
    Bug(AsinhOutput, ("wrong_point",), (2,)),
    Bug(DecayInput, ("wrong_point",), (2,)),
    Bug(SoftplusOutput, ("wrong_point",), (2,)),
    Bug(BetaSwishOutput, ("wrong_point",), (3,)),
    Bug(ScaleForgotten, ("chain_factor", "identity"), (2,)),
    Bug(SineInner, ("chain_factor",), (2,)),
    Bug(GaussianInner, ("chain_factor",), (2,)),
    Bug(MlpActivation, ("chain_factor",), (3,)),
    Bug(PowersInner, ("chain_factor",), (2,)),
    Bug(ExpScaleInner, ("chain_factor",), (3,)),
    Bug(PerceptronSkipping, ("chain_factor", "sweep"), (2,)),
    Bug(RMSNormGamma, ("chain_factor",), (2,), rows(5, 4)),
    Bug(SoftmaxDiagonal, ("diagonal",), (2,)),
    Bug(LogSoftmaxDiagonal, ("diagonal",), (2,)),
    Bug(NormaliseDiagonal, ("diagonal",), (2,), rows(5, 4)),
    Bug(AttentionDiagonal, ("diagonal",), (2,), rows(3, 4, 2)),
    Bug(LayerNormVariance, ("statistic",), (2,), rows(5, 4)),
    Bug(BatchNormMean, ("statistic",), (2,)),
    Bug(BatchNormInference, ("statistic",), (2,)),
    Bug(WeightNormConstant, ("statistic",), (3,)),
    Bug(NormaliseNorm, ("statistic",), (2,), rows(5, 4)),
    Bug(LogSoftmaxSum, ("statistic", "identity"), (2,)),
    Bug(lambda: residual(ResidualForgotten), ("additive",), (2,)),
    Bug(lambda: DecayedLinear(3, 2, rng=1), ("additive", "nonlinear"), (3,)),
    Bug(SnakeWithout, ("additive",), (2,)),
    Bug(SwishProduct, ("additive",), (2,)),
    Bug(lambda: pair(TimesLeft), ("additive",), (2,)),
    Bug(EluAlpha, ("branch",), (2,)),
    Bug(LeakyDead, ("branch",), (2,)),
    Bug(HuberSquare, ("branch",), (2,), with_values(5, 2)),
    Bug(HardTanhOneSided, ("branch",), (2,), rows(6, 4)),
    Bug(HingeEverywhere, ("branch",), (2,), with_signs(8, 4)),
    Bug(PReLUPositive, ("branch",), (3,)),
    Bug(SoftsignZero, ("zero",), (2,)),
    Bug(SwishQuotient, ("zero",), (2,), with_zeros(5, 3)),
    Bug(ProductQuotient, ("zero",), (2,), with_zeros(5, 3)),
    Bug(RowMaxTies, ("ties",), (2,), rows(5, 4)),
    Bug(MaxPoolTies, ("ties",), (2,), whole(5, 4)),
    Bug(MaxoutTies, ("ties",), (2,), rows(5, 4)),
    Bug(IncrementsBorder, ("border",), (2,), rows(5, 4)),
    Bug(ConvBorder, ("border",), (2,), rows(4, 5)),
    Bug(CumsumOffByOne, ("border", "additive"), (2,), rows(5, 4)),
    Bug(CubicLast, ("border", "zeros"), (3,), rows(4, 3)),
    Bug(DropoutUnmasked, ("leak",), (2,), rows(4, 5)),
    Bug(MaxPoolBoth, ("leak",), (2,), rows(5, 4)),
    Bug(lambda: MaskForgotten(3, 3, rng=1), ("leak",), (3,)),
    Bug(lambda: MaskForgottenBelow(3, 3, rng=1), ("leak",), (2,)),
    Bug(CausalLeak, ("leak",), (2,), rows(3, 4, 2)),
    Bug(LogSumExpLeak, ("leak", "rows_coupled"), (2,)),
    Bug(LayerNormEps, ("small_error",), (2,), rows(5, 4)),
    Bug(NormaliseEps, ("small_error",), (2,), rows(5, 4)),
    Bug(GeluConstant, ("small_error",), (2,)),
    Bug(DenseRounded, ("small_error", "factor"), (3,)),
    Bug(GeluRoot, ("small_error",), (2,)),
    Bug(RMSNormEps, ("small_error",), (3,), rows(5, 4)),
    Bug(SquaredHingeEps, ("small_error",), (2,), with_signs(6, 2)),
    Bug(AttentionForward, ("factor", "chain_factor"), (1, 2, 3), rows(3, 4, 2)),
    Bug(RadialForward, ("factor",), (1, 2, 3), rows(5, 1)),
]
