"""Progress: a bar on terminals and in notebooks, lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from typing import Any

SECONDS = 0.1  # between updates of the bar
PATIENCE = 10.0  # seconds without a line, after which one is printed within an epoch


class Silent:
    """Shows nothing; what a kind of progress has."""

    due = float("inf")  # when, by time.perf_counter, the next step is to be shown

    def begin(self, epochs: int, first_epoch: int, steps: int | None, unit: str = "epoch") -> None:
        """Training begins: of `epochs` epochs, `first_epoch` are over, and each has `steps` steps, if that is known."""

    def step(self, epoch: int, step: int, cost: float) -> None:
        """`step` steps of an epoch are over; called when `due`."""

    def epoch(self, epoch: int, steps: int, entries: dict[str, float]) -> None:
        """An epoch of `steps` steps is over; its line of the history."""

    def end(self, message: str) -> None:
        """Training is over, and why."""


class Lines(Silent):
    """A line for each epoch, or for some where there are many: at least every second, the first and the last."""

    def begin(self, epochs: int, first_epoch: int, steps: int | None, unit: str = "epoch") -> None:
        self.epochs, self.steps, self.unit = epochs, steps, unit
        self.started = self.printed = time.perf_counter()
        self.due = self.started + PATIENCE
        self.skipped: str | None = None

    def step(self, epoch: int, step: int, cost: float) -> None:
        of = f"/{self.steps}" if self.steps else ""
        self._print(f"{self._counter(epoch)}   step {step}{of}   cost of the batch {cost:.6g}")

    def epoch(self, epoch: int, steps: int, entries: dict[str, float]) -> None:
        line = f"{self._counter(epoch)}   {describe(entries)}   {time.perf_counter() - self.started:.1f} s"
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
        print(line, flush=True)
        self.skipped = None
        self.printed = time.perf_counter()
        self.due = self.printed + PATIENCE


class Bar(Silent):
    """tqdm's bar over all steps, with the last epoch's figures beside it."""

    def __init__(self, tqdm: Any) -> None:
        self.tqdm = tqdm

    def begin(self, epochs: int, first_epoch: int, steps: int | None, unit: str = "epoch") -> None:
        self.epochs, self.unit, self.shown = epochs, unit, 0
        total = None if steps is None else steps * (epochs - first_epoch)
        self.bar = self.tqdm(total=total, unit="step", dynamic_ncols=True, file=sys.stdout)
        self.bar.set_description(f"{unit} {first_epoch + 1}/{epochs}")
        self.due = 0.0

    def step(self, epoch: int, step: int, cost: float) -> None:
        self.bar.update(step - self.shown)
        self.shown = step
        self.due = time.perf_counter() + SECONDS

    def epoch(self, epoch: int, steps: int, entries: dict[str, float]) -> None:
        self.bar.set_description(f"{self.unit} {min(epoch + 1, self.epochs)}/{self.epochs}", refresh=False)
        self.bar.set_postfix_str(describe(entries), refresh=False)
        self.bar.update(steps - self.shown)
        self.shown = 0

    def end(self, message: str) -> None:
        self.bar.close()
        print(message, flush=True)


def describe(entries: dict[str, float]) -> str:
    """The figures of an epoch in one line."""
    shown = {
        name: value for name, value in entries.items() if name not in ("seconds", "gradient_norm", "learning_rate")
    }
    return "   ".join(f"{name.replace('_', ' ')} {value:.6g}" for name, value in shown.items())


def shown_by(progress: Any) -> Silent:
    """What `fit(progress=...)` asks for: "auto", "bar", "lines" or False (ValueError)."""
    if isinstance(progress, Silent):
        return progress
    if progress is False or progress is None:
        return Silent()
    if progress == "lines":
        return Lines()
    if progress not in ("auto", "bar", True):
        raise ValueError(f"fit expects progress in ('auto', 'bar', 'lines', False), got {progress!r}")
    if progress == "bar" or sys.stdout.isatty() or "ipykernel" in sys.modules:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            if progress == "bar":
                raise ImportError("fit(progress='bar') needs tqdm: pip install 'minigrad[progress]'") from None
        else:
            return Bar(tqdm)
    return Lines()
