"""Likelihoods of one row, from their formulas: log-likelihood, gradient, -Hessian and its expectation.

By the row's predictors eta, one for each unit, in the numbers of mpmath.
"""

from collections.abc import Sequence

from mpmath import mp, mpf

Row = tuple[mpf, list[mpf], list[list[mpf]], list[list[mpf]]]


def logit_row(eta: Sequence[mpf], t: mpf) -> Row:
    """t eta - log(1 + e^eta).  Probabilities of 0 and 1 are told apart from them by 1 - p = 1 / (1 + e^eta)."""
    a = eta[0]
    p, q = 1 / (1 + mp.exp(-a)), 1 / (1 + mp.exp(a))
    return (mp.log(p) if t == 1 else mp.log(q)), [q if t == 1 else -p], [[p * q]], [[p * q]]


def softmax_row(eta: Sequence[mpf], t: mpf) -> Row:
    """eta_t - log(1 + sum e^eta), the unit of class 0 being 0."""
    power = [mpf(1)] + [mp.exp(a) for a in eta]
    total = mp.fsum(power)
    p = [e / total for e in power]
    rest = [mp.fsum(power[:k] + power[k + 1 :]) / total for k in range(len(power))]  # 1 - p
    k = int(t)
    gradient = [rest[j] if j == k else -p[j] for j in range(1, len(p))]
    information = [[p[i] * rest[i] if i == j else -p[i] * p[j] for j in range(1, len(p))] for i in range(1, len(p))]
    return mp.log(p[k]), gradient, information, information


def poisson_row(eta: Sequence[mpf], t: mpf) -> Row:
    """t eta - e^eta - log t!"""
    mu = mp.exp(eta[0])
    return t * eta[0] - mu - mp.loggamma(t + 1), [t - mu], [[mu]], [[mu]]


def probit_row(eta: Sequence[mpf], t: mpf) -> Row:
    """log Phi(eta) where t = 1, log Phi(-eta) where t = 0."""
    sign = 1 if t == 1 else -1
    a = sign * eta[0]
    cdf, other, pdf = mp.erfc(-a / mp.sqrt(2)) / 2, mp.erfc(a / mp.sqrt(2)) / 2, mp.npdf(a)
    mills = pdf / cdf
    return mp.log(cdf), [sign * mills], [[mills * (mills + a)]], [[pdf**2 / (cdf * other)]]


def gaussian_row(eta: Sequence[mpf], t: mpf) -> Row:
    """-(log(2 pi) + s + r^2 e^-s) / 2 with r = t - mean and s = log variance."""
    mean, s = eta
    r, precision = t - mean, mp.exp(-s)
    value = -(mp.log(2 * mp.pi) + s + r**2 * precision) / 2
    observed = [[precision, r * precision], [r * precision, r**2 * precision / 2]]
    return value, [r * precision, (r**2 * precision - 1) / 2], observed, [[precision, mpf(0)], [mpf(0), mpf(1) / 2]]


def weibull_row(eta: Sequence[mpf], t: mpf) -> Row:
    """a - log t + u - e^u with u = k (log t - eta), k = e^a: scale e^eta, shape k.

    Where t is Weibull, v = e^u is exponential: E[v] = 1, E[u v] = 1 - gamma, E[u^2 v] = pi^2 / 6 - 2 gamma + gamma^2.
    """
    scale, a = eta
    k = mp.exp(a)
    u = k * (mp.log(t) - scale)
    v = mp.exp(u)
    cross = -k * (v - 1 + u * v)
    observed = [[k**2 * v, cross], [cross, u * v + u**2 * v - u]]
    gamma = mp.euler
    across = -k * (1 - gamma)
    expected = [[k**2, across], [across, mp.pi**2 / 6 + (1 - gamma) ** 2]]
    return a - mp.log(t) + u - v, [k * (v - 1), 1 + u - u * v], observed, expected
