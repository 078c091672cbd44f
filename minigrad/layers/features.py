"""Features: inputs expanded into functions of them, over the last axis."""

from __future__ import annotations

from functools import lru_cache
from math import log, prod
from typing import Any

import numpy as np

from minigrad.checks import ShapeError, require_count, require_delta, require_flag, require_floating, require_shape
from minigrad.initializers import Initializer, constant, normal
from minigrad.kernels import squared_distances
from minigrad.layer import Layer
from minigrad.layers.lazy import LazyLayer, Make
from minigrad.layers.many_rows import with_rows
from minigrad.typing import Array, Formulas, Gradients, Seed, Shape


class RBF(LazyLayer):
    """y_k = exp(-gamma_k |z - c_k|^2), a bump around each centre: radial basis functions; Broomhead and Lowe, 1988.

        z (..., in_features)  ->  y (..., num_centers)
        with a = delta y:   dz = -2 sum_k a_k gamma_k (z - c_k)
        dc_k = 2 gamma_k sum_n a_nk (z_n - c_k),    dlog gamma_k = -gamma_k sum_n a_nk |z_n - c_k|^2

    `centers` (num_centers, in_features) start normal, for inputs of about unit variance: better is a sample of them,
    `centers_initializer=lambda shape, rng: rng.choice(x, shape[0], replace=False)`.  `log_gamma` (num_centers,) starts
    at -log in_features.  The logarithm is trained, since gamma then stays positive after any step, and a step changes
    it by a factor, whatever the unit of z.  in_features=None leaves the width to the first batch.

    TypeError unless z is a floating array, ValueError unless it has two axes or more, the last of in_features.
    """

    parameter_names = ("centers", "log_gamma")
    formulas = Formulas(
        forward=r"\exp(-\gamma_k \lVert \z_n - c_k \rVert^2)",
        backward=r"-2 \sum_k \d_{n, k} \y_{n, k} \gamma_k (\z_n - c_k)",
        gradients={
            "centers": r"2 \gamma_k \sum_n \d_{n, k} \y_{n, k} (\z_n - c_k)",
            "log_gamma": r"-\gamma_k \sum_n \d_{n, k} \y_{n, k} \lVert \z_n - c_k \rVert^2",
        },
        symbols={"centers": "c", "log_gamma": r"\log \gamma"},
        where="k is a centre, n a row",
    )

    def __init__(
        self,
        in_features: int | None,
        num_centers: int,
        *,
        centers_initializer: Initializer | None = None,
        log_gamma_initializer: Initializer | None = None,
        rng: Seed = None,
        dtype: Any = np.float64,
    ) -> None:
        self.in_features = None if in_features is None else require_count(RBF, "in_features", in_features)
        self.num_centers = require_count(RBF, "num_centers", num_centers)
        self._initializers = (centers_initializer, log_gamma_initializer)
        self.start(self.in_features, rng, dtype)

    def create(self, width: int, make: Make) -> None:
        self.in_features = width
        for_centers, for_log_gamma = self._initializers
        self.centers = make(for_centers or normal(1.0), (self.num_centers, width))
        self.log_gamma = make(for_log_gamma or constant(-log(width)), (self.num_centers,))

    def formulas_at(self, z: Any) -> Formulas | None:
        """With what its rows are."""
        return with_rows(self.formulas, z)

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        _require_features(self, shape, self.in_features)
        return (*shape[:-1], self.num_centers)

    def multiply_adds(self, shape: Shape) -> int:
        return prod(shape) * self.num_centers  # the squares of the distances

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        _require_features(self, z.shape, self.in_features)
        self.see(z.shape[-1])
        distances = squared_distances(z, self.centers)
        y = np.exp(-np.exp(self.log_gamma) * distances)
        return y, (z, distances, y)

    def backward(self, delta: Array, cache: Any) -> Array:
        z, _, y = cache
        require_delta(self, delta, y.shape)
        pull = -2 * delta * y * np.exp(self.log_gamma)
        # Feature by feature: as a difference of two products it would lose digits where centres are far apart.
        dz = [(pull * (z[..., d, np.newaxis] - self.centers[:, d])).sum(axis=-1) for d in range(z.shape[-1])]
        return np.stack(dz, axis=-1)

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        z, distances, y = cache
        require_delta(self, delta, y.shape)
        z = z.reshape(-1, z.shape[-1])
        pull = (delta * y).reshape(-1, self.num_centers) * np.exp(self.log_gamma)
        columns = [(pull * (z[:, d, np.newaxis] - self.centers[:, d])).sum(axis=0) for d in range(z.shape[-1])]
        return {
            "centers": 2 * np.stack(columns, axis=-1),
            "log_gamma": -np.add.reduce(pull * distances.reshape(pull.shape), axis=0),
        }

    def __repr__(self) -> str:
        return f"RBF({self.in_features or '?'} -> {self.num_centers})"


class Polynomial(Layer):
    """All monomials of the inputs up to `degree`: 1, z_i, z_i z_j with i <= j, ..., over the last axis.

        z (..., D)  ->  z_next (..., 1 + D + D (D + 1) / 2 + ...), as in scikit-learn's PolynomialFeatures, in its order
        dz_i = sum_m delta_m dm/dz_i, taken back through the products m = z_i m', so that nothing is divided by z

    degree=(2, 3) leaves out what is of lower degree; interaction_only leaves out powers, such as z_i^2; include_bias
    keeps the 1.  TypeError unless z is a floating array, ValueError unless it has two axes or more, and for D = 0.
    """

    formulas = Formulas(
        forward=r"\prod_i \z_i^{a_{m, i}}",
        backward=r"\sum_m \d_m a_{m, i} \frac{\y_m}{\z_i}",
        where="a_m are the exponents of monomial m; where z_i is 0 the quotient stands for its limit",
    )

    def __init__(
        self, degree: int | tuple[int, int] = 2, interaction_only: bool = False, include_bias: bool = True
    ) -> None:
        low, high = degree if type(degree) is tuple and len(degree) == 2 else (1, degree)
        self.max_degree = require_count(Polynomial, "degree", high)
        self.min_degree = require_count(Polynomial, "the lower degree", low)
        if self.min_degree > self.max_degree:
            raise ValueError(f"Polynomial expects degree=(lower, upper) in that order, got {degree!r}")
        self.interaction_only = require_flag(Polynomial, "interaction_only", interaction_only)
        self.include_bias = require_flag(Polynomial, "include_bias", include_bias)

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        _require_features(self, shape, None)
        ends, _ = _products(shape[-1], self.max_degree, self.interaction_only)
        return (*shape[:-1], int(self.include_bias) + ends[-1] - ends[self.min_degree - 1])

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        _require_features(self, z.shape, None)
        ends, products = _products(z.shape[-1], self.max_degree, self.interaction_only)
        monomials = np.empty((*z.shape[:-1], ends[-1]), z.dtype)
        monomials[..., : z.shape[-1]] = z
        for i, lower, higher in products:
            np.multiply(z[..., i : i + 1], monomials[..., lower], out=monomials[..., higher])
        first = ends[self.min_degree - 1]
        if not self.include_bias:
            return monomials[..., first:], (z, monomials, first)
        one = np.ones((*z.shape[:-1], 1), z.dtype)
        return np.concatenate((one, monomials[..., first:]), axis=-1), (z, monomials, first)

    def backward(self, delta: Array, cache: Any) -> Array:
        z, monomials, first = cache
        with_one = int(self.include_bias)
        require_delta(self, delta, (*z.shape[:-1], with_one + monomials.shape[-1] - first))
        _, products = _products(z.shape[-1], self.max_degree, self.interaction_only)
        to = np.zeros(monomials.shape, np.result_type(delta, monomials))
        to[..., first:] = delta[..., with_one:]
        dz = np.zeros(z.shape, to.dtype)
        for i, lower, higher in reversed(products):
            dz[..., i] += (to[..., higher] * monomials[..., lower]).sum(axis=-1)
            to[..., lower] += to[..., higher] * z[..., i : i + 1]
        return dz + to[..., : z.shape[-1]]

    def __repr__(self) -> str:
        degree = self.max_degree if self.min_degree == 1 else (self.min_degree, self.max_degree)
        options = ", interaction_only=True" if self.interaction_only else ""
        options += "" if self.include_bias else ", include_bias=False"
        return f"Polynomial({degree}{options})"


@lru_cache(maxsize=64)
def _products(width: int, degree: int, interaction_only: bool) -> tuple[list[int], list[tuple[int, slice, slice]]]:
    """How monomials follow from those of one degree less: columns `higher` = z_i times columns `lower`.

    Those of one degree are sorted by their smallest index, so that both are slices.  Also the columns where each
    degree ends, after a 0; the first degree, z itself, ends at `width`.
    """
    ends, products = [0, width], []
    starts = list(range(width + 1))  # the monomials of smallest index i stand at starts[i] : starts[i + 1]
    for _ in range(1, degree):
        next_starts = [starts[-1]]
        for i in range(width):
            lower = slice(starts[min(i + interaction_only, width)], starts[-1])
            next_starts.append(next_starts[-1] + lower.stop - lower.start)
            products.append((i, lower, slice(*next_starts[-2:])))
        starts = next_starts
        ends.append(starts[-1])
    return ends, products


def _require_features(layer: Layer, shape: Shape, width: int | None) -> None:
    if len(shape) < 2 or shape[-1] != (width or shape[-1] or 1):
        fix = (
            "z[np.newaxis, :] is a batch of one" if len(shape) == 1 else "the last axis holds the features, one or more"
        )
        raise ShapeError(f"{layer!r} expects z of shape (batch, {width or 'features'}), got {shape}: {fix}")
