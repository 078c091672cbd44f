"""Loss: what every layer that takes a target has in common."""

from __future__ import annotations

from minigrad.layer import Layer

REDUCTIONS = ("mean", "sum", "none")


class Loss(Layer):
    """A layer on top of a stack: forward(z, target) gives one number to make small, or one for each term.

    `reduction` says which: "mean" of the terms, their "sum", or "none", the terms themselves.
    """

    rows_independent = False  # the mean divides each row's part by what all rows count together

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(f"{type(self).__name__} expects reduction in {REDUCTIONS}, got {reduction!r}")
        self.reduction = reduction

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reduction})"
