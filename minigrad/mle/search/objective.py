"""Objective: the negative log-likelihood and its penalty, at one point."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minigrad.mle.likelihood import Likelihood, Local
from minigrad.typing import Array


class Point(NamedTuple):
    """What the likelihood is at u, and what it is with its penalty."""

    u: Array
    local: Local
    objective: Local


def point_at(likelihood: Likelihood, u: Array) -> Point:
    """The likelihood at u, and with its penalty."""
    with np.errstate(all="ignore"):  # far out there may be infinities, which are looked at
        local, penalty = likelihood.evaluate(u), likelihood.penalty(u)
        value = local.value + penalty.value
        return Point(u, local, Local(value, local.gradient + penalty.gradient, local.hessian + penalty.hessian))
