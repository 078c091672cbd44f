"""What the table of layers is made of: a case says how to make a layer and what goes into it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigrad import Container, Layer
from minigrad.testing.randomness import Randomness


class Sizes(NamedTuple):
    """N rows, D features, K classes: small, and drawn apart, so that they mostly disagree."""

    n: int
    d: int
    k: int


class Case(NamedTuple):
    """How to make a layer and what goes into it."""

    name: str
    make: Callable[[Sizes, np.random.Generator], Layer]
    z_shape: Callable[[Sizes], tuple[int, ...]] = lambda s: (s.n, s.d)
    arguments: Callable[[Sizes, np.random.Generator], tuple] = lambda s, rng: ()
    least_rows: int = 0  # 1 where an empty batch has no answer
    kinks: tuple[float, ...] = ()  # where the function has no derivative
    domain: Callable[[np.ndarray], np.ndarray] = lambda z: z  # moves numbers to where the layer is defined, or smooth


class Example(NamedTuple):
    """One layer with an input, a dtype and a seed for deltas."""

    case: Case
    layer: Layer
    z: np.ndarray
    arguments: tuple
    seed: int

    def delta(self, z_next: np.ndarray, stream: int = 0) -> np.ndarray:
        """Signed normal numbers: of ones or one-hot, errors could hide."""
        numbers = np.random.default_rng((self.seed, stream)).normal(size=np.shape(z_next))
        return numbers.astype(np.real(z_next).dtype)[()]

    @property
    def eps(self) -> float:
        """The rounding of this precision."""
        return float(np.finfo(self.z.dtype).eps)


class OneArray(Container):
    """A layer of several inputs or outputs, as one of a single array (N, features), so that every law applies.

    `shapes` are those of one row of each input; None for a layer of one input, which is handed on as it is.
    """

    def __init__(self, inner: Layer, shapes: list[tuple[int, ...]] | None = None) -> None:
        self.inner, self.shapes = inner, shapes

    def children(self):
        return [("inner", self.inner)]

    def forward(self, z, *arguments):
        z_next, cache = self.inner.forward(self.cut(z, self.shapes), *arguments)
        if type(z_next) is not tuple:
            return z_next, (cache, None)
        return self.joined(z_next), (cache, [part.shape[1:] for part in z_next])

    def backward(self, delta, cache):
        inner_cache, shapes = cache
        dz = self.inner.backward(self.cut(delta, shapes), inner_cache)
        return dz if self.shapes is None else self.joined(dz)

    def parameter_gradients(self, delta, cache):
        inner_cache, shapes = cache
        return self.gather([self.inner.parameter_gradients(self.cut(delta, shapes), inner_cache)])

    def __call__(self, z, *arguments):
        z_next = self.inner(self.cut(z, self.shapes), *arguments)
        return self.joined(z_next) if type(z_next) is tuple else z_next

    def cut(self, z, shapes):
        if shapes is None:
            return z
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        return tuple(p.reshape(len(z), *s) for p, s in zip(np.split(z, ends[:-1], axis=1), shapes, strict=True))

    def joined(self, parts):
        sizes = [int(np.prod(part.shape[1:])) for part in parts]
        return np.concatenate([part.reshape(len(part), n) for part, n in zip(parts, sizes, strict=True)], axis=1)

    @staticmethod
    def width(shapes: list[tuple[int, ...]]) -> int:
        """How many features the parts have together."""
        return sum(int(np.prod(shape)) for shape in shapes)


class OfIndices(Container):
    """A layer of integers, as one of floating numbers that do not matter; the indices come after z.

    The law of independent rows cannot cut these with z.
    """

    rows_independent = False  # type: ignore[assignment]

    def __init__(self, inner: Layer) -> None:
        self.inner = inner

    def children(self):
        return [("inner", self.inner)]

    def forward(self, z, index):
        z_next, cache = self.inner.forward(index)
        return z_next, (z, cache)

    def backward(self, delta, cache):
        z, inner_cache = cache
        self.inner.backward(delta, inner_cache)
        return np.zeros_like(z)

    def parameter_gradients(self, delta, cache):
        return self.gather([self.inner.parameter_gradients(delta, cache[1])])


class HeldFixed(Container):
    """A layer that is random, or learns statistics, in training: always the same in training, and so at inference."""

    def __init__(self, inner: Layer) -> None:
        self.inner = inner
        self.randomness = Randomness(inner)

    def children(self):
        return [("inner", self.inner)]

    def forward(self, z, *arguments: Any):
        self.randomness.rewind()
        return self.inner.forward(z, *arguments)

    def backward(self, delta, cache):
        return self.inner.backward(delta, cache)

    def parameter_gradients(self, delta, cache):
        return self.gather([self.inner.parameter_gradients(delta, cache)])

    def at_inference(self):
        return self


# What random numbers rarely hit: ties, zeros, saturation; and the ordinary.
VALUES = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 0.5, -2.0, 1e-3, 30.0, -30.0]), st.floats(-4, 4, width=32))

LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": lambda z: np.repeat(z, 2, axis=-1)[..., ::2],
    "reversed": lambda z: np.ascontiguousarray(z[::-1])[::-1],
}


def laid_out(z: np.ndarray, layout: str) -> np.ndarray:
    """The same numbers, laid out otherwise in memory, and read-only."""
    z = LAYOUTS[layout](z)
    z.flags.writeable = False
    return z


SEEDS, ONE_TO_4, ONE_TO_5 = st.integers(0, 2**16), st.integers(1, 4), st.integers(1, 5)
ROWS = {least: st.integers(least, 4) for least in (0, 1)}
LAYOUT_NAMES = st.sampled_from(list(LAYOUTS))
PRECISIONS = {dtypes: st.sampled_from(dtypes) for dtypes in ((np.float64,), (np.float64, np.float32))}


class Draft(NamedTuple):
    """What was drawn for a case: from it each law gets an example of its own, that no other law has touched."""

    case: Case
    dtype: type
    sizes: Sizes
    seed: int
    numbers: np.ndarray
    layout: str

    def example(self, dtype: type | None = None) -> Example:
        """A layer with parameters, input and arguments, all made anew, in the dtype that was drawn or this one."""
        dtype, case, rng = dtype or self.dtype, self.case, np.random.default_rng(self.seed)
        layer = case.make(self.sizes, rng)
        if layer.parameters():
            layer = layer.with_parameters(
                {name: rng.normal(size=array.shape).astype(dtype) for name, array in layer.parameters().items()}
            )
        for array in layer.parameters().values():
            array.flags.writeable = False
        z = self.numbers
        for kink in case.kinks:
            z = np.where(abs(z - kink) < 0.1, kink + 0.15, z)
        z = laid_out(case.domain(z).astype(dtype), self.layout)
        return Example(case, layer, z, case.arguments(self.sizes, rng), self.seed)


@st.composite
def drafts(draw: st.DrawFn, case: Case, dtypes: tuple = (np.float64,)) -> Draft:
    """Sizes, seed of the parameters, input, precision and memory layout for the case."""
    dtype = draw(PRECISIONS[dtypes])
    sizes = Sizes(draw(ROWS[case.least_rows]), draw(ONE_TO_4), draw(ONE_TO_5))
    seed = draw(SEEDS)
    numbers = draw(hnp.arrays(np.float64, case.z_shape(sizes), elements=VALUES))
    return Draft(case, dtype, sizes, seed, numbers, draw(LAYOUT_NAMES))
