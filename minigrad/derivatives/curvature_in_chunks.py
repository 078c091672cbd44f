"""The Hessian of a cost over data of any size, a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minigrad.derivatives.chunks import over_parts
from minigrad.derivatives.curvature import MOST_DIGITS, Curvature, curvature_at
from minigrad.derivatives.directions import joined
from minigrad.derivatives.parts import chunks
from minigrad.derivatives.symmetric import Symmetric
from minigrad.layer import Layer
from minigrad.typing import Array, Gradients, Input


class CurvatureInChunks(Symmetric):
    """The Hessian of a cost, the sum, or weighted mean, of the Hessians of parts of its rows: see `curvature_at`.

    Every product, and the matrix, takes one pass over the data.  ValueError where rows depend on one another.
    """

    def __init__(
        self, cost: Layer, x: Input, arguments: tuple[Any, ...], chunk_size: int, reduction: str | None
    ) -> None:
        self.cost, self.reduction = cost, reduction
        self._parts = partial(chunks, "curvature_at", (x, *arguments), {}, chunk_size)
        first = next(iter(self._parts()))
        self.method = curvature_at(cost, *first.arguments).method
        self.point = joined(cost.parameters(), cost.parameters()).astype(float)
        self.size = self.point.size
        self._asymmetry: float | None = None
        self.error = 0.0  # as of `Curvature`, of all parts so far

    def product(self, vector: Array) -> Array:
        """H v."""
        return self._sum(lambda part: part.product(vector))

    def verified_product(self, vector: Array) -> Array:
        """H v, that of each part compared with differences."""
        return self._sum(lambda part: part.verified_product(vector))

    def matrix(self) -> Array:
        """H, (P, P), symmetric.  AsymmetryWarning where a rule is wrong."""
        from minigrad.derivatives.asymmetry import examine  # on use

        if self.method == "analytic":
            self._asymmetry = 0.0
            return self._sum(lambda part: part.matrix())
        raw = self._sum(lambda part: part.raw())
        sizes = np.where(self.point == 0, 1.0, np.abs(self.point))
        self._asymmetry = examine(self.cost, self.cost.parameters(), raw, sizes, self.error, self._again)
        return raw / 2 + raw.T / 2

    def diagonal(self) -> Array:
        """The diagonal of H."""
        return self._sum(lambda part: part.diagonal())

    @property
    def asymmetry(self) -> float:
        """As of `Curvature`."""
        if self._asymmetry is None:
            self.matrix()
        assert self._asymmetry is not None
        return self._asymmetry

    @property
    def digits(self) -> int:
        """The least of all parts."""
        of_parts = [MOST_DIGITS]
        self._sum(lambda part: of_parts.append(part.digits) or 0.0)  # type: ignore[func-returns-value]
        return min(of_parts)

    def _again(self, vector: Array, rng: np.random.Generator) -> Array:
        return self._sum(lambda part: part._again(vector, rng))

    def _sum(self, of: Callable[[Any], Any]) -> Array:
        """What `of` gives of the curvature of each part, as for the whole cost."""

        def evaluate(form: Layer, *arguments: Any) -> tuple[Any, Gradients]:
            value, _ = form.forward(*arguments)  # by which the loss says what it divides by: copies of it do not
            part = curvature_at(form, *arguments)
            if isinstance(part, Curvature) and self.method != "complex step":
                part.use_differences()
            found = np.asarray(of(part))
            if isinstance(part, Curvature):
                self.error, self.method = max(self.error, part.error), part.method
            return value, {"": found}

        return over_parts("curvature_at", self.cost, self._parts(), self.reduction, evaluate)[1][""]
