"""Progress: a bar on terminals and in notebooks, lines elsewhere, or nothing."""

from __future__ import annotations

import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

SECONDS = 0.1  # between updates of the bar
PATIENCE = 10.0  # seconds without a line, after which one is printed within an epoch
NEVER = float("inf")


class Silent:
    """Shows nothing; what a kind of progress has."""

    due = NEVER  # when, by time.perf_counter, the next step is to be shown

    def begin(self, epochs: int, first_epoch: int, steps: int | None, unit: str = "epoch") -> None:
        """Training begins: of `epochs` epochs, `first_epoch` are over, and each has `steps` steps, if that is known."""

    def step(self, epoch: int, step: int, cost: float) -> None:
        """`step` steps of an epoch are over; called when `due`."""

    def epoch(self, epoch: int, steps: int, entries: dict[str, float]) -> None:
        """An epoch of `steps` steps is over; its line of the history."""

    def end(self, message: str) -> None:
        """Training is over, and why."""

    def close(self) -> None:
        """Nothing more will be shown."""

    def aside(self) -> AbstractContextManager[Any]:
        """While inside, others may print."""
        return nullcontext()


class Lines(Silent):
    """A line for each epoch, or for some where there are many: at least every second, the first and the last."""

    def begin(self, epochs: int, first_epoch: int, steps: int | None, unit: str = "epoch") -> None:
        self.epochs, self.steps, self.unit = epochs, steps, unit
        self.started = self.printed = time.perf_counter()
        self.due = self.started + PATIENCE
        self.skipped: str | None = None

    def step(self, epoch: int, step: int, cost: float) -> None:
        of = f"/{self.steps}" if self.steps else ""
        self._print(f"{self._counter(epoch)}   step {step}{of}   cost of the batch {cost:.4g}")

    def epoch(self, epoch: int, steps: int, entries: dict[str, float]) -> None:
        line = f"{self._counter(epoch)}   {describe(entries)}   after {time.perf_counter() - self.started:.1f} s"
        if self.epochs <= 20 or epoch <= 1 or epoch == self.epochs or time.perf_counter() - self.printed >= 1:
            self._print(line)
        else:
            self.skipped = line

    def end(self, message: str) -> None:
        if self.skipped:
            self._print(self.skipped)
        self._print(message)

    def _counter(self, epoch: int) -> str:
        return f"{self.unit} {epoch:{len(str(self.epochs))}d}/{self.epochs}"

    def _print(self, line: str) -> None:
        self.skipped = None
        self.printed = time.perf_counter()
        try:
            self._write(line)
        except OSError:  # nobody reads any more, as behind `| head`, or a disk is full: no reason to stop training
            self._write = lambda line: None  # type: ignore[method-assign]
            with suppress(AttributeError, OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _write(self, line: str) -> None:
        self.due = time.perf_counter() + PATIENCE
        print(line, flush=True)


class Bar(Lines):
    """The lines, and below them tqdm's bar over all steps."""

    def __init__(self, tqdm: Any) -> None:
        self.tqdm = tqdm

    def begin(self, epochs: int, first_epoch: int, steps: int | None, unit: str = "epoch") -> None:
        super().begin(epochs, first_epoch, steps, unit)
        self.shown = 0
        total = None if steps is None else steps * (epochs - first_epoch)
        self.bar = self.tqdm(total=total, unit=" steps", dynamic_ncols=True, file=sys.stdout, leave=False)
        self.bar.set_description(f"{unit} {min(first_epoch + 1, epochs)}/{epochs}")
        self.due = 0.0

    def step(self, epoch: int, step: int, cost: float) -> None:
        self.bar.set_postfix_str(f"cost {cost:.4g}", refresh=False)
        self.bar.update(step - self.shown)
        self.shown = step
        self.due = time.perf_counter() + SECONDS

    def epoch(self, epoch: int, steps: int, entries: dict[str, float]) -> None:
        self.bar.set_description(f"{self.unit} {min(epoch + 1, self.epochs)}/{self.epochs}", refresh=False)
        self.bar.update(steps - self.shown)
        self.shown = 0
        super().epoch(epoch, steps, entries)

    def end(self, message: str) -> None:
        self.close()
        super().end(message)

    def close(self) -> None:
        self.bar.close()

    def aside(self) -> AbstractContextManager[Any]:
        writing: AbstractContextManager[Any] = self.tqdm.external_write_mode(file=sys.stdout)
        return writing

    def _write(self, line: str) -> None:
        self.tqdm.write(line, file=sys.stdout)


def describe(entries: dict[str, float]) -> str:
    """The figures of an epoch in one line."""
    shown = [name for name in entries if name not in ("learning_rate", "gradient_norm", "seconds")]
    return "   ".join(f"{name.replace('_', ' ')} {entries[name]:.4g}" for name in shown)


def shown_by(progress: Any) -> Silent:
    """What `fit(progress=...)` asks for: "auto", "bar", "lines" or False (ValueError)."""
    if isinstance(progress, Silent):
        return progress
    if not progress:
        return Silent()
    if progress == "lines":
        return Lines()
    if progress not in ("auto", "bar", True):
        raise ValueError(f"fit expects progress in ('auto', 'bar', 'lines', False), got {progress!r}")
    if progress == "bar" or _has_terminal() or "ipykernel" in sys.modules:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            if progress == "bar":
                raise ImportError("fit(progress='bar') needs tqdm: pip install 'minigrad[progress]'") from None
        else:
            return Bar(tqdm)
    return Lines()


def _has_terminal() -> bool:
    """The output is a terminal, of some height."""
    try:
        return sys.stdout.isatty() and os.get_terminal_size(sys.stdout.fileno()).lines > 0
    except (AttributeError, OSError, ValueError):  # some put an object of their own in its place, or None
        return False
