"""Marginal effects: how what is expected of y changes with each column of x, with delta-method errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.checks import kind, require_number
from minigrad.kernels import normal_quantile
from minigrad.mle.identification import BESIDE
from minigrad.mle.inference import covariance
from minigrad.mle.inference.hypotheses import two_sided
from minigrad.mle.tables import number, plain, probability, table
from minigrad.mle.use.points import column, points_of
from minigrad.mle.use.prediction import what_of
from minigrad.mle.use.slopes import Effects, change, slopes
from minigrad.mle.use.units import outputs
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result

METHODS = {"dydx": "dy/dx", "eyex": "d(lny)/d(lnx)", "dyex": "dy/d(lnx)", "eydx": "d(lny)/dx"}


@dataclass(frozen=True)
class MarginalEffects:
    """Effects of D columns on K outputs, (D, K), or (D,) for one output; NaN for what the data do not identify."""

    effects: Array
    se: Array
    cov: Array  # (K D, K D), the columns of output 0 first
    columns: list[str]
    outputs: list[str]
    method: str
    at: str  # in words
    discrete: list[str]  # columns whose effect is that of a step: 0 to 1, or one count more
    of: str = "mean"  # of y; "linear predictor" z, where the loss does not say what is expected of y

    @property
    def z(self) -> Array:
        """effects / se."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.effects / self.se

    @property
    def p(self) -> Array:
        """P(|Z| >= |z|) for a standard normal Z."""
        return np.asarray(two_sided(self.z.ravel())).reshape(self.z.shape)

    def ci(self, level: float = 0.95) -> Array:
        """Confidence intervals, (D, 2) or (D, 2, K)."""
        level = require_number("MarginalEffects.ci", "level", level, above=0.0)
        if level >= 1:
            raise ValueError(f"MarginalEffects.ci expects level below 1, got {level:g}: 0.95 is usual")
        reach = float(normal_quantile(np.array(0.5 + level / 2))) * self.se
        return np.stack([self.effects - reach, self.effects + reach], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them: one entry for each output and column."""
        values = {"effect": self.effects, "se": self.se, "z": self.z, "p": self.p}
        values |= dict(zip(("lower", "upper"), np.moveaxis(self.ci(), 1, 0), strict=True))
        flat = {name: array.reshape(len(self.columns), -1) for name, array in values.items()}
        entries = [
            {"output": output, "column": column, **{name: plain(array[j, k]) for name, array in flat.items()}}
            for k, output in enumerate(self.outputs)
            for j, column in enumerate(self.columns)
        ]
        return {"method": self.method, "at": self.at, "discrete": self.discrete, "of": self.of, "effects": entries}

    def summary(self, level: float = 0.95) -> str:
        """The table, one block for each output."""
        tail = (1 - level) / 2
        label = METHODS[self.method] if self.of == "mean" else METHODS[self.method].replace("y", "z")
        header = [label, "std err", "z", "P>|z|", f"[{tail:.3g}", f"{1 - tail:.3g}]"]
        ci = np.moveaxis(self.ci(level), 1, -1).reshape(len(self.columns), -1, 2)
        effects, se, z, p = (each.reshape(len(self.columns), -1) for each in (self.effects, self.se, self.z, self.p))
        text = []
        for k, output in enumerate(self.outputs):
            rows = [
                [
                    column,
                    number(effects[j, k]),
                    number(se[j, k], 3),
                    number(z[j, k], 3),
                    probability(p[j, k]),
                    *(number(end, 3) for end in ci[j, k]),
                ]
                for j, column in enumerate(self.columns)
            ]
            head = f"y={output}" if len(self.outputs) > 1 else ""
            text.append(table([head, *header], rows, "" if k else f"Marginal effects, {self.at}"))
        if self.discrete:
            text.append(f"by a step of one, not a derivative: {', '.join(self.discrete)}")
        if np.isnan(self.effects).any():
            text.append("-: the data do not identify this")
        return "\n".join(text)

    def __str__(self) -> str:
        return self.summary()

    # The names of statsmodels.

    margeff = property(lambda self: self.effects)
    margeff_se = property(lambda self: self.se)
    margeff_cov = property(lambda self: self.cov)
    tvalues = property(lambda self: self.z)
    pvalues = property(lambda self: self.p)

    def conf_int(self, alpha: float = 0.05) -> Array:
        """`ci` of level 1 - alpha."""
        return self.ci(1 - alpha)


def marginal_effects(
    result: Result,
    at: Any = "overall",
    method: str = "dydx",
    dummy: Any = False,
    count: Any = False,
    columns: Any = None,
    offset: Any = None,
) -> MarginalEffects:
    """The effects of columns x_j on p = E(y | x), and their errors sqrt(G C G^T), G = deffect/du, C = cov(u).

        method   "dydx"  dp/dx_j      "eydx"  dlog p/dx_j      "dyex"  dp/dlog x_j      "eyex"  dlog p/dlog x_j
        at       "overall", the mean over the rows fitted, with their weights; "mean", "median", "zero" of the columns;
                 {name: value}, the mean over the rows fitted with these values; or rows of one's own
        dummy    columns of 0 and 1 whose effect is p(1) - p(0): True for all, or names
        count    columns of counts whose effect is (p(x + 1) - p(x - 1)) / 2: True for all, or names

    Of a loss of one's own without a method response(z) -> E(y), effects are of the linear predictor z, as `of` says.
    Columns that do not vary have no effect to list.  Where the stack is no regression, derivatives by x are central
    differences, good to about ten digits.  Greene, Econometric Analysis, 17.3; Stata's margins.
    """
    if method not in METHODS:
        raise ValueError(f"marginal_effects expects method in {tuple(METHODS)}, got {method!r}")
    u, x, names = result.u, result.data.x, result.data.names
    if type(x) is not np.ndarray or x.ndim != 2 or names is None:
        raise ValueError(f"marginal_effects expects a fit to columns (N, D), got {kind(x)}")
    varying = [j for j in range(x.shape[1]) if x[:, j].min() != x[:, j].max()]
    dummies = _chosen("dummy", dummy, names, [j for j in varying if np.isin(x[:, j], (0.0, 1.0)).all()])
    counts = [] if count is False else _counts(x, varying)
    counts = [j for j in _chosen("count", count, names, counts) if j not in dummies]
    if (dummies or counts) and method.endswith("ex"):
        raise ValueError(f"marginal_effects expects method 'dydx' or 'eydx' with dummy or count, got {method!r}")
    listed = varying if columns is None else _chosen("columns", columns, names, varying)
    points, words = points_of(result, at, varying, offset)
    continuous = [j for j in listed if j not in dummies and j not in counts]
    parts = {}
    if continuous:
        spread = np.ptp(x, axis=0) / 4
        found = slopes(result.likelihood, u, points, method, continuous, spread)
        parts = {j: Effects(found.value[:, [i]], found.by_u[:, [i]]) for i, j in enumerate(continuous)}
    for j in listed:
        if j in dummies:
            parts[j] = change(result.likelihood, u, points.moved(j, 0.0), points.moved(j, 1.0), method)
        elif j in counts:
            low, high = (points.moved(j, points.x[:, j] + step) for step in (-1.0, 1.0))
            parts[j] = Effects(*(each / 2 for each in change(result.likelihood, u, low, high, method)))
    value = np.concatenate([parts[j].value for j in listed], axis=1)
    by_u = np.concatenate([parts[j].by_u for j in listed], axis=1)
    steps = [names[j] for j in listed if j in dummies or j in counts]
    return _with_errors(result, value, by_u, [names[j] for j in listed], method, words, steps)


def _with_errors(
    result: Result, value: Array, by_u: Array, columns: list[str], method: str, at: str, steps: list[str]
) -> MarginalEffects:
    k, d = value.shape
    flat = by_u.reshape(k * d, -1)
    moved = np.linalg.norm(flat @ result.null, axis=1)
    estimable = moved <= BESIDE * np.linalg.norm(flat, axis=1)
    # Units of 1e-150 have squares that are none: errors first, of derivatives of usual size.
    size = np.abs(flat).max(axis=1, initial=0.0)
    size = np.where(size > 0, size, 1.0)
    usual = flat / size[:, np.newaxis]
    inner = usual @ covariance.of_variables(result) @ usual.T
    se = np.where(estimable, size * np.sqrt(np.maximum(np.diagonal(inner), 0.0)), np.nan)
    value = np.where(estimable.reshape(k, d), value, np.nan)
    cov = np.where(np.outer(estimable, estimable), size[:, np.newaxis] * inner * size, np.nan)
    names = outputs(result.data, k)
    shape = (d,) if k == 1 else (d, k)
    return MarginalEffects(
        value.T.reshape(shape),
        se.reshape(k, d).T.reshape(shape),
        cov,
        columns,
        names,
        method,
        at,
        steps,
        what_of(result.likelihood),
    )


def _counts(x: Array, varying: list[int]) -> list[int]:
    whole = [j for j in varying if (x[:, j] >= 0).all() and (x[:, j] == np.rint(x[:, j])).all()]
    return [j for j in whole if x[:, j].max() > 1]


def _chosen(what: str, given: Any, names: list[str], fitting: list[int]) -> list[int]:
    """The columns that an option names: False for none, True for all that fit."""
    if isinstance(given, bool):
        return fitting if given else []
    places = [column(what, name, names) for name in ([given] if isinstance(given, str) else given)]
    for place in places:
        if place not in fitting and what != "count":
            why = "does not vary" if what == "columns" else "holds other values than 0 and 1, or one alone"
            raise ValueError(f"marginal_effects expects other columns for {what}, got {names[place]!r}: it {why}")
    return places
