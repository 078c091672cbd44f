"""Newton's steps on the likelihood of a few rows: in floating point, with proof where rounding allows it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minigrad.existence.cone import EPS
from minigrad.softmax_kernels import softmax
from minigrad.typing import Array

STEPS = 40
FAR = 1e-280  # a multiplier that counts as 0


class Interior(NamedTuple):
    """What the steps came to: `proven` means that `multipliers`, changed by less than they are, are a certificate."""

    proven: bool
    multipliers: Array  # lambda (m, K), 0 in the column of the label
    directions: list[Array]  # (K - 1, q), where all margins look positive, or those that come nearest


def whitening(design: Array) -> Array:
    """T, upper triangular and invertible, such that the columns of design T are nearly orthonormal."""
    r: Array = np.asarray(np.linalg.qr(design, mode="r"))[: design.shape[1]]
    r = np.vstack([r, np.zeros((design.shape[1] - len(r), design.shape[1]))])
    size = np.sqrt((r**2).sum(axis=0))
    size = np.where(size > 0, size, 1.0)
    diagonal = np.abs(np.diagonal(r)) / size
    r = r / size
    # Whatever is 0 to rounding: T is to be invertible, not to be the inverse.
    r[np.diag_indices(len(r))] = np.where(diagonal > 1e-13, np.diagonal(r), 1.0)
    return np.asarray(np.triu(np.linalg.solve(r, np.eye(len(r))) / size[:, np.newaxis]))


def interior(design: Array, label: Array, classes: int, start: Array | None = None) -> Interior:
    """Descend on -sum log p_nt, by steps y with (sum lambda a a^T) y = sum lambda a, for the rows a and lambda = p_nk.

    At every step lambda_nk (1 - a_nk . y) sums to nothing: where all of it is positive beyond rounding, the maximum
    exists on these rows, see `proof`.
    """
    q, error, t, unit = _even(design)
    theta = np.zeros((classes - 1, len(t)))
    if start is not None:
        theta = np.linalg.solve(t, start.T).T
    value, p = _value(q, label, theta)
    places = np.arange(len(q))
    best: list[Array] = []
    absurd = unit[:, 0] > 2.0**300 * unit.min(initial=np.inf)  # beside the others these rows have no digits
    multipliers = p
    for _ in range(STEPS):
        multipliers = np.where(p > FAR, p, 0.0)
        multipliers[places, label] = 0.0
        multipliers[absurd] = 0.0
        h, g = _normal(q, label, multipliers)
        y = _solve(h, g).reshape(theta.shape)
        changed = proof(q, error, label, multipliers, h, y)
        if changed is not None:
            return Interior(True, changed * unit, [])
        clear = [v for v in (theta, y) if _least(q, label, v) > 0]
        if clear:
            return Interior(False, multipliers, [v @ t.T for v in clear])
        length, found = 1.0, _value(q, label, theta + y)
        while not found[0] < value and length > 1e-4:
            length /= 4
            found = _value(q, label, theta + length * y)
        if not found[0] < value:
            break
        while length < 1e6:
            further = _value(q, label, theta + 2 * length * y)
            if not further[0] < found[0]:
                break
            length, found = 2 * length, further
        theta, (value, p) = theta + length * y, found
        best = [theta, y]
    return Interior(False, multipliers * unit, [v @ t.T for v in best])


def certain(design: Array, label: Array, multipliers: Array) -> bool:
    """Multipliers near these, and as positive, are a certificate: A^T lambda = 0, and A is of full rank."""
    q, error, t, unit = _even(design)
    multipliers = multipliers / unit
    h, g = _normal(q, label, multipliers)
    y = _solve(h, g).reshape(-1, len(t))
    return proof(q, error, label, multipliers, h, y) is not None


def _even(design: Array) -> tuple[Array, Array, Array, Array]:
    """(q = unit design T, bounds of its rounding by rows, T, unit): rows times anything positive say the same."""
    size = np.abs(design).max(axis=1, initial=0.0)
    unit = np.ldexp(1.0, np.minimum(-np.frexp(np.where(size > 0, size, 1.0))[1], 1000))[:, np.newaxis]
    if size.min(initial=np.inf) > 1e-3 * size.max(initial=0.0):
        unit = np.ones_like(unit)
    design = design * unit
    t = whitening(design)
    error = (len(t) + 2) * EPS * np.sqrt(((np.abs(design) @ np.abs(t)) ** 2).sum(axis=1))
    error += 1e-290 * (1 + np.abs(t).max(initial=0.0))  # of what underflows
    return design @ t, error, t, unit


def proof(q: Array, error: Array, label: Array, multipliers: Array, h: Array, y: Array) -> Array | None:
    """lambda (1 - a . y), if the exact solution y of (sum lambda a a^T) y = sum lambda a leaves all of it positive.

    `error` bounds |q_n - its exact value|.  With rho what y leaves of the equations, and mu the least eigenvalue of
    sum lambda a a^T, both to their bounds of rounding, y is off by |rho| / mu at most.
    """
    places = np.arange(len(q))
    u = np.column_stack([np.zeros(len(q)), q @ y.T])
    along = u[places, label][:, np.newaxis] - u
    counted = multipliers > 0
    if not np.isfinite(along).all() or float(along.max(initial=0.0, where=counted)) >= 0.95:
        return None
    changed = multipliers * (1 - along)
    size, length = np.sqrt((q**2).sum(axis=1)), float(np.sqrt((y**2).sum()))
    gamma = (len(q) + y.size + 8) * EPS
    each = multipliers.sum(axis=1)
    off_h = 2 * float((each * (2 * size * error + error**2 + gamma * size**2)).sum())
    values = np.linalg.eigvalsh(h)
    mu = float(values[0]) - 16 * len(h) * EPS * float(values[-1]) - off_h
    if not mu > 0:
        return None
    rho = _slope(q, label, changed)
    spread = 1.5 * (error + gamma * size) * length  # of a . y
    off_rho = float((each * spread * 1.5 * size).sum())
    off_rho += 1.5 * float((np.abs(changed).sum(axis=1) * (error + gamma * size)).sum())
    off_y = (float(np.sqrt((rho**2).sum())) + off_rho) / mu
    worst = along + (spread + 1.5 * (size + error) * off_y)[:, np.newaxis]
    return changed if float(worst.max(initial=0.0, where=counted)) < 0.99 else None


def _value(q: Array, label: Array, theta: Array) -> tuple[float, Array]:
    """(-sum log p_nt, p)."""
    with np.errstate(over="ignore", invalid="ignore"):
        u = np.column_stack([np.zeros(len(q)), q @ theta.T])
        u -= u[np.arange(len(q)), label][:, np.newaxis]
        highest = u.max(axis=1, initial=0.0)
        rest = np.exp(u - highest[:, np.newaxis])
        rest[np.arange(len(q)), label] = 0.0
        # log(1 + sum of the others): to the last digit where they are small.
        value = np.where(
            highest > 0,
            highest + np.log(rest.sum(axis=1) + np.exp(-highest)),
            np.log1p(rest.sum(axis=1)),
        )
        return float(value.sum()), softmax(u)


def _normal(q: Array, label: Array, multipliers: Array) -> tuple[Array, Array]:
    """(sum lambda a a^T, sum lambda a)."""
    k, width = multipliers.shape[1], q.shape[1]
    h = np.zeros((k - 1, width, k - 1, width))
    each = multipliers.sum(axis=1)
    for i in range(1, k):
        own = np.where(label == i, each, multipliers[:, i])
        h[i - 1, :, i - 1, :] = (q * own[:, np.newaxis]).T @ q
        for j in range(1, i):
            both = np.flatnonzero((label == i) | (label == j))
            weight = np.where(label[both] == i, multipliers[both, j], multipliers[both, i])
            block = (q[both] * weight[:, np.newaxis]).T @ q[both]
            h[i - 1, :, j - 1, :] = -block
            h[j - 1, :, i - 1, :] = -block.T
    return h.reshape((k - 1) * width, -1), _slope(q, label, multipliers).ravel()


def _slope(q: Array, label: Array, multipliers: Array) -> Array:
    """sum lambda a, (K - 1, q)."""
    r = -multipliers
    r[np.arange(len(q)), label] = multipliers.sum(axis=1)
    return np.asarray(r[:, 1:].T @ q)


def _solve(h: Array, g: Array) -> Array:
    """h^-1 g, and where h is 0 to rounding, nothing."""
    scale = np.sqrt(np.diagonal(h))
    scale = 1 / np.where(scale > 0, scale, 1.0)
    even = h * scale * scale[:, np.newaxis]
    try:
        root = np.linalg.cholesky(even + 1e-15 * np.eye(len(h)))
        return np.asarray(scale * np.linalg.solve(root.T, np.linalg.solve(root, scale * g)))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(even)
        least = len(h) * EPS * values[-1]
        inverse = np.where(values > least, 1 / np.where(values > least, values, 1.0), 0.0)
        return np.asarray(scale * (vectors @ (inverse * (vectors.T @ (scale * g)))))


def _least(q: Array, label: Array, theta: Array) -> float:
    """The least of all margins, without those of a class with itself."""
    u = np.column_stack([np.zeros(len(q)), q @ theta.T])
    places = np.arange(len(q))
    margin = u[places, label][:, np.newaxis] - u
    margin[places, label] = np.inf
    return float(margin.min(initial=np.inf))
