"""Do Newton's steps shrink?  Towards a minimum they do; towards a bound that is never reached they do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.typing import Array

SHRUNK = 0.1  # a Newton step that shrinks like this, or to SMALL |x|, is on its way to nothing
SMALL = 1e-7
VANISHED = 1e-3  # relative to the longest of all steps
PATIENCE = 16  # Newton steps beyond a small gradient, each of which makes e^-x smaller by e


class Shrinking:
    """The sizes of the steps proposed, and what they say.

    Newton's steps on e^-x are all 1, and those on 1/x grow, while the gradients vanish.  So a small gradient is no sign
    of a minimum, but a step is that is short beside the distance on which the Hessian changes.  The steps before
    have to tell.
    """

    def __init__(self) -> None:
        self.sizes: list[float] = []
        self.since: int | None = None  # so many steps were taken when the gradient came within tolerance

    def taken(self, step: Array) -> float:
        """Note a step that is about to be taken; its size."""
        self.sizes.append(float(np.linalg.norm(step)))
        return self.sizes[-1]

    def far(self) -> None:
        """The gradient is not within tolerance."""
        self.since = None

    def waited(self) -> int:
        """How many steps were taken since the gradient came within tolerance."""
        if self.since is None:
            self.since = len(self.sizes)
        return len(self.sizes) - self.since

    def close(self, x: Array, step: Array) -> str | None:
        """What Newton's step says of x, where the gradient is within tolerance; None: take it and see."""
        waited = self.waited()
        size = float(np.linalg.norm(step))
        before, last = (np.inf, np.inf, *self.sizes)[-2:]
        at_first = self.sizes[-waited] if waited else size
        if size <= SMALL * float(np.linalg.norm(x)) or size <= SHRUNK**3 * last < np.inf:
            return "gradient"
        if size <= SHRUNK * last and last <= 0.5 * before < np.inf:
            return "gradient"  # twice: the first of many steps may be long for other reasons
        if waited > 2 and size <= SHRUNK * at_first and size <= 0.9 * last:
            return "gradient"
        if waited >= PATIENCE:
            return "no_minimum" if size > 0.5 * at_first else "gradient"
        return None

    def does_not(self, x: Array, step: Array) -> bool:
        """Newton's steps have long been of one size."""
        return len(self.sizes) >= 5 and min(self.sizes[-1], float(np.linalg.norm(step))) >= 0.5 * self.sizes[-5]

    def has_vanished(self, x: Array, step: Array) -> bool:
        """Newton's step is nothing beside those before."""
        return float(np.linalg.norm(step)) <= VANISHED * max(self.sizes)


class Proven(Shrinking):
    """The same, of a function of which one step tells: `verdict(x, p)` says "gradient", "no_minimum" or None."""

    def __init__(self, verdict: Callable[[Array, Array], str | None]) -> None:
        super().__init__()
        self.verdict = verdict

    def close(self, x: Array, step: Array) -> str | None:
        return self.verdict(x, step)

    def does_not(self, x: Array, step: Array) -> bool:
        return self.verdict(x, step) == "no_minimum"

    def has_vanished(self, x: Array, step: Array) -> bool:
        return self.verdict(x, step) == "gradient"
