"""Logistic regression of O-ring damage on temperature, in three forms that are one: Challenger, 1986.

    python examples/logreg_binary.py

The sigmoid form (one logit), the softmax form (two classes) and the formula by hand give the same gradient and the same
fit.  The softmax form has twice the parameters; half of them can be shifted away.
"""

from pathlib import Path

import numpy as np

from minigrad import (
    BernoulliNLLLoss,
    FlatParameters,
    Linear,
    LogSoftmax,
    NLLLoss,
    Sequential,
    minimize_lbfgs,
    value_and_gradients,
)

# Logit of damage on temperature in degrees Fahrenheit, as published: (slope, intercept), log-likelihood.
PUBLISHED, PUBLISHED_LOG_LIKELIHOOD = np.array([-0.23216274, 15.04290165]), -10.15759634

data = np.loadtxt(Path(__file__).parent / "data" / "challenger.csv", delimiter=",", skiprows=1)
temperature, t = data[:, :1], data[:, 1].astype(int)
print(f"{len(t)} flights, {t.sum()} with O-ring damage")

# Temperatures lie far from 0: their centre takes the tie between slope and intercept out of the descent.
centre = temperature.mean()
x = temperature - centre
X = np.column_stack([x, np.ones(len(x))])

sigmoid_form = Sequential(Linear(1, 1, rng=0), BernoulliNLLLoss("sum"))
softmax_form = Sequential(Linear(1, 2, rng=0), LogSoftmax(), NLLLoss("sum"))


def by_hand(w: np.ndarray) -> tuple[float, np.ndarray]:
    """J = -sum t log y + (1 - t) log(1 - y) and its gradient X^T (y - t)."""
    y = 1 / (1 + np.exp(-X @ w))
    return float(-(t * np.log(y) + (1 - t) * np.log(1 - y)).sum()), X.T @ (y - t)


def by_sigmoid(w: np.ndarray) -> tuple[float, np.ndarray]:
    """The same from the rules of the layers: w = (weight, bias)."""
    cost = sigmoid_form.with_parameters({"0.weight": w[:1].reshape(1, 1), "0.bias": w[1:]})
    value, gradients = value_and_gradients(cost, x, t)
    return value, np.concatenate([gradients["0.weight"].ravel(), gradients["0.bias"]])


def by_softmax(w0: np.ndarray, w1: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """J and its gradients by w_0 and w_1, one vector (weight, bias) for each class."""
    w = np.stack([w0, w1])
    cost = softmax_form.with_parameters({"0.weight": w[:, :1], "0.bias": w[:, 1]})
    value, gradients = value_and_gradients(cost, x, t)
    of_w0, of_w1 = np.column_stack([gradients["0.weight"], gradients["0.bias"]])
    return value, of_w0, of_w1


print("\n1. One gradient, three ways, at random w = w_1 - w_0\n")
rng = np.random.default_rng(0)
worst = 0.0
for _ in range(100):
    w0, w1 = rng.normal(scale=0.3, size=(2, 2))
    hand = by_hand(w1 - w0)[1]
    sigmoid = by_sigmoid(w1 - w0)[1]
    softmax_0, softmax_1 = by_softmax(w0, w1)[1:]
    size = np.abs(hand).max()
    worst = max(worst, *(np.abs(other - hand).max() / size for other in (sigmoid, softmax_1, -softmax_0)))
print(f"   by hand         X^T (y - t)   {hand}")
print(f"   sigmoid form    dJ/dw         {sigmoid}")
print(f"   softmax form    dJ/dw_1       {softmax_1}")
print(f"                  -dJ/dw_0       {-softmax_0}")
print(f"   largest relative difference at 100 points: {worst:.1e}")
assert worst <= 1e-12

print("\n2. One fit\n")
fits = {"by hand": minimize_lbfgs(by_hand, np.zeros(2), tolerance=1e-9).x}
for name, cost in (("sigmoid form", sigmoid_form), ("softmax form", softmax_form)):
    theta = FlatParameters(cost)

    def objective(
        vector: np.ndarray, cost: Sequential = cost, theta: FlatParameters = theta
    ) -> tuple[float, np.ndarray]:
        """The cost of a vector of parameters, and its gradient."""
        theta.vector = vector
        value, gradients = value_and_gradients(cost, x, t)
        return value, theta.flatten(gradients)

    theta.vector = minimize_lbfgs(objective, theta.vector, tolerance=1e-9).x
    w = np.column_stack([cost.parameters()["0.weight"], cost.parameters()["0.bias"]])
    fits[name] = w[0] if len(w) == 1 else w[1] - w[0]
print(f"   {'':<14} {'slope':>12} {'intercept':>12} {'log-likelihood':>16}")
for name, (slope, at_centre) in fits.items():
    fit = np.array([slope, at_centre - slope * centre])  # back to degrees from 0
    log_likelihood = -by_hand(np.array([slope, at_centre]))[0]
    print(f"   {name:<14} {fit[0]:12.8f} {fit[1]:12.8f} {log_likelihood:16.8f}")
    assert np.abs(fit - PUBLISHED).max() < 1e-8
    assert abs(log_likelihood - PUBLISHED_LOG_LIKELIHOOD) < 1e-8
print(f"   {'published':<14} {PUBLISHED[0]:12.8f} {PUBLISHED[1]:12.8f} {PUBLISHED_LOG_LIKELIHOOD:16.8f}")
at_launch = 1 / (1 + np.exp(-(fits["by hand"] @ [31 - centre, 1])))
print(f"\n   At 31 F, the morning of the launch, the fit gives damage a probability of {at_launch:.4f}")

print("\n3. The softmax is not identified: one psi added to both w_0 and w_1 changes nothing\n")
value, of_w0, of_w1 = by_softmax(w[0], w[1])
for psi in (np.array([1.0, 0.0]), np.array([0.0, 100.0]), np.array([-2.0, 30.0])):
    shifted, shifted_0, shifted_1 = by_softmax(w[0] + psi, w[1] + psi)
    print(f"   psi {psi!s:<12}  cost {value:.10f} -> {shifted:.10f}")
    assert abs(shifted - value) < 1e-12 * value
print(f"   and the two gradients cancel: dJ/dw_0 + dJ/dw_1 = {np.abs(of_w0 + of_w1).max():.1e}")
print("   The data choose w_1 - w_0 alone. Standard errors of w_0 and w_1 need one more condition, such as w_0 = 0.")
assert np.abs(of_w0 + of_w1).max() < 1e-12
