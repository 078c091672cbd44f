"""Rounding: what is left of scores where the fit is so near to y that their residuals are rounding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.derivatives.likelihoods import SIGMOID, SOFTMAX
from minigrad.mle.inference.roots import observed
from minigrad.mle.regressions.links import Look
from minigrad.mle.regressions.regression import Regression
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result

EPS = float(np.finfo(float).eps)
LAST = 4.0  # roundings of a residual, each by its own size


def rounding_of_scores(result: Result, along: Array, w: Array | None, groups: Any = None) -> Array:
    """No more is |(sum_(n in g) w_n s_n . a)_g|, of groups or of rows, wrong by, for the columns a of `along` (k, m).

    Of a regression, with e_nk the error of the residual p_nk - t_nk and Delta_n that of z_n:
        e_nk |dz_nk . a|,  e_nk = eps (t_nk + p_nk) + p'_nk Delta_nk,  Delta_nk = eps |parts of z_nk| + d |B^T dz_nk|

    d is how far the estimate is from the maximum, in standard errors.  Of others, by moving the estimate by so much.
    """
    total = np.zeros(along.shape[1])
    codes = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    sums = np.zeros((along.shape[1], 0 if codes is None else int(codes.max(initial=-1)) + 1))
    for block, wrong in _blocks(result, along):
        wrong = wrong if w is None else wrong * w[block, np.newaxis]
        if codes is None:
            total += np.einsum("nm,nm->m", wrong, wrong)
        else:
            for own, each in zip(sums, wrong.T, strict=True):
                np.add.at(own, codes[block], each)
    return np.sqrt(total + np.einsum("mg,mg->m", sums, sums))


def _blocks(result: Result, along: Array) -> Iterator[tuple[slice, Array]]:
    """Rows and the errors of s_n . a, (n, m), a block at a time."""
    likelihood, u, bread = result.likelihood, result.maximum.u, observed(result)
    off = result.maximum.decrement
    if not isinstance(likelihood, Regression):
        signs = np.where(np.arange(len(u)) % 2, 1.0, -1.0)
        beside = signs * EPS * LAST * (np.abs(u) + np.linalg.norm(bread, axis=1)) + off * bread.sum(axis=1)
        with np.errstate(all="ignore"):
            yield slice(None), np.abs((likelihood.scores(u + beside) - likelihood.scores(u)) @ along)
        return
    shape = (likelihood.units, likelihood.width, -1)
    by_class, by_bread = (
        np.tensordot(likelihood.contrast, each.reshape(shape), axes=1) for each in (along, bread)
    )  # (K, width, m), (K, width, r)
    coefficients = np.abs(likelihood.by_class(u))
    for rows, design, seen, _ in likelihood.looks(u, along.shape[1] + bread.shape[1]):
        parts = coefficients @ np.abs(design).T
        if likelihood.offset is not None:
            parts = parts + np.abs(likelihood.offset[:, rows])
        size = _size(likelihood, seen, likelihood.target[..., rows])
        wrong = np.zeros((len(design), along.shape[1]))
        for k in range(likelihood.classes):
            far = design @ by_bread[k]
            moved = EPS * (1 + parts[k]) + off * np.sqrt(np.einsum("nr,nr->n", far, far))
            slope = seen.slope[k] * (2 if likelihood.mean.coupled else 1)
            wrong += np.abs(design @ by_class[k]) * (LAST * EPS * size[k] + slope * moved)[:, np.newaxis]
        yield rows, wrong


def _size(regression: Regression, seen: Look, target: Array) -> Array:
    """Of what the residuals p - t are differences, (K, n): see links.py, which has those of a softmax at once."""
    if regression.mean is SOFTMAX:
        return np.abs(seen.residual)
    if regression.mean is SIGMOID:
        return np.asarray((1 - target) * seen.p + target * (1 - seen.p))
    return np.asarray(seen.p + target)
