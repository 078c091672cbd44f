"""Damping: what is added to a Hessian so that Newton's steps do not go further than it holds."""

from __future__ import annotations

import numpy as np

from minigrad.optim.descent import Step
from minigrad.optim.minimum import Point
from minigrad.typing import Array


class Damping:
    """kappa |gradient| times the unit matrix, so that no step exceeds 1 / kappa.

    Newton's steps mean nothing where the Hessian changes along them.  kappa is 0 until a line search has to cut a step,
    then what would have given the step that was found; every step that is not cut divides it by 4.  As gradients
    vanish, so does what is added.  Mishchenko, SIAM Journal on Optimization 33 (2023) 1440-1462, has the square root.
    """

    kappa = 0.0

    def __call__(self, gradient: Array) -> float:
        return self.kappa * float(np.linalg.norm(gradient))

    def learn(self, origin: Point, found: Point, step: Step) -> None:
        """Note how much of the proposal was taken."""
        taken, proposed = float(np.linalg.norm(found.x - origin.x)), float(np.linalg.norm(step.direction))
        if taken < 0.9 * proposed:
            self.kappa = max(4 * self.kappa, 1 / taken) if taken > 0 else 0.0
        else:
            self.kappa = self.kappa / 4 if self.kappa * taken > 1e-6 else 0.0
