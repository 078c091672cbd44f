"""Time the arrangements that minigrad/kernels.py chooses between: `python -m benchmarks.kernels [--smoke]`."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.__main__ import BURST, rounds

# isort: split
import numpy as np

from minigrad.kernels import affine, transposed_product


def plainly(z: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The formula of `affine`."""
    return z @ weight.T + bias


def main() -> None:
    """Plain products beside small ones in blocks, and reductions over classes in both orders."""
    smoke = "--smoke" in sys.argv
    rng = np.random.default_rng(0)
    print("microseconds           z W^T + b   in blocks     d^T z   in blocks   max over K   class-major")
    for n, features, classes, dtype in [
        (32, 64, 10, "float32"),
        (256, 784, 10, "float32"),
        (1797, 64, 10, "float64"),
        (1797, 64, 16, "float64"),
        (60000, 784, 10, "float32"),
    ]:
        z, delta = rng.normal(size=(n, features)).astype(dtype), rng.normal(size=(n, classes)).astype(dtype)
        weight, bias = rng.normal(size=(classes, features)).astype(dtype), np.zeros(classes, dtype)
        by_class = np.asfortranarray(delta)
        steps: dict[str, Callable[[], Any]] = {
            "plain": partial(plainly, z, weight, bias),
            "blocks": partial(affine, z, weight, bias),
            "plain transposed": partial(np.matmul, by_class.T, z),
            "blocks transposed": partial(transposed_product, by_class, z),
            "rows": partial(delta.max, axis=1),
            "class-major": partial(by_class.max, axis=1),
        }
        times = rounds(steps, 2 if smoke or n > 10000 else 40, BURST / 40 if smoke else BURST)
        plain, blocks, product, small, rows, major = (float(np.median(times[name])) * 1e6 for name in steps)
        title = f"{n} x {features} -> {classes}"
        print(f"{title:<18} {plain:13.1f} {blocks:11.1f} {product:9.1f} {small:11.1f} {rows:12.1f} {major:13.1f}")


if __name__ == "__main__":
    main()
