"""Predictions: what is expected of y, with intervals that cannot leave its range."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad.checks import label, require_number
from minigrad.derivatives.likelihoods import EXPONENTIAL
from minigrad.kernels import normal_quantile, sigmoid
from minigrad.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    NLLLoss,
    PoissonNLLLoss,
)
from minigrad.mle.entry.data import new_inputs, require_paired
from minigrad.mle.identification import BESIDE
from minigrad.mle.inference import covariance
from minigrad.mle.regressions.regression import Regression
from minigrad.mle.stacks.losses import says_mean
from minigrad.mle.tables import SHOWN, number, plain, table
from minigrad.mle.use.units import blocks, expected_of, length, log_odds, outputs, part, units_of
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result

# On which scale what is expected of y has no bounds, where a stack ends in one of these.
OF_PROBABILITIES = (NLLLoss, CrossEntropyLoss, BernoulliNLLLoss, BCEWithLogitsLoss, BCELoss)
SCALES: dict[type, str] = {PoissonNLLLoss: "log", **dict.fromkeys(OF_PROBABILITIES, "logit")}


class Prediction(NamedTuple):
    """What is expected of y at M rows, with standard errors and a confidence interval for each.

    (M, K), or (M,) for one output; NaN where the data say nothing of a row.  `se` is that of the mean itself.  The
    interval is symmetric on `scale`: "logit" for probabilities, "log" for rates, "identity" for other means.
    `mean` is of what `of` says: a loss of one's own that has no method `response` does not say what it expects of y.
    """

    mean: Array
    se: Array
    lower: Array
    upper: Array
    level: float
    scale: str
    names: list[str]  # of the outputs
    of: str = "mean"  # "linear predictor", where the loss does not say what is expected of y

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        lists = {name: _plain(getattr(self, name)) for name in ("mean", "se", "lower", "upper")}
        return {**lists, "level": self.level, "scale": self.scale, "names": self.names, "of": self.of}

    def __str__(self) -> str:
        columns = [np.reshape(each, (len(self.mean), -1)) for each in self[:4]]
        share = f"{100 * self.level:g}%"
        header = ["row", self.of, "std err", f"lower {share}", f"upper {share}"]
        many = columns[0].shape[1] > 1
        rows = [
            [f"{n}", *([self.names[k]] if many else []), *(number(each[n, k]) for each in columns)]
            for n in range(min(len(self.mean), SHOWN))
            for k in range(columns[0].shape[1])
        ]
        text = table([header[0], *(["output"] if many else []), *header[1:]], rows, "Predictions")
        rest = len(self.mean) - SHOWN
        return (
            text
            + (f"\nand {rest} rows more" if rest > 0 else "")
            + ("\n-: the data say nothing of this" if np.isnan(columns[0]).any() else "")
        )


def predict(
    result: Result,
    X: Any = None,  # noqa: N803
    ci: bool = False,
    level: float | None = None,
    offset: Any = None,
) -> Array | Prediction:
    """E(y) at the rows of X, or at those fitted: probabilities (M, K), means (M, K); (M,) for one output.

    With `ci` a Prediction of `level`, 0.95 unless given, by the delta method: with G = dg/du the derivative of the mean
    on a scale g without bounds, and C the covariance of u (that of the result's `cov_type`),

        g^-1(g ± z se_g),    se_g^2  =  G C G^T,    se  =  se_g dmean/dg

    A loss of one's own says what it expects of y by a method response(z) -> E(y), for complex z too, and the scale g by
    `response_scale`: "logit", "log" or "identity".  Without it, predictions are of the linear predictor z.

    Where the model is not identified, rows outside the space of those fitted have no prediction: NaN, with a warning.
    """
    if level is not None and not ci:
        raise ValueError(f"predict expects level with ci=True, got {level!r} without: it is that of the intervals")
    level = require_number(predict, "level", 0.95 if level is None else level, above=0.0)
    if level >= 1:
        raise ValueError(f"predict expects level below 1, got {level:g}: 0.95 is usual")
    u = result.u
    x, offset = inputs(result, "predict", X, offset)
    if not ci and not result.null.shape[1]:
        means = [_mean(result, u, part(x, rows), _of(offset, rows)) for rows in blocks(length(x), 100)]
        return _shaped(np.concatenate(means))
    c = covariance.of_variables(result) if ci else np.zeros((u.size, u.size))
    parts = [
        _local(result, u, part(x, rows), _of(offset, rows), c)
        for rows in blocks(length(x), u.size * _width(result, u, x, offset))
    ]
    mean, link, link_se, se, known = (np.concatenate(each) for each in zip(*parts, strict=True))
    _say(known)
    mean, link = np.where(known, mean, np.nan), np.where(known, link, np.nan)
    if not ci:
        return _shaped(mean)
    scale = scale_of(result.likelihood)
    reach = float(normal_quantile(np.array(0.5 + level / 2))) * link_se
    return Prediction(
        mean=_shaped(mean),
        se=_shaped(np.where(known, se, np.nan)),
        lower=_shaped(_inverse(scale, link - reach)),
        upper=_shaped(_inverse(scale, link + reach)),
        level=level,
        scale=scale,
        names=outputs(result.data, mean.shape[1]),
        of=what_of(result.likelihood),
    )


def classify(result: Result, X: Any = None, offset: Any = None) -> list[Any]:  # noqa: N803
    """The most probable class of each row, as y holds it."""
    p = np.asarray(predict(result, X, offset=offset))
    if scale_of(result.likelihood) != "logit":
        raise ValueError("classify expects a model of probabilities, got one of means: predict gives them")
    if p.ndim == 2 and not getattr(getattr(result.likelihood, "mean", None), "coupled", True):
        raise ValueError(f"classify expects one probability or those of a softmax, got {p.shape[1]} outputs: predict")
    if np.isnan(p).any():
        raise ValueError("classify expects rows of which the data say something: predict gives NaN for the others")
    best = p.argmax(axis=1) if p.ndim == 2 else (p > 0.5).astype(int)
    values = result.data.values
    return [values[k] if values is not None else int(k) for k in best]


def inputs(result: Result, who: str, X: Any, offset: Any) -> tuple[Any, Array | None]:  # noqa: N803
    """Rows and their offsets: those of X, checked, or those fitted (TypeError, ValueError)."""
    data = result.data
    x = data.x if X is None else new_inputs(result, X)
    if offset is None:
        if X is not None and data.offset is not None:
            raise ValueError(
                f"{who} expects offset for the rows of X, since the fit had one, got None: zeros where there is none"
            )
        return x, data.offset
    require_paired(result, who, X, offset=offset)
    array = np.asarray(offset, dtype=float)
    array = array.reshape(-1, 1) if array.ndim == 1 else array
    if array.ndim != 2 or len(array) != length(x):
        raise ValueError(f"{who} expects an offset for each of {length(x)} rows, got shape {np.shape(offset)}")
    if not np.isfinite(array).all():
        raise ValueError(f"{who} expects finite offsets, got {array[~np.isfinite(array)][0]}")
    return x, array


def scale_of(likelihood: Any) -> str:
    """On which scale what is expected of y has no bounds."""
    if isinstance(likelihood, Regression):
        return "log" if likelihood.mean is EXPONENTIAL else "logit"
    loss = getattr(likelihood, "loss", None)
    if type(loss) in SCALES or not hasattr(loss, "response"):
        return SCALES.get(type(loss), "identity")
    scale = getattr(loss, "response_scale", "identity")
    if scale not in ("logit", "log", "identity"):
        raise ValueError(f"{label(loss)} expects response_scale to be 'logit', 'log' or 'identity', got {scale!r}")
    return str(scale)


def what_of(likelihood: Any) -> str:
    """What predictions are of."""
    return "mean" if says_mean(getattr(likelihood, "loss", None)) else "linear predictor"


def _local(result: Result, u: Array, x: Any, offset: Array | None, c: Array) -> tuple[Array, ...]:
    """mean, g, se_g, se and what is estimable, at some rows."""
    likelihood = result.likelihood
    scale = scale_of(likelihood)
    mean = _mean(result, u, x, offset)
    if isinstance(likelihood, Regression):
        link, by_u = log_odds(likelihood, units_of(likelihood, u, x, offset))
        link_se = _errors(by_u, c)
        rate = expected_of(likelihood, link) if scale == "log" else sigmoid(link) * sigmoid(-link)
        with np.errstate(invalid="ignore"):
            se = rate * link_se
    else:
        by_u = likelihood.response_jacobian(u, x, offset)
        se = _errors(by_u, c)
        link, rate = _link(scale, mean)
        with np.errstate(divide="ignore", invalid="ignore"):
            link_se = se / rate
    moved = np.linalg.norm(by_u @ result.null, axis=-1)
    return mean, link, link_se, se, moved <= BESIDE * np.linalg.norm(by_u, axis=-1)


def _errors(by_u: Array, c: Array) -> Array:
    return np.asarray(np.sqrt(np.maximum(((by_u @ c) * by_u).sum(axis=-1), 0.0)))


def _link(scale: str, mean: Array) -> tuple[Array, Array]:
    """g(mean) and dmean/dg."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale == "log":
            return np.log(mean), mean
        if scale == "logit":
            rest = 1 - mean
            if mean.shape[1] > 1 and np.allclose(mean.sum(axis=1), 1):
                rest = np.stack([np.delete(mean, k, axis=1).sum(axis=1) for k in range(mean.shape[1])], axis=1)
            return np.log(mean) - np.log(rest), mean * rest
    return mean, np.ones_like(mean)


def _inverse(scale: str, link: Array) -> Array:
    if scale == "identity":
        return link
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(link) if scale == "log" else sigmoid(link))


def _width(result: Result, u: Array, x: Array, offset: Array | None) -> int:
    one = slice(0, 1)
    return int(_mean(result, u, part(x, one), _of(offset, one)).shape[1])


def _mean(result: Result, u: Array, x: Any, offset: Array | None) -> Array:
    with np.errstate(over="ignore"):  # a rate may be beyond all numbers
        return result.likelihood.response(u, x, offset)


def _of(offset: Array | None, rows: slice) -> Array | None:
    return None if offset is None else offset[rows]


def _shaped(array: Array) -> Array:
    return array[:, 0] if array.shape[1] == 1 else array


def _plain(array: Array) -> Any:
    return [_plain(row) if np.ndim(row) else plain(row) for row in array]


def _say(estimable: Array) -> None:
    """Which rows have no prediction, as a warning."""
    rows = np.flatnonzero(~estimable.all(axis=1))
    if rows.size:
        shown = ", ".join(map(str, rows[:5])) + (f" and {rows.size - 5} more" if rows.size > 5 else "")
        warnings.warn(
            f"predict: the data say nothing of row{'s' * (rows.size > 1)} {shown}, NaN: they lie outside the space of "
            "the rows fitted, whose columns are collinear (result.verdict.null_vectors)",
            RuntimeWarning,
            stacklevel=4,
        )
