"""Run: one training run, step by step.  `fit` makes it; callbacks see it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from minigrad.derivatives import value_and_gradients
from minigrad.layer import Layer
from minigrad.optim import Average, Optimizer
from minigrad.saving.generators import generator_state, set_state
from minigrad.saving.states import state_arrays
from minigrad.training.checkpoint import Checkpoint, resume
from minigrad.training.data import Batch, Source
from minigrad.training.evaluation import Metrics, evaluation, is_sum
from minigrad.training.history import History
from minigrad.training.progress import Silent
from minigrad.training.stopping import Best, EarlyStopping, Interrupt
from minigrad.training.trouble import (
    SOME,
    LastGood,
    TrainingError,
    explanation,
    warn_of_divergence,
    warn_of_unmoved,
)
from minigrad.typing import Array


class Callback:
    """What is told of a run; a plain function is called after each epoch."""

    def after_step(self, run: Run) -> None:
        """A step is done; run.step counts those of the epoch."""

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
        self.progress, self.checkpoint = progress, checkpoint
        self.callbacks = list(callbacks)
        self.stops_early = early_stopping is not None
        # Without early stopping, the best is what remains after Ctrl-C.
        rule = early_stopping or (EarlyStopping() if validation is not None else None)
        self.best = None if rule is None else Best(rule)
        self.history = History()
        self.epoch = self.step = 0
        self.total, self.rows, self.largest_norm = 0.0, 0, 0.0  # of the epoch so far
        self.rng_at_epoch = generator_state("rng", rng)
        self.finished: str | None = None
        self.seconds = 0.0
        self._now: dict[str, Any] | None = None  # after a checkpoint was read: the generator's state in mid-epoch
        self._warned = {"unmoved": False, "divergence": False}
        self._sums = is_sum(cost)
        self._after_step = [c for c in self.callbacks if isinstance(c, Callback)]

    def entries(self) -> list[str]:
        """What the history has for each epoch."""
        found = [] if self.validation is None else ["validation_cost", *self.metrics]
        return ["cost", *found, "learning_rate", "gradient_norm", "seconds"]

    def stop(self, why: str) -> None:
        """End the training after this epoch."""
        self.finished = why

    def go(self) -> History:
        """Train to the end, or to where it is stopped."""
        begin = time.perf_counter() - self.seconds
        self.progress.begin(self.epochs, self.epoch, self.source.length)
        with Interrupt() as interrupt:
            while self.finished is None and self.epoch < self.epochs:
                self._train_epoch(interrupt)
                self.seconds = time.perf_counter() - begin
                if interrupt.asked and self.checkpoint is not None and self.step:
                    self.checkpoint.write(self)  # as it is, in mid-epoch, so that nothing is lost
                self._end_epoch()
                if interrupt.asked:
                    self.finished = f"stopped by Ctrl-C in epoch {self.epoch}"
                elif self.checkpoint is not None and self.checkpoint.is_due_after_epoch(self.epoch, self._is_last()):
                    self.checkpoint.write(self)
            self._end(interrupt.asked)
        return self.history

    def _train_epoch(self, interrupt: Interrupt) -> None:
        """The rest of an epoch, or until Ctrl-C."""
        if not self.step:
            self.rng_at_epoch = generator_state("rng", self.rng)
            self.total, self.rows, self.largest_norm = 0.0, 0, 0.0
        batches = self.source.batches(self.rng, self.step)
        if self._now is not None:
            set_state(self.rng.bit_generator, self._now)
            self._now = None
        cost, optimizer, history, progress = self.cost, self.optimizer, self.history, self.progress
        average, checkpoint, after_step = self.average, self.checkpoint, self._after_step
        last_good = LastGood(optimizer)
        has_state = last_good.has_state
        clock, sums = time.perf_counter, self._sums
        batch: Batch = ()
        for batch in batches:
            try:
                if has_state:
                    last_good.keep_state()
                value, gradients = value_and_gradients(cost, *batch)
                last_good.keep_parameters()
                optimizer.step(gradients)
            except Exception as error:
                raise self._explained(error, batch, last_good) from error
            value = float(value)
            history.add_step(value)
            self.step += 1
            rows = len(batch[0][0] if type(batch[0]) is tuple else batch[0])
            self.rows += rows
            self.total += value if sums else value * rows
            if optimizer.gradient_norm > self.largest_norm:
                self.largest_norm = optimizer.gradient_norm
            if average is not None:
                average.update()
            for callback in after_step:
                callback.after_step(self)
            if clock() >= progress.due:
                progress.step(self.epoch + 1, self.step, value)
            if checkpoint is not None and checkpoint.is_due_in_epoch(optimizer.steps):
                checkpoint.write(self)
            if interrupt.asked:
                return
        if not self.step:
            raise ValueError(
                f"fit expects batches in every epoch, got none in epoch {self.epoch + 1}: a generator can be read "
                "once; pass a list, or a function that makes it, lambda rng: ..."
            )

    def _end_epoch(self) -> None:
        rate = self.optimizer.current_learning_rate
        entries = {"cost": self.total if self._sums else self.total / self.rows}
        if self.validation is not None:
            with nullcontext() if self.average is None else self.average.applied():
                found = evaluation(self.cost, self.validation, self.metrics)
                entries["validation_cost"] = found.pop("cost")
                entries |= found
                if self.best is not None:
                    self._look_for_best(entries)
        elif self.best is not None:
            with nullcontext() if self.average is None else self.average.applied():
                self._look_for_best(entries)
        entries |= {"learning_rate": rate, "gradient_norm": self.largest_norm, "seconds": self.seconds}
        steps = self.step
        self.epoch, self.step = self.epoch + 1, 0
        self.history.add_epoch(entries)
        self.history.best_epoch = self.best.epoch if self.best is not None else None
        self.optimizer.end_epoch(entries.get("validation_cost", entries["cost"]))
        self._warn()
        self.progress.epoch(self.epoch, steps, entries)
        if self.stops_early and self.best is not None and self.best.is_over(self.epoch):
            self.stop(f"stopped early: {self.best.rule.monitor} was not better for {self.best.rule.patience} epochs")
        for callback in self.callbacks:
            if isinstance(callback, Callback):
                callback.after_epoch(self)
            else:
                callback(self)

    def _look_for_best(self, entries: dict[str, float]) -> None:
        assert self.best is not None
        monitor = self.best.rule.monitor
        if monitor not in entries:
            raise ValueError(
                f"EarlyStopping expects monitor in {', '.join(entries)}, got {monitor!r}: fit(validation=..., "
                "metrics=...) makes more"
            )
        self.best.see(self.epoch + 1, entries[monitor], self._arrays())

    def _arrays(self) -> dict[str, Array]:
        return state_arrays(self.cost)

    def _warn(self) -> None:
        if not self._warned["divergence"]:
            self._warned["divergence"] = warn_of_divergence(self.history, self.optimizer.learning_rate)
        enough = self.optimizer.steps >= SOME or self._is_last()
        if enough and not self._warned["unmoved"]:
            self._warned["unmoved"] = True
            warn_of_unmoved(self.optimizer)

    def _is_last(self) -> bool:
        return self.epoch >= self.epochs or self.finished is not None

    def _end(self, interrupted: bool) -> None:
        """Leave the parameters that are wanted in the cost, and say why training ended."""
        message = self.finished or f"all {self.epochs} epochs are done"
        if self.average is not None:
            self.average.copy_to()
        if self.best is not None and self.best.epoch and (self.stops_early or interrupted):
            self.best.put_back(self._arrays())
            message += (
                f"; the parameters are those of epoch {self.best.epoch}, {self.best.rule.monitor} {self.best.value:.6g}"
            )
        self.history.stopped = message
        self.progress.end(message)

    def _explained(self, error: Exception, batch: Batch, last_good: LastGood) -> Exception:
        where = f"in epoch {self.epoch + 1}, batch {self.step + 1} of it (step {self.optimizer.steps + 1} in all)"
        if not isinstance(error, FloatingPointError):
            error.add_note(f"{where} of fit")
            return error
        last_good.put_state_back()  # so that the batch, seen once more, meets the same draws
        text = explanation(error, self.cost, batch, self.history, self.optimizer.learning_rate)
        last_good.put_parameters_back()
        self.history.stopped = f"stopped {where}: a number was not finite"
        self.progress.end(self.history.stopped)
        kept = (
            "The parameters are the last whose cost was finite; the batch is .batch of this error, the history .history"
        )
        return TrainingError(f"training stopped {where}: {text}\n{kept}", self.history, batch)

    # For checkpoints.

    def position(self) -> dict[str, Any]:
        """Where the run is."""
        names = ("epoch", "step", "total", "rows", "largest_norm", "seconds")
        return {name: getattr(self, name) for name in names} | {"warned": dict(self._warned)}

    def go_to(self, record: dict[str, Any]) -> None:
        """Be where `record`, of a checkpoint, says."""
        position = dict(record["position"])
        self._warned = position.pop("warned")
        vars(self).update(position)
        self.rng_at_epoch = record["rng_at_epoch"]
        self.finished = record["finished"]
        set_state(self.rng.bit_generator, record["rng_at_epoch" if self.step else "rng"])
        self._now = record["rng"] if self.step else None

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one."""
        assert self.checkpoint is not None
        if os.path.exists(self.checkpoint.path):
            resume(self, self.checkpoint.path)
