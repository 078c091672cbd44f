"""Rows: what is summed over the rows of a regression, a block at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.derivatives.likelihoods import EXPONENTIAL
from minigrad.mle.regressions.designs import Design
from minigrad.mle.regressions.links import look
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.regressions.regression import Regression


def weighted_sum(terms: Array, w: Array | None) -> float:
    """sum w t, by pairs."""
    return float(np.add.reduce(terms if w is None else w * terms))


def weighted_square(design: Array, weights: Array) -> Array:
    """sum_n w_n x_n x_n^T, weights of 0 or more: A^T A, which takes half the time of other products."""
    a = design * np.sqrt(weights)[:, np.newaxis]
    return a.T @ a


def cross_square(design: Array, p: Array) -> Array:
    """sum_n p_n p_n^T (x) x_n x_n^T for p (K, n), (K D, K D)."""
    a = (p.T[:, :, np.newaxis] * design[:, np.newaxis, :]).reshape(len(design), -1)
    return a.T @ a


def leverages(regression: Regression, u: Array, covariance: Array) -> Array:
    """h_n = trace w_n P_n dz_n/du C (dz_n/du)^T, (N,): the part of its own fit that each row decides."""
    if regression.units == 1 and regression.design.near:
        return _leverages_over_x(regression, u, covariance)
    c = covariance.reshape(regression.units, regression.width, regression.units, regression.width)
    found = np.zeros(regression.rows)
    for rows, design, seen, w in regression.looks(u):
        for i, q in enumerate(regression.contrast.T):
            for j, r in enumerate(regression.contrast.T[: i + 1]):
                if regression.mean.coupled:
                    bend = (q * r) @ seen.p - (q @ seen.p) * (r @ seen.p)
                elif i == j:
                    bend = seen.slope[i]
                else:
                    continue
                by_row = np.einsum("nd,nd->n", design @ c[i, :, j], design)
                found[rows] += (1 if i == j else 2) * bend * by_row
        if w is not None:
            found[rows] *= w
    return found


def _leverages_over_x(regression: Regression, u: Array, covariance: Array) -> Array:
    """The same of one unit, over x itself: w p' (x, 1) C (x, 1)^T."""
    design, found = regression.design, np.empty(regression.rows)
    features, change = design.features, design.change
    c, coefficients = change @ covariance @ change.T, regression.by_class(u) @ change.T
    for rows in design.slices():
        x = design.x[rows]
        z = coefficients[:, :features] @ x.T + coefficients[:, features:].sum(axis=1, keepdims=True)
        if regression.offset is not None:
            z += regression.offset[:, rows]
        slope = look(regression.mean, z, regression.target[..., rows]).slope[-1]
        if regression.mean.coupled:
            slope = slope * float(np.square(regression.contrast[0, 0] - regression.contrast[1, 0]))
        along = x @ c[:features, :features]
        if design.has_bias:
            along += 2 * c[features, :features]
        by_row = np.einsum("nd,nd->n", along, x)
        found[rows] = slope * (by_row + c[features:, features:].sum())
    return found if regression.weights is None else found * regression.weights


def furthest(design: Design, coefficients: Array) -> float:
    """No |z| or sum of parts of it is larger, for coefficients (K, width)."""
    return float((np.abs(coefficients) @ design.ends).max(initial=0.0))


def reached(regression: Regression, step: Array) -> float:
    """The furthest that a step moves a logit, beside those of other classes where they are coupled."""
    v, most = regression.contrast @ step.reshape(regression.units, regression.width), 0.0
    if not np.isfinite(v).all():
        return float("inf")
    bound = furthest(regression.design, v)
    if bound < 1e-3:
        return 2 * bound if regression.mean.coupled else bound
    for _, design in regression.design.blocks():
        z = v @ design.T
        size = z.max(axis=0) - z.min(axis=0) if regression.mean.coupled else np.abs(z)
        most = max(most, float(size.max(initial=0.0)))
    return most


def noise(regression: Regression, u: Array, covariance: Array | None) -> tuple[float, float]:
    """Errors by eps: of residuals, in standard deviations, the largest of which y has; and of the linear units."""
    largest = 1.0 if regression.weights is None else float(regression.weights.max(initial=1.0))
    if regression.mean is EXPONENTIAL:
        top = max(1.0, float(regression.target.max(initial=1.0)))
        if regression.offset is not None:  # rates may be above all counts
            top = max([top, *(float(seen.p.max(initial=0.0)) for _, _, seen, _ in regression.looks(u))])
        largest *= top
    return math.sqrt(largest), 1.0 + (
        regression.furthest(u) if covariance is None else usual(regression, u, covariance)
    )


def rounding_along(regression: Regression, u: Array, along: Array) -> Array:
    """What rounding p alone leaves in a . dJ/du, by eps, for the rows a of `along` (m, k): (m,).

        sum_n w_n sum_k |p_nk - t_nk| (4 + |z_nk| / 2) |a . dz_nk/du|

    The last rounding of z, or of what it is beside the largest, counts relative to p: half a unit of |z_n|.
    """
    coefficients, coupled = regression.by_class(u), regression.mean.coupled
    directions = np.tensordot(
        regression.from_classes, along.reshape(len(along), regression.units, regression.width), axes=(1, 1)
    )  # (K, m, width)
    found = 4 * np.abs(along) @ np.abs(regression.penalty(u).gradient)
    for rows, design, seen, w in regression.looks(u, max(1, len(along) // regression.width)):
        z = regression.units_of(coefficients, design, rows)
        each = np.abs(seen.residual) * (4 + (np.ptp(z, axis=0) if coupled else np.abs(z)) / 2)
        for direction, size in zip(directions, each if w is None else each * w, strict=True):
            found += np.abs(direction @ design.T) @ size
    return np.asarray(found)


def usual(regression: Regression, u: Array, covariance: Array) -> float:
    """The sizes of the parts of a linear unit, of rows by what they count for: sum_n h_n parts_n."""
    coefficients, leverage = np.abs(regression.by_class(u)), leverages(regression, u, covariance)
    total = 0.0
    for rows, design in regression.design.blocks():
        parts = (coefficients @ np.abs(design).T).max(axis=0, initial=0.0)
        if regression.offset is not None:
            parts += np.abs(regression.offset[:, rows]).max(axis=0)
        total += float(leverage[rows] @ np.where(leverage[rows] > 0, parts, 0.0))
    return total


def grouped_square(
    regression: Regression, u: Array, row_weights: Array | None, groups: Any, change: Array | None = None
) -> Array:
    """sum_g (sum_(n in g) w_n s_n) (...)^T, (k, k); every row is a group where none are given.

    Of C^T s_n, (r, r), for a `change` C (k, r) of variables.

    The rows are taken group by group, so that no more than a block of their scores is held.
    """
    order, starts = None, None
    if groups is not None:
        codes = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
        order = np.argsort(codes, kind="stable")
        codes = codes[order]
        starts = np.append(True, codes[1:] != codes[:-1])
    size = regression.size if change is None else change.shape[1]
    total, open_group = np.zeros((size, size)), np.zeros((0, size))
    for rows in regression.design.slices(2 * regression.units):
        chosen: Any = rows if order is None else order[rows]
        s = regression.scores_of(u, chosen)
        s = s if change is None else s @ change
        if row_weights is not None:
            s *= row_weights[chosen][:, np.newaxis]
        if starts is not None:
            first = np.flatnonzero(starts[rows])
            if not len(first) or first[0] != 0:  # the rows before the first start belong to the group left open
                first = np.append(0, first)
                if len(open_group):
                    s[0] += open_group[0]
                    open_group = open_group[:0]
            sums = np.add.reduceat(s, first, axis=0)
            sums = np.concatenate([open_group, sums])
            open_group, s = sums[-1:], sums[:-1]
        total += s.T @ s
    return total + open_group.T @ open_group
