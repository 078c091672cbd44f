"""Report: what a result says of itself, in order, before it is text, HTML or a dictionary."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.checks import require_number
from minigrad.losses import Penalized
from minigrad.mle.entry.heads import layers_of
from minigrad.mle.inference.criteria import against_null, constants
from minigrad.mle.inference.hypotheses import hauck_donner, lr_test
from minigrad.mle.regressions.firth import Firth
from minigrad.mle.regressions.regression import Regression
from minigrad.mle.tables import probability

if TYPE_CHECKING:
    from minigrad.mle.result import Result

LIKELIHOOD_RATIOS = 5  # of flagged parameters, each of which takes a fit
MODELS = {"softmax": "Multinomial logit", "sigmoid": "Logit", "poisson": "Poisson"}
ERRORS = {
    "observed": "the observed information",
    "expected": "the expected information",
    "opg": "the outer product of the scores",
    "HC0": "the sandwich HC0, which holds too where the distribution is another but its mean is right",
    "HC1": "the sandwich HC1, which holds too where the distribution is another but its mean is right",
    "cluster": "the sandwich of clusters, which holds too where rows of one group depend on each other",
}
WEIGHTS = {
    "frequency": "frequency: row n stands for w_n observations",
    "sampling": "sampling: rows were drawn with probabilities in proportion to 1 / w_n",
    "analytic": "analytic: row n is a mean of w_n, scaled so that they sum to N",
}


@dataclass(frozen=True)
class Row:
    """A parameter and what is known of it; NaN where that is not estimable."""

    name: str  # in full
    label: str  # within its block
    estimate: float
    se: float
    z: float
    p: float
    low: float
    high: float
    estimable: bool
    flagged: bool  # the Wald statistic is past its peak


@dataclass(frozen=True)
class Report:
    """A title, the verdict, pairs of a header, blocks of parameters, and notes."""

    title: str
    header: dict[str, Any]
    blocks: list[tuple[str | None, list[Row]]]  # by class, None where there is one output
    notes: list[str]


def report(result: Result, level: float) -> Report:
    """What `summary`, `_repr_html_` and `to_dict` show."""
    level = require_number("summary", "level", level, above=0.0)
    if level >= 1:
        raise ValueError(f"summary expects level to be less than 1, such as 0.95, got {level:g}")
    flagged = _flagged(result)
    return Report(f"{model(result)} Results", header(result), _blocks(result, level, flagged), _notes(result, flagged))


def model(result: Result) -> str:
    """What was fitted, in a few words."""
    inner = getattr(result.likelihood, "whole", result.likelihood)
    family = getattr(inner, "family", None)
    if family in MODELS:
        return f"{MODELS[family]} Regression"
    layers = layers_of(inner.cost) if hasattr(inner, "cost") else []
    return " > ".join(type(layer).__name__ for layer in layers) if 0 < len(layers) <= 4 else "Maximum Likelihood"


def header(result: Result) -> dict[str, Any]:
    """What stands above the parameters, by the names of statsmodels where it has them."""
    data, verdict = result.data, result.verdict
    found: dict[str, Any] = {
        "Dep. Variable": data.y_name,
        "No. Observations": result.likelihood.count,
        "Model": model(result).removesuffix(" Regression"),
    }
    if verdict.exists:
        found |= {"Df Residuals": result.likelihood.count - result.k, "Method": _method(result)}
        found |= {"Df Model": result.k - _constants(result), "Iterations": result.maximum.iterations}
        found |= {"Pseudo R-squ.": _or_none(result.pseudo_r2), "Condition": result.condition}
        found |= {"Log-Likelihood": result.loglik, "converged": True}
        found |= {"LL-Null": _or_none(lambda: result.loglik_null), "Covariance Type": result.cov_type}
        # Firth's would take a fit for each summary.
        ratio = _or_none(lambda: against_null(result).p) if _method(result) == "MLE" else None
        found |= {"LLR p-value": ratio, "Digits": result.digits, "AIC": _or_none(lambda: result.aic)}
    else:
        found |= {"Parameters": len(result.names), "Method": _method(result), "Rows": result.likelihood.rows}
    return found


def _method(result: Result) -> str:
    if isinstance(result.likelihood, Firth):
        return "Firth"
    return "MAP" if result.likelihood.penalized else "MLE"


def _constants(result: Result) -> int:
    """How many parameters are no slopes; 0 where that is not known."""
    try:
        return constants(result) or 0
    except ValueError:
        return 0


def _or_none(asked: Callable[[], float]) -> float | None:
    """A number that need not exist: a null model, a test of it, a criterion, a likelihood that is no probability."""
    try:
        return asked()
    except ValueError:
        return None


def _blocks(result: Result, level: float, flagged: list[str]) -> list[tuple[str | None, list[Row]]]:
    if not result.verdict.exists:
        return []
    columns = [*(result.data.names or []), "const"]
    known = {f"{label}:{column}": (label, column) for label in result.data.classes or [] for column in columns}
    blocks: list[tuple[str | None, list[Row]]] = []
    numbers = zip(result.params, result.se, result.z, result.p, result.ci(level), result.estimable, strict=True)
    for name, (estimate, se, z, p, (low, high), estimable) in zip(result.names, numbers, strict=True):
        block, label = known.get(name, (None, name))
        if not blocks or blocks[-1][0] != block:
            blocks.append((block, []))
        known_of_it = float(estimate), float(se), float(z), float(p), float(low), float(high)
        blocks[-1][1].append(Row(name, label, *known_of_it, bool(estimable), name in flagged))
    return blocks


def _flagged(result: Result) -> list[str]:
    """The parameters whose Wald statistic is past its peak; of a MAP estimate there is no Wald test."""
    if not result.verdict.exists or _method(result) == "MAP":
        return []
    return [name for name, is_so in zip(result.names, hauck_donner(result), strict=True) if is_so]


def _notes(result: Result, flagged: list[str]) -> list[str]:
    notes: list[str] = []
    data, verdict = result.data, result.verdict
    if data.classes is None and data.labels not in (None, ["0", "1"], ["False", "True"]):
        notes.append(f"The probability is that of {data.y_name} = {data.labels[1]}, not {data.labels[0]}.")
    if not verdict.exists:
        return notes
    if getattr(result.likelihood, "family", None) == "softmax" and data.classes:
        notes.append(
            {
                "reference": f"Coefficients are those of log odds beside class {data.classes[result.reference]}.",
                "sum_to_zero": "Coefficients sum to zero over the classes.",
                "minimum_norm": "Coefficients are those of least norm.",
            }[result.identification]
        )
    cost = getattr(result.likelihood, "cost", None)
    if result.likelihood.penalized and isinstance(cost, Penalized):
        penalty = " + ".join(map(repr, cost.penalties))
        notes.append(
            f"MAP, not maximum likelihood: penalised by {penalty}. Log-Likelihood stands without the penalty, and "
            "likelihood ratios are no tests."
        )
    if isinstance(result.likelihood, Firth):
        notes.append(
            "Firth's penalised likelihood, log L + log det I / 2, whose maximum always exists; Log-Likelihood stands "
            "without the penalty. Standard errors are those of the information at the estimate."
        )
    elif result.likelihood.penalized and result.cov_type == "observed":
        notes.append("Standard errors are Laplace's, of the curvature of log L and the penalty.")
    if result.cov_type != "observed":
        notes.append(f"Standard errors are those of {ERRORS[result.cov_type]}.")
    if data.weights is not None:
        notes.append(f"Weights: {WEIGHTS[data.kind]}.")
    target = np.asarray(data.target)
    if data.labels is not None and target.dtype.kind == "f" and bool((target != np.floor(target)).any()):
        notes.append(
            f"{data.y_name} holds fractions: a likelihood if weights are numbers of trials, else one in name only, "
            "which asks for cov='HC0'."
        )
    if flagged:
        notes.append(_hauck_donner(result, flagged))
    return notes


def _hauck_donner(result: Result, flagged: list[str]) -> str:
    """What to read in place of Wald statistics that are past their peak."""
    text = (
        "* Hauck-Donner: the Wald statistic falls as the estimate moves on, and z and P>|z| understate what is "
        "there; lr_test and ci(kind='profile') do not."
    )
    convex = isinstance(result.likelihood, Regression)  # of other models a fit under constraints may take long
    if _method(result) == "MAP" or result.data.kind == "sampling" or not convex:
        return text
    ratios = []
    for name in flagged[:LIKELIHOOD_RATIOS]:
        try:
            test = lr_test(result, _alone(result, name))
        except ValueError:  # EstimateError is one: where the parameter is 0 there is no maximum
            ratios.append(f"{name} none")
            continue
        ratios.append(f"{name} p {'' if test.p < 1e-300 else '= '}{probability(test.p, 4)}")
    more = f", and {len(flagged) - LIKELIHOOD_RATIOS} more" if len(flagged) > LIKELIHOOD_RATIOS else ""
    return f"{text} Likelihood ratio tests of 0: {', '.join(ratios)}{more}."


def _alone(result: Result, name: str) -> Any:
    """The constraint that one parameter is 0, as a matrix: names may hold signs."""
    return np.eye(len(result.names))[[result.at(name)]]


def is_number(value: Any) -> bool:
    """A number, and not True or False."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and not math.isnan(value)
