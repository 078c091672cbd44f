"""Result: a fitted likelihood, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from minigrad.layer import Layer
from minigrad.mle.entry.data import Data
from minigrad.mle.familiar import Familiar
from minigrad.mle.identification import of_least_norm
from minigrad.mle.inference import covariance, criteria, hypotheses, intervals
from minigrad.mle.likelihood import Likelihood, Listing
from minigrad.mle.search.maximize import Maximum
from minigrad.mle.verdict import EstimateError, Verdict
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.inference.hypotheses import Test
    from minigrad.mle.use.calibration import Calibration
    from minigrad.mle.use.influence import Influence
    from minigrad.mle.use.margins import MarginalEffects
    from minigrad.mle.use.prediction import Prediction


class Result(Familiar):
    """What `fit` found.  `verdict` says whether there is an estimate; `params`, `se`, ... raise where there is none.

    m parameters are listed, by `names`; N rows; K outputs.  An EstimateError says why a number does not exist.  Each
    subject has a file of its own: covariance.py, intervals.py, hypotheses.py, prediction.py, margins.py, ...
    """

    def __init__(
        self,
        likelihood: Likelihood,
        data: Data,
        maximum: Maximum,
        verdict: Verdict,
        null: Array,
        identification: str = "reference",
        reference: int = 0,
        cov_type: str = "observed",
        groups: Any = None,
        search: Callable[[Any], Maximum] | None = None,
    ) -> None:
        self.likelihood, self.data, self.maximum, self.verdict = likelihood, data, maximum, verdict
        self.null = null  # (k, M): directions of u that change nothing
        self.identification, self.reference = identification, reference  # the class beside which the others are
        self.cov_type, self.groups = cov_type, groups  # of `se` and what rests on it
        self.search = search  # by which the maximum of such a likelihood is found

    # The estimate.

    @property
    def u(self) -> Array:
        """The estimate, in the variables of `likelihood` (EstimateError where there is none)."""
        self.require_estimate("estimates")
        return self.maximum.u

    def require_estimate(self, what: str) -> None:
        """There is an estimate (EstimateError)."""
        if not self.verdict.exists:
            raise EstimateError(f"no {what}: {self.verdict.message}", self.verdict)

    @cached_property
    def listing(self) -> Listing:
        """How the parameters follow from u."""
        listing = self.likelihood.listing(self.identification, self.reference)
        return of_least_norm(listing, self.null) if self.identification == "minimum_norm" else listing

    @property
    def names(self) -> list[str]:
        """Of the parameters, (m,)."""
        return self.listing.names

    @cached_property
    def params(self) -> Array:
        """The estimates (m,), NaN for what is not estimable."""
        return np.where(self.estimable, self.listing.values(self.u), np.nan)

    @cached_property
    def estimable(self) -> Array:
        """Which of the parameters the data identify, (m,)."""
        return np.array([self.verdict.estimable.get(name, True) for name in self.names])

    @cached_property
    def cost(self) -> Layer:
        """A copy of the cost that was fitted, with the estimates in it."""
        return self.likelihood.trained(self.u)

    def at(self, name: str) -> int:
        """The place of a parameter by its name (KeyError)."""
        if name not in self.names:
            raise KeyError(f"there is no parameter {name!r}: there are {', '.join(self.names)}")
        return self.names.index(name)

    # Its errors.

    def cov(self, kind: str | None = None, groups: Any = None) -> Array:
        """The covariance of the parameters, (m, m): see `covariance.covariance`."""
        return covariance.covariance(self, kind, groups)

    @cached_property
    def se(self) -> Array:
        """Standard errors (m,), of the covariance `cov_type`."""
        return np.where(self.estimable, self.listing.spreads(covariance.root(self)), np.nan)

    @property
    def z(self) -> Array:
        """params / se, (m,)."""
        return self.params / self.se

    @cached_property
    def p(self) -> Array:
        """P(|Z| >= |z|) for a standard normal Z, (m,)."""
        return hypotheses.two_sided(self.z)

    def ci(self, level: float = 0.95, kind: str = "wald") -> Array:
        """Confidence intervals (m, 2): `kind` "wald" or "profile", see intervals.py."""
        return intervals.confidence(self, level, kind)

    @cached_property
    def scores(self) -> Array:
        """The derivative of each row's log-likelihood by each parameter on its own, (N, m), unweighted.

        By the variables of the listing where those are free; they sum to 0 with the weights.
        """
        return covariance.scores(self)

    @cached_property
    def information(self) -> Array:
        """The observed information of the parameters, (m, m): the inverse, or pseudo-inverse, of `cov("observed")`."""
        return covariance.information(self)

    @property
    def condition(self) -> float:
        """The condition number of the information, scaled to a diagonal of ones."""
        return self.maximum.condition

    @property
    def digits(self) -> float:
        """So many decimal digits of the estimates, and of the standard errors `se`, can be relied on."""
        return covariance.digits(self)

    # The likelihood.

    @cached_property
    def k(self) -> int:
        """The number of identified parameters."""
        return self.likelihood.size - self.null.shape[1]

    @property
    def loglik(self) -> float:
        """log L at the estimate."""
        self.require_estimate("maximum of the likelihood")
        return -self.maximum.local.value

    @cached_property
    def loglik_null(self) -> float:
        """log L of the same model, told nothing of x, at its own maximum."""
        return criteria.loglik_null(self)

    @property
    def aic(self) -> float:
        """-2 log L + 2 k."""
        return criteria.aic(self)

    @property
    def bic(self) -> float:
        """-2 log L + k log N."""
        return criteria.bic(self)

    @property
    def aicc(self) -> float:
        """AIC for few observations: see `criteria.aicc`."""
        return criteria.aicc(self)

    def pseudo_r2(self, kind: str = "mcfadden") -> float:
        """How much better than the null model: see `criteria.pseudo_r2`."""
        return criteria.pseudo_r2(self, kind)

    # Hypotheses.

    def against_null(self) -> Test:
        """Likelihood ratio test against the null model: see `criteria.against_null`."""
        return criteria.against_null(self)

    def lr_test(self, other: Result | str | Sequence[str]) -> Test:
        """Likelihood ratio test against a smaller model, or of constraints such as "x1 = x2"."""
        return hypotheses.lr_test(self, other)

    def wald_test(self, constraints: Any) -> Test:
        """Wald test of linear constraints such as "x1 = x2"."""
        return hypotheses.wald_test(self, constraints)

    def score_test(self, constraints: Any) -> Test:
        """Rao's score test of linear constraints, from the fit under them alone."""
        return hypotheses.score_test(self, constraints)

    # Use.

    @overload
    def predict(self, X: Any = None, *, ci: Literal[False] = False, offset: Any = None) -> Array: ...  # noqa: N803

    @overload
    def predict(
        self,
        X: Any = None,  # noqa: N803
        *,
        ci: Literal[True],
        level: float | None = None,
        offset: Any = None,
    ) -> Prediction: ...

    def predict(
        self,
        X: Any = None,  # noqa: N803
        *,
        ci: bool = False,
        level: float | None = None,
        offset: Any = None,
    ) -> Array | Prediction:
        """What is expected of y, for the rows of X or those fitted: see prediction.py."""
        from minigrad.mle.use.prediction import predict

        return predict(self, X, ci=ci, level=level, offset=offset)

    def marginal_effects(self, at: Any = "overall", method: str = "dydx", **options: Any) -> MarginalEffects:
        """How the prediction changes with each column, with delta-method errors: see margins.py."""
        from minigrad.mle.use.margins import marginal_effects

        return marginal_effects(self, at, method, **options)

    def influence(self) -> Influence:
        """What each row does to the estimate: see influence.py."""
        from minigrad.mle.use.influence import influence

        return influence(self)

    def calibration(self, X: Any = None, y: Any = None, **options: Any) -> Calibration:  # noqa: N803
        """Do predicted probabilities come true?  See calibration.py."""
        from minigrad.mle.use.calibration import calibration

        return calibration(self, X, y, **options)

    # Pictures of it.

    def summary(self, level: float = 0.95) -> str:
        """The table that is printed: see summary.py."""
        from minigrad.mle.report.summary import summary

        return summary(self, level)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        from minigrad.mle.report.summary import to_dict

        return to_dict(self)

    def _repr_html_(self) -> str:
        from minigrad.mle.report.html import html

        return html(self)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"Result({self.verdict.status}, {self.likelihood.rows} rows, {self.k} parameters)"
