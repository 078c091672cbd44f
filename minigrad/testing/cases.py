"""The inputs at which a layer is checked: ordinary ones, and those at which wrong rules betray themselves."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import label
from minigrad.layer import Layer
from minigrad.testing.subject import clone
from minigrad.testing.watch import TookTooLong, Watch, watching
from minigrad.typing import Array


class Case(NamedTuple):
    """An input of the layer, and at which parameters."""

    name: str
    z: Any
    arguments: tuple[Any, ...]
    parameters: str = "moved"  # "moved" off their initial values, "initial", or of "other signs"


Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]

REGIMES: dict[str, Draw] = {
    "ordinary numbers": lambda rng, shape: rng.normal(size=shape),
    "negative numbers": lambda rng, shape: -np.abs(rng.normal(size=shape)) - 0.01,
    "positive numbers": lambda rng, shape: np.abs(rng.normal(size=shape)) + 0.01,
    "numbers of size 5": lambda rng, shape: 5 * rng.normal(size=shape),
    "integers": lambda rng, shape: rng.integers(-2, 3, shape).astype(float),
    "many ties": lambda rng, shape: rng.choice([-0.7, 0.4, 1.3], shape),
    "many zeros": lambda rng, shape: rng.normal(size=shape) * (rng.random(shape) < 0.6),
    "numbers of size 30": lambda rng, shape: 30 * rng.normal(size=shape),
    "zeros": lambda rng, shape: np.zeros(shape),
    "tiny numbers": lambda rng, shape: 1e-3 * rng.normal(size=shape),
    "numbers near 0": lambda rng, shape: 1e-7 * rng.normal(size=shape),
    "numbers around 100": lambda rng, shape: 100 + rng.normal(size=shape),
    "numbers of all sizes": lambda rng, shape: rng.choice([-1, 1], shape) * 10 ** rng.uniform(-3, 3, shape),
    "numbers of size 1000": lambda rng, shape: 1000 * rng.normal(size=shape),
}


def cases(z: Any, arguments: tuple[Any, ...], rng: np.random.Generator) -> Iterator[Case]:
    """The input as given, at several batch sizes and none, with parameters of other values, and with other numbers."""
    yield Case("the input as given", z, arguments)
    yield Case("initial parameters", z, arguments, "initial")
    n = batch_size(z)
    if n is not None:
        first = z[0] if type(z) is tuple else z
        sizes = [1, 2, *sorted({size for size in first.shape[1:2] if 2 < size <= 8})]
        for size in sizes:
            if size != n:
                rows = rng.permutation(max(n, size))[:size] % n
                yield Case(f"a batch of {size}", *chosen_rows(z, arguments, n, rows))
    yield Case("parameters of other signs", z, arguments, "other signs")
    for name, draw in REGIMES.items():
        yield Case(name, redrawn(z, draw, rng), arguments)
    if n is not None:
        yield Case("an empty batch", *chosen_rows(z, arguments, n, np.arange(0)))


def redrawn(z: Any, draw: Draw, rng: np.random.Generator) -> Any:
    """z with other numbers in its floating arrays; indices stay."""
    if type(z) is tuple:
        return tuple(redrawn(part, draw, rng) for part in z)
    return np.asarray(draw(rng, z.shape)) if z.dtype.kind == "f" else z


def into_domain(z: Any) -> Iterator[Any]:
    """z with its numbers moved to where a function may be defined: positive, or between 0 and 1."""
    whole = z if type(z) is tuple else (z,)
    for fit in (_positive, _between_0_and_1):
        parts = tuple(fit(part) if part.dtype.kind == "f" else part for part in whole)
        yield parts if type(z) is tuple else parts[0]


def _positive(a: Array) -> Array:
    return np.abs(a) + 1e-3


def _between_0_and_1(a: Array) -> Array:
    return 0.5 + 0.45 * np.tanh(a)


def batch_size(z: Any) -> int | None:
    """The number of rows of z, where all its arrays have as many."""
    sizes = {part.shape[0] if part.ndim else None for part in (z if type(z) is tuple else (z,))}
    return sizes.pop() if len(sizes) == 1 else None


def chosen_rows(z: Any, arguments: tuple[Any, ...], n: int, rows: Array) -> tuple[Any, tuple[Any, ...]]:
    """Some rows of z, and of each argument that has as many."""

    def chosen(value: Any) -> Any:
        return value[rows] if isinstance(value, np.ndarray) and value.ndim and len(value) == n else value

    z = tuple(chosen(part) for part in z) if type(z) is tuple else chosen(z)
    return z, tuple(chosen(argument) for argument in arguments)


def find_input(
    layer: Layer, rng: np.random.Generator, given: tuple[Any, ...] = (), watch: Watch | None = None
) -> tuple[Any, tuple[Any, ...]]:
    """An input that rule 1 takes, and its further arguments, found by trying (ValueError where none is)."""
    first: Exception | None = None
    with suppress(Exception):
        layer = clone(layer)  # trying it must not draw from its generator
    with watching(5.0) if watch is None else nullcontext(watch) as guard:
        for z in _inputs(layer, rng):
            for arguments in [given] if given else _arguments(layer, z, rng):
                problem = _taken(layer, z, arguments, guard)
                if problem is None:
                    return z, arguments
                first = first or problem
    raise ValueError(
        f"no input was found that {label(layer)} takes: pass one, check_layer(layer, z). "
        f"For z of shape {next(_shapes(layer))} it raised {type(first).__name__}: {first}"
    )


def _inputs(layer: Layer, rng: np.random.Generator) -> Iterator[Any]:
    """What z may be: an array of numbers of any sign, positive, or between 0 and 1; several arrays; indices."""
    for shape in _shapes(layer):
        z = rng.normal(size=shape)
        yield from (z, np.abs(z) + 0.1, 0.5 + 0.4 * np.tanh(z))
    for shape in _shapes(layer):
        for count in (2, 3):
            yield tuple(np.abs(rng.normal(size=shape)) + 0.1 for _ in range(count))
    for widths in product(_widths(layer), repeat=2):
        yield tuple(rng.normal(size=(5, width)) for width in widths)
    for width in _widths(layer):
        yield rng.integers(0, width, (5, 4))


def _taken(layer: Layer, z: Any, arguments: tuple[Any, ...], watch: Watch) -> Exception | None:
    """None where rule 1 takes this input, else why not.  What hangs, the examination will say."""
    try:
        with np.errstate(all="ignore"):
            result = watch.call(layer.forward, z, *arguments)
            outputs = result[0] if type(result) is tuple and len(result) == 2 else ()
            if not all(np.isfinite(part).all() for part in (outputs if type(outputs) is tuple else (outputs,))):
                return ValueError("the output is not finite")
            if type(z) is np.ndarray and type(outputs) is np.ndarray:
                # An array of two rows unpacks as two arrays would: rule 2 tells them apart.
                with suppress(Exception):
                    if type(watch.call(layer.backward, np.ones_like(outputs), result[1])) is tuple:
                        return ValueError("rule 2 returns several deltas, so that z is a tuple of several arrays")
    except Exception as error:
        return error
    except TookTooLong:
        return None
    return None


def _widths(layer: Layer) -> list[int]:
    """What its axes may count: the widths of its parameters and its whole-numbered attributes, then the usual."""
    attributes = [value for value in vars(layer).values() if type(value) is int and 0 < value <= 64]
    of_parameters: list[int] = []
    with suppress(Exception):  # what is wrong with the parameters, the examination will say
        of_parameters = [size for array in layer.parameters().values() for size in reversed(array.shape)]
    return list(dict.fromkeys([*of_parameters, *attributes, 3, 4, 6, 1, 2]))


def _shapes(layer: Layer) -> Iterator[tuple[int, ...]]:
    """Shapes that its input may have."""
    held = [value for value in vars(layer).values() if isinstance(value, Layer)]
    widths = _widths(layer)
    for width in widths:
        yield 5, width
    for width in widths:
        yield from ((2, width, 7), (4, 6, width), (2, width, 5, 6), (2, 5, 6, width))
    yield (5,)
    for layer_inside in held:
        yield from _shapes(layer_inside)


def _arguments(layer: Layer, z: Any, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """What rule 1 may take after z: nothing, or a target of one of the usual kinds."""
    z = z[0] if type(z) is tuple else z
    try:
        parameters = list(inspect.signature(layer.forward).parameters.values())[1:]
        count = sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
        variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    except (TypeError, ValueError):
        count, variadic = 0, True
    n = len(z)
    classes = z.shape[1] if z.ndim > 1 else 2
    p = np.asarray(rng.random(z.shape)) + 0.1
    targets = [
        rng.normal(size=z.shape),
        rng.normal(size=n),
        rng.integers(0, classes, n),
        rng.integers(0, 2, n),
        p / p.sum(axis=-1, keepdims=True),
        rng.integers(0, 2, z.shape).astype(float),
    ]
    if not count:
        yield ()
    if count or variadic:
        yield from product(targets, repeat=max(count, 1)) if count < 3 else ()
