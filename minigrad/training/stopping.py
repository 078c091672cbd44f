"""When to stop: early stopping, Ctrl-C, and the best parameters so far."""

from __future__ import annotations

import math
from types import FrameType
from typing import Any, Self

from minigrad.checks import kind, require_count, require_number
from minigrad.typing import Array


class EarlyStopping:
    """Stop when `monitor` was not better by `minimum_change` for `patience` epochs, and go back to the best epoch.

    `monitor` names an entry of the history; of a metric, `mode` says whether it is to fall, "min", or to grow, "max".
    Prechelt, "Early stopping - but when?", 1998.
    """

    def __init__(
        self,
        patience: int = 5,
        *,
        monitor: str = "validation_cost",
        mode: str | None = None,
        minimum_change: float = 0.0,
    ) -> None:
        self.patience = require_count(EarlyStopping, "patience", patience)
        if not isinstance(monitor, str):
            raise TypeError(f"EarlyStopping expects monitor to be a name in the history, got {kind(monitor)}")
        if mode is None and not monitor.endswith("cost"):
            raise ValueError(
                f"EarlyStopping expects mode='min' or mode='max' for {monitor!r}: is it to fall or to grow?"
            )
        if mode not in (None, "min", "max"):
            raise ValueError(f"EarlyStopping expects mode in ('min', 'max'), got {mode!r}")
        self.monitor, self.mode = monitor, mode or "min"
        self.minimum_change = require_number(EarlyStopping, "minimum_change", minimum_change, least=0.0)

    def is_better(self, value: float, best: float) -> bool:
        """`value` is better than `best` by more than minimum_change; NaN never is."""
        change = best - value if self.mode == "min" else value - best
        return change > self.minimum_change or (math.isnan(best) and not math.isnan(value))

    def __repr__(self) -> str:
        change = f", minimum_change={self.minimum_change:g}" if self.minimum_change else ""
        return f"EarlyStopping({self.patience}, monitor={self.monitor!r}, mode={self.mode!r}{change})"


class Best:
    """The best epoch so far: its number, what was monitored, and a copy of the arrays."""

    def __init__(self, rule: EarlyStopping) -> None:
        self.rule = rule
        self.epoch = 0
        self.value = math.nan
        self.arrays: dict[str, Array] = {}

    def see(self, epoch: int, value: float, arrays: dict[str, Array]) -> None:
        """Copy `arrays` where `value` is the best so far."""
        if not self.epoch or self.rule.is_better(value, self.value):
            self.epoch, self.value = epoch, value
            self.arrays = {name: array.copy() for name, array in arrays.items()}

    def is_over(self, epoch: int) -> bool:
        """`patience` epochs have not been better."""
        return bool(self.epoch) and epoch - self.epoch >= self.rule.patience

    def put_back(self, arrays: dict[str, Array]) -> None:
        """Write the best into `arrays`."""
        for name, array in self.arrays.items():
            arrays[name][...] = array


class Interrupt:
    """While inside, the first Ctrl-C is noted in `asked`; the second interrupts as always.

    Only in the main thread, and where nobody else looks after the signal.
    """

    def __init__(self) -> None:
        self.asked = False
        self._installed = False

    def __enter__(self) -> Self:
        import signal  # on use: importing minigrad loads little beyond NumPy
        import threading

        if threading.current_thread() is threading.main_thread():
            self._installed = signal.getsignal(signal.SIGINT) is signal.default_int_handler
            if self._installed:
                signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: Any) -> None:
        import signal

        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        import os

        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        # Not print: the signal may come while something is being printed.
        os.write(2, b"\nstopping after this step; Ctrl-C again stops at once\n")
