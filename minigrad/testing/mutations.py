"""The errors that rules are broken by: each a layer that is right but for one error in one rule, for one array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.checks import label
from minigrad.layer import Layer
from minigrad.typing import Array, Delta, Gradients

Key = tuple[str, int, str]
"""(name, rule, array): what an error is called"""
Run = Callable[[Any, Any], Any]
"""(delta, cache) -> what the right rule gives for the array"""
Edit = Callable[["Mutant", Run, Any, Any], Any]
"""(mutant, run, delta, cache) -> what the wrong rule gives for it; None to leave its name out"""


@dataclass(frozen=True, slots=True)  # slots: what looks for the generators of a layer need not look in here
class Mutation:
    """One error in one rule, for one array."""

    name: str
    rule: int
    array: str
    edit: Edit

    @property
    def key(self) -> Key:
        return self.name, self.rule, self.array


class Mutant(Layer):
    """A layer with one of its rules broken."""

    def __init__(self, layer: Layer, mutation: Mutation) -> None:
        self.layer, self.mutation = layer, mutation
        self.latest: Any = None  # the cache of the latest forward
        self.buffer: Any = None
        self.complex_safe, self.rows_independent = layer.complex_safe, layer.rows_independent

    def parameters(self) -> dict[str, Array]:
        return self.layer.parameters()

    def parameter_places(self) -> list[tuple[str, Layer, str]]:
        return self.layer.parameter_places()

    def forward(self, z: Any, *arguments: Any, **options: Any) -> tuple[Array, Any]:
        z_next, cache = self.layer.forward(z, *arguments, **options)
        if self.mutation.name == LATEST:
            self.latest = cache
        if self.mutation.rule == 1:
            return self.mutation.edit(self, lambda *_: z_next, z, cache), cache
        return z_next, cache

    def backward(self, delta: Delta, cache: Any) -> Any:
        rule, name, edit = self.layer.backward, self.mutation.array, self.mutation.edit
        if self.mutation.rule != 2:
            return rule(delta, cache)
        if name == "z":
            return edit(self, rule, delta, cache)
        parts, i = list(rule(delta, cache)), int(name[2:-1])
        parts[i] = edit(self, lambda d, c: rule(d, c)[i], delta, cache)
        return tuple(parts)

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        rule, name, edit = self.layer.parameter_gradients, self.mutation.array, self.mutation.edit
        gradients = rule(delta, cache)
        if self.mutation.rule != 3:
            return gradients
        value = edit(self, lambda d, c: rule(d, c)[name], delta, cache)
        return {key: value if key == name else g for key, g in gradients.items() if key != name or value is not None}

    def __repr__(self) -> str:
        return f"{label(self.layer)} with rule {self.mutation.rule}, {self.mutation.array}: {self.mutation.name}"


# The errors.


def of_result(change: Callable[[Array], Any]) -> Edit:
    """The result, changed."""
    return lambda mutant, run, delta, cache: change(run(delta, cache))


def scaled(factor: float) -> Edit:
    """The result times `factor`."""
    return of_result(lambda g: factor * g)


def _noisy(g: Array, rng: np.random.Generator = np.random.default_rng(0)) -> Array:  # noqa: B008 - not the layer's
    return g * (1 + 1e-6 * rng.normal(size=np.shape(g)))


def _without(g: Array, place: Any) -> Array:
    g = g.copy()
    g[place] = 0
    return g


def _without_largest(g: Array) -> Array:
    return _without(g, np.unravel_index(int(np.argmax(np.abs(g))), g.shape)) if g.size else g


def _without_first(g: Any) -> Any:
    return _without(g, 0) if np.ndim(g) and len(g) else g


def _in_buffer(mutant: Mutant, g: Array) -> Array:
    if mutant.buffer is None or mutant.buffer.shape != g.shape or mutant.buffer.dtype != g.dtype:
        mutant.buffer = np.zeros_like(g)
    mutant.buffer[...] = g
    return mutant.buffer


def _then_write(target: Callable[[Mutant, Any, Any], Any]) -> Edit:
    """The right result; and 1 is added to an array that is not the rule's own."""

    def edit(mutant: Mutant, run: Run, delta: Any, cache: Any) -> Any:
        result = run(delta, cache)
        for array in _arrays(target(mutant, delta, cache)):
            array += 1
        return result

    return edit


def _arrays(value: Any) -> Iterator[Array]:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        yield value
    for item in value.values() if type(value) is dict else value if isinstance(value, tuple | list) else ():
        yield from _arrays(item)


SCALED, LATEST, LEFT_OUT = "scaled by 1.01", "cache of the latest", "name left out"
ANY: dict[str, Edit] = {  # of rules 2 and 3, for every array
    SCALED: scaled(1.01),
    "sign": scaled(-1.0),
    "offset": of_result(lambda g: g + 1e-3),
    "largest entry 0": of_result(_without_largest),
    "first row 0": of_result(_without_first),
    "a term dropped": lambda m, run, delta, cache: run(_without_first(delta), cache),
    "transposed": of_result(lambda g: g.T),
    "axes swapped": of_result(lambda g: g.T.reshape(g.shape)),
    "rolled, first axis": of_result(lambda g: np.roll(g, 1, axis=0) if np.ndim(g) else g),
    "rolled, last axis": of_result(lambda g: np.roll(g, 1, axis=-1) if np.ndim(g) else g),
    "mean over rows": of_result(lambda g: np.array(np.broadcast_to(g.mean(axis=0), g.shape)) if np.ndim(g) else g),
    "delta squared": lambda m, run, delta, cache: run(delta * delta, cache),
    "one buffer": lambda m, run, delta, cache: _in_buffer(m, run(delta, cache)),
    LATEST: lambda m, run, delta, cache: run(delta, m.latest),
    "float32": of_result(lambda g: g.astype(np.float32)),
    "noise of 1e-6": of_result(_noisy),
}
WRITES: dict[str, Edit] = {  # of rules 2 and 3, once
    "writes into delta": _then_write(lambda m, delta, cache: delta),
    "writes into the cache": _then_write(lambda m, delta, cache: cache),
    "writes into parameters": _then_write(lambda m, delta, cache: m.layer.parameters()),
}
OF_FORWARD: dict[str, Edit] = {
    "one buffer": lambda m, run, z, cache: _in_buffer(m, np.asarray(run(z, cache))),
    "noise of 1e-6": of_result(_noisy),
    "writes into z": _then_write(lambda m, z, cache: z),
}
NAMES = tuple(ANY | WRITES | OF_FORWARD | {LEFT_OUT: None})


def mutations(layer: Layer, z: Any) -> Iterator[Mutation]:
    """Every error, in every rule, for every array."""
    for name, edit in OF_FORWARD.items():
        yield Mutation(name, 1, "z_next", edit)
    for rule, arrays in ((2, _inputs(z)), (3, list(layer.parameters()))):
        for place, array in enumerate(arrays):
            for name, edit in (ANY | WRITES if place == 0 else ANY).items():
                yield Mutation(name, rule, array, edit)
            if rule == 3:
                yield Mutation(LEFT_OUT, 3, array, lambda *_: None)


def _inputs(z: Any) -> list[str]:
    if type(z) is tuple:
        return [f"z[{i}]" for i, part in enumerate(z) if part.dtype.kind == "f"]
    return ["z"] * (z.dtype.kind == "f")
