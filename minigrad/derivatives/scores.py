"""Scores: the gradient of each observation's own part of the cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad.checks import label, require_layer
from minigrad.derivatives.by_row import Rows, one_by_one
from minigrad.derivatives.chunks import divided_by
from minigrad.derivatives.curvature import require_deterministic, require_vector
from minigrad.derivatives.directions import joined, split
from minigrad.derivatives.factors import along, array_of, squares_of, stacked, total_of, write
from minigrad.derivatives.gradients import require_value
from minigrad.derivatives.parts import Part, chunks
from minigrad.derivatives.reductions import require_independent_rows, single_loss, with_top
from minigrad.derivatives.witnesses import Found, require_sums, witnessed
from minigrad.layer import Layer
from minigrad.typing import Array, Gradients, Input

BLOCK = 2**22  # bytes of rows that are multiplied out at a time


def per_observation_gradients(
    cost: Layer, x: Input, *arguments: Any, reduction: str | None = None, chunk_size: int = 1024, **options: Any
) -> Gradients:
    """The scores s_n: {name: (N, *shape)}, the gradient of row n's own terms, as the sum-reduced cost has them.

        C = sum_n w_n l_n            s_n  =  w_n dl_n/dtheta,    sum_n s_n  =  dC/dtheta
        C = sum_n w_n l_n / W        the same s_n,               sum_n s_n  =  W dC/dtheta,    W = sum of all weights

    Where a row has several terms, as of MSELoss, l_n is their sum, and W counts terms.  Penalties belong to no row and
    are left out.  `reduction` and chunks are as in `value_and_gradients_in_chunks`; memory is that of the result.

    Rule 3 by rows: see `by_row.py`, and `scores_at` for what needs no (N, P) numbers.  The sums are compared with rule
    3 at every call, and some rows with those rows alone.  ValueError where they differ, and where rows depend on one
    another, as in batch normalisation in training, or layers draw at random.

    >>> from minigrad import Linear, MSELoss, Sequential
    >>> cost = Sequential(Linear(1, 1, bias=False), MSELoss())
    >>> cost[0].weight[...] = 0
    >>> x, t = np.array([[1.0], [2.0]]), np.array([[1.0], [3.0]])
    >>> per_observation_gradients(cost, x, t)["0.weight"].ravel()  # -2 t x
    array([ -2., -12.])
    """
    require_layer(per_observation_gradients, cost)
    found: Gradients = {}
    parts = chunks("per_observation_gradients", (x, *arguments), options, chunk_size)
    total, start = len(x[0] if type(x) is tuple else x), 0
    for rows in _by_parts(per_observation_gradients, cost, parts, reduction):
        for name, piece in rows.items():
            if name not in found:
                found[name] = np.empty((total, *piece.shape[1:]), piece.dtype)
            write(piece, found[name][start : start + len(piece)])
        start += len(next(iter(rows.values())))
    return found


class Scores:
    """The scores of N rows, as `per_observation_gradients` has them, in the order of `cost.parameters()`.

    Of linear layers only delta and activation of each row are kept, so that `norms`, `sum`, `along` and `outer` need no
    (N, P) numbers.
    """

    def __init__(self, arrays: dict[str, Array], pieces: list[Rows]) -> None:
        self._arrays, self._pieces = arrays, pieces
        self._size = sum(array.size for array in arrays.values())

    def named(self) -> Gradients:
        """{name: (N, *shape)}."""
        return {name: stacked([piece[name] for piece in self._pieces]) for name in self._arrays}

    def array(self) -> Array:
        """(N, P)."""
        counts = [len(next(iter(piece.values()))) for piece in self._pieces]
        dtype = np.result_type(*(rows.dtype for piece in self._pieces for rows in piece.values()))
        whole = np.empty((sum(counts), self._size), dtype)
        start = 0
        for piece, count in zip(self._pieces, counts, strict=True):
            self._fill(whole[start : start + count], piece)
            start += count
        return whole

    def norms(self) -> Array:
        """|s_n|, (N,)."""
        return np.concatenate([np.sqrt(sum(map(squares_of, piece.values()))) for piece in self._pieces])

    def sum(self) -> Array:
        """sum_n s_n, (P,): the gradient of the sum."""
        return np.asarray(
            sum(joined(self._arrays, {name: total_of(rows) for name, rows in piece.items()}) for piece in self._pieces)
        )

    def along(self, vector: Array | Gradients) -> Array:
        """s_n . v, (N,), of a vector or of {name: array} (ValueError where its shape, or a name, is wrong)."""
        parts = split(require_vector(Scores.along, self._arrays, vector), self._arrays)
        return np.concatenate(
            [np.asarray(sum(along(rows, parts[name]) for name, rows in piece.items())) for piece in self._pieces]
        )

    def outer(self) -> Array:
        """sum_n s_n s_n^T, (P, P): the information as outer products of gradients have it."""
        total = np.zeros(())
        for block in self.blocks():
            total = total + block.T @ block
        return total

    def blocks(self) -> Iterator[Array]:
        """The array (N, P), a few rows at a time."""
        step = max(1, BLOCK // (8 * self._size))
        for piece in self._pieces:
            count, dtype = len(next(iter(piece.values()))), np.result_type(*(rows.dtype for rows in piece.values()))
            for start in range(0, max(count, 1), step):
                block = np.empty((min(step, count - start), self._size), dtype)
                self._fill(block, {name: rows[start : start + step] for name, rows in piece.items()})
                yield block

    def _fill(self, out: Array, piece: Rows) -> None:
        """The scores of a piece into `out`, (N, P)."""
        end = 0
        for name, array in self._arrays.items():
            start, end = end, end + array.size
            write(piece[name], out[:, start:end].reshape(len(out), *array.shape))


def scores_at(
    cost: Layer, x: Input, *arguments: Any, reduction: str | None = None, chunk_size: int = 1024, **options: Any
) -> Scores:
    """The scores of all rows as `Scores`: .norms(), .outer(), .along(v), .sum(), .array(), .named().

    As `per_observation_gradients`.
    """
    require_layer(scores_at, cost)
    parts = chunks("scores_at", (x, *arguments), options, chunk_size)
    return Scores(cost.parameters(), list(_by_parts(scores_at, cost, parts, reduction)))


def _by_parts(function: Any, cost: Layer, parts: Iterator[Part], reduction: str | None) -> Iterator[Rows]:
    """The scores of each part, by the names of the cost's parameters."""
    arrays, who = cost.parameters(), label(function)
    if not arrays:
        raise ValueError(f"{who} expects a cost with parameters, got {label(cost)}")
    require_deterministic(function, cost)
    cost = cost.with_parameters({})  # its state is not to move
    loss, reduction = single_loss(who, cost, reduction)
    require_independent_rows(who, cost, training=True)
    totals: list[tuple[float, float]] = []
    bare = with_top(cost, None if loss is None else loss.of_parts(totals), penalties=False)

    def divisor(rows: int) -> float:
        if reduction == "sum":
            return 1.0
        if loss is None:
            return float(rows)
        largest, total = divided_by(loss, totals[-1:])
        return largest * total

    found: Found = {}
    form = witnessed(bare, found, divisor, totals)
    for i, part in enumerate(parts):
        found.clear()
        try:
            value, cache = form.forward(*part.arguments, **part.options)
            require_value(who, form, value, part.arguments[0])
            gradients = form.parameter_gradients(divisor(part.rows), cache)
            rows: Rows = {name: found[id(array)][0] for name, array in arrays.items() if id(array) in found}
            if all(_is_found(found.get(id(array)), gradients[name]) for name, array in arrays.items()):
                if i == 0 and part.rows > 1:
                    _require_rows_alone(bare, rows, part, divisor)
            else:  # a container does not ask rule 3 of its children
                rows = one_by_one(bare, 1.0, part.arguments, part.options, range(part.rows), divisor)
                require_sums(bare, rows, gradients, "rule 3 of each row alone")
        except Exception as error:
            error.add_note(f"in {part.place} of {who}")
            raise
        yield rows


def _is_found(found: tuple[Any, Array] | None, gradient: Array) -> bool:
    """What the witnesses saw is the whole gradient."""
    if found is None:
        return False
    if np.array_equal(found[1], gradient):
        return True
    size = float(total_of(abs(found[0])).max(initial=0.0))
    return bool((np.abs(found[1] - gradient) <= np.finfo(gradient.real.dtype).eps ** 0.6 * size).all())


def _require_rows_alone(cost: Layer, rows: Rows, part: Part, divisor: Callable[[int], float]) -> None:
    """One of three rows has the scores that it has alone (ValueError); a kink may tell two ways of rounding apart."""
    sizes = {name: float(np.sqrt(squares_of(own).max(initial=0.0))) for name, own in rows.items()}
    least, wrong = 1e-6 * max(sizes.values()), ""
    for n in sorted({0, part.rows // 2, part.rows - 1}):
        alone = one_by_one(cost, 1.0, part.arguments, part.options, range(n, n + 1), divisor)
        wrong = next(
            (name for name, own in alone.items() if not _is_near(rows[name], own, n, max(sizes[name], least))), ""
        )
        if not wrong:
            return
    raise ValueError(
        f"per-observation gradients expect layers in which no row depends on another, but a row of its own has another "
        f"gradient of {wrong!r} than among the others: some layer of {label(cost)} does not say rows_independent = "
        "False; minigrad.testing.check_layer finds it"
    )


def _is_near(rows: Any, own: Array, n: int, size: float) -> bool:
    """Row n is `own`, but for rounding of numbers of `size`."""
    apart = np.abs(array_of(rows[n : n + 1]) - own)
    return bool((apart <= np.finfo(own.real.dtype).eps ** 0.5 * size).all())
