"""Adagrad: the gradient over the root of the sum of its squares."""

from __future__ import annotations

import math
from typing import Any, Unpack

import numpy as np

from minigrad.checks import require_number
from minigrad.layer import Layer
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.settings import Options, Settings
from minigrad.typing import Array


class Adagrad(Optimizer):
    """The gradient over the root of the sum of its squares.

        s <- s + g^2,   s = initial_accumulator_value before the first step
        theta <- theta - learning_rate / (1 + (t - 1) lr_decay)  g / (sqrt(s) + eps)

    What all optimizers take: see `Optimizer`.  Duchi, Hazan and Singer, "Adaptive subgradient methods for online
    learning and stochastic optimization", 2011.
    """

    def __init__(
        self,
        cost: Layer,
        learning_rate: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        **options: Unpack[Options],
    ) -> None:
        own = {"lr_decay": lr_decay, "initial_accumulator_value": initial_accumulator_value, "eps": eps}
        super().__init__(cost, learning_rate, own, weight_decay, **options)

    def check(self, settings: Settings) -> Settings:
        names = "lr_decay", "initial_accumulator_value", "eps"
        return {name: require_number(type(self), name, settings[name], least=0.0) for name in names}

    def start(self, s: Any) -> dict[str, float]:
        return {"squares": s.initial_accumulator_value}

    def move(self, theta: Array, g: Array, s: Any, slots: dict[str, Array], scratch: Array) -> None:
        squares = slots["squares"]
        squares += np.multiply(g, g, out=scratch[0])
        root = np.sqrt(squares, out=scratch[0])
        root += s.eps
        step = np.divide(g, root, out=scratch[0])
        step *= s.learning_rate / (1 + self.steps * s.lr_decay)
        theta -= step

    def reach(self, s: Any, g: float, slots: dict[str, float]) -> float:
        slots["squares"] += g * g
        return g / s.eps * (1 + s.learning_rate) if s.eps else math.inf
