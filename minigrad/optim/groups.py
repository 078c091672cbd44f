"""Groups: the flat vector in stretches of parameters that share their settings, and these in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from minigrad.optim.settings import Settings
from minigrad.typing import Array, Gradients

BLOCK = 65536  # numbers of a block: parameters, gradient, moments and scratch of one stay in the cache together
SMALL = 8192  # numbers of several parameters whose gradients are copied together: a block costs more than the copy


class Group:
    """Parameters for which the same settings were changed."""

    def __init__(self, changed: Settings) -> None:
        self.changed = changed
        self.base: Settings = {}  # before the schedule
        self.settings = SimpleNamespace(base=self.base)  # after it: what the next step uses, as attributes
        self.largest: dict[str, float] = {}  # bounds of the slots, see Optimizer.reach

    def set(self, base: Settings) -> None:
        """Use these settings."""
        self.base = base
        self.settings = SimpleNamespace(**base, base=base)


class Block(NamedTuple):
    """Neighbours in the vectors: what `move` works on at once."""

    theta: Array
    slots: dict[str, Array]
    scratch: Array  # two rows as long as theta
    place: slice  # of the gradient of its stretch


class Stretch(NamedTuple):
    """Neighbours of one group: one parameter, or several small ones, whose gradients a buffer joins."""

    group: Group
    name: str  # of the first
    buffer: Array
    views: dict[str, Array]  # of the buffer, by name; none for one parameter alone
    blocks: list[Block]

    def gradient(self, gradients: Gradients) -> Array:
        """Its part of the gradients as one vector."""
        if not self.views:
            return np.ravel(gradients[self.name])
        for name, view in self.views.items():
            view[...] = gradients[name]
        return self.buffer


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
        buffer, views, place = np.empty(size if len(names) > 1 else 0, scratch.dtype), {}, 0
        for name in names if len(names) > 1 else ():
            views[name] = buffer[place : place + named[name].size].reshape(named[name].shape)
            place += named[name].size
        blocks = []
        for start in range(0, size, BLOCK):
            stop = min(start + BLOCK, size)
            at = slice(begin + start, begin + stop)
            slots = {slot: vector[at] for slot, vector in vectors.items()}
            blocks.append(Block(theta[at], slots, scratch[:, : stop - start], slice(start, stop)))
        found.append(Stretch(groups[names[0]], names[0], buffer, views, blocks))
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
