"""Likelihoods of one's own, with standard errors for free: Poisson, Gaussian, probit and Weibull, on data of old.

    python examples/custom_likelihood.py

A negative log-likelihood is a layer on top of a stack: rule 1 gives the cost, rule 2 its derivative by the predictor,
rule 3 by parameters of its own.  The checker holds the rules to each other; `mle.fit` takes the curvature from them by
complex steps, so that no second derivative is written anywhere.  Every number is held against a closed form, or against
a solution in 60 digits.
"""

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from minigrad import ElementwiseLoss, Layer, Linear, Sequential, mle
from minigrad.kernels import normal_cdf, normal_pdf  # on complex numbers too, as scipy.special.ndtr is
from minigrad.testing import check_loss

HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)
log_factorial = np.vectorize(lambda count: math.lgamma(count + 1), otypes=[float])


def show(result: mle.Result, **exact: tuple[float, float]) -> None:
    """A line for each parameter; `exact` are (estimate, standard error) that they must agree with, to 9 digits."""
    for name, estimate, error in zip(result.names, result.params, result.se, strict=True):
        print(f"   {name:<12} {estimate:14.9f}   standard error {error:13.9f}")
        if name in exact:
            assert abs(estimate - exact[name][0]) < 1e-9 * max(error, abs(estimate)), (name, estimate, exact[name])
            assert abs(error - exact[name][1]) < 1e-9 * error, (name, error, exact[name])
    print(f"   log-likelihood {result.loglik:.9f}")


print("1. Poisson: deaths of cholera in London, 1854, by who supplied the water (Snow, 1855)\n")


class PoissonNLL(ElementwiseLoss):
    """e^z - t z + log t! for counts t of the rate e^z.  A loss of single numbers needs no more than f and df."""

    def f(self, z: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The terms."""
        return np.exp(z) - t * z + log_factorial(t).astype(t.dtype)

    def df(self, z: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Their derivatives by z."""
        return np.exp(z) - t


houses = np.array([26107.0, 40046.0])  # of the Lambeth company, which had moved its inlet upstream, and Southwark's
deaths = np.array([[98.0], [1263.0]])
southwark = np.array([[0.0], [1.0]])

assert check_loss(PoissonNLL("sum"), np.zeros((2, 1)), deaths / 100).ok
result = mle.fit(
    Sequential(Linear(1, 1), PoissonNLL("sum")), southwark, deaths, names=["southwark"], offset=np.log(houses)
)
ratio = (1263 / 40046) / (98 / 26107)
show(result, southwark=(math.log(ratio), math.sqrt(1 / 98 + 1 / 1263)), const=(math.log(98 / 26107), 98**-0.5))
low, high = np.exp(result.ci()[0])
print(f"   {ratio:.1f} times as many deaths per house as with clean water, 95 % interval {low:.1f} to {high:.1f}\n")


print("2. Gaussian with a trained scale: water boils at lower temperatures in the Alps (Forbes, 1857)\n")


class GaussianNLL(Layer):
    """sum of log sigma + r^2 / 2 + log(2 pi) / 2 with r = (z - t) / sigma.  A cost with a parameter of its own."""

    parameter_names = ("log_sigma",)

    def __init__(self) -> None:
        self.log_sigma = np.array(0.0)

    def forward(self, z: np.ndarray, t: np.ndarray) -> tuple[Any, Any]:
        """Rule 1."""
        r = (z - t) * np.exp(-self.log_sigma)
        return (self.log_sigma + 0.5 * r * r + HALF_LOG_2_PI).sum(), r

    def backward(self, delta: Any, r: Any) -> Any:
        """Rule 2."""
        return delta * r * np.exp(-self.log_sigma)

    def parameter_gradients(self, delta: Any, r: Any) -> dict[str, Any]:
        """Rule 3."""
        return {"log_sigma": delta * (1 - r * r).sum()}


# Degrees Fahrenheit at which water boils, and inches of mercury.
FORBES = """
194.5 20.79  194.3 20.79  197.9 22.40  198.4 22.67  199.4 23.15  199.9 23.35  200.9 23.89  201.1 23.99  201.4 24.02
201.3 24.01  203.6 25.14  204.6 26.57  209.5 28.49  208.6 27.76  210.7 29.04  211.9 29.88  212.2 30.06
"""
boiling, inches = np.array(FORBES.split(), dtype=float).reshape(-1, 2, 1).swapaxes(0, 1)
pressure = 100 * np.log10(inches)

assert check_loss(GaussianNLL(), boiling[:5] / 100, pressure[:5] / 100).ok
result = mle.fit(Sequential(Linear(1, 1), GaussianNLL()), boiling, pressure, names=["boiling"])
centred = boiling - boiling.mean()
slope = float((centred * pressure).sum() / (centred**2).sum())
sigma = float(np.sqrt(np.mean((pressure - pressure.mean() - slope * centred) ** 2)))
show(
    result,
    boiling=(slope, sigma / math.sqrt((centred**2).sum())),
    log_sigma=(math.log(sigma), 1 / math.sqrt(2 * len(boiling))),
)
print("   as least squares has it, with the root of the mean square as sigma\n")


print("3. Probit: beetles in carbon disulphide, for which the probit was made (Bliss, 1935)\n")


def log_normal_cdf(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log Phi(a) and its derivative phi / Phi; where both are 0 in floats, by Laplace's continued fraction."""
    far = a.real < -5
    x, near = np.where(far, -a, 5.0), np.where(far, 0.0, a)
    ratio = x
    for n in range(40, 0, -1):
        ratio = x + n / ratio
    log_p = np.where(near.real > 0, np.log1p(-normal_cdf(-near)), np.log(normal_cdf(near)))
    return (
        np.where(far, -0.5 * x * x - HALF_LOG_2_PI - np.log(ratio), log_p),
        np.where(far, ratio, normal_pdf(near) / normal_cdf(near)),
    )


class ProbitNLL(ElementwiseLoss):
    """-log Phi(z) where t = 1, -log Phi(-z) where t = 0.  With `response` predictions are of P(t = 1) = Phi(z)."""

    response_scale = "logit"  # so that intervals stay between 0 and 1

    def response(self, z: np.ndarray) -> np.ndarray:
        """What is expected of t."""
        return normal_cdf(z)

    def f(self, z: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The terms."""
        return -log_normal_cdf((2 * t - 1) * z)[0]

    def df(self, z: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Their derivatives by z."""
        s = 2 * t - 1
        return -s * log_normal_cdf(s * z)[1]


dose = np.array([1.6907, 1.7242, 1.7552, 1.7842, 1.8113, 1.8369, 1.8610, 1.8839])  # log10 of mg per litre
beetles, dead = np.array([59, 60, 62, 56, 63, 59, 62, 60]), np.array([6, 13, 18, 28, 52, 53, 61, 60])
x, t = np.tile(dose, 2)[:, np.newaxis], np.repeat([[1.0], [0.0]], 8, axis=0)
counts = np.concatenate([dead, beetles - dead]).astype(float)
some = counts > 0

assert check_loss(ProbitNLL("sum"), np.linspace(-2, 2, 16)[:, np.newaxis], t).ok
result = mle.fit(Sequential(Linear(1, 1), ProbitNLL("sum")), x[some], t[some], weights=counts[some], names=["dose"])
# Solved by Newton's method in 60 digits: tests/exact_fits.py, beetles_probit.
show(
    result,
    dose=(19.72793421132234348287, 1.484058322954989422211),
    const=(-34.93525889917801346193, 2.639503692796754705318),
)
assert abs(result.loglik + 185.6791667795594817802) < 1e-9
slope, level = result.params
print(f"   half of the beetles die at {10 ** (-level / slope):.1f} mg per litre,", end=" ")
print(f"99 in 100 at {10 ** ((NormalDist().inv_cdf(0.99) - level) / slope):.1f}")
middle = result.predict(np.array([[1.8]]), ci=True)
assert abs(middle.mean[0] - NormalDist().cdf(1.8 * slope + level)) < 1e-12
print(f"   of {10**1.8:.0f} mg per litre {100 * middle.mean[0]:.0f} in 100 die,", end=" ")
print(f"95 % interval {100 * middle.lower[0]:.0f} to {100 * middle.upper[0]:.0f}\n")


print("4. Weibull: weeks of survival with leukaemia, with and without a marker (Feigl and Zelen, 1965)\n")


class WeibullNLL(Layer):
    """sum of log t - a - u + e^u with u = k (log t - z), k = e^a: scale e^z, and a trained shape k."""

    parameter_names = ("log_shape",)

    def __init__(self) -> None:
        self.log_shape = np.array(0.0)

    def forward(self, z: np.ndarray, t: np.ndarray) -> tuple[Any, Any]:
        """Rule 1."""
        u = np.exp(self.log_shape) * (np.log(t) - z)
        return (np.log(t) - self.log_shape - u + np.exp(u)).sum(), u

    def backward(self, delta: Any, u: Any) -> Any:
        """Rule 2."""
        return delta * np.exp(self.log_shape) * (1 - np.exp(u))

    def parameter_gradients(self, delta: Any, u: Any) -> dict[str, Any]:
        """Rule 3."""
        return {"log_shape": delta * (u * np.exp(u) - u - 1).sum()}


positive = [65, 156, 100, 134, 16, 108, 121, 4, 39, 143, 56, 26, 22, 1, 1, 5, 65]
negative = [56, 65, 17, 7, 16, 22, 3, 4, 2, 3, 8, 4, 3, 30, 4, 43]
weeks = np.array([positive + negative], dtype=float).T
marker = np.repeat([[1.0], [0.0]], [len(positive), len(negative)], axis=0)

assert check_loss(WeibullNLL(), np.linspace(-0.5, 0.5, 5)[:, np.newaxis], np.array([[0.5, 1, 1.5, 2, 3]]).T).ok
result = mle.fit(Sequential(Linear(1, 1), WeibullNLL()), marker, weeks, names=["marker"])
# In 60 digits: tests/exact_fits.py, leukaemia.
show(
    result,
    marker=(1.258453022635715205402, 0.3851951536307420314745),
    const=(2.835627551590398346321, 0.2850835595712368241028),
    log_shape=(-0.1000607813336962425558, 0.1406056998709466173196),
)
k = math.exp(result.params[2])
for scale, group in ((result.params[0] + result.params[1], positive), (result.params[1], negative)):
    assert abs(scale - math.log(np.mean(np.array(group) ** k)) / k) < 1e-9  # the scale, given the shape
low, high = np.exp(result.ci()[0])
times = f"{np.exp(result.params[0]):.1f} times as long, 95 % interval {low:.1f} to {high:.1f}"
print(f"   with the marker they live {times}")
print(f"   an exponential distribution, of shape 1, would do: p = {result.wald_test('log_shape = 0').p:.2f}")
