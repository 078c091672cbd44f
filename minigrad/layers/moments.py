"""Means and sums over any axes of an array, for layers that normalise.

numpy.einsum adds up several times as fast as np.add.reduce, and needs no array of products; it does not conjugate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from minigrad.typing import Array, Formulas, Shape

Axes: TypeAlias = tuple[int, ...]


class Plan(NamedTuple):
    """How a layer looks at z: in `shape`, mean and variance over `axes`, the parameters as `of_parameters`."""

    shape: Shape
    axes: Axes
    of_parameters: Shape


def centre(z: Array, axes: Axes) -> tuple[Array, Array]:
    """(z - mean z, mean z), the means over `axes`, which are kept.

    One entry of each mean is taken off first.  What is left is as small as z varies: a mean of 1e6 with a standard
    deviation of 1 costs float32 no digits, and where z is constant its deviation is 0 exactly.
    """
    first = z[tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(z.ndim))]
    centred = in_order(np.subtract, z, first)
    mean = mean_over(centred, axes)
    centred -= mean
    return centred, first + mean


def mean_over(z: Array, axes: Axes) -> Array:
    """The mean over `axes`, which are kept."""
    every = tuple(range(z.ndim))
    total = np.einsum(z, every, [axis for axis in every if axis not in axes])
    return np.expand_dims(total, axes) / math.prod(z.shape[axis] for axis in axes)


def mean_of_products(a: Array, b: Array, axes: Axes) -> Array:
    """The mean of a b over `axes`, which are kept."""
    every = tuple(range(a.ndim))
    total = np.einsum(a, every, b, every, [axis for axis in every if axis not in axes])
    return np.expand_dims(total, axes) / math.prod(a.shape[axis] for axis in axes)


def sum_to(shape: Shape, z: Array) -> Array:
    """The sum of z over all axes along which `shape`, which broadcasts to that of z, is constant."""
    return np.einsum(z, [*range(z.ndim)], _axes_of(shape, z.ndim))


def sum_of_products_to(shape: Shape, a: Array, b: Array, s: Array) -> Array:
    """`sum_to` of a b s, where s has one entry along some axes: those are summed before s is multiplied in."""
    every, own = [*range(a.ndim)], _axes_of(shape, a.ndim)
    first = [axis for axis in every if axis in own or s.shape[axis] != 1]
    products = a * b if first == every else np.einsum(a, every, b, every, first)
    return np.einsum(products, first, s.reshape([s.shape[axis] for axis in first]), first, own)


def is_constant_over(axes: Axes, shape: Shape, ndim: int) -> bool:
    """An array of `shape`, broadcast to `ndim` axes, is constant over `axes`."""
    return not set(_axes_of(shape, ndim)) & set(axes)


def written(centring: bool, names: Sequence[str], of_channels: bool, where: str) -> Formulas:
    """The rules of a normalisation in LaTeX, with the parameters of these names."""
    weighted, moved = "weight" in names, "bias" in names
    variance = r"\operatorname{var}(\z)" if centring else r"\operatorname{mean}(\z^2)"
    root = rf"\sqrt{{{variance} + \epsilon}}"
    centred = r"\z - \operatorname{mean}(\z)" if centring else r"\z"
    d = r"w \odot \d" if weighted else r"\d"
    first = rf"{d} - \operatorname{{mean}}({d})" if centring else d
    dz = rf"s \odot \left( {first} - \hat{{\z}} \odot \operatorname{{mean}}({d} \odot \hat{{\z}}) \right)"
    z_hat = rf", \quad \hat{{\z}} = {f'({centred})' if centring else centred} \odot s, \quad s = \frac{{1}}{{{root}}}"
    # Of channels, the sum is over all axes but theirs; else over the rows.
    summed, index = (r"\sum", "c") if of_channels else (r"\sum_n", "n")
    gradients = {
        "weight": rf"{summed} \d_{index} \odot \hat{{\z}}_{index}{z_hat}",
        "bias": rf"{summed} \d_{index}",
    }
    if of_channels and names:
        where = "; ".join(filter(None, (where, "the sums are over all axes but that of the channels c")))
    return Formulas(
        forward=rf"\frac{{{centred}}}{{{root}}}" + r" \odot w" * weighted + " + b" * moved,
        backward=f"{dz}{z_hat}",
        gradients={name: gradients[name] for name in names},
        symbols={name: {"weight": "w", "bias": "b"}[name] for name in names},
        where=where,
    )


def in_order(operation: np.ufunc, z: Array, other: Array) -> Array:
    """operation(z, other) with its axes in memory as those of z are, which numpy alone does not promise."""
    return operation(z, other, out=np.empty_like(z, np.result_type(z, other)))


def into(operation: np.ufunc, z: Array, other: Array) -> Array:
    """operation(z, other), written over z unless its type is too narrow."""
    return operation(z, other, out=z if np.can_cast(other.dtype, z.dtype) else None)


def _axes_of(shape: Shape, ndim: int) -> list[int]:
    """The axes, of `ndim`, along which an array of `shape` varies."""
    offset = ndim - len(shape)
    return [offset + i for i, size in enumerate(shape) if size > 1]
