"""Familiar: what a result offers under the names that users of statsmodels know."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.typing import Array


class Familiar:
    """Other names of what a `Result` has."""

    bse: Any = property(lambda self: self.se)
    llf: Any = property(lambda self: self.loglik)
    llnull: Any = property(lambda self: self.loglik_null)
    pvalues: Any = property(lambda self: self.p)
    tvalues: Any = property(lambda self: self.z)
    nobs: Any = property(lambda self: self.likelihood.count)
    prsquared: Any = property(lambda self: self.pseudo_r2())
    fittedvalues: Any = property(lambda self: self.predict())
    df_resid: Any = property(lambda self: self.nobs - self.k)
    df_model: Any = property(lambda self: self.against_null().df)
    llr: Any = property(lambda self: self.against_null().statistic)
    llr_pvalue: Any = property(lambda self: self.against_null().p)

    def conf_int(self: Any, alpha: float = 0.05) -> Array:
        """`ci` of level 1 - alpha (ValueError)."""
        if not 0 < alpha < 1:
            raise ValueError(f"conf_int expects alpha between 0 and 1, got {alpha!r}: 0.05 is for 95 % intervals")
        return np.asarray(self.ci(1 - alpha))

    def cov_params(self: Any) -> Array:
        """`cov`."""
        return np.asarray(self.cov())

    def get_margeff(self: Any, at: Any = "overall", method: str = "dydx", **options: Any) -> Any:
        """`marginal_effects`."""
        return self.marginal_effects(at, method, **options)
