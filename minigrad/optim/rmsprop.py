"""RMSprop: the gradient over the root of its mean square."""

from __future__ import annotations

import math
from typing import Any, Unpack

import numpy as np

from minigrad.checks import require_flag, require_number
from minigrad.layer import Layer
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.settings import Options, Settings, require_fraction
from minigrad.typing import Array


class RMSprop(Optimizer):
    """The gradient over the root of its mean square.

        v <- alpha v + (1 - alpha) g^2,      step = g / (sqrt(v) + eps)
        centered            a <- alpha a + (1 - alpha) g,   and sqrt(v - a^2) for sqrt(v)
        without momentum    theta <- theta - learning_rate step
        with momentum       b <- momentum b + step,   theta <- theta - learning_rate b

    Where rounding makes v - a^2 negative it counts as 0.  What all optimizers take: see `Optimizer`.
    Tieleman and Hinton, "Lecture 6.5: rmsprop", 2012; Graves, "Generating sequences with recurrent neural networks",
    2013, section 4.2.
    """

    def __init__(
        self,
        cost: Layer,
        learning_rate: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        own = {"alpha": alpha, "eps": eps, "momentum": momentum, "centered": centered}
        super().__init__(cost, learning_rate, own, weight_decay, **options)

    def check(self, settings: Settings) -> Settings:
        return {
            "alpha": require_fraction(type(self), "alpha", settings["alpha"]),
            "eps": require_number(type(self), "eps", settings["eps"], least=0.0),
            "momentum": require_fraction(type(self), "momentum", settings["momentum"]),
            "centered": require_flag(type(self), "centered", settings["centered"]),
        }

    def start(self, s: Any) -> dict[str, float]:
        names = ["square"] + ["mean"] * s.centered + ["velocity"] * (s.momentum > 0)
        return dict.fromkeys(names, 0.0)

    def move(self, theta: Array, g: Array, s: Any, slots: dict[str, Array], scratch: Array) -> None:
        v, work = slots["square"], scratch[0]
        v *= s.alpha
        np.multiply(g, g, out=work)
        work *= 1 - s.alpha
        v += work
        if s.centered:
            a = slots["mean"]
            a *= s.alpha
            a += np.multiply(g, 1 - s.alpha, out=work)
            np.multiply(a, a, out=work)
            np.maximum(np.subtract(v, work, out=work), 0.0, out=work)
            root = np.sqrt(work, out=work)
        else:
            root = np.sqrt(v, out=work)
        root += s.eps
        step = np.divide(g, root, out=work)
        if s.momentum:
            b = slots["velocity"]
            b *= s.momentum
            b += step
            step = np.multiply(b, s.learning_rate, out=work)
        else:
            step *= s.learning_rate
        theta -= step

    def reach(self, s: Any, g: float, slots: dict[str, float]) -> float:
        slots["square"] = s.alpha * slots["square"] + g * g
        step = g / s.eps if s.eps else math.inf
        if s.centered:
            slots["mean"] = a = s.alpha * slots["mean"] + g
            step += a * a
        if s.momentum:
            slots["velocity"] = step = s.momentum * slots["velocity"] + step
        return step * (1 + s.learning_rate)
