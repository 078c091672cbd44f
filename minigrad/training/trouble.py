"""What went wrong in training, in words: numbers not finite, rates that diverge, parameters that never move."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from minigrad.layer import Layer
from minigrad.optim import Optimizer
from minigrad.training.history import History
from minigrad.typing import Array
from minigrad.watching import find_nonfinite

RISE = 3.0  # times the size of the first costs, by which the cost has to rise to be called diverging
SOME = 10  # steps that are looked at together


class TrainingError(FloatingPointError):
    """Training met a number that is not finite.  The parameters are the last whose cost was finite.

    `history` is what went before, `batch` the batch at which it happened.
    """

    def __init__(self, message: str, history: History, batch: tuple[Any, ...]) -> None:
        super().__init__(message)
        self.history, self.batch = history, batch


class TrainingWarning(UserWarning):
    """Training goes on, but probably not as it is meant to."""


class LastGood:
    """The parameters before the last step, and the state before the last batch."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.theta = optimizer.theta.vector
        self.parameters = self.theta.copy()
        state = {id(value): value for value in optimizer.cost.state().values()}.values()
        self.arrays = [(array, array.copy()) for array in state if isinstance(array, np.ndarray)]
        self.generators = [rng.bit_generator for rng in state if isinstance(rng, np.random.Generator)]
        self.draws: list[Any] = [bits.state for bits in self.generators]
        self.has_state = bool(self.arrays or self.generators)

    def keep_parameters(self) -> None:
        """Their cost is finite: they may be changed."""
        self.parameters[...] = self.theta

    def keep_state(self) -> None:
        """A batch is about to change it."""
        for array, kept in self.arrays:
            kept[...] = array
        self.draws = [bits.state for bits in self.generators]

    def put_state_back(self) -> None:
        """What the batch changed, as it was before."""
        for array, kept in self.arrays:
            array[...] = kept
        for bits, draws in zip(self.generators, self.draws, strict=True):
            bits.state = draws

    def put_parameters_back(self) -> None:
        """The last parameters whose cost was finite."""
        self.theta[...] = self.parameters


def explanation(error: FloatingPointError, cost: Layer, batch: tuple[Any, ...], history: History, rate: float) -> str:
    """Where a number that is not finite comes from, and whether the learning rate is to blame."""
    found = find_nonfinite(cost, *batch)
    rise = rise_of(history.step_cost)
    lines = [str(error) if found is None else found]
    if rise is not None:
        lines.append(
            f"The cost {rise} before: the learning rate {rate:g} diverges; try a tenth of it, or clip_norm=1.0."
        )
    return "\n".join(lines)


def rise_of(costs: Array) -> str | None:
    """How the cost rose above where it began, in words; None unless by much more than it varied there."""
    if len(costs) < 2:
        return None
    first, last = costs[: min(SOME, len(costs) // 2)], costs[-SOME:] if len(costs) >= 2 * SOME else costs[-1:]
    begin, end = float(np.mean(first)), float(np.mean(last))
    if end - begin <= RISE * max(abs(begin), float(np.ptp(first))):
        return None
    return f"had risen from {begin:.3g} in the first steps to {end:.3g}"


def warn_of_divergence(history: History, rate: float) -> bool:
    """Say so where the cost rises far above where it began."""
    rise = rise_of(history.step_cost)
    if rise is not None:
        message = f"the cost {rise}: the learning rate {rate:g} diverges; try a tenth of it, or clip_norm=1.0"
        warnings.warn(message, TrainingWarning, stacklevel=4)
    return rise is not None


def warn_of_unmoved(optimizer: Optimizer) -> bool:
    """Say which parameters had a gradient of 0 at every step."""
    if not optimizer.never_moved:
        return False
    names = ", ".join(name for name in optimizer.cost.parameters() if name in optimizer.never_moved)
    warnings.warn(
        f"the cost does not depend on {names}: the gradient was 0 in all of {optimizer.steps} steps. Nothing above "
        "uses it, or what it feeds is dead (minigrad.flow shows it); Frozen says so where it is meant",
        TrainingWarning,
        stacklevel=4,
    )
    return True
