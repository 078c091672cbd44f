"""Maximum likelihood: estimates, their errors, and a verdict before either."""

from minigrad.mle.fit import fit
from minigrad.mle.result import Result
from minigrad.mle.verdict import EstimateError, Verdict

__all__ = ["EstimateError", "Result", "Verdict", "fit"]
