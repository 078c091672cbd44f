"""Averages of the parameters over the steps, which often do better than the last of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad.checks import all_finite, require_finite
from minigrad.layer import Layer
from minigrad.optim.groups import BLOCK
from minigrad.optim.records import require_made_alike
from minigrad.optim.schedules import require_counted
from minigrad.optim.settings import require_fraction
from minigrad.parameters import FlatParameters
from minigrad.typing import Array


class Average:
    """An average of the parameters of `cost`, which `update`, after a step, takes further.  A subclass says how.

    Only parameters are averaged.  Running statistics, as of batch normalisation, are those of the parameters that were
    trained: with the averages in their place run the training data forward once more, `cost.forward(x, t)`, so that
    they are those of the averages, before you evaluate.
    """

    def __init__(self, cost: Layer) -> None:
        self.cost = cost
        self.theta = FlatParameters(cost)
        self.updates = 0
        theta = self.theta.vector
        self._vector = theta.astype(np.promote_types(theta.dtype, np.float32))
        self._scratch = np.empty(min(BLOCK, theta.size), self._vector.dtype)
        self._applied = False

    def weight(self) -> float:
        """How much of the parameters the next update takes, after the first, which takes all."""
        raise NotImplementedError(f"{type(self).__name__} lacks weight(self)")

    def update(self) -> None:
        """Take in the parameters as they are now (RuntimeError while the averages stand in their place)."""
        self._require_out("update")
        theta, average = self.theta.vector, self._vector
        if not all_finite(theta):
            for name, array in self.theta.split(theta).items():
                require_finite(type(self), array, name)
        if self.updates == 0:
            average[...] = theta
        else:
            weight = self.weight()
            for start in range(0, theta.size, BLOCK):
                at = average[start : start + BLOCK]
                step = np.subtract(theta[start : start + BLOCK], at, out=self._scratch[: at.size])
                step *= weight
                at += step
        self.updates += 1

    def parameters(self) -> dict[str, Array]:
        """{name: array}: the averages; copies, in the floating type of the parameters."""
        self._require_some()
        return self.theta.split(self._vector.astype(self.theta.vector.dtype))

    @contextmanager
    def applied(self) -> Iterator[Layer]:
        """The cost with the averages for its parameters, inside of `with`; outside it is as it was.

        with ema.applied():
            value = cost(x, t)
        """
        self._require_some()
        self._require_out("apply")
        self.theta.require_writeable(self)
        theta = self.theta.vector
        trained, stood = theta.copy(), self._vector.astype(theta.dtype)
        self._applied = True
        try:
            theta[...] = stood
            yield self.cost
            if self.theta.vector is not theta or not np.array_equal(theta, stood):  # .vector: none was replaced
                raise RuntimeError(
                    f"the parameters were changed while the averages of {self!r} stood in their place, and the change "
                    "was undone: train outside of `with`, or call copy_to() first"
                )
        finally:
            theta[...] = trained
            self._applied = False

    def copy_to(self) -> None:
        """Make the averages the parameters of the cost, for good."""
        self._require_some()
        self._require_out("copy")
        self.theta.require_writeable(self)
        self.theta.vector[...] = self._vector

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """(vectors, everything else as JSON has it), copies that `restore` goes on from."""
        return {"average": self._vector.copy()}, {**self._description(), "updates": self.updates}

    def restore(self, vectors: Mapping[str, Array], record: Mapping[str, Any]) -> None:
        """Go on from the `state()` of an average that was made alike (ValueError where it was not, nothing changed)."""
        require_made_alike(self, "an average", (vectors, record), ({"average": self._vector}, self._description()))
        updates = require_counted(type(self), "updates", record.get("updates"))
        self._vector[...] = vectors["average"]
        self.updates = updates

    def _description(self) -> dict[str, Any]:
        return {
            "average": repr(self),
            "parameters": {name: list(shape) for name, shape in self.theta.shapes.items()},
        }

    def _require_some(self) -> None:
        if not self.updates:
            raise RuntimeError(f"{self!r} has no average yet: update() after each step")

    def _require_out(self, what: str) -> None:
        if self._applied:
            raise RuntimeError(f"{self!r} cannot {what} while its averages stand in the cost: leave `with` first")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class EMA(Average):
    """The exponential moving average: average <- decay average + (1 - decay) theta; the first update takes theta.

    >>> from minigrad import Linear
    >>> layer = Linear(1, 1, bias=False, rng=0)
    >>> ema = EMA(layer, decay=0.5)
    >>> for number in (1.0, 2.0, 3.0):
    ...     layer.weight[...] = number
    ...     ema.update()
    >>> with ema.applied():
    ...     print(layer.weight)
    [[2.25]]
    >>> layer.weight
    array([[3.]])
    """

    def __init__(self, cost: Layer, decay: float = 0.999) -> None:
        self.decay = require_fraction(type(self), "decay", decay)
        super().__init__(cost)

    def weight(self) -> float:
        return 1 - self.decay

    def __repr__(self) -> str:
        return f"{type(self).__name__}(decay={self.decay!r})"


class SWA(Average):
    """The mean of the parameters at all updates: average <- average + (theta - average) / (n + 1).

    Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.
    """

    def weight(self) -> float:
        return 1 / (self.updates + 1)
