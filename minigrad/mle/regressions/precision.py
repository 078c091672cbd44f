"""Precision: the gradient of a regression summed without loss, and a root of its curvature.

With a condition k of the information, a gradient that is summed in doubles leaves an error of k eps in the estimate,
and an information one of k eps in its inverse.  Of a gradient whose sums lose nothing, and of a QR decomposition of
the weighted design, it is sqrt(k) eps.  Golub and Van Loan, Matrix Computations, 4th edition, 5.3.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minigrad.mle.regressions.error_free import Total, exact_products, slices, to_unit, two_product, two_sum
from minigrad.mle.regressions.links import Look, look
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.regressions.regression import Regression


def precise_gradient(regression: Regression, u: Array) -> Array:
    """dJ/du at exactly these u, from x as it is: neither z nor the sums over rows lose digits, p alone is rounded."""
    design, units = regression.design, regression.units
    largest = np.ldexp(1.0, np.frexp(np.maximum(design.highest, -design.lowest))[1])
    largest = np.minimum(np.where(largest > 0, largest, 1.0), 2.0**1020)
    v = regression.contrast @ u.reshape(units, design.width)
    weight = v[:, : design.features] * (design.factor * largest)  # of x / largest
    terms = max(design.rows(), design.width)
    of_weight, power = _sliced_rows(weight, terms)
    constant = _constants(regression, v)
    pull, pull_of_bias = Total(weight.shape), Total((regression.classes,))
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for rows in design.slices():
            x = design.x[rows] / largest
            of_x = slices(x, terms)
            high, low = _two(exact_products(of_weight, [part.T for part in of_x]), power)
            for more in (*constant, None if regression.offset is None else regression.offset[:, rows]):
                if more is not None:
                    high, lost = two_sum(high, more)
                    low += lost
            high, low = two_sum(high, low)
            seen = look(regression.mean, high, regression.target[..., rows])
            residual = seen.residual + _bent(seen, low, regression.mean.coupled)
            if regression.weights is not None:
                residual = residual * regression.weights[rows]
            of_residual, size = _sliced_rows(residual, terms)
            pull.add(*(size * product for product in exact_products(of_residual, of_x)))
            pull_of_bias.add(np.array([math.fsum(row) for row in residual]))
    gradient = np.zeros((regression.classes, design.width))
    if design.has_bias:
        # The sums of (x - centre): two numbers that are nearly the same may be left with few digits each.
        centre = design.centre / largest
        product, lost = two_product(centre, pull_of_bias.high[:, np.newaxis])
        difference, more_lost = two_sum(pull.high, -product)
        lost = lost + centre * pull_of_bias.low[:, np.newaxis]
        gradient[:, :-1] = (difference + (more_lost + pull.low - lost)) * (design.factor * largest)
        gradient[:, -1] = pull_of_bias.rounded
    else:
        gradient[:] = pull.rounded * (design.factor * largest)
    return np.asarray(regression.from_classes.T @ gradient).ravel()


def root(regression: Regression, u: Array, beside: Array) -> Array:
    """R (k, k) with R^T R the Hessian of J and of the penalty: by QR of the weighted design, block by block."""
    size, units, width = regression.size, regression.units, regression.width
    # What of u is lost in doubles, as beside a huge offset, is added where the offset is gone.
    coefficients = regression.by_class(u) + regression.contrast @ beside.reshape(units, width)
    if regression.mean.coupled:
        found = np.zeros((0, size))
        for rows, design in regression.design.blocks(regression.classes * units):
            seen, w = _at(regression, coefficients, rows, design)
            turned = seen.turned(regression.contrast) * np.sqrt(seen.p if w is None else seen.p * w)  # (units, K, n)
            stacked = np.einsum("ukn,nd->nkud", turned, design).reshape(-1, size)
            found = _triangle(found, stacked)
        if any(regression.ridge):
            found = _triangle(found, np.kron(np.eye(units), regression.penalty_root))
        return found
    whole = np.zeros((size, size))
    blocks = [np.zeros((0, width))] * units
    for rows, design in regression.design.blocks():
        seen, w = _at(regression, coefficients, rows, design)
        each = np.sqrt(seen.slope if w is None else seen.slope * w)
        blocks = [_triangle(block, design * r[:, np.newaxis]) for block, r in zip(blocks, each, strict=True)]
    for k, block in enumerate(blocks):
        if any(regression.ridge):
            block = _triangle(block, regression.penalty_root)
        whole[k * width : k * width + len(block), k * width : (k + 1) * width] = block
    return whole


def _triangle(*parts: Array) -> Array:
    """R of the rows of all parts."""
    return np.asarray(np.linalg.qr(np.concatenate(parts), mode="r"))


def _at(regression: Regression, coefficients: Array, rows: slice, design: Array) -> tuple[Look, Array | None]:
    z = coefficients @ design.T
    with np.errstate(over="ignore", under="ignore"):
        seen = look(
            regression.mean,
            z if regression.offset is None else z + regression.offset[:, rows],
            regression.target[..., rows],
        )
    return seen, None if regression.weights is None else regression.weights[rows]


def _sliced_rows(a: Array, terms: int) -> tuple[list[Array], Array]:
    """Slices of the rows of `a`, each in a unit of its own, and the units."""
    scaled, power = to_unit(a)
    return slices(scaled, terms), power


def _two(products: list[Array], power: Array) -> tuple[Array, Array]:
    """The sum of exact products as high + low."""
    high, low = products[0], np.zeros_like(products[0])
    for product in products[1:]:
        high, lost = two_sum(high, product)
        low += lost
    return high * power, low * power


def _constants(regression: Regression, v: Array) -> list[Array]:
    """b and the shared part of the offset, (K, 1), as high + low; b = v_bias - V factor . centre."""
    design = regression.design
    if not design.has_bias:
        return []
    product, lost = two_product(v[:, :-1], design.centre * design.factor)
    parts = [
        [*-row, *-rest, bias, shift]
        for row, rest, bias, shift in zip(product, lost, v[:, -1], regression.shift, strict=True)
    ]
    high = [math.fsum(part) for part in parts]
    low = [math.fsum([*part, -total]) for part, total in zip(parts, high, strict=True)]
    return [np.array(high)[:, np.newaxis], np.array(low)[:, np.newaxis]]


def _bent(seen: Look, low: Array, coupled: bool) -> Array:
    """What the low part of z adds to p: P low."""
    if not coupled:
        return seen.slope * low
    return seen.p * (low - (seen.p * low).sum(axis=0))
