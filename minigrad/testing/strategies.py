"""Hypothesis strategies: inputs, targets, deltas, parameters and whole stacks, of the kinds that find wrong rules.

An entry of a shape is a number or a name: "batch" is 1 .. 3, any other name 1 .. 5, and a name stands for the same
number wherever it is used in one example, so that `reals("batch", 4)` and `indices(3, "batch")` fit together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

try:
    from hypothesis import assume
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
    from hypothesis.strategies import SearchStrategy
except ImportError as error:
    raise ImportError("minigrad.testing.strategies needs Hypothesis: pip install 'minigrad[test]'") from error

from minigrad.containers import Sequential
from minigrad.layer import Layer
from minigrad.layers import Linear, LogSigmoid, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from minigrad.losses import BernoulliNLLLoss, NLLLoss
from minigrad.losses.base import REDUCTIONS
from minigrad.testing.cases import find_input
from minigrad.testing.failures import deliberate
from minigrad.testing.watch import TookTooLong, watching
from minigrad.typing import Array

__all__ = ["deltas", "indices", "inputs", "parameters", "probabilities", "reals", "stacks", "targets"]

L = TypeVar("L", bound=Layer)
Numbers = SearchStrategy[Any]

# What random numbers rarely hit: zeros, ties, saturation.
SPECIAL = (0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 1e-3, -1e-3, 5.0, -5.0, 30.0, -30.0, 1e3, -1e3)

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": lambda z: np.repeat(z, 2, axis=-1)[..., ::2],
    "reversed": lambda z: np.ascontiguousarray(z[::-1])[::-1],
}

SEEDS = st.integers(0, 2**16)


def reals(*shape: int | str, above: float | None = None, below: float | None = None) -> Numbers:
    """Arrays of float64 in any memory layout, with special numbers and ties among them, a little inside the bounds."""
    return _laid_out(_sizes(reals, shape), _elements(above, below))


def indices(k: int, *shape: int | str) -> Numbers:
    """Arrays of whole numbers 0 .. k - 1."""
    if k < 1:
        raise ValueError(f"indices expects k of 1 or more, got {k}: the indices are 0 .. k - 1")
    return _sizes(indices, shape).flatmap(lambda size: hnp.arrays(np.int64, size, elements=st.integers(0, k - 1)))


def probabilities(*shape: int | str) -> Numbers:
    """Arrays of positive numbers that sum to 1 over the last axis."""
    if not shape:
        raise ValueError("probabilities expects a shape of one axis or more, got none: they sum to 1 over the last")
    weights = st.one_of(st.sampled_from([1.0, 0.5, 1e-3, 5.0]), st.floats(1e-3, 4))
    return _sizes(probabilities, shape).flatmap(
        lambda size: hnp.arrays(np.float64, size, elements=weights).map(lambda w: w / w.sum(axis=-1, keepdims=True))
    )


def deltas(shape: tuple[int, ...]) -> Numbers:
    """Signed normal numbers; a number for the shape ().

    They come from a seed.  Drawn one by one they would shrink to zeros and one-hots, at which wrong rules look right.
    """
    return SEEDS.map(lambda seed: np.random.default_rng(seed).normal(size=shape)[()])


def targets(kind: str, *shape: int | str, classes: int = 2) -> Numbers:
    """Targets of a loss: "classes" 0 .. classes - 1, "binary" 0 and 1, "real" numbers, or "probabilities"."""
    kinds: dict[str, Callable[[], Numbers]] = {
        "classes": lambda: indices(classes, *shape),
        "binary": lambda: indices(2, *shape),
        "real": lambda: reals(*shape),
        "probabilities": lambda: probabilities(*shape),
    }
    if kind not in kinds:
        raise ValueError(f"targets expects a kind in {tuple(kinds)}, got {kind!r}")
    return kinds[kind]()


@st.composite
def inputs(draw: st.DrawFn, layer: Layer) -> tuple[Any, ...]:
    """(z, *arguments) that rule 1 of `layer` takes, found by trying, in its domain."""
    found, arguments = find_input(layer, np.random.default_rng(draw(SEEDS)))
    rows = draw(st.lists(st.integers(0, len(found) - 1), min_size=1, max_size=3))
    arguments = tuple(a[rows] if np.ndim(a) and len(a) == len(found) else a for a in arguments)
    z = fitted(layer, draw(reals(len(rows), *found.shape[1:])), arguments)
    assume(z is not None)
    return (z, *arguments)


def parameters(layer: L) -> SearchStrategy[L]:
    """`layer` with its initial parameters, others of the same signs, or any others.  They come from a seed."""
    start = layer.parameters()
    if not start:
        return st.just(layer)

    def drawn(signs: str, seed: int) -> L:
        rng = np.random.default_rng(seed)
        numbers = {name: np.asarray(np.round(rng.normal(size=a.shape), 2), a.dtype) for name, a in start.items()}
        if signs == "the same":
            numbers = {name: np.asarray(np.copysign(n, start[name])) for name, n in numbers.items()}
        return layer.with_parameters(numbers)

    return st.one_of(st.just(layer), st.builds(drawn, st.sampled_from(["the same", "any"]), SEEDS))


@st.composite
def stacks(draw: st.DrawFn, *, loss: bool = False, most: int = 4) -> tuple[Any, ...]:
    """(stack, x): a Sequential of up to `most` built-in layers and its input; with `loss`, (cost, x, labels).

    Widths match; layers are nested, used twice, or share an array now and then.
    """
    width = features = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(SEEDS))
    layers: list[Layer] = []
    for _ in range(draw(st.integers(0, most))):
        block, width = draw(_blocks(width, rng))
        layers += block
    if len(layers) > 1 and draw(st.booleans()):
        layers = [Sequential(*layers[:2]), *layers[2:]]
    x = draw(reals("batch", features))
    if not loss:
        return Sequential(*layers), x
    reduction = draw(st.sampled_from(REDUCTIONS))
    if draw(st.booleans()):
        top = [Linear(width, 1, rng=rng), BernoulliNLLLoss(reduction, draw(_class_weights(2)))]
        return Sequential(*layers, *top), x, draw(indices(2, len(x)))
    cost = Sequential(*layers, LogSoftmax(), NLLLoss(reduction, draw(_class_weights(width))))
    return cost, x, draw(indices(width, len(x)))


def fitted(layer: Layer, z: Any, arguments: tuple[Any, ...], patience: float = 5.0) -> Any:
    """`z`, or its numbers moved to where rule 1 is finite: positive, or between 0 and 1; None where neither helps.

    What fails without saying so, by an error that no `raise` of the layer made, is kept: it is for the checker to tell.
    """
    for fit in (lambda a: a, lambda a: np.abs(a) + 1e-3, lambda a: 0.5 + 0.45 * np.tanh(a)):
        moved = _moved(z, fit)
        with watching(patience) as watch:
            watch.start()
            try:
                with np.errstate(all="ignore"):
                    result = layer.forward(moved, *arguments)
                if type(result) is not tuple or len(result) != 2 or np.isfinite(result[0]).all():
                    return moved
            except TookTooLong:
                return moved
            except Exception as error:
                if not deliberate(error):
                    return moved
            finally:
                watch.stop()
    return None


def _moved(z: Any, fit: Callable[[Array], Array]) -> Any:
    """z with its floating arrays moved by `fit`."""
    if type(z) is tuple:
        return tuple(_moved(part, fit) for part in z)
    return fit(z) if isinstance(z, np.ndarray) and z.dtype.kind == "f" else z


def _sizes(who: Callable[..., Any], shape: Sequence[int | str]) -> SearchStrategy[tuple[int, ...]]:
    """The shape with its names replaced by numbers, the same throughout one example."""
    for entry in shape:
        whole = isinstance(entry, int | np.integer) and not isinstance(entry, bool) and entry >= 0
        if not (whole or isinstance(entry, str)):
            raise ValueError(
                f"{who.__name__} expects a shape of whole numbers and names, got {entry!r}: "
                f"{who.__name__}('batch', 4) has a free number of rows"
            )
    return st.tuples(*(_named(entry) if isinstance(entry, str) else st.just(int(entry)) for entry in shape))


def _named(name: str) -> SearchStrategy[int]:
    return st.shared(st.integers(1, 3 if name == "batch" else 5), key=f"minigrad size {name}")


def _elements(above: float | None, below: float | None) -> SearchStrategy[float]:
    low = -4.0 if above is None else float(above)
    high = 4.0 if below is None else float(below)
    if above is not None and below is not None and above >= below:
        raise ValueError(f"reals expects above < below, got above={above}, below={below}")
    low, high = (min(low, high - 8) if above is None else low), (max(high, low + 8) if below is None else high)
    margin = min(1e-3, (high - low) / 16)
    low, high = (low if above is None else low + margin), (high if below is None else high - margin)
    special = [v for v in SPECIAL if (above is None or v >= low) and (below is None or v <= high)]
    ordinary = st.floats(low, high, allow_subnormal=False)
    return st.one_of(st.sampled_from(special), ordinary) if special else ordinary


@st.composite
def _laid_out(draw: st.DrawFn, sizes: SearchStrategy[tuple[int, ...]], elements: SearchStrategy[float]) -> Array:
    z = draw(hnp.arrays(np.float64, draw(sizes), elements=elements))
    if z.ndim == 0:
        return z
    if z.size > 2 and draw(st.sampled_from(["as drawn", "as drawn", "tied"])) == "tied":
        z = z.reshape(-1)[np.arange(z.size) % 2].reshape(z.shape)
    return LAYOUTS[draw(st.sampled_from(list(LAYOUTS)))](z)


@st.composite
def _blocks(draw: st.DrawFn, width: int, rng: np.random.Generator) -> tuple[list[Layer], int]:
    """One or a few layers for an input of `width`, and the width above them."""
    kind = draw(st.sampled_from(["activation", "linear", "twice", "shared"]))
    if kind == "activation":
        return [draw(st.sampled_from([Tanh, ReLU, Sigmoid, LogSigmoid, LogSoftmax, Softmax]))()], width
    if kind == "linear":
        above = draw(st.integers(1, 4))
        return [Linear(width, above, draw(st.booleans()), rng=rng)], above
    square = Linear(width, width, rng=rng)
    if kind == "twice":
        return [square, Tanh(), square], width
    other = Linear(width, width, rng=rng)
    other.weight = square.weight
    return [square, Tanh(), other], width


def _class_weights(classes: int) -> SearchStrategy[list[float] | None]:
    return st.none() | st.lists(st.floats(0.5, 2), min_size=classes, max_size=classes)
