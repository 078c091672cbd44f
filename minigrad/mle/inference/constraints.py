"""Constraints: linear hypotheses R params = r, read from "x1 = x2" or given as a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.checks import kind, require_finite
from minigrad.mle.inference.expressions import differences
from minigrad.typing import Array


def parse(constraints: Any, names: Sequence[str]) -> tuple[Array, Array]:
    """R (q, m) and r (q,) of R params = r, for parameters of these `names`.

    `constraints` is "x1 = x2", "x1 = x2 = 0", "2*x1 + x2 = 3, x3 = 0", a sequence of such, a matrix R (of r = 0), or
    (R, r).  Where a name could be read in two ways, the longest is meant; one in `backticks` is taken as it stands.

    >>> parse("x1 = 2*(x2 - 1), 1:x1 = 0", ["x1", "x2", "1:x1"])
    (array([[ 1., -2.,  0.],
           [ 0.,  0.,  1.]]), array([-2.,  0.]))
    """
    if isinstance(constraints, str):
        return _of_text(constraints, names)
    if isinstance(constraints, list | tuple) and constraints and all(isinstance(each, str) for each in constraints):
        parts = [_of_text(each, names) for each in constraints]
        return np.vstack([matrix for matrix, _ in parts]), np.concatenate([value for _, value in parts])
    return _of_matrix(constraints, len(names))


def described(matrix: Array, value: Array, names: Sequence[str]) -> str:
    """'x1 - x2 = 0, 2 x3 = 1': the constraints in words."""
    return ", ".join(f"{_sum(row, names)} = {float(each):g}" for row, each in zip(matrix, value, strict=True))


def _sum(row: Array, names: Sequence[str]) -> str:
    text = ""
    for factor, name in zip(row, names, strict=True):
        if factor:
            sign = (" - " if factor < 0 else " + ") if text else "-" if factor < 0 else ""
            text += sign + (name if abs(factor) == 1 else f"{abs(factor):g} {name}")
    return text or "0"


def _of_matrix(given: Any, m: int) -> tuple[Array, Array]:
    pair = (
        isinstance(given, tuple)
        and len(given) == 2
        and np.ndim(given[0]) >= 1
        and np.ndim(given[0]) != np.ndim(given[1])
    )
    try:
        if given is None:
            raise TypeError
        matrix = np.atleast_2d(np.asarray(given[0] if pair else given, dtype=float))
        value = np.atleast_1d(np.asarray(given[1] if pair else np.zeros(len(matrix)), dtype=float))
    except (TypeError, ValueError):
        raise TypeError(
            f"constraints are text such as 'x1 = x2', or R of shape (q, {m}), or (R, r) with r (q,), got {kind(given)}"
        ) from None
    if matrix.ndim != 2 or matrix.shape[1] != m or not len(matrix) or value.shape != (len(matrix),):
        raise ValueError(
            f"constraints expect R of shape (q, {m}), one column for each parameter, and r of shape (q,), "
            f"got {matrix.shape} and {value.shape}"
        )
    require_finite("constraints", matrix, "R")
    require_finite("constraints", value, "r")
    return matrix, value


def _of_text(text: str, names: Sequence[str]) -> tuple[Array, Array]:
    rows = differences(text, names)
    return np.array([row.coefficients for row in rows]), np.array([-row.constant + 0.0 for row in rows])
