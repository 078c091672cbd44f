"""The limit: the bare matrix products of a step, each in its quickest arrangement, and one pass over the other data.

Results go into arrays that are there before, and nothing is checked: NumPy can hardly be quicker than this.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

ROWS = (48, 64, 80, 96, 112, 116)  # of a small product, which OpenBLAS has a quicker way for
FEW = 64  # columns, up to which small products are tried
IN_CACHE = 4 * 2**20  # bytes of rows whose products are taken one after the other

Step = Callable[[], Any]


class Limit(NamedTuple):
    """A step, and how its parts are arranged."""

    step: Step
    arrangement: list[str]


def limit(parts: Iterable[dict[str, Step]]) -> Limit:
    """The quickest arrangement of each part, one part after the other."""
    chosen = [quickest(arrangements) for arrangements in parts]
    steps = [step for _, step in chosen]

    def step() -> None:
        for part in steps:
            part()

    return Limit(step, [name for name, _ in chosen])


def quickest(arrangements: dict[str, Step]) -> tuple[str, Step]:
    """That of the least time in a few turns."""
    if len(arrangements) == 1:
        return next(iter(arrangements.items()))
    times = dict.fromkeys(arrangements, float("inf"))
    for turn in range(4):
        for name, step in arrangements.items():
            count = 1 if turn == 0 else max(1, int(2e-3 / times[name]))
            start = time.perf_counter()
            for _ in range(count):
                step()
            times[name] = min(times[name], (time.perf_counter() - start) / count)
    name = min(times, key=lambda name: times[name])
    return name, arrangements[name]


def some(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    """Numbers of ordinary size."""
    return np.random.default_rng(1).normal(size=shape).astype(dtype)


def linear(x: np.ndarray, weight: np.ndarray) -> dict[str, Step]:
    """x W^T, for x (N, D) and W (K, D), or its transpose."""
    z, by_class = np.empty((len(x), len(weight)), x.dtype), np.empty((len(weight), len(x)), x.dtype)

    def by_rows(rows: int) -> np.ndarray:
        for left, right in zip(_in_blocks(x, rows), _in_blocks(z, rows), strict=True):
            np.matmul(left, weight.T, out=right)
        return z

    return {
        "x W^T": lambda: np.dot(x, weight.T, out=z),
        "(W x^T)^T": lambda: np.dot(weight, x.T, out=by_class),
        **{f"x W^T by {rows} rows": partial(by_rows, rows) for rows in _sizes(x, weight)},
    }


def gradient(delta: np.ndarray, x: np.ndarray) -> dict[str, Step]:
    """delta^T x, for delta (N, K) and x (N, D), or its transpose."""
    by_class, d_weight = np.ascontiguousarray(delta.T), np.empty((delta.shape[1], x.shape[1]), x.dtype)
    transposed = np.empty(d_weight.shape[::-1], x.dtype)

    def by_rows(rows: int) -> np.ndarray:
        d_weight[...] = 0
        for left, right in zip(_in_blocks(delta, rows), _in_blocks(x, rows), strict=True):
            np.add(d_weight, np.matmul(left.swapaxes(1, 2), right).sum(axis=0), out=d_weight)
        return d_weight

    return {
        "delta^T x": lambda: np.dot(delta.T, x, out=d_weight),
        "delta^T x, by class": lambda: np.dot(by_class, x, out=d_weight),
        "(x^T delta)^T": lambda: np.dot(x.T, delta, out=transposed),
        **{f"delta^T x by {rows} rows": partial(by_rows, rows) for rows in _sizes(x, d_weight)},
    }


def both(x: np.ndarray, weight: np.ndarray, delta: np.ndarray) -> dict[str, Step]:
    """x W^T and delta^T x: one after the other, or of some rows at a time, so that x is read once."""
    first, second = quickest(linear(x, weight)), quickest(gradient(delta, x))
    z, d_weight = np.empty(delta.shape, x.dtype), np.empty(weight.shape, x.dtype)

    def in_turn() -> tuple[Any, Any]:
        return first[1](), second[1]()

    def at_once(rows: int, stack: int) -> tuple[Any, Any]:
        d_weight[...] = 0
        for x_s, delta_s, z_s in zip(*(_in_blocks(array, rows) for array in (x, delta, z)), strict=True):
            for i in range(0, len(x_s), stack):
                some_x = x_s[i : i + stack]
                np.matmul(some_x, weight.T, out=z_s[i : i + stack])
                for part in np.matmul(delta_s[i : i + stack].swapaxes(1, 2), some_x):
                    np.add(d_weight, part, out=d_weight)
        return z, d_weight

    ways: dict[str, Step] = {f"{first[0]}, then {second[0]}": in_turn}
    if x.nbytes > IN_CACHE:
        for rows in _sizes(x, weight):
            ways |= {f"both by {stack} x {rows} rows": partial(at_once, rows, stack) for stack in (2, 8)}
    return ways


def pass_over(*arrays: np.ndarray) -> dict[str, Step]:
    """Read and write each array once."""
    pairs = [(array, np.empty_like(array)) for array in arrays]

    def over() -> None:
        for array, other in pairs:
            np.add(array, array, out=other)

    return {"one pass": over}


def perceptron(x: np.ndarray, widths: Sequence[int], passes: int) -> Limit:
    """A training step: all products, a pass over the activations, and the update of each parameter.

    `passes` arrays of its size are read and written: itself, and its moments.
    """
    n, dtype = len(x), x.dtype
    parts: list[dict[str, Step]] = []
    for i, (below, above) in enumerate(pairwise(widths)):
        z, weight = x if i == 0 else some(n, below, dtype=dtype), some(above, below, dtype=dtype)
        delta = some(n, above, dtype=dtype)
        if i == 0:
            parts.append(both(z, weight, delta))
        else:
            parts += [linear(z, weight), gradient(delta, z), linear(delta, weight.T)]
        parts.append(pass_over(delta))
        if passes:
            parts += [update(some(*shape, dtype=dtype), passes) for shape in ((above, below), (above,))]
    return limit(parts)


def update(parameter: np.ndarray, passes: int) -> dict[str, Step]:
    """Read a gradient and a parameter, and write it; and read and write the moments."""
    gradient, moments = np.ones_like(parameter), [np.ones_like(parameter) for _ in range(passes - 1)]

    def over() -> None:
        np.subtract(parameter, gradient, out=parameter)
        for moment in moments:
            np.negative(moment, out=moment)

    return {"update": over}


def _sizes(x: np.ndarray, weight: np.ndarray) -> list[int]:
    """The sizes of small products that may pay: those of ROWS, and divisors of N between them, so that none is left."""
    if len(weight) > FEW or len(x) <= ROWS[0]:
        return []
    divisors = [rows for rows in range(ROWS[0], ROWS[-1] + 1) if len(x) % rows == 0]
    return sorted({*ROWS, *divisors[:: max(1, len(divisors) // 4)]})


def _in_blocks(z: np.ndarray, rows: int) -> list[np.ndarray]:
    """All rows: a stack of blocks, and one more of those that are left."""
    head = len(z) - len(z) % rows
    parts = [z[:head].reshape(-1, rows, z.shape[1]), z[np.newaxis, head:]]
    return [part for part in parts if part.size]
