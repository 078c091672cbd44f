"""Lion: the sign of a momentum."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from minigrad.layer import Layer
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.settings import Options, Settings, require_fractions
from minigrad.typing import Array


class Lion(Optimizer):
    """The sign of a momentum; weight decay is decoupled.

        theta <- (1 - learning_rate weight_decay) theta - learning_rate sign(beta_1 m + (1 - beta_1) g)
        m <- beta_2 m + (1 - beta_2) g

    What all optimizers take: see `Optimizer`.  Chen et al., "Symbolic discovery of optimization algorithms", 2023,
    program 1.
    """

    def __init__(
        self,
        cost: Layer,
        learning_rate: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        options.setdefault("decoupled", True)
        super().__init__(cost, learning_rate, {"betas": betas}, weight_decay, **options)

    def check(self, settings: Settings) -> Settings:
        return {"betas": require_fractions(type(self), "betas", settings["betas"])}

    def start(self, s: Any) -> dict[str, float]:
        return {"momentum": 0.0}

    def move(self, theta: Array, g: Array, s: Any, slots: dict[str, Array], scratch: Array) -> None:
        m, (beta_1, beta_2), work = slots["momentum"], s.betas, scratch[0]
        ahead = np.subtract(m, g, out=work)
        ahead *= beta_1
        ahead += g  # beta_1 m + (1 - beta_1) g, in one vector
        m *= beta_2
        m += np.multiply(g, 1 - beta_2, out=scratch[1])  # where g itself may stand
        step = np.sign(ahead, out=scratch[1])  # in place it takes three times as long
        step *= s.learning_rate
        theta -= step

    def reach(self, s: Any, g: float, slots: dict[str, float]) -> float:
        m = slots["momentum"]
        slots["momentum"] = s.betas[1] * m + g
        return s.learning_rate + 2 * (m + g)
