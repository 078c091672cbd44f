"""fit: a stack that ends in a negative log-likelihood, fitted by maximum likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import kind as kind_of
from minigrad.checks import require_layer, require_number
from minigrad.layer import Layer
from minigrad.losses import L2Penalty, Penalized
from minigrad.mle.entry.data import Data, data_of
from minigrad.mle.entry.heads import built
from minigrad.mle.entry.observations import groups_of
from minigrad.mle.identification import complement, null_of
from minigrad.mle.likelihood import Restricted
from minigrad.mle.regressions.examination import verdict_on
from minigrad.mle.regressions.regression import Regression, regression
from minigrad.mle.result import Result
from minigrad.mle.search.maximize import Maximum, maximize
from minigrad.mle.verdict import Verdict

IDENTIFICATIONS = ("reference", "sum_to_zero", "minimum_norm")
ABSURD = 1e20  # of a term of the cost: half its digits are those of 1e10
COVARIANCES = ("observed", "expected", "opg", "HC0", "HC1", "cluster")


def fit(
    cost: Layer,
    X: Any,  # noqa: N803
    y: Any,
    *,
    names: Any = None,
    classes: Any = None,
    penalty: Any = None,
    weights: Any = None,
    kind: str = "frequency",
    offset: Any = None,
    identification: str = "reference",
    reference: Any = None,
    cov: str | None = None,
    groups: Any = None,
) -> Result:
    """The parameters at which log L = -cost, summed over all rows, is greatest; `cost` itself is not changed.

        log L(theta)  =  sum_n w_n log p(y_n | x_n; theta)

    `cost` is a stack that ends in a negative log-likelihood, a mean or a sum alike.  X is (N, D), a DataFrame, or what
    the stack takes; `names` are those of its columns, `classes` those of the labels.

    weights         w_n > 0, `kind` of which is "frequency": row n stands for w_n observations; "sampling": it was drawn
                    with a probability in proportion to 1 / w_n, and errors are those of the sandwich; "analytic": it is
                    a mean of w_n, scaled so that they sum to N
    offset          (N,) or (N, K): added to the linear units
    penalty         a number: J + penalty / 2 sum weight^2, a MAP estimate, biases left alone; a Penalized cost says
                    more; "firth": log L + log det I / 2, whose maximum always exists
    identification  of a softmax, to whose classes one vector can be added: "reference", parameters are those beside
                    class `reference`, the first unless given; "sum_to_zero", over the classes; or "minimum_norm"
    cov             of the standard errors: "observed", "expected", "opg", "HC0", "HC1", or "cluster" by `groups`

    Of regressions, linear units under a softmax, sigmoid or exponential mean, there is one maximum or none, and the
    verdict is proven; of other stacks the maximum is the one that Newton's method reaches from their parameters.  A
    Linear that stands alone below the loss begins at 0, where that is finite.
    ValueError, TypeError: what is wrong, by the names of columns and rows.

    >>> import numpy as np
    >>> from minigrad import BCEWithLogitsLoss, Linear, Sequential
    >>> x = np.array([[0.0], [0.0], [0.0], [0.0], [1.0], [1.0], [1.0], [1.0], [1.0], [1.0]])
    >>> y = np.array([0, 0, 1, 1, 0, 0, 1, 1, 1, 1])
    >>> result = fit(Sequential(Linear(1, 1), BCEWithLogitsLoss()), x, y, names=["treated"])
    >>> result.verdict.status, result.names
    ('regular', ['treated', 'const'])
    >>> bool(np.isclose(result.params[0], np.log(2)))  # the log of the odds ratio
    True
    """
    require_layer(fit, cost)
    if identification not in IDENTIFICATIONS:
        raise ValueError(f"fit expects identification in {IDENTIFICATIONS}, got {identification!r}")
    if cov is None:
        cov = "cluster" if groups is not None else "HC0" if weights is not None and kind == "sampling" else "observed"
    if cov not in COVARIANCES:
        raise ValueError(f"fit expects cov in {COVARIANCES}, got {cov!r}")
    if (cov == "cluster") != (groups is not None):
        got = "cov='cluster' without" if groups is None else f"cov={cov!r} with"
        raise ValueError(f"fit expects groups, one for each row, with cov='cluster' and no other, got {got} groups")
    firth = isinstance(penalty, str) and penalty == "firth"
    if penalty is not None and not firth:
        cost = _penalized(cost, penalty)
    data = data_of(cost, X, y, names, classes, weights, kind, offset, penalized=firth)
    codes = None if groups is None else groups_of(groups, len(data.target), data.rows)[0]
    cost = built(cost, data.x)
    likelihood = regression(cost, data)
    if likelihood is None:
        return _of_stack(cost, data, firth, identification, reference, cov, codes)
    place = _reference(data, likelihood.classes, likelihood.mean.coupled, identification, reference)
    null = null_of(likelihood)
    search = None
    if firth:
        from minigrad.mle.regressions.firth import Firth
        from minigrad.mle.regressions.firth import firth as by_firth

        likelihood = Firth(likelihood, null)
        found, search = by_firth(likelihood), by_firth
    elif null.shape[1]:
        basis = complement(null)
        found = _lifted(likelihood, basis, maximize(Restricted(likelihood, likelihood.start, basis)))
    else:
        found = maximize(likelihood)
    verdict = verdict_on(likelihood, found, null, (identification, place), firth)
    return Result(likelihood, data, found, verdict, null, identification, place, cov, codes, search)


def _after(hint: str) -> str:
    return f". {hint[0].upper()}{hint[1:]}" if hint else ""


def _reference(data: Data, classes: int, coupled: bool, identification: str, reference: Any) -> int:
    """The place of the reference class of a softmax, whose classes are `coupled`; other stacks have none."""
    if not coupled and identification == "sum_to_zero":
        raise ValueError(
            "fit expects identification='sum_to_zero' of the classes of a softmax, got it for a stack without: its "
            "parameters are those of each output"
        )
    if reference is None:
        return 0
    if identification != "reference":
        raise ValueError(f"fit expects no reference with identification {identification!r}, got {reference!r}")
    labels = data.classes or [str(k) for k in range(classes)]
    if not coupled:
        labels = data.labels or []
        if str(reference) in labels[:1]:  # of two classes under a sigmoid
            return 0
        raise ValueError(f"fit expects reference to be a class of a softmax, got {reference!r}: {_swapped(data)}")
    if str(reference) in labels:
        return labels.index(str(reference))
    raise ValueError(f"fit expects reference to be one of the classes {', '.join(labels)}, got {reference!r}")


def _swapped(data: Data) -> str:
    """How the other of two classes is made the reference."""
    if data.labels is None or data.values is None or len(data.labels) != 2:
        return "leave it out"
    held, (first, second) = [str(value) for value in data.values], data.labels
    named = "1 - y and " if held != data.labels else ""
    swapped = data.labels[::-1] if named else data.values[::-1]
    return f"log odds are those of {second} beside {first}, and {named}classes={swapped} swaps them"


def _penalized(cost: Layer, penalty: Any) -> Layer:
    """`cost` with an L2 penalty of the weights."""
    if isinstance(penalty, str):
        raise ValueError(f"fit expects penalty to be a number or 'firth', got {penalty!r}")
    if not isinstance(penalty, int | float) or isinstance(penalty, bool):
        raise TypeError(
            f"fit expects penalty to be a number or 'firth', got {kind_of(penalty)}: "
            "Penalized(cost, penalty) makes another penalty part of the cost"
        )
    return Penalized(cost, L2Penalty(require_number(fit, "penalty", penalty, above=0.0), "*weight"))


def _lifted(likelihood: Regression, basis: Any, found: Maximum) -> Maximum:
    """A maximum on the identified plane as one of all variables."""
    u = likelihood.start + basis @ found.u
    local, penalty = likelihood.evaluate(u), likelihood.penalty(u)
    objective = type(local)(
        local.value + penalty.value, local.gradient + penalty.gradient, local.hessian + penalty.hessian
    )
    covariance = None if found.covariance is None else basis @ found.covariance @ basis.T
    return found._replace(u=u, local=local, objective=objective, covariance=covariance)


def _of_stack(
    cost: Layer, data: Data, firth: bool, identification: str, reference: Any, cov: str, groups: Any
) -> Result:
    """Any other stack: a local maximum, found from where the cost's parameters are."""
    from minigrad.mle.stacks.search import search
    from minigrad.mle.stacks.stack import stack
    from minigrad.mle.stacks.verdict import unbounded

    if firth:
        raise ValueError(
            "fit knows Firth's penalty for linear units under a softmax, sigmoid or Poisson mean, got "
            f"{cost!r}: a Penalized cost takes another penalty"
        )
    with np.errstate(all="ignore"):  # trial points may be far out: what is not finite there is looked at
        likelihood = stack(cost, data)
    last = likelihood.variables.last if likelihood.variables.mixed else None
    place = _reference(data, last[2] if last else 0, last is not None, identification, reference)
    with np.errstate(all="ignore"):
        first = likelihood.value(likelihood.start) / likelihood.rows
        if first > ABSURD:
            raise ValueError(
                f"fit expects a cost of usual size where the search begins, got {first:.1e} for each row, beside which "
                "nothing else has digits: divide y by its standard deviation, or start with parameters of its size"
            )
        found = search(likelihood)
        said = unbounded(likelihood, found) or {}
    null = said.pop("null", np.zeros((likelihood.size, 0)))
    if said:
        verdict = Verdict(**{**said, "message": said["message"] + _after(likelihood.hint)})
    elif found.reason == "converged":
        verdict = Verdict("regular", "the estimate exists, is the only one near, and was found")
    else:
        verdict = Verdict(
            "not_converged",
            f"the search ended before a maximum ({found.reason}, after {found.iterations} iterations): begin with "
            "parameters nearer to it, bring columns and y to usual sizes, and let the cost be finite for more "
            "parameters; where it has a kink at its least, as of absolute values, there are no standard errors",
        )
    return Result(likelihood, data, found, verdict, null, identification, place, cov, groups, search=search)
