"""Groups: the flat vector in stretches of parameters that share their settings, and these in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from minigrad.optim.settings import Settings
from minigrad.typing import Array, Gradients

BLOCK = 262144  # numbers of a block: what a rule reads and writes of it, 3 to 12 MB, stays in the last cache
SMALL = 40960  # numbers of several parameters whose gradients are copied together: a block costs more than the copy


class Group:
    """Parameters for which the same settings were changed."""

    def __init__(self, changed: Settings, dtype: Any) -> None:
        self.changed = changed
        self.dtype = np.dtype(dtype)  # of the steps
        self._most = float(np.finfo(self.dtype).max)
        self.base: Settings = {}  # before the schedule
        self.settings = SimpleNamespace(base=self.base)  # after it: what the next step uses, as attributes
        self.largest: dict[str, float] = {}  # bounds of the slots, see Optimizer.reach

    def set(self, base: Settings) -> None:
        """Use these settings."""
        self.base = base
        self.settings = SimpleNamespace(**base, base=base)
        self.follow({})

    def follow(self, changed: Settings) -> None:
        """Use these where a schedule says so."""
        s = self.settings
        vars(s).update(changed)
        if s.learning_rate <= self._most:
            s.learning_rate_as_array = np.array(s.learning_rate, self.dtype)
        else:
            with np.errstate(over="ignore"):  # what becomes of it, infinity or the largest number, the step finds out
                s.learning_rate_as_array = np.array(s.learning_rate, self.dtype)


class Block(NamedTuple):
    """Neighbours in the vectors: what `move` works on at once."""

    theta: Array
    slots: dict[str, Array]
    scratch: Array  # two rows as long as theta
    place: slice  # of the gradient of its stretch


class Share(NamedTuple):
    """One parameter of a stretch, and where its gradient is copied to, unless it is alone."""

    name: str
    view: Array | None


class Stretch(NamedTuple):
    """Neighbours of one group: one parameter, or several small ones, whose gradients a buffer joins."""

    group: Group
    shares: list[Share]
    buffer: Array
    blocks: list[Block]


def are_usual(gradients: Any, shapes: Mapping[str, tuple[int, ...]], dtype: Any) -> bool:
    """They are what nearly every step gives: plain arrays of this very type, one for each parameter, of its shape.

    What is wrong with others, if anything, is for `require_gradients` and `gradient_norm` to say.
    """
    if type(gradients) is not dict or len(gradients) != len(shapes):
        return False
    for name, shape in shapes.items():
        g = gradients.get(name)
        if type(g) is not np.ndarray or g.dtype != dtype or g.shape != shape:
            return False
    return True


def gathered(stretches: list[Stretch], gradients: Gradients) -> list[Array]:
    """The gradient of each stretch, one array."""
    found: list[Array] = []
    for _, shares, g, _ in stretches:
        for name, view in shares:
            if view is None:
                g = gradients[name]
            else:
                view[...] = gradients[name]
        found.append(g)
    return found


def limited(g: Array, factor: float, most: float | None, out: Array) -> Array:
    """`g` times `factor`, in the type of `out` and within +-most; what is given is not changed."""
    if g.dtype != out.dtype:
        out[...] = g
        g = out
    if factor != 1.0:
        g = np.multiply(g, factor, out=out)
    return g if most is None else np.clip(g, -most, most, out=out)


def stretches(
    named: Mapping[str, Array],
    groups: Mapping[str, Group],
    theta: Array,
    vectors: Mapping[str, Array],
    scratch: Array,
) -> list[Stretch]:
    """The vector `theta` of the parameters `named`, in order, whose groups are `groups`, with its slots `vectors`."""
    found: list[Stretch] = []
    begin = 0
    for names in _runs(named, groups):
        size = sum(named[name].size for name in names)
        buffer, shares, place = np.empty(size if len(names) > 1 else 0, scratch.dtype), [], 0
        for name in names:
            stop = place + named[name].size
            shares.append(Share(name, buffer[place:stop].reshape(named[name].shape) if len(names) > 1 else None))
            place = stop
        blocks = []
        for start in range(0, size, BLOCK):
            stop = min(start + BLOCK, size)
            at = slice(begin + start, begin + stop)
            slots = {slot: vector[at] for slot, vector in vectors.items()}
            blocks.append(Block(theta[at], slots, scratch[:, : stop - start], slice(start, stop)))
        found.append(Stretch(groups[names[0]], shares, buffer, blocks))
        begin += size
    return found


def _runs(named: Mapping[str, Array], groups: Mapping[str, Group]) -> Iterator[list[str]]:
    """Neighbours of one group that are small together; a larger parameter is alone."""
    run: list[str] = []
    size = 0
    for name, array in named.items():
        if run and (size + array.size > SMALL or groups[name] is not groups[run[0]]):
            yield run
            run, size = [], 0
        run.append(name)
        size += array.size
    if run:
        yield run
