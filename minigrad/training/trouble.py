"""What went wrong in training, in words: numbers not finite, rates that diverge, parameters that never move."""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.layer import Layer
from minigrad.optim import Optimizer
from minigrad.training.history import History
from minigrad.watching import find_nonfinite

if TYPE_CHECKING:
    from minigrad.training.run import Run

RISE = 4.0  # times the first cost, by which the cost has to rise to be called diverging
SMALL = 1e-3  # a first cost below this counts as this: who begins at the minimum can only rise
ROWS = 8  # that the first cost is a mean of: one or two may be small by chance
SOME = 10  # steps that are looked at together


class TrainingError(FloatingPointError):
    """Training met a number that is not finite.  The parameters are the last whose cost was finite.

    `history` is what went before, `batch` the batch at which it happened, None where that was in validation.
    """

    def __init__(self, message: str, history: History, batch: tuple[Any, ...] | None) -> None:
        super().__init__(message)
        self.history, self.batch = history, batch


class TrainingWarning(UserWarning):
    """Training goes on, but probably not as it is meant to."""


@contextmanager
def noted(where: str) -> Iterator[None]:
    """Note on every error that arises inside where that was."""
    try:
        yield
    except Exception as error:
        error.add_note(where)
        raise


class LastGood:
    """The parameters before the last step, and the state before the last batch."""

    def __init__(self, cost: Layer, optimizer: Optimizer) -> None:
        self.theta = optimizer.theta.vector
        self.parameters = self.theta.copy()
        state = {id(value): value for value in cost.state().values()}.values()
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


class Watch:
    """The costs of the first and the last steps, and the parameters that do not move."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.begin = optimizer.theta.vector.copy()
        self.batch: tuple[Any, ...] = ()  # the last
        self.steps = self.rows = 0
        self.first = 0.0  # the mean cost of the first rows
        self.highest = -math.inf  # that some steps, one after the other, did not fall below
        self.last: deque[float] = deque(maxlen=SOME)
        self.warned = {"divergence": False, "unmoved": False}
        self._look_anew()

    def see(self, cost: float, rows: int, batch: tuple[Any, ...]) -> None:
        """The cost of a step, by row where the loss sums."""
        self.steps += 1
        self.batch = batch
        self.last.append(cost)
        if self.rows < ROWS:
            self.first = (self.first * self.rows + cost * rows) / (self.rows + rows)
            self.rows += rows
        if self.steps % SOME == 0:
            self.highest = max(self.highest, min(self.last))

    def warn(self, epoch: int) -> None:
        """Say, once each, that the cost diverges, and which parameters have not moved."""
        rise = self.rise() if self.steps >= 2 * SOME and not self.warned["divergence"] else None
        if rise is not None and self._is_worse_than_at_first():
            self._say("divergence", f"the cost {rise}")
        steps = self.optimizer.steps - self._since
        if steps < SOME:
            return
        names = [name for name, array in self.optimizer.cost.parameters().items() if array.size]
        still = [name for name in names if name in self.optimizer.never_moved]
        # Where nothing moves at all, the loss has no more to ask for: the fit is exact, as a hinge may be.
        if still and len(still) < len(names) and not self.warned["unmoved"]:
            self._say(
                "unmoved",
                f"the gradient of {', '.join(still)} was 0 in the last {steps} steps up to epoch {epoch}: there the "
                "cost does not depend on it. Nothing above uses it, or what it feeds is dead (minigrad.flow shows it); "
                "Frozen says so where it is meant",
            )
        self._look_anew()

    def rise(self) -> str | None:
        """How the cost rose far above where it began, in words, and what to do; None where it did not.

        All of some steps that follow one another have to be that high: single batches may be.
        """
        if self.rows < ROWS:
            return None
        begin, now = self.first, min(self.last)
        highest = max(self.highest, now) if now > begin else now  # what has come down again is no matter
        if highest - begin <= RISE * max(abs(begin), SMALL):
            return None
        rate = self.optimizer.learning_rate
        return (
            f"had risen from {begin:.3g} at first to {highest:.3g} and more: the learning rate {rate:g} "
            "diverges; try a tenth of it, or clip_norm=1.0"
        )

    def _is_worse_than_at_first(self) -> bool:
        """The last batch costs far more with the present parameters than it did with the first: rows may differ."""
        cost, theta = self.optimizer.cost, self.optimizer.theta.vector
        now = theta.copy()
        try:
            after = float(cost(*self.batch))
            theta[...] = self.begin
            before = float(cost(*self.batch))
        finally:
            theta[...] = now
        return not after - before <= RISE * max(abs(before), SMALL)

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        names = ("steps", "rows", "first", "highest", "_since")
        here = {name: getattr(self, name) for name in names}
        return here | {"warned": dict(self.warned), "last": list(self.last)}

    def restore(self, record: dict[str, Any]) -> None:
        """Go on from `state()`."""
        vars(self).update({**record, "last": deque(record["last"], maxlen=SOME)})

    def _look_anew(self) -> None:
        self._since = self.optimizer.steps
        self.optimizer.never_moved = set(self.optimizer.theta.shapes)

    def _say(self, what: str, message: str) -> None:
        self.warned[what] = True
        warnings.warn(message, TrainingWarning, stacklevel=7)  # where fit was called


def stopped_by(error: Exception, run: Run, batch: tuple[Any, ...], last_good: LastGood) -> Exception:
    """What `fit` raises for an error of a step: where that was, and where a number that is not finite comes from."""
    where = f"in epoch {run.epoch + 1}, batch {run.step + 1} of it (step {run.optimizer.steps + 1} in all)"
    if not isinstance(error, FloatingPointError):
        error.add_note(f"{where} of fit")
        return error
    last_good.put_state_back()  # so that the batch, seen once more, meets the same draws
    found = find_nonfinite(run.cost, *batch)
    lines = [f"training stopped {where}: {error if found is None else found}"]
    last_good.put_parameters_back()
    rise = run.watch.rise()
    if rise is not None:
        lines.append(f"The cost {rise}.")
    lines.append(
        "The parameters are the last whose cost was finite; this error has the .batch, and the .history before it"
    )
    run.history.stopped = f"stopped {where}: a number was not finite"
    return TrainingError("\n".join(lines), run.history, batch)
