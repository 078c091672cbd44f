"""History: what a training run went through, as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minigrad.typing import Array


class History(Mapping[str, Array]):
    """A mapping from names to arrays, with one entry for each epoch: history["cost"], history["learning_rate"], ...

        cost              mean over the rows of the epoch, or sum, as the loss says, each batch as it was when trained
                          on; weights of rows and a penalty of a sum count as they do in the batches
        validation_cost   of all validation data, at the end of the epoch, and so every metric, under its own name
        learning_rate     of the last step
        gradient_norm     largest of the epoch, before clipping
        seconds           since training began

    An epoch that Ctrl-C cut short is the last entry.  `step_cost` has one entry a step, `stopped` says in a sentence
    why training ended, `best_epoch` counts from 1, and `minimum` is what a solver certifies.
    """

    def __init__(self) -> None:
        self._epochs: dict[str, list[float]] = {}
        self._steps: list[float] = []
        self.best_epoch: int | None = None
        self.stopped = "training has not ended"
        self.minimum: Any = None  # of a solver: its certificate

    def add_epoch(self, entries: Mapping[str, float]) -> None:
        """Append one number under each name; all epochs have the same names."""
        if self._epochs and entries.keys() != self._epochs.keys():
            raise ValueError(f"History expects entries {list(self._epochs)} for an epoch, got {list(entries)}")
        for name, value in entries.items():
            self._epochs.setdefault(name, []).append(float(value))

    def add_step(self, cost: float) -> None:
        """Append the cost of a batch."""
        self._steps.append(float(cost))

    @property
    def step_cost(self) -> Array:
        """The cost of every batch, in order."""
        return np.array(self._steps)

    def __getitem__(self, name: str) -> Array:
        if name not in self._epochs:
            raise KeyError(f"History has no {name!r}: it has {', '.join(self._epochs) or 'no epochs'}")
        return np.array(self._epochs[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._epochs)

    def __len__(self) -> int:
        return len(self._epochs)

    @property
    def epochs(self) -> int:
        """How many epochs it tells of."""
        return len(next(iter(self._epochs.values()), []))

    def last(self) -> dict[str, float]:
        """The entries of the last epoch."""
        return {name: values[-1] for name, values in self._epochs.items() if values}

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """(arrays, the rest) for `restore`."""
        arrays = {name: np.array(values) for name, values in self._epochs.items()} | {"/steps": self.step_cost}
        return arrays, {"best_epoch": self.best_epoch}

    def restore(self, arrays: Mapping[str, Array], record: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self._steps[:] = arrays["/steps"].tolist()
        self._epochs = {name: array.tolist() for name, array in arrays.items() if name != "/steps"}
        self.best_epoch = record["best_epoch"]

    __eq__ = object.__eq__  # that of mappings would compare arrays
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        names = [name for name in self._epochs if name != "seconds"]
        lines = ["".join(["epoch", *(f"{name:>18}" for name in names)])]
        shown = range(self.epochs) if self.epochs <= 12 else [*range(5), -1, *range(self.epochs - 5, self.epochs)]
        for i in shown:
            cells = (f"{self._epochs[name][i]:>18.6g}" for name in names)
            lines.append("  ..." if i < 0 else f"{i + 1:5d}{''.join(cells)}")
        return "\n".join([*lines, self.stopped])
