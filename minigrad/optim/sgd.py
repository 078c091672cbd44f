"""SGD: gradient descent, on batches."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from minigrad.checks import require_flag, require_number
from minigrad.layer import Layer
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.settings import Options, Settings, require_fraction
from minigrad.typing import Array


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum or without.

        without momentum    theta <- theta - learning_rate g
        with momentum       b <- momentum b + (1 - dampening) g,   b = g at the first step
                            theta <- theta - learning_rate b
        nesterov            theta <- theta - learning_rate (g + momentum b)

    What all optimizers take: see `Optimizer`.  Polyak, 1964; Sutskever, Martens, Dahl and Hinton, "On the importance of
    initialization and momentum in deep learning", 2013.
    """

    def __init__(
        self,
        cost: Layer,
        learning_rate: float,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        own = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov}
        super().__init__(cost, learning_rate, own, weight_decay, **options)

    def check(self, settings: Settings) -> Settings:
        momentum = require_fraction(type(self), "momentum", settings["momentum"])
        dampening = require_number(type(self), "dampening", settings["dampening"], least=0.0)
        nesterov = require_flag(type(self), "nesterov", settings["nesterov"])
        if nesterov and (not momentum or dampening):
            raise ValueError("SGD with nesterov=True expects momentum above 0, and no dampening")
        return {"momentum": momentum, "dampening": dampening, "nesterov": nesterov}

    def start(self, s: Any) -> dict[str, float]:
        return {"velocity": 0.0} if s.momentum else {}

    def move(self, theta: Array, g: Array, s: Any, slots: dict[str, Array], scratch: Array) -> None:
        if s.momentum:
            b = slots["velocity"]
            b *= s.momentum
            b += np.multiply(g, 1 - s.dampening, out=scratch[0]) if s.dampening and self.steps else g
            g = np.add(g, np.multiply(b, s.momentum, out=scratch[0]), out=scratch[0]) if s.nesterov else b
        theta -= np.multiply(g, s.learning_rate_as_array, scratch[0])

    def reach(self, s: Any, g: float, slots: dict[str, float]) -> float:
        if s.momentum:
            slots["velocity"] = b = s.momentum * slots["velocity"] + (1 + s.dampening) * g
            g += b
        return g * (1 + s.learning_rate)
