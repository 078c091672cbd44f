"""Array expressions that a rule uses as one operation, arranged for numpy's fast paths.

Each equals the plain formula in its first line, to rounding; the tests hold it to that.  Two arrangements matter:

- OpenBLAS has a faster way for small products, of up to SMALL multiplications, and with the transposed of rows on the
  left of up to ENTRIES results.  A tall product taken so many rows at a time is faster, up to three times.
- With few classes, numbers that belong to one class should be neighbours ("class-major", Fortran order): numpy then
  takes maxima and sums over the classes in long vector operations, many times as fast.

Measured by `python -m benchmarks.kernels`.
"""

from __future__ import annotations

import functools

import numpy as np

from minigrad.typing import Array

Pair = tuple[Array, Array | None]
"""The weight (K, D) and bias (K,) of linear units, or a change of both; no bias is None."""

SMALL = 10**6  # multiplications, and
ENTRIES = 1200  # entries of z W^T, beyond which OpenBLAS leaves its path for small products, and
DEPTH = 32  # terms of a sum, below which it does not take it for z W^T
SHORTEST = 16  # times the bytes of a number: so many rows repay that their delta^T z is added to a sum
ROWS = 96  # up to so many rows, the order of the classes does not matter
COLUMNS = 16  # up to so many columns, class-major order pays


def affine(z: Array, weight: Array, bias: Array | None) -> Array:
    """z W^T + b for z (..., D), W (K, D), b (K,) or none: (..., K), class-major when K is small and z a matrix."""
    if z.ndim == 2 and len(weight) <= COLUMNS and (len(z) > ROWS or z.size * len(weight) > SMALL):
        product = _by_class(z, weight)
    else:
        product = _by_row(z, weight)
    if bias is None:
        return product
    if bias.dtype != product.dtype or z.ndim < 2:
        return product + bias
    product += bias[np.newaxis]  # an axis more, so that for a single row there is nothing to broadcast
    return product


def both_affine(z: Array, first: Pair, second: Pair) -> tuple[Array, Array]:
    """z W^T + b of two pairs (W, b), z a matrix, as `affine`; where K is small, by one product for both."""
    classes, of_one_kind = len(first[0]), (first[1] is None) == (second[1] is None)
    one_type = all(array is None or array.dtype == z.dtype for array in (*first, *second))
    if len(z) <= ROWS or classes > COLUMNS or not (of_one_kind and one_type):
        return affine(z, *first), affine(z, *second)
    by_class = _by_class(z, np.concatenate([first[0], second[0]])).T
    if first[1] is not None and second[1] is not None:
        by_class += np.concatenate([first[1], second[1]])[:, np.newaxis]
    return by_class[:classes].T, by_class[classes:].T


def _by_row(z: Array, weight: Array) -> Array:
    if z.ndim != 2:
        return times(z, weight.T)
    n, depth = z.shape
    if z.size * len(weight) > SMALL and 1 < n <= min(depth // 6, len(weight) // 2) and z.dtype == np.float32:
        # OpenBLAS transposes what stands on the right of a large product, and a few rows by a wide W do not repay that.
        return np.ascontiguousarray(_product(weight, z.T).T)
    return _product(z, weight.T)


def _by_class(z: Array, weight: Array) -> Array:
    n, depth = z.shape
    classes = len(weight)
    most = min(ENTRIES // classes, SMALL // max(1, classes * depth))
    if not (classes > 1 and depth >= DEPTH and 4 <= most < n and _one_real_type(z, weight) and z.flags.c_contiguous):
        return _product(weight, z.T).T
    rows = _even(n, most)
    head = n - n % rows
    by_class = np.empty((classes, n), z.dtype)
    blocks = by_class[:, :head].reshape(classes, -1, rows).transpose(1, 2, 0)
    np.matmul(z[:head].reshape(-1, rows, depth), weight.T, out=blocks)
    if head < n:
        by_class[:, head:] = weight.dot(z[head:].T)
    return by_class.T


def times(z: Array, matrix: Array) -> Array:
    """z M for z (..., K), M (K, D): (..., D), all rows in one product."""
    if z.ndim == 2:
        return _product(z, matrix)
    return _product(z.reshape(-1, len(matrix)), matrix).reshape(*z.shape[:-1], matrix.shape[1])


def transposed_product(delta: Array, z: Array) -> Array:
    """delta^T z for delta (N, K), z (N, D): (K, D), summed over blocks of rows where these are long beside K and D."""
    n = len(z)
    most = SMALL // max(1, delta.shape[1] * z.shape[1])
    if not (SHORTEST * z.itemsize <= most < n and _one_real_type(z, delta) and z.flags.c_contiguous):
        return _product(delta.T, z)
    rows = _even(n, most)
    total = delta[:rows].T.dot(z[:rows])
    for start in range(rows, n, rows):
        total += delta[start : start + rows].T.dot(z[start : start + rows])
    return total


def column_sums(delta: Array) -> Array:
    """sum_n delta_n for delta (N, K): (K,).  Across rows, a product with ones is twice as fast as numpy's sum."""
    if delta.flags.f_contiguous or delta.dtype.kind == "c":  # 1 + 0i times infinity is no number
        return np.add.reduce(delta, axis=0)
    return np.ones(len(delta), delta.dtype).dot(delta)


def _product(a: Array, b: Array) -> Array:
    """a b of two matrices.  `dot` is called sooner and quicker for sums of one term, but fills in zeros first."""
    return a.dot(b) if len(b) == 1 or len(a) * b.shape[1] <= 2**13 else a @ b


@functools.lru_cache(64)
def _even(n: int, most: int) -> int:
    """Rows of a block, up to `most`, such that n rows make blocks of one size, or nearly."""
    least = -(-n // most)
    return n // next((count for count in range(least, 2 * least) if n % count == 0), least)


def _one_real_type(z: Array, other: Array) -> bool:
    return z.dtype == other.dtype and z.dtype.kind == "f"


def log1p(z: Array) -> Array:
    """log(1 + z), to full relative accuracy for small z of non-negative real part, complex too."""
    if z.dtype.kind != "c":
        return np.log1p(z)
    # numpy's complex log1p adds 1 first and so loses the real part of a small z.
    x, y = z.real, z.imag
    return (0.5 * np.log1p(x * (2 + x) + y * y) + 1j * np.arctan2(y, 1 + x)).astype(z.dtype)


def sigmoid(z: Array) -> Array:
    """1 / (1 + e^-z) = e^min(z, 0) / (1 + e^-|z|), which never overflows."""
    return np.exp(negative_part(z)) / (1 + np.exp(-magnitude(z)))


def softmax_by_class(z: Array) -> Array:
    """e^z / sum_k e^{z_k} over the first axis of real z (K, N), the largest of which are 0; written into z."""
    np.exp(z, out=z)
    z *= 1 / (np.ones(len(z), z.dtype) @ z)
    return z


def log_sigmoid(z: Array) -> Array:
    """-log(1 + e^-z) = min(z, 0) - log(1 + e^-|z|)."""
    return negative_part(z) - log1p(np.exp(-magnitude(z)))


def normal_cdf(z: Array) -> Array:
    """Phi(z), the integral of e^{-u^2/2} / sqrt(2 pi) up to z, to full relative accuracy in the lower tail too."""
    rows = z.reshape(-1)
    p = np.empty_like(rows)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        beyond = _beyond(magnitude(block))
        p[start : start + BLOCK] = beyond + (block.real >= 0) * (1 - 2 * beyond)
    return p.reshape(z.shape)


def normal_pdf(z: Array) -> Array:
    """phi(z) = e^{-z^2/2} / sqrt(2 pi)."""
    return _bell(clipped(z, -FAR, FAR)) * (2 * np.pi) ** -0.5


def normal_quantile(p: Array) -> Array:
    """The z with Phi(z) = p, for 0 < p < 1; two steps of Halley's method from a start that is good to 5e-4."""
    q = np.maximum(np.minimum(p, 1 - p), 1e-300)
    t = np.sqrt(-2 * np.log(q))
    # Abramowitz and Stegun, Handbook of Mathematical Functions, 26.2.23.
    z = (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t
    for _ in range(2):
        step = (normal_cdf(z) - q) / normal_pdf(z)
        z -= step / (1 + z * step / 2)
    return np.where(p < 0.5, z, -z)


def _beyond(x: Array) -> Array:
    """1 - Phi(x) for x of non-negative real part: e^{-x^2/2} r p(t) with r = c / (x + c), t = 1 - 2 r."""
    x = clipped(x, 0.0, FAR)
    r = CENTRE / (x + CENTRE)
    t = 1 - 2 * r
    p = t * MILLS[-1]
    for coefficient in MILLS[-2:0:-1]:
        p += coefficient
        p *= t
    p += MILLS[0]
    p *= r
    return p * _bell(x)


def _bell(x: Array) -> Array:
    """e^{-x^2/2}.  The square of x cut to four binary places is exact; of all of x, it rounds by x^2 eps / 2."""
    head = np.rint(16 * x.real) / 16
    return np.exp(-0.5 * head * head) * np.exp(-0.5 * (x - head) * (x + head))


# The Mills ratio falls like 1/x, so that p(t) = e^{x^2/2} (1 - Phi(x)) (1 + x/c) with t = (x - c) / (x + c) is smooth
# on all of x >= 0; Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x < oo",
# Math. Comp. 36 (1981) 249-253.  Here: interpolated in 22 Chebyshev nodes of t for 0 <= x <= 40 in 50 digits, then
# written in powers of t, smallest first; off by less than 1e-17.  The test of `normal_cdf` does it again by mpmath.
FAR, CENTRE = 40.0, 5.5  # beyond FAR the tail is 0 even as a denormal number
MILLS = (
    0.14068538805025577,
    -0.12457880374078874,
    0.09738117982954445,
    -0.06673619368975019,
    0.03961316961053981,
    -0.019946016356098904,
    0.00819956014814164,
    -0.0025315473759828086,
    0.0004441786681518306,
    4.901891207221131e-05,
    -5.900411787127053e-05,
    1.2984506798635806e-05,
    2.9672636023275924e-06,
    -2.203407911390654e-06,
    8.117578210012357e-08,
    2.697541253500708e-07,
    -4.872687872549467e-08,
    -3.226383003086927e-08,
    9.176643269207516e-09,
    4.169769252372506e-09,
    -1.0438675545028361e-09,
    -4.743597467781693e-10,
)
BLOCK = 8192  # numbers that stay in the cache through all steps of a polynomial


def squared_distances(z: Array, centers: Array) -> Array:
    """|z_n - c_k|^2 for z (..., D), centres (K, D): (..., K).

    As |z|^2 - 2 z c + |c|^2 it would be one product of matrices, but lose the digits of small distances.
    """
    total = np.zeros((*z.shape[:-1], len(centers)), np.result_type(z, centers))
    for d in range(z.shape[-1]):
        difference = z[..., d, np.newaxis] - centers[:, d]
        difference *= difference
        total += difference
    return total


# The sides of 0 by maxima, minima and absolute values of real numbers: np.where takes ten times as long over signs that
# change from number to number.  Of complex numbers the real part decides, so that all stay analytic.


def positive_part(z: Array) -> Array:
    """max(z, 0)."""
    return np.maximum(z, 0) if z.dtype.kind == "f" else z * (z.real > 0)


def negative_part(z: Array) -> Array:
    """min(z, 0)."""
    return np.minimum(z, 0) if z.dtype.kind == "f" else z * (z.real < 0)


def magnitude(z: Array) -> Array:
    """|z|: z or -z."""
    return np.abs(z) if z.dtype.kind == "f" else np.where(z.real < 0, -z, z)


def clipped(z: Array, low: float, high: float) -> Array:
    """min(max(z, low), high)."""
    if z.dtype.kind == "f":
        return np.clip(z, low, high)
    return np.where(z.real < low, low, np.where(z.real > high, high, z))
