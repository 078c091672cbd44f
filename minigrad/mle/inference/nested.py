"""Nested: whether one fit is a smaller model of the same rows as another, as far as can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.mle.regressions.firth import Firth
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result


def require_nested(result: Result, other: Result) -> None:
    """`other` is a smaller model of the same rows (ValueError), as far as can be seen."""
    same = [
        ("rows", result.likelihood.rows == other.likelihood.rows),
        ("y", _equal(result.data.target, other.data.target)),
        ("weights", _equal(result.likelihood.weights, other.likelihood.weights)),
        ("likelihood", getattr(result.likelihood, "mean", None) is getattr(other.likelihood, "mean", None)),
        ("penalty", isinstance(result.likelihood, Firth) == isinstance(other.likelihood, Firth)),
    ]
    for what, holds in same:
        if not holds:
            raise ValueError(f"lr_test expects two fits of the same {what}, got different {what}: fit both to the same")
    if isinstance(result.likelihood, Firth):
        raise ValueError("Firth's penalty differs between two fits: give lr_test constraints, such as 'x1 = 0'")
    if other.k >= result.k:
        raise ValueError(
            f"lr_test expects a smaller fit, of fewer than {result.k} parameters, got one of {other.k}: "
            "call it on the larger"
        )
    if not _within(other, result):
        raise ValueError(
            "lr_test expects a model within this one, got one whose columns of x (or offset) are no combinations "
            "of its own: likelihood ratios are chi-squared for nested models only; aic and bic compare others"
        )


def _equal(a: Any, b: Any) -> bool:
    return (a is None) == (b is None) and (a is None or np.array_equal(np.asarray(a), np.asarray(b)))


def _within(small: Result, large: Result) -> bool:
    """The columns of `small`, and its offset less that of `large`, lie in the span of those of `large`."""
    if not hasattr(large.likelihood, "mean"):
        return True  # a stack: its loglik is looked at, no more can be said
    ours, theirs = _columns(large), _columns(small)
    if not _equal(small.data.offset, large.data.offset):
        offsets = [np.asarray(0.0 if each.data.offset is None else each.data.offset) for each in (small, large)]
        difference = np.broadcast_to(offsets[0] - offsets[1], (len(ours), *np.shape(offsets[0] - offsets[1])[1:]))
        theirs = np.column_stack([theirs, difference.reshape(len(ours), -1)])
    size = np.abs(theirs).max(axis=0, initial=0.0)
    theirs = theirs[:, size > 0] / size[size > 0]
    left = theirs - ours @ np.linalg.lstsq(ours, theirs, rcond=None)[0]
    return bool(np.abs(left).max(initial=0.0) < 1e-6)


def _columns(result: Result) -> Array:
    x = np.asarray(result.data.x, dtype=float)
    size = np.abs(x).max(axis=0, initial=0.0)
    x = x / np.where(size > 0, size, 1.0)
    bias = any(name.split(":")[-1] == "const" for name in result.names)
    return np.column_stack([x, np.ones(len(x))]) if bias else x
