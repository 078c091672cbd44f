"""Identification: directions along which the likelihood does not change, and what can be estimated all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.mle.likelihood import Listing
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.regressions.regression import Regression

MANY = 8  # parameters in a combination, that are not written out
BESIDE = 1e-9  # the part of a parameter along a null direction that is rounding


def null_of(likelihood: Regression) -> Array:
    """Directions of the variables of a regression, orthonormal (k, M), along which its likelihood does not change.

    Each direction in which columns of (x, 1) cancel is one of every unit.
    """
    columns = likelihood.columns.null.vectors
    if not columns.size:
        return np.zeros((likelihood.size, 0))
    listing = likelihood.listing("sum_to_zero")  # of all classes
    by_class = listing.scale.reshape(likelihood.classes, -1)
    wanted = [np.outer(unit, column / by_class[0]).ravel() for column in columns.T for unit in likelihood.contrast.T]
    return orthonormal(np.linalg.lstsq(listing.matrix, np.array(wanted).T, rcond=None)[0])


def orthonormal(columns: Array) -> Array:
    """An orthonormal basis of the columns (k, M)."""
    left, sizes, _ = np.linalg.svd(columns / np.abs(columns).max(axis=0), full_matrices=False)
    return np.asarray(left[:, sizes > 1e-12 * sizes[0]])


def complement(null: Array) -> Array:
    """An orthonormal basis (k, k - M) of what is orthogonal to the columns of `null`, which are orthonormal."""
    if not null.shape[1]:
        return np.eye(len(null))
    return np.asarray(np.linalg.qr(null, mode="complete")[0][:, null.shape[1] :])


def estimable(listing: Listing, null: Array) -> dict[str, bool]:
    """Of each parameter listed, whether it is the same along all null directions."""
    sizes = np.linalg.norm(listing.matrix, axis=1)
    moved = np.linalg.norm(listing.matrix @ null, axis=1)
    return {name: bool(part <= BESIDE * size) for name, part, size in zip(listing.names, moved, sizes, strict=True)}


def of_least_norm(listing: Listing, null: Array) -> Listing:
    """The listing of the point of least norm, sum params^2, among those that the likelihood does not tell apart.

    theta - N (N^T N)^-1 N^T theta, for the null directions N of the parameters.
    """
    if not null.shape[1]:
        return listing
    relative = (listing.scale / listing.scale.max())[:, np.newaxis]
    directions = orthonormal(relative * (listing.matrix @ null))
    along = directions @ (directions.T @ (relative * listing.matrix))
    return listing._replace(matrix=listing.matrix - along / relative)


def by_name(names: list[str], vector: Any) -> dict[str, float]:
    """{name: entry} for entries that are not 0."""
    return {name: float(value) for name, value in zip(names, vector, strict=True) if value}


def in_words(direction: dict[str, float], parameters: bool = False) -> str:
    """'year + age - 2026': a combination of columns, the constant as a number, the largest coefficient as 1.

    Of `parameters` the constant is one, and has its name.
    """
    if len(direction) > MANY:
        return f"a combination of {len(direction)} parameters"
    text = ""
    numbers = () if parameters else ("const",)
    sizes = [abs(value) for name, value in direction.items() if name.split(":")[-1] not in numbers]
    largest = max(sizes, default=1.0)
    for name, value in direction.items():
        size = f"{abs(value) / largest:.6g}"
        factor = size if name in numbers else name if size == "1" else f"{size} {name}"
        text += (" - " if value < 0 else " + ") + factor if text else ("-" if value < 0 else "") + factor
    return text or "0"
