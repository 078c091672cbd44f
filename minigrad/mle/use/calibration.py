"""Calibration: whether predicted probabilities come true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.checks import require_count, require_number
from minigrad.kernels import sigmoid
from minigrad.mle.entry.data import new_target, require_paired
from minigrad.mle.identification import BESIDE
from minigrad.mle.regressions.regression import Regression
from minigrad.mle.tables import number, plain, table
from minigrad.mle.use.prediction import inputs, scale_of
from minigrad.mle.use.reliability import STRATEGIES, Bins, Curve, curve
from minigrad.mle.use.temperature import Line, Temperature, line, temperature
from minigrad.mle.use.units import blocks, length, log_odds, log_probabilities, outputs, part, units_of
from minigrad.typing import Array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minigrad.mle.result import Result

MARKERS, DASHES = "os^Dv", ("-", "--", "-.", ":")  # curves are told apart by them, and not by colour alone


@dataclass(frozen=True)
class Calibration:
    """How probabilities and what came true agree, overall and for each class against the rest.

    brier      mean of sum_k (p_k - t_k)^2; of one output (p - t)^2
    log_score  mean of log p(y)
    error      expected calibration error: of the most probable class where there are several, else of `curves[0]`
    """

    names: list[str]  # of the outputs
    curves: list[Curve]  # of each output
    top: Curve | None  # of the most probable class
    lines: list[Line]  # Cox's intercept and slope of each output
    temperature: Temperature
    brier: float
    log_score: float
    count: float
    in_sample: bool  # the rows are those fitted
    level: float  # of the intervals of the curves

    @property
    def error(self) -> float:
        """The expected calibration error."""
        return (self.top or self.curves[0]).error

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return {
            **{
                name: getattr(self, name)
                for name in ("names", "brier", "log_score", "error", "count", "in_sample", "level")
            },
            "temperature": _plain(self.temperature),
            "lines": [_plain(each) for each in self.lines],
            "curves": [each.to_dict() for each in self.curves],
            "top": None if self.top is None else self.top.to_dict(),
        }

    def plot(self, ax: Any = None, curves: Sequence[Curve] | None = None) -> Any:
        """The reliability curves with their intervals, and the diagonal, on matplotlib's axes, which are returned.

        `curves` are those to draw, all of them where not given.  `pictures.reliability_curve` is this, with a title and
        in the colours of a theme.
        """
        try:
            from matplotlib import pyplot as plt
        except ImportError:
            raise ImportError("Calibration.plot needs matplotlib: pip install 'minigrad[plot]'") from None
        ax = plt.figure(figsize=(5, 5)).add_subplot() if ax is None else ax
        ax.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        shown = self.curves if curves is None else curves
        for i, each in enumerate(shown):
            reach = [each.observed - each.lower, each.upper - each.observed]
            look = f"{MARKERS[i % len(MARKERS)]}{DASHES[i % len(DASHES)]}"
            ax.errorbar(each.predicted, each.observed, reach, fmt=look, markersize=5, capsize=2, label=each.name)
        if len(shown) > 1:
            ax.legend()
        ax.set(xlabel="predicted probability", ylabel="observed frequency", xlim=(0, 1), ylim=(0, 1))
        return ax

    def __str__(self) -> str:
        t = self.temperature
        rows = "the rows fitted" if self.in_sample else "other rows than those fitted"
        head = [
            f"Calibration of {self.count:g} observations, {rows}",
            f"log score {self.log_score:.6g}   Brier score {self.brier:.6g}   calibration error {self.error:.4g}",
            "temperature " + (f"none: {t.note}" if t.note else f"{t.value:.6g} (std err {t.se:.4g})"),
        ]
        lines = [
            [name, *_shown(one), number(each.error)]
            for name, one, each in zip(self.names, self.lines, self.curves, strict=True)
        ]
        header = ["class", "intercept", "std err", "slope", "std err", "error"]
        notes = [f"{name}: {one.note}" for name, one in zip(self.names, self.lines, strict=True) if one.note]
        shown = self.top or self.curves[0]
        return "\n".join([*head, table(header, lines, "logit P(y) = intercept + slope logit p"), *notes, str(shown)])


def calibration(
    result: Result,
    X: Any = None,  # noqa: N803
    y: Any = None,
    bins: int = 10,
    strategy: str = "quantile",
    level: float = 0.95,
    weights: Any = None,
    offset: Any = None,
    cov: str = "observed",
) -> Calibration:
    """Reliability curves, scores, Cox's intercept and slope, and the temperature, on the rows fitted or on X and y.

    At a maximum likelihood estimate of linear units with a bias, on the rows that were fitted, the temperature is 1,
    and of one output the intercept 0 and the slope 1, since the score is 0: held-out rows tell more.  `cov`, "observed"
    or "HC0", is that of their standard errors; with sampling weights "HC0" is right.
    """
    result.require_estimate("calibration")
    bins = require_count(calibration, "bins", bins)
    level = require_number(calibration, "level", level, above=0.0)
    if strategy not in STRATEGIES:
        raise ValueError(f"calibration expects strategy in {STRATEGIES}, got {strategy!r}")
    if level >= 1:
        raise ValueError(f"calibration expects level below 1, got {level:g}: 0.95 is usual")
    if cov not in ("observed", "HC0"):
        raise ValueError(f"calibration expects cov to be 'observed' or 'HC0', got {cov!r}")
    if scale_of(result.likelihood) != "logit":
        raise ValueError("calibration expects a model of probabilities, got one of means: predict gives them")
    if (X is None) != (y is None):
        given = "y" if X is None else "X"
        raise ValueError(f"calibration expects X and y, or neither for the rows fitted, got {given} alone")
    require_paired(result, "calibration", X, y=y, weights=weights, offset=offset)
    x, offset = inputs(result, "calibration", X, offset)
    z, odds = _logits(result, x, offset)
    p = _probabilities(z, odds)
    target = _target(result, y, p.shape)
    w = _weights(result, weights, len(p), X is None)
    frequencies = result.data.kind == "frequency"
    squares = None if cov == "observed" else w if frequencies else w**2
    cut = Bins(bins, strategy, level, frequencies)
    names = outputs(result.data, p.shape[1])
    curves = [curve(name, p[:, k], target[:, k], w, cut) for k, name in enumerate(names)]
    lines = [line(odds[:, k], target[:, k], w, squares) for k in range(p.shape[1])]
    found, top, terms = None, None, None
    if z is not None:
        best = p.argmax(axis=1)
        rows = np.arange(len(p))
        top = curve("most probable class", p[rows, best], target[rows, best], w, cut)
        found, terms = temperature(z, target, w, squares), (target * log_probabilities(z)).sum(axis=1)
    else:
        # Each output is a softmax of the logits 0 and z.
        k = p.shape[1]
        both = np.stack([np.zeros_like(odds), odds], axis=-1).reshape(-1, 2)
        sides = np.stack([1 - target, target], axis=-1).reshape(-1, 2)
        again = None if squares is None else np.repeat(squares, k)
        found = temperature(both, sides, np.repeat(w, k), again)
        terms = (sides * log_probabilities(both)).sum(axis=1).reshape(-1, k).sum(axis=1)
    brier = float(w @ ((p - target) ** 2).sum(axis=1) / w.sum())
    scores = brier, float(w @ terms / w.sum())
    return Calibration(names, curves, top, lines, found, *scores, float(w.sum()), X is None, level)


def _logits(result: Result, x: Any, offset: Array | None) -> tuple[Array | None, Array]:
    """z of a softmax, or None, and the logits of all probabilities, (N, K)."""
    likelihood, u = result.likelihood, result.u
    parts, moved = [], []
    if not isinstance(likelihood, Regression):
        p = likelihood.response(u, x, offset)
        with np.errstate(divide="ignore"):
            z, rest = np.log(p), np.log1p(-p)
        whole = p.shape[1] > 1 and bool(np.allclose(p.sum(axis=1), 1))
        if not np.isfinite(z).all() or not (np.isfinite(rest).all() or whole):
            raise ValueError("calibration expects probabilities between 0 and 1, got some that are 0 or 1 to rounding")
        return (z, log_odds_of(z)) if whole else (None, z - rest)
    for rows in blocks(length(x), likelihood.classes * likelihood.size):
        units = units_of(likelihood, u, part(x, rows), None if offset is None else offset[rows])
        odds = log_odds(likelihood, units)
        away = np.linalg.norm(odds.by_u @ result.null, axis=-1) > BESIDE * np.linalg.norm(odds.by_u, axis=-1)
        moved.append(away.any(axis=1))
        parts.append((units.z, odds.z))
    outside = np.flatnonzero(np.concatenate(moved))
    if outside.size:
        raise ValueError(
            f"calibration expects rows of which the data say something, got {outside.size} outside the space of the "
            f"rows fitted, the first of them row {outside[0]}: leave them out"
        )
    z, odds_z = (np.concatenate(each) for each in zip(*parts, strict=True))
    return (z if likelihood.mean.coupled else None), odds_z


def log_odds_of(log_p: Array) -> Array:
    """log p / (1 - p) from log p of all classes."""
    rest = [np.logaddexp.reduce(np.delete(log_p, k, axis=1), axis=1) for k in range(log_p.shape[1])]
    return np.asarray(log_p - np.stack(rest, axis=1))


def _probabilities(z: Array | None, odds: Array) -> Array:
    return np.asarray(sigmoid(odds) if z is None else np.exp(log_probabilities(z)))


def _plain(found: Line | Temperature) -> dict[str, Any]:
    return {name: each if isinstance(each, str) else plain(each) for name, each in found._asdict().items()}


def _shown(one: Line) -> list[str]:
    """What is rounding beside its error is 0."""
    intercept = 0.0 if abs(one.intercept) < 1e-9 * one.intercept_se else one.intercept
    return [number(value) for value in (intercept, *one[1:4])]


def _target(result: Result, y: Any, shape: tuple[int, ...]) -> Array:
    target = np.asarray(result.data.target if y is None else new_target(result, y))
    if len(target) != shape[0]:
        raise ValueError(f"calibration expects y for each of {shape[0]} rows of X, got {len(target)}")
    if target.size == shape[0] and shape[1] > 1:
        return np.eye(shape[1])[target.astype(int).ravel()]
    return target.astype(float).reshape(shape)


def _weights(result: Result, given: Any, rows: int, fitted: bool) -> Array:
    if given is None:
        own = result.likelihood.weights if fitted else None
        return np.ones(rows) if own is None else own
    w = np.asarray(given, dtype=float)
    if w.shape != (rows,) or not (np.isfinite(w).all() and (w > 0).all()):
        raise ValueError(f"calibration expects weights above 0, one for each of {rows} rows, got shape {w.shape}")
    return w
