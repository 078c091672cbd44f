"""Groups: the flat vector in stretches of parameters that share their settings, and these in blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from minigrad.optim.settings import Settings
from minigrad.typing import Array, Gradients

BLOCK = 262144  # numbers of a block: parameters, gradient, moments and scratch of one stay in the cache together
SMALL = 40960  # numbers of several parameters whose gradients are copied together: a block costs more than the copy


class Group:
    """Parameters for which the same settings were changed."""

    def __init__(self, changed: Settings, dtype: Any) -> None:
        self.changed = changed
        self.dtype = np.dtype(dtype)  # of the steps
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
        # The rate once more, as the ufuncs want it: of a small vector, turning a float into it takes half of a pass.
        s.rate = np.array(s.learning_rate if s.learning_rate < np.finfo(self.dtype).max else math.inf, self.dtype)


class Block(NamedTuple):
    """Neighbours in the vectors: what `move` works on at once."""

    theta: Array
    slots: dict[str, Array]
    scratch: Array  # two rows as long as theta
    place: slice  # of the gradient of its stretch


class Part(NamedTuple):
    """One parameter of a stretch, and where its gradient is copied to, unless it is alone."""

    name: str
    shape: tuple[int, ...]
    view: Array | None


class Stretch(NamedTuple):
    """Neighbours of one group: one parameter, or several small ones, whose gradients a buffer joins."""

    group: Group
    parts: list[Part]
    buffer: Array
    blocks: list[Block]

    def gradient(self, gradients: Gradients) -> Array:
        """Its part of the gradients, one array."""
        for name, _, view in self.parts:
            if view is None:
                return gradients[name]
            view[...] = gradients[name]
        return self.buffer


def joined(stretches: list[Stretch], gradients: Gradients, dtype: Any) -> tuple[list[Array], float]:
    """The gradient of each stretch, and the norm of all, where they are what nearly every step gives: plain arrays of
    this very type, one for each parameter, of its shape.  Of others the norm is NaN: what is wrong with them, if
    anything, is for `require_gradients` and `gradient_norm` to say.
    """
    found: list[Array] = []
    count, squares = 0, 0.0
    for _, parts, own, _ in stretches:
        for name, shape, view in parts:
            g = gradients.get(name)
            if type(g) is not np.ndarray or g.dtype != dtype or g.shape != shape:
                return found, math.nan
            if view is None:
                own = g
            else:
                view[...] = g
            count += 1
        found.append(own)
        squares += float(np.vdot(own, own))
    return found, math.sqrt(squares) if count == len(gradients) else math.nan


def clipped(g: Array, factor: float, most: float | None, out: Array) -> Array:
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
        buffer, parts, place = np.empty(size if len(names) > 1 else 0, scratch.dtype), [], 0
        for name in names:
            shape, stop = named[name].shape, place + named[name].size
            parts.append(Part(name, shape, buffer[place:stop].reshape(shape) if len(names) > 1 else None))
            place = stop
        blocks = []
        for start in range(0, size, BLOCK):
            stop = min(start + BLOCK, size)
            at = slice(begin + start, begin + stop)
            slots = {slot: vector[at] for slot, vector in vectors.items()}
            blocks.append(Block(theta[at], slots, scratch[:, : stop - start], slice(start, stop)))
        found.append(Stretch(groups[names[0]], parts, buffer, blocks))
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
