"""Likelihood: the negative log-likelihood of data as a function of free, well-scaled variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minigrad.layer import Layer
from minigrad.typing import Array


class Local(NamedTuple):
    """What is known of a function at one point u: J, dJ/du (k,), d2J/du2 (k, k)."""

    value: float
    gradient: Array
    hessian: Array


class Listing(NamedTuple):
    """The parameters that a result lists, linear functions of the variables: params = scale * (matrix @ u).

    `scale` holds the units of the data, 1e-150 or 1e150, so that the entries of `matrix` are of usual size.
    """

    names: list[str]
    matrix: Array  # (m, k)
    scale: Array  # (m,)

    def values(self, u: Array) -> Array:
        """params (m,)."""
        return self.scale * (self.matrix @ u)

    def errors(self, covariance: Array) -> Array:
        """The standard errors (m,) for the covariance (k, k) of u."""
        variances = np.einsum("ij,jk,ik->i", self.matrix, covariance, self.matrix, optimize=True)
        return self.scale * np.sqrt(np.maximum(variances, 0.0))

    def spreads(self, root: Array) -> Array:
        """The same for the covariance root root^T, of which nothing cancels that does not in `root` (k, r)."""
        return self.scale * np.linalg.norm(self.matrix @ root, axis=1)


class Likelihood:
    """J(u) = -log L of the data, a sum over rows with their weights, for k variables u.  Subclasses: the models.

    u are variables in which the problem is well scaled; they stand for an identified set of the model's parameters.
    `listings` says how parameters follow from them.  A penalty stands apart, in `penalty`.
    """

    size: int  # k
    rows: int  # N, of the data
    count: float  # of observations: rows, or the sum of frequency weights
    start: Array  # u (k,) to begin from

    def evaluate(self, u: Array) -> Local:
        """J, its gradient and its Hessian, the observed information, without the penalty."""
        raise NotImplementedError

    def value(self, u: Array) -> float:
        """J alone."""
        return self.evaluate(u).value

    def terms(self, u: Array) -> Array:
        """log p(y_n | x_n), (N,), without weights."""
        raise NotImplementedError

    def scores(self, u: Array) -> Array:
        """s_n = d log p(y_n | x_n) / du, (N, k), without weights: sum_n w_n s_n = -dJ/du."""
        raise NotImplementedError

    def score_square(
        self, u: Array, row_weights: Array | None = None, groups: Any = None, change: Array | None = None
    ) -> Array:
        """sum_g (sum_(n in g) w_n s_n) (...)^T, (k, k), for `row_weights` w (N,); every row is a group by itself unless
        `groups` (N,) says otherwise.  Of C^T s_n, (r, r), for a `change` C (k, r) of variables.
        """
        s = self.scores(u) if change is None else self.scores(u) @ change
        s = s if row_weights is None else row_weights[:, np.newaxis] * s
        if groups is not None:
            codes = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
            sums = np.zeros((int(codes.max(initial=-1)) + 1, s.shape[1]))
            np.add.at(sums, codes, s)
            s = sums
        return np.asarray(s.T @ s)

    # For the search of the maximum: what a model knows better than `evaluate` says.

    @property
    def hessian_at_start(self) -> Array | None:
        """About the Hessian of J at `start`, where some of the rows have said so; else None."""
        return None

    def slope(self, u: Array) -> tuple[float, Array]:
        """J and its gradient alone."""
        return self.evaluate(u)[:2]

    def precise_gradient(self, u: Array) -> Array:
        """The gradient, with as few errors of rounding as there can be."""
        return self.evaluate(u).gradient

    def root(self, u: Array, beside: Array) -> Array | None:
        """R (k, k) with R^T R the Hessian of J and of the penalty at u + `beside`, for what is lost beside u, but not
        computed from it; None where there is none.
        """
        return None

    def noise(self, u: Array, covariance: Array | None = None) -> tuple[float, float]:
        """Errors of rounding, by eps: of residuals, in standard deviations of y, and of the linear units.

        With the `covariance` of u, of the rows that count.
        """
        return 1.0, 1.0

    def noise_along(self, u: Array, along: Array) -> Array | None:
        """Errors of rounding in `along` (m, k) @ precise_gradient, by eps, (m,); None where they are not known."""
        return None

    def reach(self, step: Array) -> float:
        """The furthest that a step moves a linear unit of some row; 0 where that is not known."""
        return 0.0

    def expected(self, u: Array) -> Array:
        """The expected (Fisher) information of u, (k, k)."""
        raise NotImplementedError

    def penalty(self, u: Array) -> Local:
        """What is added to J, such as an L2 penalty: 0 unless the model has one."""
        return Local(0.0, np.zeros(self.size), np.zeros((self.size, self.size)))

    @property
    def penalized(self) -> bool:
        """The estimate is MAP."""
        return False

    @property
    def weights(self) -> Array | None:
        """w_n, (N,), as they count in J; None where all are 1."""
        return None

    def listing(self, identification: str, reference: int = 0) -> Listing:
        """The parameters, as `identification` fixes them: "reference", "sum_to_zero" or "minimum_norm"."""
        raise NotImplementedError

    def arrays(self, u: Array) -> Mapping[str, Array]:
        """{name: array}: the parameters of the cost for u."""
        raise NotImplementedError

    def response(self, u: Array, x: Any, offset: Any = None) -> Array:
        """What the model expects of y at each row of x: probabilities (M, K), or means (M, K)."""
        raise NotImplementedError

    def response_jacobian(self, u: Array, x: Any, offset: Any = None) -> Array:
        """The derivative of `response` by u, (M, K, k)."""
        raise NotImplementedError

    def without_inputs(self) -> Likelihood | None:
        """The null model: the same, told nothing of x; None where there is none."""
        return None

    def trained(self, u: Array) -> Layer:
        """A copy of the cost with the parameters for u."""
        raise NotImplementedError


class Restricted(Likelihood):
    """Another likelihood on the plane u = origin + basis v."""

    def __init__(self, whole: Likelihood, origin: Array, basis: Array) -> None:
        self.whole, self.origin, self.basis = whole, origin, basis
        self.size, self.rows, self.count = basis.shape[1], whole.rows, whole.count
        self.start = np.zeros(self.size)

    def at(self, v: Array) -> Array:
        """u of v."""
        return self.origin + self.basis @ v

    def evaluate(self, u: Array) -> Local:
        return self._seen(self.whole.evaluate(self.at(u)))

    def value(self, u: Array) -> float:
        return self.whole.value(self.at(u))

    def penalty(self, u: Array) -> Local:
        return self._seen(self.whole.penalty(self.at(u)))

    def score_square(
        self, u: Array, row_weights: Array | None = None, groups: Any = None, change: Array | None = None
    ) -> Array:
        within = self.basis if change is None else self.basis @ change
        return self.whole.score_square(self.at(u), row_weights, groups, within)

    def slope(self, u: Array) -> tuple[float, Array]:
        value, gradient = self.whole.slope(self.at(u))
        return value, self.basis.T @ gradient

    def precise_gradient(self, u: Array) -> Array:
        return self.basis.T @ self.whole.precise_gradient(self.at(u))

    def noise(self, u: Array, covariance: Array | None = None) -> tuple[float, float]:
        whole = None if covariance is None else self.basis @ covariance @ self.basis.T
        return self.whole.noise(self.at(u), whole)

    def root(self, u: Array, beside: Array) -> Array | None:
        root = self.whole.root(self.at(u), self.basis @ beside)
        return None if root is None else np.asarray(np.linalg.qr(root @ self.basis, mode="r"))

    def reach(self, step: Array) -> float:
        return self.whole.reach(self.basis @ step)

    def expected(self, u: Array) -> Array:
        return self.basis.T @ self.whole.expected(self.at(u)) @ self.basis

    def terms(self, u: Array) -> Array:
        return self.whole.terms(self.at(u))

    def scores(self, u: Array) -> Array:
        return self.whole.scores(self.at(u)) @ self.basis

    @property
    def weights(self) -> Array | None:
        return self.whole.weights

    @property
    def penalized(self) -> bool:
        return self.whole.penalized

    def _seen(self, local: Local) -> Local:
        return Local(local.value, self.basis.T @ local.gradient, self.basis.T @ local.hessian @ self.basis)
