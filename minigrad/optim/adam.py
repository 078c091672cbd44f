"""Adam and AdamW: steps as long as the gradient is steady, whatever its size."""

from __future__ import annotations

import math
from typing import Any, Unpack

import numpy as np

from minigrad.checks import require_flag, require_number
from minigrad.layer import Layer
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.settings import Options, Settings, require_fractions
from minigrad.typing import Array


class Adam(Optimizer):
    """Adaptive moments.

        m <- beta_1 m + (1 - beta_1) g,      v <- beta_2 v + (1 - beta_2) g^2
        theta <- theta - learning_rate  m / (1 - beta_1^t)  /  (sqrt(v / (1 - beta_2^t)) + eps)

    amsgrad=True divides by the largest v so far.  What all optimizers take: see `Optimizer`.
    Kingma and Ba, "Adam: a method for stochastic optimization", 2015; Reddi, Kale and Kumar, "On the convergence of
    Adam and beyond", 2018.
    """

    def __init__(
        self,
        cost: Layer,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(cost, learning_rate, {"betas": betas, "eps": eps, "amsgrad": amsgrad}, weight_decay, **options)

    def check(self, settings: Settings) -> Settings:
        return {
            "betas": require_fractions(type(self), "betas", settings["betas"]),
            "eps": require_number(type(self), "eps", settings["eps"], least=0.0),
            "amsgrad": require_flag(type(self), "amsgrad", settings["amsgrad"]),
        }

    def start(self, s: Any) -> dict[str, float]:
        return {"first": 0.0, "second": 0.0} | ({"largest": 0.0} if s.amsgrad else {})

    def move(self, theta: Array, g: Array, s: Any, slots: dict[str, Array], scratch: Array) -> None:
        # first = m / (1 - beta_1), second = v / (1 - beta_2), and one factor makes up for it: two passes fewer.
        m, v, t, work = slots["first"], slots["second"], self.steps + 1, scratch[0]
        (beta_1, beta_2), unit = s.betas, 1 - s.base["betas"][0]
        of_m, of_v = unit / (1 - beta_1**t), math.sqrt((1 - beta_2) / (1 - beta_2**t))
        m *= beta_1
        m += g if beta_1 == s.base["betas"][0] else np.multiply(g, (1 - beta_1) / unit, out=work)  # of a schedule
        v *= beta_2
        v += np.multiply(g, g, out=work)
        if s.amsgrad:
            v = np.maximum(slots["largest"], v, out=slots["largest"])
        root = np.sqrt(v, out=work)
        root += s.eps / of_v
        step = np.divide(m, root, out=work)
        step *= s.learning_rate * of_m / of_v
        theta -= step

    def reach(self, s: Any, g: float, slots: dict[str, float]) -> float:
        change = (1 - s.betas[0]) / (1 - s.base["betas"][0])  # by a schedule
        slots["first"] = m = s.betas[0] * slots["first"] + g * max(1.0, change)
        slots["second"] = v = s.betas[1] * slots["second"] + g * g
        if s.amsgrad:
            slots["largest"] = max(v, slots["largest"])
        # v may be 0 where m is not: g^2 underflows before g does.
        rate = s.learning_rate / min(1.0, change)
        return m / s.eps * (1 + rate) + rate / (1 - s.betas[1]) if s.eps else math.inf


class AdamW(Adam):
    """Adam that shrinks the parameters by themselves: theta <- (1 - learning_rate weight_decay) theta, then as Adam.

    Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
    """

    def __init__(
        self,
        cost: Layer,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        options.setdefault("decoupled", True)
        super().__init__(cost, learning_rate, betas, eps, weight_decay, amsgrad, **options)
