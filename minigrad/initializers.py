"""Initialisers: (shape, rng) -> array.

Each function here returns one: `Linear(64, 10, weight_initializer=normal(0.01))`.  Any function of a shape and a
generator will do in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from minigrad.checks import kind, require_finite, require_float_dtype
from minigrad.typing import Array

Initializer: TypeAlias = "Callable[[tuple[int, ...], np.random.Generator], Array]"


def constant(value: float) -> Initializer:
    """Every entry is `value`."""
    return lambda shape, rng: np.full(shape, float(value))


def zeros() -> Initializer:
    """Every entry is 0: right for a convex cost, wrong below a hidden layer, whose units would stay alike."""
    return constant(0.0)


def uniform(bound: float) -> Initializer:
    """Independent uniform numbers on [-bound, bound)."""
    return lambda shape, rng: rng.uniform(-bound, bound, shape)


def normal(std: float) -> Initializer:
    """Independent normal numbers of mean 0 and standard deviation `std`."""
    return lambda shape, rng: rng.normal(0.0, std, shape)


def initialize(initializer: Initializer, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
    """A new parameter of `shape` and floating type `dtype` (TypeError, ValueError unless the initialiser makes one)."""
    who = getattr(initializer, "__name__", type(initializer).__name__)
    try:
        array = initializer(shape, rng)
    except TypeError as error:
        raise ValueError(
            f"initialiser {who} was called with a shape and a generator and raised {error}: "
            "an initialiser is a function (shape, rng) -> array, such as normal(0.01) with its argument given"
        ) from error
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise ValueError(f"initialiser {who} was asked for an array of shape {shape}, got {kind(array)}")
    array = np.array(array, dtype=require_float_dtype(initializer, dtype))
    require_finite(initializer, array, "the initial array")
    return array
