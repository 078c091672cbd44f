"""Time the arrangements that minigrad/kernels.py chooses between: `python -m benchmarks.kernels [--smoke]`."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.run import BURST, rounds

# isort: split
import numpy as np

from minigrad.kernels import COLUMNS, affine, column_sums, transposed_product

SIZES = [
    (1, 784, 256, "float32"),
    (2, 784, 2000, "float32"),
    (16, 784, 256, "float32"),
    (32, 64, 10, "float32"),
    (64, 3072, 10, "float32"),
    (128, 784, 256, "float32"),
    (128, 128, 10, "float32"),
    (256, 784, 10, "float32"),
    (512, 1024, 2048, "float32"),
    (1797, 64, 10, "float64"),
    (1797, 64, 16, "float64"),
    (5000, 784, 16, "float32"),
    (60000, 784, 10, "float32"),
]


def plainly(z: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The formula of `affine`."""
    return z @ weight.T + bias


def main() -> None:
    """Plain products and sums beside those of the kernels, and maxima over few classes in both orders."""
    smoke = "--smoke" in sys.argv
    rng = np.random.default_rng(0)
    print(
        "microseconds               z W^T + b    affine     d^T z   kernel     sum d   kernel   max over K  class-major"
    )
    for n, features, classes, dtype in SIZES[:-1] if smoke else SIZES:
        z, delta = rng.normal(size=(n, features)).astype(dtype), rng.normal(size=(n, classes)).astype(dtype)
        by_class = np.asfortranarray(delta)
        d = by_class if classes <= COLUMNS else delta
        weight, bias = rng.normal(size=(classes, features)).astype(dtype), np.zeros(classes, dtype)
        steps: dict[str, Callable[[], Any]] = {
            "plain": partial(plainly, z, weight, bias),
            "affine": partial(affine, z, weight, bias),
            "plain transposed": partial(np.matmul, d.T, z),
            "transposed": partial(transposed_product, d, z),
            "plain sums": partial(np.add.reduce, delta, axis=0),
            "sums": partial(column_sums, delta),
        }
        if classes <= COLUMNS:
            steps |= {"rows": partial(delta.max, axis=1), "class-major": partial(by_class.max, axis=1)}
        times = rounds(
            steps, 2 if smoke else 5 if n * features * classes > 10**8 else 20, BURST / 40 if smoke else BURST / 4
        )
        figures = [float(np.median(times[name])) * 1e6 for name in steps]
        widths = (11, 10, 10, 9, 10, 9, 13, 13)
        title = f"{n} x {features} -> {classes}"
        print(f"{title:<25}" + "".join(f"{figure:{width}.1f}" for figure, width in zip(figures, widths, strict=False)))


if __name__ == "__main__":
    main()
