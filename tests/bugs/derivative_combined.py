"""Layers with two mistakes at once."""

import numpy as np
from right.for_derivatives import (
    Attention,
    BatchNorm,
    BetaSwish,
    Bilinear,
    Conv1d,
    CrossEntropy,
    Cubic,
    Cumsum,
    Dense,
    Elu,
    FixedDropout,
    GatedDense,
    Glu,
    Huber,
    L2Normalise,
    LayerNorm,
    LogProbabilities,
    Mlp,
    PoissonLoss,
    PReLU,
    QuadraticForm,
    RadialBasis,
    Residual,
    RMSNorm,
    ScalarAffine,
    ScaleShift,
    SideBySide,
    Sine,
    Swish,
    Times,
    WarmSoftmax,
    pair,
    residual,
    with_counts,
    with_labels,
    with_values,
)
from right.inputs import rows

from bugs.base import Bug
from minigrad.kernels import sigmoid


class ScaleMeanSign(ScaleShift):
    """Rule 3: gamma has a mean for a sum; beta the wrong sign."""

    def parameter_gradients(self, delta, z):
        return {"gamma": (delta * z).sum(axis=0) / max(len(z), 1), "beta": -delta.sum(axis=0)}


class DenseTransposedMean(Dense):
    """Rule 2: W for its transpose (a square W); rule 3: the bias has a mean for a sum."""

    def backward(self, delta, z):
        return delta @ self.weight

    def parameter_gradients(self, delta, z):
        return {"weight": z.T @ delta, "bias": delta.sum(axis=0) / max(len(delta), 1)}


class LayerNormVarianceFrozen(LayerNorm):
    """Rule 2: the deviation is taken for a constant; rule 3: no gradient for beta."""

    def backward(self, delta, cache):
        _, s = cache
        g = delta * self.gamma
        return (g - g.mean(axis=1, keepdims=True)) / s

    def parameter_gradients(self, delta, cache):
        return {"gamma": (delta * cache[0]).sum(axis=0), "beta": np.zeros_like(self.beta)}


class LayerNormGammaMean(LayerNorm):
    """Rule 2: without gamma, and the mean is taken for a constant."""

    def backward(self, delta, cache):
        y, s = cache
        return (delta - y * (delta * y).mean(axis=1, keepdims=True)) / s


class BatchNormInferenceKeepdims(BatchNorm):
    """Rule 2: mean and deviation are taken for constants; rule 3: gradients of shape (1, D)."""

    def backward(self, delta, cache):
        return delta * self.gamma / cache[1]

    def parameter_gradients(self, delta, cache):
        y, _ = cache
        return {"gamma": (delta * y).sum(axis=0, keepdims=True), "beta": delta.sum(axis=0, keepdims=True)}


class SoftmaxDiagonalCold(WarmSoftmax):
    """Rule 2: a diagonal Jacobian, not divided by the temperature."""

    def backward(self, delta, p):
        return delta * p * (1 - p)


class LogSoftmaxAxisSign(LogProbabilities):
    """Rule 2: the sum runs over the batch, and is added."""

    def backward(self, delta, y):
        return delta + np.exp(y) * delta.sum(axis=0)


class CrossEntropySignSum(CrossEntropy):
    """Rule 2: label minus probability, not divided by N."""

    def backward(self, delta, cache):
        log_p, labels = cache
        p = -np.exp(log_p)
        p[np.arange(len(p)), labels] += 1
        return delta * p


class HuberSumSquare(Huber):
    """Rule 2: not divided by N, and wrong beyond the threshold."""

    def backward(self, delta, r):
        return delta * r


class PoissonTwice(PoissonLoss):
    """Rule 2: twice as large, and without the target."""

    def backward(self, delta, cache):
        rate, t = cache
        return 2 * delta * rate / t.size


class ConvUnflippedBorder(Conv1d):
    """Rule 2: the kernel is not reversed; rule 3: only its middle entry is summed over the whole row."""

    def backward(self, delta, padded):
        d = np.pad(delta, ((0, 0), (1, 1)))
        n = delta.shape[1]
        return sum(self.kernel[k] * d[:, k : k + n] for k in range(3))

    def parameter_gradients(self, delta, padded):
        n = delta.shape[1]
        inner = [(delta[:, 1:-1] * padded[:, 1 + k : k + n - 1]).sum() for k in (0, 2)]
        middle = (delta * padded[:, 1 : 1 + n]).sum()
        return {"kernel": np.array([inner[0], middle, inner[1]]), "bias": np.array(delta.sum())}


class SineInnerUnsummed(Sine):
    """Rule 2: without the inner derivative; rule 3: not summed over the batch."""

    def backward(self, delta, z):
        return delta * np.cos(self.w * z)

    def parameter_gradients(self, delta, z):
        return {"w": delta * np.cos(self.w * z) * z}


class PReLUDeadShared(PReLU):
    """Rule 2: 0 below 0; rule 3: the slopes are treated as one number."""

    def backward(self, delta, z):
        return np.where(z.real > 0, delta, 0)

    def parameter_gradients(self, delta, z):
        return {"a": np.where(z.real > 0, 0, delta * z).sum() + np.zeros_like(self.a)}


class GatedDenseExchangedFactor(GatedDense):
    """Rule 2: the gate lacks 1 - s; rule 3: w and v exchanged."""

    def backward(self, delta, cache):
        _, a, s = cache
        return (delta * s) @ self.w.T + (delta * a * s) @ self.v.T

    def parameter_gradients(self, delta, cache):
        right = super().parameter_gradients(delta, cache)
        return {"w": right["v"], "v": right["w"]}


class GluExchangedSign(Glu):
    """Rule 2: the halves change places, and one has the wrong sign."""

    def backward(self, delta, cache):
        a, s = cache
        return np.concatenate([-delta * a * s * (1 - s), delta * s], axis=1)


class AttentionUnscaledFrozen(Attention):
    """Rule 2: sqrt(D) is forgotten and the keys' path too; rule 3 is right."""

    def backward(self, delta, cache):
        dq, _, dv = self.deltas(delta, cache)
        return dq @ self.wq.T / self.scale + dv @ self.wv.T


class AttentionFirstTransposed(Attention):
    """Rule 3: the first observation alone for wq, wv transposed."""

    def parameter_gradients(self, delta, cache):
        right = super().parameter_gradients(delta, cache)
        dq, _, _ = self.deltas(delta, cache)
        return {"wq": (cache[0].swapaxes(1, 2) @ dq)[:1].sum(axis=0), "wk": right["wk"], "wv": right["wv"].T.copy()}


class MlpIdentityZeros(Mlp):
    """Rule 2: the derivative of tanh is skipped; rule 3: no gradient for b."""

    def backward(self, delta, cache):
        return (delta @ self.v.T) @ self.w.T

    def parameter_gradients(self, delta, cache):
        right = super().parameter_gradients(delta, cache)
        return {**right, "b": np.zeros_like(self.b)}


class ResidualForgottenHalf(Residual):
    """Rule 2: delta does not take the path around; rule 3: half of the gradients."""

    def backward(self, delta, cache):
        return self.inner.backward(delta, cache)

    def parameter_gradients(self, delta, cache):
        return self.gather([self.inner.parameter_gradients(delta / 2, cache)])


class TimesLeftExchanged(Times):
    """Rule 2: without its second term; rule 3: each factor is multiplied by itself."""

    def backward(self, delta, cache):
        _, left, b, _ = cache
        return self.left.backward(delta * b, left)

    def parameter_gradients(self, delta, cache):
        a, left, b, right = cache
        return self.gather(
            [self.left.parameter_gradients(delta * a, left), self.right.parameter_gradients(delta * b, right)]
        )


class ConcatLeftSign(SideBySide):
    """Rule 2: the left layer alone; rule 3: everything has the wrong sign."""

    def backward(self, delta, cache):
        k, left, _ = cache
        return self.left.backward(delta[:, :k], left)

    def parameter_gradients(self, delta, cache):
        return super().parameter_gradients(-delta, cache)


class SwishWrongPoint(Swish):
    """Rule 2: one term of the product rule, at the output."""

    keeps = "output"

    def df(self, y):
        return sigmoid(y)


class EluSlope(Elu):
    """Rule 2: alpha is forgotten below 0, and a factor of 2 slips in above."""

    def backward(self, delta, cache):
        positive, below = cache
        return np.where(positive, 2 * delta, delta * (below + 1))


class NormaliseDiagonalNorm(L2Normalise):
    """Rule 2: a diagonal Jacobian, not divided by the norm."""

    def backward(self, delta, cache):
        return delta * (1 - cache[0] * cache[0])


class BilinearSignTransposed(Bilinear):
    """Rule 2: the second half has the wrong sign; rule 3: the gradient is transposed."""

    def backward(self, delta, cache):
        x, y = cache
        return np.concatenate([delta * (y @ self.a.T), -delta * (x @ self.a)], axis=1)

    def parameter_gradients(self, delta, cache):
        x, y = cache
        return {"a": (delta * y).T @ x}


class QuadraticOffset(QuadraticForm):
    """Rule 2: without b, and z A in place of z (A + A^T) / 2."""

    def backward(self, delta, z):
        return delta * (z @ self.a)


class CumsumForwardsSign(Cumsum):
    """Rule 2: the sums run upwards, and negative."""

    def backward(self, delta, cache):
        return -np.cumsum(delta, axis=1)


class DropoutLeakUnscaled(FixedDropout):
    """Rule 2: delta passes as it is: neither masked nor divided by 1 - p."""

    def backward(self, delta, cache):
        return delta.copy()


class ScalarAffineBoth(ScalarAffine):
    """Rule 2: without a; rule 3: b keeps the axis of the features."""

    def backward(self, delta, z):
        return delta.copy()

    def parameter_gradients(self, delta, z):
        return {"a": np.array((delta * z).sum()), "b": delta.sum(axis=0)}


class CubicShiftedLast(Cubic):
    """Rule 2: the factor 2 of z^2 is missing; rule 3: the powers start at 1."""

    def backward(self, delta, z):
        c = self.c
        return delta * (c[1] + z * (c[2] + z * 3 * c[3]))

    def parameter_gradients(self, delta, z):
        return {"c": np.array([(delta * z**k).sum() for k in range(1, 5)])}


class RMSNormSmall(RMSNorm):
    """Rule 2: a guard of 1e-6 too much; rule 3: the sign."""

    def backward(self, delta, cache):
        z, s = cache
        return super().backward(delta, (z, s + 1e-6))

    def parameter_gradients(self, delta, cache):
        z, s = cache
        return {"gamma": -(delta * z / s).sum(axis=0)}


class BetaSwishOutputFactor(BetaSwish):
    """Rule 2: beta is missing in one term; rule 3: z in place of z^2."""

    def backward(self, delta, z):
        s = sigmoid(self.beta * z)
        return delta * (s + z * s * (1 - s))

    def parameter_gradients(self, delta, z):
        s = sigmoid(self.beta * z)
        return {"beta": np.array((delta * z * s * (1 - s)).sum())}


class RadialSignFirst(RadialBasis):
    """Rule 2: the wrong sign; rule 3: the first row alone."""

    def backward(self, delta, cache):
        distance, y = cache
        return (delta * distance * y).sum(axis=1, keepdims=True)

    def parameter_gradients(self, delta, cache):
        distance, y = cache
        return {"c": (delta * distance * y)[:1].sum(axis=0)}


BUGS: list[Bug] = [
    Bug(ScaleMeanSign, ("sign", "mean_for_sum", "factor"), (3,)),
    Bug(lambda: DenseTransposedMean(3, 3), ("transposed", "mean_for_sum", "factor"), (2, 3)),
    Bug(LayerNormVarianceFrozen, ("statistic", "zeros"), (2, 3), rows(5, 4)),
    Bug(LayerNormGammaMean, ("chain_factor", "statistic"), (2,), rows(5, 4)),
    Bug(BatchNormInferenceKeepdims, ("broadcast", "shape", "statistic"), (2, 3)),
    Bug(SoftmaxDiagonalCold, ("diagonal", "factor"), (2,)),
    Bug(LogSoftmaxAxisSign, ("axis", "sign", "rows_coupled"), (2,), rows(4, 3)),
    Bug(CrossEntropySignSum, ("sign", "mean_for_sum", "factor"), (2,), with_labels(6, 3)),
    Bug(HuberSumSquare, ("mean_for_sum", "factor", "branch"), (2,), with_values(5, 2)),
    Bug(PoissonTwice, ("factor", "additive"), (2,), with_counts(5, 2)),
    Bug(ConvUnflippedBorder, ("order", "border"), (2, 3), rows(4, 5)),
    Bug(SineInnerUnsummed, ("missing_sum", "broadcast", "chain_factor"), (2, 3)),
    Bug(PReLUDeadShared, ("branch", "extra_sum"), (2, 3)),
    Bug(GatedDenseExchangedFactor, ("exchanged", "chain_factor"), (2, 3)),
    Bug(GluExchangedSign, ("exchanged", "order", "sign"), (2,), rows(5, 4)),
    Bug(AttentionUnscaledFrozen, ("additive", "factor"), (2,), rows(3, 4, 2)),
    Bug(AttentionFirstTransposed, ("missing_sum", "transposed"), (3,), rows(3, 4, 2)),
    Bug(MlpIdentityZeros, ("zeros", "chain_factor"), (2, 3)),
    Bug(lambda: residual(ResidualForgottenHalf), ("factor", "additive"), (2, 3)),
    Bug(lambda: pair(TimesLeftExchanged), ("additive", "exchanged", "chain_factor"), (2, 3)),
    Bug(lambda: pair(ConcatLeftSign), ("sign", "additive"), (2, 3)),
    Bug(SwishWrongPoint, ("wrong_point", "additive"), (2,)),
    Bug(EluSlope, ("branch", "factor"), (2,)),
    Bug(NormaliseDiagonalNorm, ("diagonal", "chain_factor"), (2,), rows(5, 4)),
    Bug(BilinearSignTransposed, ("transposed", "sign"), (2, 3), rows(5, 4)),
    Bug(QuadraticOffset, ("additive", "transposed"), (2,)),
    Bug(CumsumForwardsSign, ("order", "sign"), (2,), rows(5, 4)),
    Bug(DropoutLeakUnscaled, ("identity", "leak", "factor"), (2,), rows(4, 5)),
    Bug(ScalarAffineBoth, ("identity", "chain_factor", "broadcast", "missing_sum", "factor"), (2, 3)),
    Bug(CubicShiftedLast, ("factor", "order", "chain_factor"), (2, 3), rows(4, 3)),
    Bug(RMSNormSmall, ("sign", "small_error"), (2, 3), rows(5, 4)),
    Bug(BetaSwishOutputFactor, ("chain_factor", "factor"), (2, 3)),
    Bug(RadialSignFirst, ("sign", "missing_sum"), (2, 3), rows(5, 1)),
]
