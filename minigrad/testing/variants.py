"""A layer with other parameters: away from where they start, where a forgotten factor of 1 or a term of 0 shows."""

from __future__ import annotations

import numpy as np

from minigrad.layer import Layer


def moved_off(layer: Layer, rng: np.random.Generator) -> Layer:
    """The layer at parameters away from their initial values, of the same signs."""
    moved = {}
    for name, array in layer.parameters().items():
        factor, start = rng.uniform(0.5, 1.5, array.shape), rng.uniform(0.1, 0.5, array.shape)
        moved[name] = np.asarray(np.where(array == 0, start, factor * array))
    return layer.with_parameters(moved)


def any_signs(layer: Layer, rng: np.random.Generator) -> Layer:
    """The layer with normal numbers for parameters."""
    return layer.with_parameters(
        {name: np.asarray(rng.normal(size=array.shape)) for name, array in layer.parameters().items()}
    )
