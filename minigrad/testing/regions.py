"""Where a derivative is wrong: the region of the input, tied entries, the ends of an axis."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from minigrad.testing.comparison import Comparison
from minigrad.testing.guess import Guess
from minigrad.typing import Array


def region(failed: list[Comparison], passed: list[Comparison]) -> Iterator[Guess]:
    """A condition on the entry that tells wrong entries from right ones without an exception."""
    pooled = [c for c in (*failed, *passed) if not c.misshapen and not c.broken_directions]
    if any(c.broken_directions for c in failed):
        tied = [c for c in failed if c.broken_directions]
        if not any(c.wrong.any() for c in failed):
            what = f"moved together, tied entries of {tied[0].array} give another slope"
            yield Guess(
                "ties", f"{what}: each of them gets the share that belongs to one, or the shares do not add up", 0.93
            )
        return
    if not pooled or not any(c.wrong.any() for c in pooled):
        return
    x = np.concatenate([_values(c) for c in pooled])
    wrong = np.concatenate([c.wrong.ravel() for c in pooled])
    # An entry that is right because all there is zero says nothing about its region.
    telling = np.concatenate([_telling(c).ravel() for c in pooled])
    bad, good = x[wrong], x[~wrong & telling]
    name = failed[0].array
    if not bad.size:
        return
    if (bad == 0).all() and len(good):
        if not (good == 0).all():
            yield Guess("zero", f"it is wrong where {name} is exactly 0, and nowhere else", 0.94)
        return
    if len(good) < max(2, 0.05 * len(bad)) or len(bad) < 2:
        if _only_tied(pooled):
            yield Guess("ties", f"it is wrong where entries of {name} are tied, and nowhere else", 0.94)
        return
    if _only_tied(pooled):
        yield Guess("ties", f"it is wrong where entries of {name} are tied, and nowhere else", 0.94)
    for key, of in _features(pooled).items():
        values = np.concatenate([of(c) for c in pooled])
        for sign, words in ((1.0, "{} > {:.3g}"), (-1.0, "{} < {:.3g}")):
            high, low = sign * values[wrong], sign * values[~wrong & telling]
            least, most = high.min(), low.max()
            if least > most:
                threshold = sign * _round_between(most, least)
                if 0 < abs(threshold) < 1e-2 or (threshold == 0 and key.startswith("|")):
                    continue  # there the derivative is too small to be seen wrong
                said = words.format(key, threshold + 0.0)
                yield Guess("branch", f"it is wrong exactly where {said}: a branch is missing or wrong", 0.92)
                return
    if (bad == np.rint(bad)).all() and not (good == np.rint(good)).any():
        yield Guess("branch", f"it is wrong exactly where {name} is a whole number", 0.9)
        return
    inside = (good < bad.min()) | (good > bad.max())
    if inside.all():
        yield Guess("branch", f"it is wrong exactly where {bad.min():.3g} <= {name} <= {bad.max():.3g}", 0.9)


def _round_between(low: float, high: float) -> float:
    """The number of fewest digits between two: where a threshold would be written."""
    if low <= 0 <= high:
        return 0.0
    for places in range(8):
        rounded = round((low + high) / 2, places)
        if low <= rounded <= high:
            return rounded
    return (low + high) / 2


def _features(pooled: list[Comparison]) -> dict[str, Callable[[Comparison], Array]]:
    """Numbers that belong to each entry of the array: itself, and beside a target of its shape the residual."""
    name = pooled[0].array
    found: dict[str, Callable[[Comparison], Array]] = {name: _values, f"|{name}|": lambda c: np.abs(_values(c))}
    try:
        for c in pooled:
            _target(c)
    except (ValueError, TypeError, IndexError):
        return found
    return found | {
        f"{name} - target": lambda c: _values(c) - _target(c),
        f"|{name} - target|": lambda c: np.abs(_values(c) - _target(c)),
        f"{name} * target": lambda c: _values(c) * _target(c),
    }


def _target(c: Comparison) -> Array:
    """The first argument after z, one number for each entry of the array."""
    value = np.asarray(c.subject.arguments[0])
    if value.ndim < c.analytic.ndim:
        value = value.reshape(*value.shape, 1)
    return np.broadcast_to(value, c.analytic.shape).ravel()


def _values(c: Comparison) -> Array:
    return np.asarray(c.subject.arrays[c.array]).ravel()


def _telling(c: Comparison) -> Array:
    return c.seen & (np.abs(c.numeric.value) + np.abs(c.analytic) > 1e-9 * max(c.size, 1e-12)) & ~c.undecided


def _only_tied(pooled: list[Comparison]) -> bool:
    """Wrong entries are equal to another one along some axis; entries that are equal to none are right."""
    found = False
    for c in pooled:
        tied = _tied(c.subject.arrays[c.array])
        if (c.wrong & ~tied).any():
            return False
        found |= bool(c.wrong.any())
    return found and any((_telling(c) & ~_tied(c.subject.arrays[c.array]) & ~c.wrong).any() for c in pooled)


def _tied(array: Array) -> Array:
    """Entries that are equal to another along an axis other than that of the batch."""
    tied = np.zeros(array.shape, bool)
    for axis in range(min(1, max(array.ndim - 1, 0)), array.ndim):
        moved = np.moveaxis(array, axis, -1)
        equal = (moved[..., :, np.newaxis] == moved[..., np.newaxis, :]).sum(axis=-1) > 1
        tied |= np.moveaxis(equal, -1, axis)
    return tied


def border(failed: list[Comparison]) -> Iterator[Guess]:
    """Wrong at the first or last index of one axis alone."""
    shaped = [c for c in failed if not c.misshapen and c.wrong.any()]
    if not shaped:
        return
    name = shaped[0].array
    for axis in range(shaped[0].wrong.ndim - 1, -1, -1):
        if any(c.wrong.shape[axis] < 3 for c in shaped):
            continue
        for ends, words in (((0,), "first"), ((-1,), "last"), ((0, -1), "first and the last")):
            if all(_only_at(c.wrong, _telling(c), axis, ends) for c in shaped):
                yield Guess("border", f"it is wrong only at the {words} index of axis {axis} of {name}", 0.93)
                return


def _only_at(wrong: Array, telling: Array, axis: int, ends: tuple[int, ...]) -> bool:
    inner = np.ones(wrong.shape[axis], bool)
    inner[list(ends)] = False
    rest = np.compress(inner, wrong, axis)
    return not rest.any() and bool(np.compress(inner, telling, axis).any())
