"""Steps of which no number can overflow, known beforehand, and steps that are taken back where one did."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import all_finite, require_finite, require_floating
from minigrad.optim.groups import Group
from minigrad.typing import Array, Gradients


class Room(NamedTuple):
    """How far numbers may go without an overflow."""

    enough: float  # what no bound may exceed: so little that, added to any finite number, it cannot overflow
    lost: float  # what a norm may lose of squares that underflow


def room_for(theta: Array) -> Room | None:
    """That of a vector like theta; None in float16, where squares of usual numbers overflow: each step is looked at."""
    if theta.itemsize < 4:
        return None
    info = np.finfo(np.float64 if theta.itemsize > 8 else theta.dtype)
    # Half the last digit of the largest number would do; the rest is room for the factors of a rule.
    return Room(1e-3 * float(info.eps) * float(info.max), math.sqrt(theta.size * float(info.tiny)))


def usual_norm(gradients: Sequence[Array]) -> float:
    """The norm of all of them together; NaN or infinite where they are, or where squares overflow."""
    squares = 0.0
    for g in gradients:
        squares += float(np.vdot(g, g))
    return math.sqrt(squares)


def gradient_norm(who: object, gradients: Gradients) -> float:
    """The norm of all gradients together, finite (TypeError, FloatingPointError)."""
    total = 0.0
    for name, g in gradients.items():
        require_floating(who, g, f"the gradient of {name}")
        if g.dtype.kind != "f":
            raise TypeError(f"{who!r} expects the gradient of {name} to be real, got {g.dtype}")
        total += float(np.vdot(g, g)) if g.dtype.itemsize >= 4 else float(np.square(g, dtype=np.float32).sum())
    return math.sqrt(total) if math.isfinite(total) else _norm_of_large(who, gradients)


def _norm_of_large(who: object, gradients: Gradients) -> float:
    """The same, where squares overflow or something is not finite."""
    for name, g in gradients.items():
        try:
            require_finite(who, np.asarray(g), f"the gradient of {name}")
        except ValueError as error:
            raise FloatingPointError(
                f"{error.args[0].removesuffix(': clean or impute them first')}; no parameter was changed. "
                "Look for extreme inputs, or lower the learning rate"
            ) from None
    largest = max(_largest(g) for g in gradients.values())
    squares = sum(float(np.square(np.divide(g, largest, dtype=float)).sum()) for g in gradients.values())
    return min(largest * math.sqrt(squares), np.finfo(float).max)


def cannot_overflow(rule: Any, theta: Array, norm: float, groups: Sequence[Group], room: Room | None) -> bool:
    """No number of the next step can overflow, whatever the entries of a gradient of this norm are.

    Nor is theta NaN or infinite.  `group.largest` holds bounds of the slots before the step, and afterwards those
    after it.
    """
    if room is None:
        return False
    enough, lost = room
    squares = float(np.vdot(theta, theta))
    if not (squares < math.inf or all_finite(theta)):  # whoever wrote it there, a step is to say so
        return False
    reached = g = 1.001 * norm + lost  # a norm is rounded, by less than a thousandth
    for group in groups:
        s = group.settings
        decay = 0.0
        if s.weight_decay:  # without, what the step takes from theta does not depend on it: see `enough`
            at = 1.001 * math.sqrt(squares) + lost
            decay = at * s.weight_decay
            reached += at + s.learning_rate * decay
        reached += rule.reach(s, g if s.decoupled else g + decay, group.largest) + s.learning_rate
        for bound in group.largest.values():
            reached += bound
    return reached < enough


@contextmanager
def all_or_nothing(who: object, theta: Mapping[str, Array], vectors: Mapping[str, Array]) -> Iterator[None]:
    """What is changed inside is taken back on an error, and where it is not finite (FloatingPointError)."""
    arrays = [*theta.values(), *vectors.values()]
    before = [array.copy() for array in arrays]
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
            yield
        for name, array in theta.items():
            if not all_finite(array):
                raise FloatingPointError(
                    f"{who!r} would make {name} NaN or infinite, so no parameter was changed: "
                    "lower the learning rate, or look for extreme inputs"
                )
        for slot, vector in vectors.items():
            if not all_finite(vector):
                name = _where(theta, vector)
                raise FloatingPointError(
                    f"{who!r} would make {slot} of {name} NaN or infinite, so no parameter was changed: "
                    "look for extreme inputs, or clip the gradient by clip_norm"
                )
    except BaseException:
        for array, old in zip(arrays, before, strict=True):
            array[...] = old
        raise


def find_largest(groups: Sequence[Group], vectors: Mapping[str, Array]) -> None:
    """Set the bounds of the slots from the slots themselves."""
    largest = {name: _largest(vector) for name, vector in vectors.items()}
    for group in groups:
        group.largest = dict(largest)


def _largest(array: Array) -> float:
    return float(np.abs(array).max(initial=0.0))


def _where(theta: Mapping[str, Array], vector: Array) -> str:
    """The parameter of the first entry of `vector` that is not finite."""
    place = int(np.argmin(np.isfinite(vector)))
    for name, array in theta.items():
        if place < array.size:
            return name
        place -= array.size
    raise AssertionError("vectors are as long as the parameters together")
