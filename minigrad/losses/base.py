"""Loss: what every layer that takes a target has in common."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from minigrad.checks import ShapeError, kind
from minigrad.layer import Layer
from minigrad.losses.formulas import BY_ROW, BY_TERM, Written, reduced
from minigrad.losses.targets import require_weights
from minigrad.shapes import is_outdated
from minigrad.typing import Array, Formulas, Shapes

REDUCTIONS = ("mean", "sum", "none")


class Loss(Layer):
    """A layer on top of a stack: forward(z, target) gives one number to make small, or one for each term.

    `reduction` says which, of terms l of any shape (N, ...) and weights w of 1 where none are given:

        "mean"   sum w l / sum w       (ValueError where the weights sum to 0, as for an empty batch)
        "sum"    sum w l
        "none"   w l, of the shape of l

    `weights` after the target weigh the observations, (N,), or every term, of the shape of l.  A weight of 0 takes its
    term out, also where that is infinite.
    """

    rows_independent = False  # the mean divides each row's part by what all rows count together
    reductions: tuple[str, ...] = REDUCTIONS
    means: tuple[str, ...] = ("mean",)  # those that divide by the sum of weights
    _totals: list[tuple[float, float]] | None = None  # of a loss of parts

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if is_outdated(cls, "written", ("f", "df"), Loss):
            cls.written = Loss.written  # type: ignore[method-assign]

    def __init__(self, reduction: str = "mean") -> None:
        if not isinstance(reduction, str):
            fix = "options such as class_weights= go by name"
            raise TypeError(
                f"{type(self).__name__} expects reduction first, in {self.reductions}, got {kind(reduction)}: {fix}"
            )
        if reduction not in self.reductions:
            raise ValueError(f"{type(self).__name__} expects reduction in {self.reductions}, got {reduction!r}")
        self.reduction = reduction

    def written(self) -> Written | None:
        """One term and its derivative in LaTeX, for `explain`."""
        return None

    @property
    def formulas(self) -> Formulas | None:  # type: ignore[override]
        """Those of the terms, as `reduction` puts them together."""
        written = self.written()
        return None if written is None else self._put_together(written, None)

    def written_at(self, z: Any, target: Any) -> Written | None:
        """`written`, as it is for this target."""
        return self.written()

    def formulas_at(
        self, z: Any, target: Any = None, weights: Any = None, *others: Any, **options: Any
    ) -> Formulas | None:
        """`formulas`, as they are for these arguments of rule 1."""
        written = self.written_at(z, target)
        if written is None:
            return None
        terms = np.ndim(z[0] if type(z) is tuple else z) - (written.letters == "n")
        given = "" if weights is None else BY_ROW if np.ndim(weights) < terms else BY_TERM
        return self._put_together(written, given)

    def _put_together(self, written: Written, weights: str | None) -> Formulas:
        return reduced(written, self.reduction, weights)

    def output_shape(self, shape: Shapes) -> Shapes:
        return None if self.reduction == "none" else ()  # of terms, a subclass says the shape

    def scale(self, terms: Array, weights: Any, own: Array | None = None, counted: Array | None = None) -> Any:
        """The derivative of the loss by each of `terms`, whose numbers do not matter: one for all, or an array.

        `own` are weights that the loss itself gives to its terms.  `counted` are weights that stand in the terms
        already, but not in the sum of weights that the mean divides by.
        """
        mean = self.reduction in self.means
        if weights is None and own is None and not (mean and counted is not None):
            return 1 / self._counted(1.0, terms.size, terms) if mean else 1.0
        w = np.ones(terms.shape) if own is None else own
        if weights is not None:
            w = w * self._of_terms(weights, terms.shape)
        if mean:
            largest = w.max(initial=0.0)
            w = w / largest if largest else w  # so that the sum cannot overflow
            w = w / self._counted(largest, w.sum() if counted is None else (w * counted).sum(), terms)
        return w.astype(terms.real.dtype)

    def reduce(self, terms: Array, scale: Any) -> Any:
        """The loss: one number, or, for reduction "none", weighted terms."""
        if not isinstance(scale, np.ndarray):
            return terms if self.reduction == "none" else np.add.reduce(terms, axis=None) * scale
        # A weight of 0 takes its term out, also where it is infinite.
        weighted = np.multiply(scale, terms, out=np.zeros_like(terms), where=scale != 0)
        return weighted if self.reduction == "none" else np.add.reduce(weighted, axis=None)

    def value_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the loss of terms of `shape`."""
        return shape if self.reduction == "none" else ()

    def of_parts(self, totals: list[tuple[float, float]]) -> Self:
        """A copy for the parts of one batch, whose means divide by a b where the weights of the part sum to a b.

        (a, b) is appended to `totals`: a is the largest weight, since a b might overflow.  Where b is 0, which is no
        error of a part, its mean divides by a.
        """
        twin = copy.copy(self)
        twin._totals = totals
        return twin

    def _counted(self, largest: float, total: float, terms: Array) -> float:
        """`total`, by which a mean divides, in units of the largest weight (ValueError where it is 0)."""
        if self._totals is not None:
            self._totals.append((float(largest), float(total)))
            return total or 1.0
        if total == 0:
            raise self._no_weight("all weights are 0" if terms.size else "the batch is empty")
        return total

    def _of_terms(self, weights: Any, shape: tuple[int, ...]) -> Array:
        """`weights` of observations or terms, so that they broadcast to the shape of the terms."""
        array = require_weights(self, weights, shape if np.ndim(weights) == len(shape) else shape[:1], "weights")
        return array.reshape(array.shape + (1,) * (len(shape) - array.ndim))

    def _no_weight(self, cause: str) -> ValueError:
        return ValueError(f"{self!r} expects a batch of some weight, but {cause}: reduction 'sum' gives 0 there")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reduction})"


class LikelihoodLoss(Loss):
    """A loss of class labels, whose term n has the weight w_n = `class_weights[target_n]` * `weights[n]`.

    Both are 1 where they are not given, and the mean is sum_n w_n term_n / sum_n w_n.
    """

    def __init__(self, reduction: str = "mean", class_weights: Sequence[float] | Array | None = None) -> None:
        super().__init__(reduction)
        self.class_weights: Array | None = None
        if class_weights is not None:
            shape = (np.size(class_weights),)
            self.class_weights = require_weights(type(self), class_weights, shape, "class_weights").astype(float)

    def require_class_weights(self, name: str, classes: int) -> None:
        """There are as many class weights as classes, or none (ValueError)."""
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ShapeError(
                f"{self!r} has {len(self.class_weights)} class weights, but {name} has {classes} classes: "
                "it expects one weight for each"
            )

    def written_weights(self) -> tuple[str, str, str]:
        """The weight of a term in LaTeX, by what the mean divides, and what w is."""
        if self.class_weights is None:
            return "", "N", ""
        return "w_{t_n} ", r"\sum_n w_{t_n}", "w are the class weights"

    def __repr__(self) -> str:
        weighted = "" if self.class_weights is None else ", class_weights"
        return f"{type(self).__name__}({self.reduction}{weighted})"
