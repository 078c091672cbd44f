"""Where an epoch's batches come from: arrays, an iterable, or a function that makes one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from minigrad.checks import kind, label
from minigrad.training.batches import Rows, require_batch_size
from minigrad.training.description import checksum

Batch: TypeAlias = tuple[Any, ...]
Data: TypeAlias = "tuple[Any, ...] | Iterable[Any] | Callable[[np.random.Generator], Iterable[Any]]"
"""(x, target[, weights]) as arrays; batches of these; or a function rng -> the batches of an epoch."""


class Source:
    """The batches of every epoch, in an order drawn from a generator."""

    length: int | None = None  # batches in an epoch, where that is known
    draws_late = False  # from the generator, while the epoch runs
    once = False  # it can be read, and no more

    def batches(self, rng: np.random.Generator, start: int = 0) -> Iterator[Batch]:
        """One epoch, from batch `start` on: what was before is the same for the same state of `rng`."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """What must be the same when training goes on from a checkpoint."""
        return {"batches": self.length}


class Arrays(Source):
    """Arrays of as many rows, in mini-batches."""

    def __init__(self, who: object, data: tuple[Any, ...], batch_size: int, shuffle: bool) -> None:
        require_batch_size(who, batch_size)
        self.table = Rows(who, *data)
        if not len(self.table):
            raise ValueError(f"{label(who)} expects data of one row or more, got none")
        self.batch_size, self.shuffle = int(batch_size), shuffle
        self.length = -(-len(self.table) // self.batch_size)

    def batches(self, rng: np.random.Generator, start: int = 0) -> Iterator[Batch]:
        order = rng.permutation(len(self.table)) if self.shuffle else None
        return self.table.in_batches(self.batch_size, order, start)

    def describe(self) -> dict[str, Any]:
        arrays = {
            str(i): {"type": array.dtype.str, "shape": list(array.shape), "checksum of some rows": checksum(array)}
            for i, array in enumerate(self.table.arrays)
        }
        return {"arrays": arrays, "batch_size": self.batch_size, "shuffle": self.shuffle}


class Batches(Source):
    """Any iterable of batches, or a function of a generator that makes one for each epoch."""

    def __init__(self, who: object, data: Any) -> None:
        self.who = who
        self.data = data
        self.draws_late = callable(data)
        self.once = isinstance(data, Iterator)
        try:
            self.length = len(data)
        except TypeError:  # it has none, or cannot tell
            self.length = None

    def batches(self, rng: np.random.Generator, start: int = 0) -> Iterator[Batch]:
        made = self.data(rng) if callable(self.data) else self.data
        if not isinstance(made, Iterable):
            raise TypeError(
                f"{label(self.who)} expects a function of data to return batches, got {kind(made)}: "
                "lambda rng: minibatches(x, t, batch_size=32, rng=rng)"
            )
        batches = iter(made)
        skipped = sum(1 for _ in islice(batches, start))  # now, not with the next batch: it may draw from rng
        if skipped < start:
            raise ValueError(f"{label(self.who)} is to go on after batch {start} of an epoch, which has only {skipped}")
        return map(self._batch, batches)

    def _batch(self, batch: Any) -> Batch:
        parts = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
        if not parts or not np.ndim(parts[0][0] if isinstance(parts[0], tuple) and parts[0] else parts[0]):
            raise TypeError(f"{label(self.who)} expects batches (x, target) of arrays, got {kind(batch)}")
        arrays = tuple(_as_array(part) for part in parts)
        if not rows_of(arrays):
            raise ValueError(f"{label(self.who)} expects batches of one row or more, got one of none: leave it out")
        return arrays


def source(who: object, data: Any, batch_size: int, shuffle: bool) -> Source:
    """`data` as a source of batches (TypeError where it is neither arrays nor batches)."""
    if isinstance(data, np.ndarray):
        return Arrays(who, (data,), batch_size, shuffle)
    if isinstance(data, tuple) and data and _is_table(data[0]) and not any(isinstance(t, tuple) for t in data[1:]):
        return Arrays(who, data, batch_size, shuffle)
    if isinstance(data, list | tuple) and any(hasattr(part, "__array__") for part in data):
        raise TypeError(
            f"{label(who)} expects data of arrays as a tuple of NumPy arrays, (x, target), got a {kind(data)} of "
            f"{', '.join(map(kind, data))}; batches without a target are tuples too, [(x,), ...]"
        )
    if callable(data) or isinstance(data, Iterable):
        return Batches(who, data)
    raise TypeError(
        f"{label(who)} expects data as (x, target), an iterable of such batches, or a function of a generator that "
        f"makes one, got {kind(data)}"
    )


def rows_of(batch: Batch) -> int:
    """The number of rows of a batch."""
    x = batch[0]
    return len(x[0] if type(x) is tuple else x)


def _is_table(part: Any) -> bool:
    """An array, or a tuple of arrays: several inputs."""
    if isinstance(part, tuple):
        return bool(part) and all(isinstance(array, np.ndarray) and array.ndim for array in part)
    return isinstance(part, np.ndarray)


def _as_array(part: Any) -> Any:
    """Tensors of other libraries become arrays; what is none is left to the layers to refuse."""
    if isinstance(part, tuple):
        return tuple(map(_as_array, part))
    return np.asarray(part) if hasattr(part, "__array__") and not isinstance(part, np.ndarray) else part
