"""Are rules analytic, as layers say?  A complex step is compared with differences, which need no such thing.

An undeclared abs or real part leaves rules that run on complex numbers, and an imaginary part that means nothing.
"""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from types import CellType, FunctionType, GetSetDescriptorType
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.checks import label
from minigrad.fusions import plan
from minigrad.layer import Layer
from minigrad.typing import Array, Formulas

if TYPE_CHECKING:
    from minigrad.derivatives.directions import Directions, Function

BEYOND = 100.0  # times the error of differences, which is an estimate
DOUBT = 1e-7  # relative to the largest entry: one difference has more digits than these, of smooth rules
LEAST = 1e-8  # that counts, in the end
ROUNDING = 1e-10  # of what is differentiated: a product below it has no digits by differences
USELESS = 1e-3  # an error of differences that tells nothing
SHORT = 2.0**-17  # of the one difference, relative to the parameters
ASIDE = 1e-3  # off the point, relative to the parameters
DATA = (np.ndarray, np.generic, np.dtype, str, bool, int, float, complex, type(None), GetSetDescriptorType, Formulas)
NOTHING = (None, None, None)  # that a function holds
OURS = "minigrad."
HERE = str(Path(__file__).parents[1]) + os.sep
MANAGED = contextmanager(lambda: iter(())).__code__  # of every function that @contextmanager makes of another


class NotAnalyticWarning(RuntimeWarning):
    """A layer is not analytic and does not say complex_safe = False: its derivatives come by differences."""


def is_trusted(cost: Layer) -> bool:
    """`cost`, and the fusions that `value_and_gradients` runs of it, are of minigrad itself."""
    fused, seen = plan(cost), dict[int, Any]()
    if not is_ours(cost, seen):
        return False
    if fused is None:
        return True
    parts = [*fused.below.parts, *fused.rest.parts, *fused.parts]
    return all(is_ours(part.layer, seen) for part in parts)


def is_ours(value: Any, seen: dict[int, Any] | None = None) -> bool:
    """A layer, and all that it holds, is of minigrad itself, whose tests compare its rules with differences.

    A subclass is not, nor is a layer that holds a function or a rule from elsewhere, or whose class was given one.
    `seen` are those that have been looked at, which it keeps: else a later one might have the id of one that is gone.
    """
    seen = {} if seen is None else seen
    kind_of = type(value)
    if kind_of is FunctionType:
        # Where it was compiled: its name and its module are what functools.wraps copies.
        code = value.__code__
        if not (code is MANAGED or code.co_filename.startswith(HERE)):
            return False
        held = (value.__closure__, value.__defaults__, value.__kwdefaults__)
        if held == NOTHING or id(value) in seen:
            return True
        seen[id(value)] = value
        return is_ours(held, seen)
    if isinstance(value, DATA) or id(value) in seen:
        return True
    seen[id(value)] = value
    if kind_of in (tuple, list):
        return all(is_ours(part, seen) for part in value)
    if kind_of is dict:
        return all(is_ours(part, seen) for part in value.values())
    if kind_of is CellType:
        try:
            return is_ours(value.cell_contents, seen)
        except ValueError:  # there is nothing in it
            return True
    if kind_of in (staticmethod, classmethod):
        return is_ours(value.__func__, seen)
    if kind_of is property:
        return is_ours((value.fget, value.fset, value.fdel), seen)
    if isinstance(value, type):
        if value is object or issubclass(value, DATA):
            return True
        return value.__module__.startswith(OURS) and all(is_ours(part, seen) for part in vars(value).values())
    return is_ours(kind_of.__mro__, seen) and hasattr(value, "__dict__") and is_ours(vars(value), seen)


def verify(
    directions: Directions, function: Function, base: Array, noise: float, units: Array | float, vector: Array
) -> Array:
    """f'(theta) v by a complex step; by differences, from now on, where it is not what they say (NotAnalyticWarning).

    `base`, `noise` and `units` are those of `directions.along`.  Two evaluations more than it, for smooth rules, and
    none for those of minigrad itself.
    """
    product = directions.along(function, vector, base, noise, units)
    if directions.method != "complex step" or is_trusted(directions.plain):
        return product
    if not vector.any() or directions.error > LEAST:
        return product  # there is no complex step, or its numbers are too small to be represented, which is known
    if _differ(directions, function, base, noise, units, vector, product, quick=True) and _differ(
        directions, function, base, noise, units, vector, product
    ):
        # On a kink each is right in its own way: beside it, they agree.
        aside = directions.aside(ASIDE)
        try:
            there = function(aside.plain)
            v = random_direction(aside.point)
            other = aside.along(function, v, there, noise, units)
            kink = _differ(aside, function, there, noise, units, v, other) is False
        except FloatingPointError:
            kink = False
        if not kink:
            fall_back(directions, "a complex step through the rules is not the derivative that differences have")
            return directions.along(function, vector, base, noise, units)
    return product


def random_direction(point: Array) -> Array:
    """Each parameter up or down by its own size."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], point.size)
    return np.asarray(signs * np.where(point == 0, 1.0, np.abs(point)))


def fall_back(directions: Directions, why: str) -> None:
    """Differences from now on, with a NotAnalyticWarning."""
    directions.use_differences()
    warnings.warn(
        f"some layer of {label(directions.plain)} is not analytic and does not say so: {why}. Differences, of fewer "
        "digits, are taken instead: set complex_safe = False in that layer, or write its rules without abs, real parts "
        "and functions of real numbers alone",
        NotAnalyticWarning,
        stacklevel=_outside(),
    )


def _differ(
    directions: Directions,
    function: Function,
    base: Array,
    noise: float,
    units: Array | float,
    vector: Array,
    product: Array,
    quick: bool = False,
) -> bool | None:
    """`product` is another than differences have, by more than their error; None where they have no digits.

    With `quick` of one difference alone, and True where there is doubt.
    """
    relative = directions.relative_size(vector)
    try:
        if quick:
            found, error = directions.difference(function, vector, SHORT / relative), DOUBT / BEYOND
        else:
            found, error = directions.differences(function, vector, base, units)
    except FloatingPointError:
        return None
    if error > USELESS:
        return None
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        size = float(np.maximum(np.abs(product * units), np.abs(found * units)).max(initial=0.0))
        apart = float(np.abs((product - found) * units).max(initial=0.0))
        rounding = ROUNDING * relative * (noise + float(np.abs(base * units).max(initial=0.0)))
    if not np.isfinite(apart):
        return True if quick else None
    return apart > max(max(BEYOND * error, LEAST) * size, rounding)


def _outside() -> int:
    """The level of the first frame outside this package, as warnings.warn counts from its caller."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(HERE):
        frame, level = frame.f_back, level + 1
    return level
