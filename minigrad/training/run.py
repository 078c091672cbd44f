"""Run: one training run, step by step.  `fit` makes it; callbacks see it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from minigrad.derivatives import value_and_gradients
from minigrad.layer import Layer
from minigrad.optim import Average, Optimizer
from minigrad.saving.generators import generator_state, set_state
from minigrad.saving.states import state_arrays
from minigrad.training.checkpoint import Checkpoint, made_with, resume
from minigrad.training.data import Batch, Source, rows_of
from minigrad.training.evaluation import Metrics, evaluation, is_sum
from minigrad.training.history import History
from minigrad.training.progress import Silent
from minigrad.training.stopping import Best, EarlyStopping, Interrupt
from minigrad.training.trouble import LastGood, TrainingError, Watch, noted, stopped_by


class Callback:
    """What is told of a run; a plain function is called after each epoch."""

    def after_step(self, run: Run) -> None:
        """A step is done; run.step counts those of the epoch, from 1."""

    def after_epoch(self, run: Run) -> None:
        """An epoch is done and in run.history; run.epoch counts them.  run.stop("why") ends the training."""


class Run:
    """A training run: `cost`, `optimizer`, `history`, and where it is: after `epoch` epochs and `step` steps more."""

    def __init__(
        self,
        cost: Layer,
        optimizer: Optimizer,
        source: Source,
        *,
        epochs: int,
        rng: np.random.Generator,
        validation: Source | None,
        metrics: Metrics,
        early_stopping: EarlyStopping | None,
        average: Average | None,
        callbacks: Sequence[Callback | Callable[[Run], Any]],
        progress: Silent,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.cost, self.optimizer, self.source, self.epochs, self.rng = cost, optimizer, source, epochs, rng
        self.validation, self.metrics, self.average = validation, metrics, average
        self.callbacks, self.progress, self.checkpoint = list(callbacks), progress, checkpoint
        self.stops_early = early_stopping is not None
        # Without early stopping, the best is what remains after Ctrl-C.
        rule = early_stopping or (EarlyStopping() if validation is not None else None)
        self.best = None if rule is None else Best(rule)
        self.monitor = "cost" if rule is None else rule.monitor
        self.history = History()
        self.watch = Watch(optimizer)
        self.epoch = self.step = 0
        self.total, self.rows, self.largest_norm = 0.0, 0, 0.0  # of the epoch so far
        self.rng_at_epoch = {} if checkpoint is None else generator_state("rng", rng)
        self.finished: str | None = None
        self.stopped_early = False
        self.seconds = 0.0
        self._begin = 0.0
        self._now: dict[str, Any] | None = None  # after a checkpoint was read: the generator's state in mid-epoch
        self._sums = is_sum(cost)
        self.made_with = {} if checkpoint is None else made_with(self)

    def entries(self) -> list[str]:
        """What the history has for each epoch."""
        found = [] if self.validation is None else ["validation_cost", *self.metrics]
        return ["cost", *found, "learning_rate", "gradient_norm", "seconds"]

    def stop(self, why: str) -> None:
        """End the training after this epoch.  `fit(resume=True)` goes on after it, unlike after early stopping."""
        self.finished = str(why) or "stopped"

    def go(self) -> History:
        """Train to the end, or to where it is stopped."""
        self._begin = time.perf_counter() - self.seconds
        # What comes of an overflow is looked at: no NumPy warning has to say it too.
        quiet: Any = {name: "ignore" for name, what in np.geterr().items() if what == "warn"}
        try:
            self.progress.begin(self.epochs, self.epoch, self.source.length)
            with Interrupt() as interrupt, np.errstate(**quiet):
                while self.finished is None and self.epoch < self.epochs:
                    self._go_through_epoch(interrupt)
                self._end()
        finally:
            self.progress.close()
        return self.history

    def _go_through_epoch(self, interrupt: Interrupt) -> None:
        whole = self._train_epoch(interrupt)
        if not whole and self.checkpoint is not None:
            self.checkpoint.write(self)  # as it is, in mid-epoch, so that nothing is lost
        with noted(f"after the steps of epoch {self.epoch + 1} of fit"):
            self._end_epoch(whole)
        is_due = self.checkpoint is not None and self.checkpoint.is_due_after_epoch(self.epoch, self._is_last())
        if self.checkpoint is not None and whole and (is_due or interrupt.asked):
            self.checkpoint.write(self)
        if interrupt.asked and not (whole and self._is_last()):
            self.finished = f"stopped by Ctrl-C in epoch {self.epoch}"
            if self.best is not None:
                self.stops_early = True  # and so goes back to the best

    def _train_epoch(self, interrupt: Interrupt) -> bool:
        """The rest of an epoch; False where Ctrl-C cut it short."""
        if not self.step:
            self.total, self.rows, self.largest_norm = 0.0, 0, 0.0
            if self.checkpoint is not None:
                self.rng_at_epoch = generator_state("rng", self.rng)
        batches = self._batches()
        cost, optimizer, progress, checkpoint = self.cost, self.optimizer, self.progress, self.checkpoint
        add_step, watch, average, sums = self.history.add_step, self.watch.see, self.average, self._sums
        callbacks = [callback for callback in self.callbacks if isinstance(callback, Callback)]
        last_good = LastGood(cost, optimizer)
        has_state, clock = last_good.has_state, time.perf_counter
        for batch in batches:
            try:
                if has_state:
                    last_good.keep_state()
                value, gradients = value_and_gradients(cost, *batch)
                last_good.keep_parameters()
                optimizer.step(gradients)
            except Exception as error:
                raise stopped_by(error, self, batch, last_good) from error
            value = float(value)
            rows = rows_of(batch)
            add_step(value)
            watch(value / rows if sums else value, rows, batch)
            self.step += 1
            self.rows += rows
            self.total += value if sums else value * rows
            if optimizer.gradient_norm > self.largest_norm:
                self.largest_norm = optimizer.gradient_norm
            if average is not None:
                average.update()
            for callback in callbacks:
                callback.after_step(self)
            if clock() >= progress.due:
                progress.step(self.epoch + 1, self.step, value)
            if checkpoint is not None and checkpoint.is_due_in_epoch(optimizer.steps):
                checkpoint.write(self)
            if interrupt.asked and self.step != self.source.length:
                return False
        if not self.step:
            raise ValueError(
                f"fit expects batches in every epoch, got none in epoch {self.epoch + 1}: a generator can be read "
                "once; pass a list, or a function that makes it, lambda rng: ..."
            )
        return True

    def _batches(self) -> Iterator[Batch]:
        """The rest of the epoch's batches; what their maker raises says where that was."""
        with noted(f"in the data of epoch {self.epoch + 1} of fit"):
            batches = self.source.batches(self.rng, self.step)
            if self._now is not None:
                set_state(self.rng.bit_generator, self._now)
                self._now = None
            yield from batches

    def _end_epoch(self, whole: bool) -> None:
        rate = self.optimizer.current_learning_rate
        entries = {"cost": self.total if self._sums else self.total / self.rows}
        with nullcontext() if self.average is None else self.average.applied():
            if self.validation is not None:
                entries |= self._validated(self.validation)
            # The mean of a few batches is no match for that of an epoch.
            if self.best is not None and (whole or self.monitor != "cost"):
                self.best.see(self.epoch + 1, entries[self.monitor], state_arrays(self.cost))
        self.seconds = time.perf_counter() - self._begin
        entries |= {"learning_rate": rate, "gradient_norm": self.largest_norm, "seconds": self.seconds}
        steps = self.step
        self.epoch, self.step = self.epoch + 1, 0
        self.history.add_epoch(entries)
        self.history.best_epoch = None if self.best is None else self.best.epoch
        self.optimizer.end_epoch(entries[self.monitor])
        self.progress.epoch(self.epoch, steps, entries)
        self.watch.warn(self.epoch)
        if self.stops_early and self.best is not None and self.best.is_over(self.epoch):
            self.stop(f"stopped early: {self.monitor} was not better for {self.best.rule.patience} epochs")
            self.stopped_early = True
        with self.progress.aside():
            for callback in self.callbacks:
                told = callback.after_epoch if isinstance(callback, Callback) else callback
                told(self)

    def _validated(self, data: Source) -> dict[str, float]:
        try:
            found = evaluation(self.cost, data, self.metrics)
        except FloatingPointError as error:
            self.history.stopped = f"stopped in the validation after epoch {self.epoch + 1}: a number was not finite"
            lines = [f"training stopped in the validation after epoch {self.epoch + 1}: {error}"]
            lines.append("The parameters are those after that epoch; this error has the .history before it")
            raise TrainingError("\n".join(lines), self.history, None) from error
        return {"validation_cost": found.pop("cost"), **found}

    def _is_last(self) -> bool:
        return self.epoch >= self.epochs or self.finished is not None

    def _end(self) -> None:
        """Leave the parameters that are wanted in the cost, and say why training ended."""
        message = self.finished or (f"all {self.epochs} epochs are done" if self.epochs > 1 else "the epoch is done")
        if self.average is not None and self.average.updates:
            self.average.copy_to()
        if self.best is not None and self.best.epoch and self.stops_early:
            self.best.put_back(state_arrays(self.cost))
            message += f"; the parameters are those of epoch {self.best.epoch}, {self.monitor} {self.best.value:.6g}"
        self.history.stopped = message
        self.progress.end(message)

    # For checkpoints.

    def position(self) -> dict[str, Any]:
        """Where the run is."""
        names = ("epoch", "step", "total", "rows", "largest_norm")
        here = {name: getattr(self, name) for name in names}
        return here | {"seconds": time.perf_counter() - self._begin, "watch": self.watch.state()}

    def go_to(self, record: dict[str, Any]) -> None:
        """Be where `record`, of a checkpoint, says."""
        position = dict(record["position"])
        self.watch.restore(position.pop("watch"))
        vars(self).update(position)
        self.rng_at_epoch = record["rng_at_epoch"]
        self.finished, self.stopped_early = record["stopped_early"], record["stopped_early"] is not None
        set_state(self.rng.bit_generator, record["rng_at_epoch" if self.step else "rng"])
        self._now = record["rng"] if self.step else None

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one."""
        if self.checkpoint is not None and os.path.exists(self.checkpoint.path):
            resume(self, self.checkpoint.path)
