"""Activations beside PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.agreement.twin import Pair, Twin
from minigrad import Layer
from minigrad.layers.activations import Identity, LogSigmoid, ReLU, Sigmoid, Tanh
from minigrad.layers.rectifiers import ELU, SELU, HardSigmoid, Hardtanh, LeakyReLU, PReLU
from minigrad.layers.smooth_activations import GELU, Mish, SiLU, Softplus, Softsign

Options = dict[str, Any]
SPECIAL = (0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 20.0, -20.0, 40.0, -40.0, 1e-8, -1e-8)


def numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal numbers of any size, some at zero, kinks and far out."""
    z = rng.normal(size=shape) * 10 ** rng.uniform(-2, 1)
    return np.where(rng.random(shape) < 0.1, rng.choice(SPECIAL, shape), z)


def shape(rng: np.random.Generator) -> tuple[int, ...]:
    """One axis to four."""
    return tuple(int(size) for size in rng.integers(1, 6, rng.integers(1, 5)))


def central(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers from -2 to 2, the first of them 1: further out, PyTorch rounds 1 + erf z, 1 + tanh z and 1 - tanh^2 z
    until no digit is left, so that two right answers differ.  The tests hold the tails of GELU to 50 digits.
    """
    z = np.clip(numbers(rng, shape), -2, 2)
    z.flat[0] = 1
    return z


def like(
    ours: Callable[..., Layer],
    options: Callable[[np.random.Generator], Options] = lambda rng: {},
    numbers: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray] = numbers,
) -> Twin:
    """The layers of one name and the same options, on numbers of any shape."""
    name = ours.__name__

    def draw(rng: np.random.Generator) -> Pair:
        import torch

        chosen = options(rng)
        return Pair(ours(**chosen), getattr(torch.nn, name)(**chosen), numbers(rng, shape(rng)))

    return Twin(name, draw)


def bounds(rng: np.random.Generator) -> Options:
    """Of Hardtanh."""
    low = float(rng.normal())
    return {} if rng.random() < 0.3 else {"min_val": low, "max_val": low + float(rng.uniform(0.1, 3))}


def sharpness(rng: np.random.Generator) -> Options:
    """Of Softplus; without a threshold PyTorch's overflows in float32."""
    threshold = float(rng.choice([20, 1, 60]))
    return {} if rng.random() < 0.3 else {"beta": float(rng.uniform(0.2, 3)), "threshold": threshold}


def draw_prelu(rng: np.random.Generator) -> Pair:
    """One slope, or one for each channel."""
    import torch

    sizes = shape(rng)
    count = sizes[1] if len(sizes) > 1 and rng.random() < 0.7 else 1
    init = float(rng.normal())
    ours = PReLU(count, init)
    ours = ours.with_parameters({"weight": rng.normal(size=count)})
    return Pair(ours, torch.nn.PReLU(count, init), numbers(rng, sizes))


def draw_hard_sigmoid(rng: np.random.Generator) -> Pair:
    """Beside the definition in PyTorch's manual: the derivative of its Hardsigmoid is 1/6 in float32 always."""
    import torch

    return Pair(HardSigmoid(), lambda z: torch.nn.functional.relu6(z + 3) / 6, numbers(rng, shape(rng)))


TWINS = [
    like(Identity),
    like(Sigmoid),
    like(LogSigmoid),
    like(Tanh, numbers=central),
    like(ReLU),
    like(LeakyReLU, lambda rng: {"negative_slope": float(rng.choice([0.01, 0.0, rng.normal()]))}),
    Twin("PReLU", draw_prelu),
    like(ELU, lambda rng: {"alpha": float(rng.choice([1.0, rng.uniform(0.1, 3)]))}),
    like(SELU),
    like(Hardtanh, bounds),
    Twin("HardSigmoid", draw_hard_sigmoid),
    like(GELU, lambda rng: {"approximate": str(rng.choice(["none", "tanh"]))}, central),
    like(SiLU),
    like(Mish),
    like(Softplus, sharpness),
    like(Softsign),
]
