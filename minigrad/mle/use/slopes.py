"""Slopes: how what is expected of y changes with a column of x, averaged over rows, and its derivative by u."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.derivatives.likelihoods import SIGMOID
from minigrad.kernels import sigmoid
from minigrad.mle.likelihood import Likelihood
from minigrad.mle.regressions.regression import Regression
from minigrad.mle.use.points import Points
from minigrad.mle.use.units import blocks, expected_of, units_of
from minigrad.typing import Array

STEP = 1e-3  # of differences, in spreads of the column: they err by about STEP^4, and by rounding / STEP
WEIGHTS = (2 / 3, -1 / 12)  # of central differences of order 4, at one step and at two


class Effects(NamedTuple):
    """Effects (K, D') of some columns on each output, and their derivatives by u, (K, D', k)."""

    value: Array
    by_u: Array


def slopes(likelihood: Likelihood, u: Array, points: Points, method: str, columns: list[int], spread: Array) -> Effects:
    """The mean over rows of dp/dx ("dydx"), dp/dx x ("dyex"), dlog p/dx ("eydx") or dlog p/dx x ("eyex")."""
    if not isinstance(likelihood, Regression):
        return _by_differences(likelihood, u, points, method, columns, spread)
    width = likelihood.features + likelihood.has_bias
    listing = likelihood.listing("sum_to_zero")
    by_u = listing.matrix.reshape(likelihood.classes, width, -1)[:, columns]
    scale = listing.scale.reshape(likelihood.classes, width)[0, columns]
    of_softmax = likelihood.mean.coupled
    total = Effects(np.zeros(by_u.shape[:2]), np.zeros(by_u.shape))
    for rows in blocks(len(points.x), likelihood.classes * likelihood.size):
        some = points.rows(rows)
        units = units_of(likelihood, u, some.x, some.offset)
        share = np.broadcast_to(some.share[:, np.newaxis], (len(some.x), len(columns)))
        share = share * (some.x[:, columns] * scale) if method.endswith("ex") else share
        p = expected_of(likelihood, units.z)
        by_class = p if method.startswith("dy") else np.ones_like(p)
        if of_softmax:
            _add_softmax(total, p, by_class, units.by_u, by_u @ u, by_u, share, method.startswith("dy"))
        else:
            slope = sigmoid(-units.z) if likelihood.mean is SIGMOID else np.ones_like(p)
            bend = -p * slope if likelihood.mean is SIGMOID else np.zeros_like(p)
            _add_single(total, slope, bend, by_class, units.by_u, by_u @ u, by_u, share, method.startswith("dy"))
    if method.endswith("ex"):
        return total
    return Effects(total.value * scale, total.by_u * scale[:, np.newaxis])


def change(likelihood: Likelihood, u: Array, low: Points, high: Points, method: str) -> Effects:
    """The mean over rows of p(high) - p(low), or log p(high) - log p(low) for "eydx": (K, 1)."""
    value: Any = 0.0
    by_u: Any = 0.0
    for points, sign in ((high, 1.0), (low, -1.0)):
        for rows in blocks(len(points.x), 4 * u.size):
            some = points.rows(rows)
            p = likelihood.response(u, some.x, some.offset)
            dp = likelihood.response_jacobian(u, some.x, some.offset)
            if method.startswith("ey"):
                p, dp = np.log(p), dp / p[:, :, np.newaxis]
            value = value + sign * (some.share @ p)
            by_u = by_u + sign * np.einsum("m,mku->ku", some.share, dp)
    return Effects(np.asarray(value)[:, np.newaxis], np.asarray(by_u)[:, np.newaxis])


def _add_softmax(
    total: Effects, p: Array, by_class: Array, dz: Array, w: Array, dw: Array, share: Array, of_y: bool
) -> None:
    """e_kj = sum_n c_nkj sum_l p_nl (w_kj - w_lj), c = share p_k or share: differences of units, so that p may be 1."""
    dlog_p = dz - np.einsum("ml,mlu->mu", p, dz)[:, np.newaxis]
    dp = (p[:, :, np.newaxis] * dlog_p).reshape(len(p), -1)
    for k in range(p.shape[1]):
        c = share * by_class[:, k : k + 1]
        ahead = p @ (w[k] - w)
        total.value[k] += (c * ahead).sum(axis=0)
        by_p = (c.T @ dp).reshape(c.shape[1], p.shape[1], -1)
        total.by_u[k] += np.einsum("lj,jlu->ju", w[k] - w, by_p) + np.einsum("jl,lju->ju", c.T @ p, dw[k] - dw)
        if of_y:
            total.by_u[k] += (c * ahead).T @ dlog_p[:, k]


def _add_single(
    total: Effects, r: Array, bend: Array, by_class: Array, dz: Array, w: Array, dw: Array, share: Array, of_y: bool
) -> None:
    """e_kj = sum_n c_nkj r_nk w_kj, c = share p_k or share, r = dlog p/dz, and bend = dr/dz."""
    for k in range(r.shape[1]):
        c = share * by_class[:, k : k + 1]
        mean_slope = (c * r[:, k : k + 1]).sum(axis=0)[:, np.newaxis]
        total.value[k] += mean_slope[:, 0] * w[k]
        curved = bend[:, k] + (r[:, k] ** 2 if of_y else 0.0)
        total.by_u[k] += (c * curved[:, np.newaxis]).T @ dz[:, k] * w[k][:, np.newaxis] + mean_slope * dw[k]


def _by_differences(
    likelihood: Likelihood, u: Array, points: Points, method: str, columns: list[int], spread: Array
) -> Effects:
    """By central differences along each column: value and derivative are of one formula, and fit together."""
    found = []
    for j in columns:
        h = STEP * (spread[j] or 1.0)
        value: Any = 0.0
        by_u: Any = 0.0
        for rows in blocks(len(points.x), 4 * u.size):
            some = points.rows(rows)
            p, dp = _response(likelihood, u, some)
            slope, by_slope = np.zeros_like(p), np.zeros_like(dp)
            for i, weight in enumerate(WEIGHTS, start=1):
                for side in (1, -1):
                    there, there_by_u = _response(likelihood, u, some.moved(j, some.x[:, j] + side * i * h))
                    slope += side * weight / h * there
                    by_slope += side * weight / h * there_by_u
            if method.startswith("ey"):
                slope, by_slope = slope / p, (by_slope - (slope / p)[:, :, np.newaxis] * dp) / p[:, :, np.newaxis]
            share = some.share * some.x[:, j] if method.endswith("ex") else some.share
            value = value + share @ slope
            by_u = by_u + np.einsum("m,mku->ku", share, by_slope)
        found.append((value, by_u))
    return Effects(np.stack([value for value, _ in found], axis=1), np.stack([by_u for _, by_u in found], axis=1))


def _response(likelihood: Likelihood, u: Array, points: Points) -> tuple[Array, Array]:
    return (
        likelihood.response(u, points.x, points.offset),
        likelihood.response_jacobian(u, points.x, points.offset),
    )
