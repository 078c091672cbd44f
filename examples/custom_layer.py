"""A layer that minigrad does not have, written, checked and stacked: Swish, z sigmoid(beta z), with beta trained."""

import numpy as np

from minigrad import SGD, Layer, Linear, LogSoftmax, NLLLoss, Sequential, value_and_gradients
from minigrad.testing import check_layer


class Swish(Layer):
    parameter_names = ("beta",)

    def __init__(self):
        self.beta = np.array(1.0)

    def forward(self, z):
        s = 0.5 * (1 + np.tanh(0.5 * self.beta * z))
        return z * s, (z, s)

    def backward(self, delta, cache):
        z, s = cache
        return delta * (s + self.beta * z * s * (1 - s))

    def parameter_gradients(self, delta, cache):
        z, s = cache
        return {"beta": (delta * z**2 * s * (1 - s)).sum()}


rng = np.random.default_rng(0)
x = rng.uniform(-2, 2, (400, 2))
inside = (np.hypot(*x.T) < 1.4).astype(int)  # a disc: no straight line separates it
print(check_layer(Swish(), x[:5]))
cost = Sequential(Linear(2, 8, rng=rng), Swish(), Linear(8, 2, rng=rng), LogSoftmax(), NLLLoss())
sgd = SGD(cost, learning_rate=0.5)
for step in range(2001):
    value, gradients = value_and_gradients(cost, x, inside)
    sgd.step(gradients)
    if step % 500 == 0:
        print(f"step {step:4d}   NLL {value:.4f}   accuracy {(cost[:-1](x).argmax(1) == inside).mean():.3f}")
