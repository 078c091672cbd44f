"""The value of a cost and its gradients over data of any size, a few rows at a time.

With rows in parts c, weights w that sum to W_c in part c, and C_c the cost of part c,

    mean   C = sum_c W_c C_c / sum_c W_c        sum   C = sum_c C_c

and the same for the gradients.  A penalty of the parameters counts once: in a mean it comes out so, in a sum it is left
to the first part.  Memory is for one part and one set of gradients, which are added up in float64 or wider.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minigrad.checks import label, require_layer
from minigrad.derivatives.gradients import value_and_gradients
from minigrad.derivatives.parts import Part, chunks, given
from minigrad.derivatives.reductions import require_independent_rows, single_loss, with_top
from minigrad.derivatives.sums import Sums
from minigrad.layer import Layer
from minigrad.typing import Gradients, Input


def value_and_gradients_in_chunks(
    cost: Layer, x: Input, *arguments: Any, chunk_size: int = 1024, reduction: str | None = None, **options: Any
) -> tuple[Any, Gradients]:
    """`value_and_gradients` of all rows, `chunk_size` at a time: equal to it to rounding, in constant extra memory.

    x, an array or a tuple of arrays, may be mapped from a file (np.load(..., mmap_mode="r")) and larger than memory.
    What comes after it is cut like x: arrays and sequences of one entry for each row.  `reduction` is that of the cost,
    "sum" or "mean", where no loss on top says it: a mean then counts all rows alike.

    ValueError where rows depend on one another, as in batch normalisation in training; FloatingPointError, which names
    the rows, where the cost is not finite.  Layers that draw numbers, such as dropout, draw for each chunk anew.

    >>> from minigrad import Linear, MSELoss, Sequential
    >>> cost = Sequential(Linear(2, 1, rng=0), MSELoss())
    >>> x, t = np.arange(20.0).reshape(10, 2), np.ones((10, 1))
    >>> value, gradients = value_and_gradients_in_chunks(cost, x, t, chunk_size=4)
    >>> bool(np.isclose(value, cost(x, t)))
    True
    """
    who = value_and_gradients_in_chunks
    require_layer(who, cost)
    parts = chunks(who.__name__, (x, *arguments), options, chunk_size)
    return over_parts(who.__name__, cost, parts, reduction, value_and_gradients)


def value_in_chunks(
    cost: Layer, x: Input, *arguments: Any, chunk_size: int = 1024, reduction: str | None = None, **options: Any
) -> Any:
    """cost(x, *arguments), at inference, `chunk_size` rows at a time: what validation on much data needs.

    As `value_and_gradients_in_chunks`, without gradients.
    """
    require_layer(value_in_chunks, cost)
    name = value_in_chunks.__name__
    parts = chunks(name, (x, *arguments), options, chunk_size)
    return over_parts(name, cost, parts, reduction, _at_inference, training=False)[0]


def value_and_gradients_in_batches(
    cost: Layer, batches: Iterable[Any], reduction: str | None = None
) -> tuple[Any, Gradients]:
    """`value_and_gradients` of all rows of `batches`, any iterable of tuples (x, target), (x, target, weights), ...

    The batches may have different sizes.  As `value_and_gradients_in_chunks` for data that is not one array.
    """
    who = value_and_gradients_in_batches
    require_layer(who, cost)
    return over_parts(who.__name__, cost, given(who.__name__, batches), reduction, value_and_gradients)


def value_in_batches(cost: Layer, batches: Iterable[Any], reduction: str | None = None) -> Any:
    """cost(x, *arguments), at inference, of all rows of `batches`.

    As `value_and_gradients_in_batches`, without gradients.
    """
    require_layer(value_in_batches, cost)
    name = value_in_batches.__name__
    return over_parts(name, cost, given(name, batches), reduction, _at_inference, training=False)[0]


def over_parts(
    who: str,
    cost: Layer,
    parts: Iterable[Part],
    reduction: str | None,
    evaluate: Callable[..., tuple[Any, Gradients]],
    training: bool = True,
) -> tuple[Any, Gradients]:
    """The cost of all parts together, and its gradients, or what else `evaluate` gives that is linear in it."""
    loss, reduction = single_loss(who, cost, reduction)
    require_independent_rows(who, cost, training)
    totals: list[tuple[float, float]] = []
    top = None if loss is None else loss.of_parts(totals)
    form, bare = with_top(cost, top), with_top(cost, top, penalties=False)
    total, part = Sums(), None
    for part in parts:
        totals.clear()
        value, gradients = _of_part(who, form, part, evaluate)
        if reduction == "sum":
            total.add(value, gradients, 1.0, 1.0, 1.0)
            form = bare
        elif loss is None:
            total.add(value, gradients, 1.0, part.rows, part.rows)
        else:
            largest, weight = divided_by(loss, totals)
            if largest and not weight:  # terms without a part in the mean: a penalty would come on top of it
                value, gradients = _of_part(who, bare, part, evaluate)
            total.add(value, gradients, largest, weight or 1.0, weight)
        del value, gradients  # before those of the next part are made
    if part is None:
        raise ValueError(f"{who} expects a batch or more, got none: an iterator that is used up gives none")
    if reduction == "mean" and not total.weight:
        evaluate(cost, *part.arguments, **part.options)  # which raises, and says what is lacking
        raise ValueError(f"{label(cost)} expects data of some weight, but all weights are 0")
    return total.result(mean=reduction == "mean")


def _of_part(
    who: str, form: Layer, part: Part, evaluate: Callable[..., tuple[Any, Gradients]]
) -> tuple[Any, Gradients]:
    try:
        value, gradients = evaluate(form, *part.arguments, **part.options)
        if not math.isfinite(abs(value)):
            raise FloatingPointError(f"the cost is {value}")
    except Exception as error:
        error.add_note(f"in {part.place} of {who}")
        raise
    return value, gradients


def _at_inference(cost: Layer, *arguments: Any, **options: Any) -> tuple[Any, Gradients]:
    value = cost(*arguments, **options)
    if np.ndim(value):
        raise ValueError(
            f"{label(cost)} gives an array of shape {np.shape(value)}, where a cost is one number: "
            "end the stack with a loss of reduction 'mean' or 'sum'"
        )
    return value, {}


def divided_by(loss: Any, totals: list[tuple[float, float]]) -> tuple[float, float]:
    """What the loss divided by in a part, each time that it was called."""
    if len(set(totals)) != 1:
        raise TypeError(
            f"{loss!r} expects its forward to call self.scale(terms, weights) once, got {len(totals)} calls, and so "
            "does not say what its mean divides by: call it, or take reduction 'sum'"
        )
    return totals[0]
