"""Holding the randomness of a layer fixed: its generators are wound back before each pass."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np


class Randomness:
    """The random generators that a layer holds, itself or in what it holds, and the states they are wound back to."""

    def __init__(self, layer: Any) -> None:
        self.generators = [(generator, _state(generator)) for generator in _generators(layer, set())]

    def rewind(self) -> None:
        """Put every generator back into the state of the beginning."""
        for generator, state in self.generators:
            _set_state(generator, state)

    @property
    def used(self) -> bool:
        """A generator has been drawn from since the beginning."""
        return any(repr(_state(generator)) != repr(state) for generator, state in self.generators)


def _generators(thing: Any, seen: set[int]) -> Iterator[Any]:
    if id(thing) in seen or isinstance(thing, type | str | bytes | int | float | complex | np.ndarray):
        return
    seen.add(id(thing))
    if isinstance(thing, np.random.Generator | np.random.RandomState | random.Random):
        yield thing
    elif isinstance(thing, dict):
        for value in thing.values():
            yield from _generators(value, seen)
    elif isinstance(thing, list | tuple | set):
        for value in thing:
            yield from _generators(value, seen)
    elif hasattr(thing, "__dict__"):
        for value in vars(thing).values():
            yield from _generators(value, seen)
        for class_ in type(thing).__mro__:
            for value in vars(class_).values():
                if isinstance(value, np.random.Generator | np.random.RandomState | random.Random):
                    yield from _generators(value, seen)


def _state(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    return generator.get_state() if isinstance(generator, np.random.RandomState) else generator.bit_generator.state


def _set_state(generator: Any, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state
