"""The point nearest to 0 in the convex hull of whole points: 0 itself, or the normal of a plane that separates it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from minigrad.existence.exact import Integers, dot, primitive, solve, whole
from minigrad.typing import Array

WORK = 10**9  # cubes of the points held, times the bits of their products: some seconds

Worst = Callable[[list[int]], int | None]
"""w -> a point with a . w <= 0, None where there is none."""


class TooMuchWorkError(Exception):
    """Exact arithmetic would not end in time."""


def nearest_point(
    point: Callable[[int], list[int]], worst: Worst, corral: list[int], weights: Array
) -> tuple[dict[int, int], None] | tuple[None, list[int]]:
    """Whole weights > 0 of points that sum to 0, or a whole vector w with a . w > 0 for every point a.

    `corral` and `weights` are where it begins.  All arithmetic is exact, so that it ends: the distance falls with every
    point taken in; TooMuchWorkError beyond WORK.  Wolfe, Mathematical Programming 11 (1976) 128-149.
    """
    share = dict(zip(corral, (Fraction(max(float(w), 1e-9)) for w in weights), strict=True))
    points = {i: point(i) for i in share}
    gram: dict[tuple[int, int], int] = {}

    def product(i: int, j: int) -> int:
        key = (i, j) if i <= j else (j, i)
        if key not in gram:
            gram[key] = dot(points[i], points[j])
        return gram[key]

    work = 0
    while True:
        while True:  # to the nearest point of the affine hull, or as far as the convex hull goes
            names = list(share)
            system = [[*(product(i, j) for j in names), -1] for i in names] + [[1] * len(names) + [0]]
            work += len(names) ** 3 * max(product(i, i).bit_length() for i in names)
            if work > WORK:
                raise TooMuchWorkError
            found = solve(system, [0] * len(names) + [1])
            if found is None:  # affinely dependent, as a proposal may be
                del share[min(share, key=lambda i: share[i])]
                continue
            affine = [Fraction(v, found[1]) for v in found[0][:-1]]
            if all(v > 0 for v in affine):
                share = dict(zip(names, affine, strict=True))
                break
            total = sum(share.values())
            share = {i: v / total for i, v in share.items()}
            step = min(share[i] / (share[i] - v) for i, v in zip(names, affine, strict=True) if v <= 0)
            share = {i: (1 - step) * share[i] + step * v for i, v in zip(names, affine, strict=True)}
            share = {i: v for i, v in share.items() if v > 0}
        common = found[1]
        whole_share = {i: int(v * common) for i, v in share.items()}
        w = [sum(s * points[i][k] for i, s in whole_share.items()) for k in range(len(points[names[0]]))]
        if not any(w):
            return dict(zip(whole_share, primitive(list(whole_share.values())), strict=True)), None
        w = primitive(w)
        entering = worst(w)
        if entering is None:
            return None, w
        points[entering] = point(entering)
        share[entering] = Fraction(0)


def proposal(points: Array) -> tuple[list[int], Array]:
    """The same in floating point, for points of unit length: the corral and weights that it ends with."""
    corral = [int(np.argmin(points @ points.mean(axis=0)))]
    weights = np.ones(1)
    least = np.inf
    for _ in range(20 * points.shape[1] + 50):
        w = weights @ points[corral]
        size = float(w @ w)
        margins = points @ w
        entering = int(np.argmin(margins))
        if margins[entering] > 1e-13 or size < 1e-28 or entering in corral or not size < least:
            break
        least = size
        corral, weights = [*corral, entering], np.append(weights, 0.0)
        while True:
            base, others = points[corral[0]], points[corral[1:]]
            rest = np.linalg.lstsq((others - base).T, -base, rcond=None)[0] if len(others) else np.zeros(0)
            affine = np.append(1 - rest.sum(), rest)
            if affine.min() > 1e-14:
                weights = affine
                break
            away = affine <= 1e-14
            step = float((weights[away] / np.maximum(weights[away] - affine[away], 1e-300)).min())
            weights = (1 - min(step, 1.0)) * weights + min(step, 1.0) * affine
            keep = weights > 1e-14
            if keep.all():
                keep[np.argmin(weights)] = False
            corral, weights = [c for c, k in zip(corral, keep, strict=True) if k], weights[keep]
            if len(corral) == 1:
                weights = np.ones(1)
                break
    return corral, weights


def integers_of(matrix: Array, bits: int = 20) -> Integers:
    """`matrix` rounded to so many bits, over its smallest unit."""
    mantissa, exponent = np.frexp(matrix)
    return whole(np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits))[0]
