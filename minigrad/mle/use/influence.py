"""Influence: what each row does to the estimate, and how well it is foretold without it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad.mle.inference import covariance
from minigrad.mle.regressions.regression import Regression
from minigrad.mle.tables import number, plain, table
from minigrad.mle.use.left_out import Rows
from minigrad.mle.use.left_out_stack import StackRows
from minigrad.mle.use.units import blocks
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result

KINDS = ("one-step", "exact")


class LogScore(NamedTuple):
    """log p(y_n | x_n) of rows by estimates that were made without them: its weighted sum and mean.

    `fitted` is the mean at the estimate from all rows, which is larger; `lacking` are rows without which there is no
    estimate, left out here.
    """

    total: float
    mean: float
    fitted: float
    kind: str
    lacking: list[int]

    def __str__(self) -> str:
        without = f", without rows {self.lacking}" if self.lacking else ""
        score = f"log score {self.mean:.6g} of an observation left out ({self.kind}){without}"
        return f"{score}, {self.fitted:.6g} fitted"


class Influence:
    """What each of N rows does to an estimate of k parameters.

        leverage        h_n = tr(C H_n), H_n the part of one observation in the observed information, C its inverse
        one step        delta_n = -(H - H_n)^-1 s_n, from the estimate towards that without row n; s_n its score
        dfbetas         (params - params without row n) / se, (N, m)
        Cook's distance delta_n^T C^-1 delta_n / k

    With frequency weights a row stands for w_n observations, and one of them is left out; with others the row is, with
    its weight.  Over all observations the leverages sum to k; to fewer under a penalty, which stays as it is.
    Everything is made when asked for, a few rows at a time.

    Pregibon, "Logistic regression diagnostics", Annals of Statistics 9 (1981) 705-724.
    """

    def __init__(self, result: Result) -> None:
        result.require_estimate("influence")
        self.result = result
        c = covariance.of_variables(result, "observed")
        if isinstance(result.likelihood, Regression):
            self.rows: Rows | StackRows = Rows(result.likelihood, result.u, c, result.data)
        else:
            self.rows = StackRows(result, c)

    # How much.

    @property
    def leverage(self) -> Array:
        """h (N,): how much of its own prediction a row makes, from 0 to K."""
        return self.rows.leverage

    @cached_property
    def essential(self) -> list[int]:
        """Rows that are known to be needed: without them the estimate would not exist, or not be one."""
        near = self.result.verdict.rows if self.result.verdict.status == "near_separated" else []
        return sorted({*near, *map(int, self.rows.alone)})

    @cached_property
    def cooks_distance(self) -> Array:
        """delta_n^T C^-1 delta_n / k, (N,)."""
        return np.asarray(self.rows.distance / max(self.result.k, 1))

    @cached_property
    def dfbetas(self) -> Array:
        """(params - params without row n) / se, (N, m), by one step."""
        return -self._steps() / self.result.se

    def leave_one_out(self, kind: str = "one-step", rows: Any = None) -> Array:
        """The parameters without each row, (N, m), or without each of `rows`.

        "one-step" is Newton's first step; "exact" fits again from the estimate, and asks for each row whether there is
        an estimate without it: NaN where not.
        """
        places = self._places(kind, rows)
        if kind == "one-step":
            return (self.result.params + self._steps())[places]
        return np.array([self._listed(self._refitted(n)) for n in places]).reshape(len(places), -1)

    # How well.

    def loglik(self, kind: str = "one-step", rows: Any = None) -> Array:
        """log p(y_n | x_n) by the estimate without row n, (N,), or of `rows`; NaN where there is none."""
        places = self._places(kind, rows)
        if kind == "one-step":
            return self.rows.loglik()[places]
        own = self.result.likelihood.terms(self.result.u)
        found = [self._refitted(n) for n in places]
        changes = [np.nan if u is None else self.rows.change(n, u) for n, u in zip(places, found, strict=True)]
        return np.asarray(own[places] + np.array(changes))

    def log_score(self, kind: str = "one-step") -> LogScore:
        """The cross-validated log score, by leaving one out."""
        terms, w = self.loglik(kind), self.rows.weights
        there = np.isfinite(terms)
        weight = float(w[there].sum())
        total = float(w[there] @ terms[there])
        own = self.result.likelihood.terms(self.result.u)
        lacking = [int(n) for n in np.flatnonzero(~there)]
        return LogScore(total, total / weight if weight else np.nan, float(w @ own / w.sum()), kind, lacking)

    # Residuals.

    def residuals(self, kind: str = "response") -> Array:
        """Residuals, (N,) for one output, else (N, K); w is 1 for frequency weights.

        response      r = y - p
        pearson       r sqrt(w / v), v the variance of y that the model expects
        standardised  r sqrt(w / (v - v_p)), v_p what the fit itself takes: Pearson's over sqrt(1 - h)
        deviance      sqrt(2 w (log p(y | y) - log p(y | x))) (N,), with the sign of r where there is one output
        """
        if kind not in ("response", "pearson", "standardised", "deviance"):
            raise ValueError(
                f"residuals expects kind in ('response', 'pearson', 'standardised', 'deviance'), got {kind!r}"
            )
        rows = self.rows
        if not isinstance(rows, Rows):
            return rows.residuals(kind)
        if kind == "response":
            return _shaped(rows.residual)
        if kind == "deviance":
            size = np.sqrt(2 * rows.left * rows.gap)
            return np.asarray(np.sign(rows.residual[:, 0]) * size if rows.z.shape[1] == 1 else size)
        variance = rows.seen.slope.T
        if kind == "standardised":
            taken = rows.taken @ rows.curvature
            variance = variance - np.diagonal(taken, axis1=1, axis2=2)
        scaled = np.sqrt(rows.left)[:, np.newaxis] * rows.residual
        with np.errstate(divide="ignore", invalid="ignore"):
            found = scaled / np.sqrt(variance)
        return _shaped(np.where(np.isfinite(found), found, np.nan))

    # Which.

    def table(self, count: int = 10) -> str:
        """The rows that move the estimate most, by Cook's distance."""
        distance = np.where(np.isnan(self.cooks_distance), np.inf, self.cooks_distance)
        top = np.argsort(-distance, kind="stable")[:count]
        steps = -self._steps(top) / self.result.se
        lines = []
        for n, step in zip(top, steps, strict=True):
            known = np.isfinite(step)
            j = int(np.argmax(np.where(known, np.abs(step), -1.0)))
            most = f"{self.result.names[j]} {step[j]:+.3f}" if known.any() else "no estimate without it"
            own = [number(float(self.cooks_distance[n])), number(float(self.leverage[n]))]
            lines.append([self._name(int(n)), *own, number(float(self.rows.loglik()[n])), most])
        header = ["row", "Cook", "leverage", "log p without", "dfbetas, largest"]
        text = table(header, lines, "The most influential rows")
        if self.essential:
            text += f"\nwithout any of these rows no estimate exists: {', '.join(map(self._name, self.essential))}"
        return text

    def to_dict(self, count: int = 10) -> dict[str, Any]:
        """The most influential rows, as plain values."""
        distance = np.where(np.isnan(self.cooks_distance), np.inf, self.cooks_distance)
        top = np.argsort(-distance, kind="stable")[:count]
        steps = -self._steps(top) / self.result.se
        rows = [
            {
                "row": int(n),
                "name": self._name(int(n)),
                "cooks_distance": plain(float(self.cooks_distance[n])),
                "leverage": plain(float(self.leverage[n])),
                "dfbetas": {name: plain(float(value)) for name, value in zip(self.result.names, step, strict=True)},
            }
            for n, step in zip(top, steps, strict=True)
        ]
        score = self.log_score()
        return {"rows": rows, "essential": self.essential, "log_score": plain(score.mean)}

    def __str__(self) -> str:
        return f"{self.table()}\n{self.log_score()}"

    def _steps(self, rows: Any = None) -> Array:
        """The parameters without each row less those with all, (N, m), by one step."""
        listing = self.result.listing
        places = np.arange(len(self.leverage)) if rows is None else np.asarray(rows)
        found = np.empty((len(places), len(listing.names)))
        for some in blocks(len(places), self.result.likelihood.size * 4):
            found[some] = listing.scale * (self.rows.steps(places[some]) @ listing.matrix.T)
        found[:, ~self.result.estimable] = np.nan
        return found

    def _refitted(self, n: int) -> Array | None:
        u = self.rows.refitted(int(n), self.result)
        if u is None:
            self.essential = sorted({*self.essential, int(n)})
        return u

    def _listed(self, u: Array | None) -> Array:
        listing = self.result.listing
        if u is None:
            return np.full(len(listing.names), np.nan)
        return np.where(self.result.estimable, listing.values(u), np.nan)

    def _places(self, kind: str, rows: Any) -> Array:
        if kind not in KINDS:
            raise ValueError(f"leaving one out expects kind in {KINDS}, got {kind!r}")
        count = self.result.likelihood.rows
        if rows is None:
            return np.arange(count)
        places = np.atleast_1d(np.asarray(rows))
        if places.dtype.kind not in "iu" or (places < 0).any() or (places >= count).any():
            raise ValueError(f"leaving one out expects rows as places from 0 to {count - 1}, got {rows!r}")
        return places

    def _name(self, n: int) -> str:
        return self.result.data.row(n).removeprefix("row ")


def influence(result: Result) -> Influence:
    """What each row does to the estimate: leverage, residuals, dfbetas, Cook's distance, leaving one out."""
    return Influence(result)


def _shaped(array: Array) -> Array:
    return array[:, 0] if array.shape[1] == 1 else array
