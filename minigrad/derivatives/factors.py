"""RowFactors: what each row adds to the gradient of a weight, as its delta and its activation, not multiplied out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.typing import Array


class RowFactors:
    """s_n = sum_t delta_nt a_nt^T, (K, D) for each of N rows, kept as delta (N, T, K) and activation a (N, T, D).

        array()     all s_n, (N, K, D)
        total()     sum_n s_n, (K, D)
        squares()   |s_n|^2  =  sum_tu (delta_nt . delta_nu) (a_nt . a_nu),    (N,)
        along(V)    s_n . V  =  sum_t delta_nt V a_nt,    (N,)

    T is 1 where a linear layer sees one vector for each row.  The sum of two is one of both their places.
    """

    __array_ufunc__ = None  # array + factors is left to __radd__

    def __init__(self, delta: Array, activation: Array) -> None:
        self.delta, self.activation = delta, activation

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return (len(self.delta), self.delta.shape[2], self.activation.shape[2])

    @property
    def dtype(self) -> Any:
        """Of the array."""
        return np.result_type(self.delta, self.activation)

    def __len__(self) -> int:
        return len(self.delta)

    def __getitem__(self, rows: slice) -> RowFactors:
        return RowFactors(self.delta[rows], self.activation[rows])

    def __add__(self, other: Any) -> Any:
        if isinstance(other, RowFactors):
            return RowFactors(
                np.concatenate([self.delta, other.delta], axis=1),
                np.concatenate([self.activation, other.activation], axis=1),
            )
        return self.array() + other

    __radd__ = __add__

    def __abs__(self) -> RowFactors:
        """An upper bound of |s_n|, entry by entry."""
        return RowFactors(np.abs(self.delta), np.abs(self.activation))

    def array(self, out: Array | None = None) -> Array:
        """All s_n, (N, K, D), in new memory or in `out`."""
        if self.delta.shape[1] == 1:
            return np.multiply(self.delta[:, 0, :, np.newaxis], self.activation[:, 0, np.newaxis, :], out=out)
        return np.asarray(np.matmul(self.delta.transpose(0, 2, 1), self.activation, out=out))

    def total(self) -> Array:
        """sum_n s_n, (K, D): what rule 3 gives."""
        n, t, k = self.delta.shape
        return np.asarray(self.delta.reshape(n * t, k).T @ self.activation.reshape(n * t, self.activation.shape[2]))

    def squares(self) -> Array:
        """|s_n|^2, (N,)."""
        if self.delta.shape[1] > min(self.shape[1:]):  # of many places, the products are smaller than their factors
            return np.asarray(np.square(self.array()).sum(axis=(1, 2)))
        of_delta, of_activation = (part @ part.transpose(0, 2, 1) for part in (self.delta, self.activation))
        return np.asarray((of_delta * of_activation).sum(axis=(1, 2)))

    def along(self, direction: Array) -> Array:
        """s_n . V for V (K, D): (N,)."""
        return np.asarray(((self.delta @ direction) * self.activation).sum(axis=(1, 2)))


def array_of(rows: Any) -> Array:
    """(N, *shape), of RowFactors or an array."""
    return rows.array() if isinstance(rows, RowFactors) else rows


def write(rows: Any, out: Array) -> None:
    """The array of RowFactors, or an array, into `out`: of many rows it is too large to be made first, then copied."""
    if isinstance(rows, RowFactors):
        rows.array(out)
    else:
        out[...] = rows


def stacked(pieces: Sequence[Any]) -> Array:
    """The arrays of all pieces, one after another."""
    out = np.empty((sum(map(len, pieces)), *pieces[0].shape[1:]), np.result_type(*(piece.dtype for piece in pieces)))
    start = 0
    for piece in pieces:
        write(piece, out[start : start + len(piece)])
        start += len(piece)
    return out


def total_of(rows: Any) -> Array:
    """The sum over the rows."""
    return rows.total() if isinstance(rows, RowFactors) else np.asarray(rows.sum(axis=0))


def squares_of(rows: Any) -> Array:
    """The sum of squares of each row."""
    return rows.squares() if isinstance(rows, RowFactors) else np.square(rows).sum(axis=tuple(range(1, np.ndim(rows))))


def along(rows: Any, direction: Array) -> Array:
    """The inner product of each row with `direction`."""
    return (
        rows.along(direction)
        if isinstance(rows, RowFactors)
        else rows.reshape(len(rows), direction.size) @ direction.ravel()
    )
