"""Shapes before there is data: the batch is N, whatever its size, and the widths are those that layers declare."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np

from minigrad.checks import ShapeError, is_floating, kind, label, no_tuple, require_tuple
from minigrad.checks import require_shape as require_shape
from minigrad.typing import Shape, Shapes


class Batch(int):
    """The size of a batch of which nothing is known: it prints as N, equals itself alone, and is no number to use."""

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    __hash__ = int.__hash__

    def __repr__(self) -> str:
        return "N"

    __str__ = __repr__

    def __reduce__(self) -> str:
        return "N"  # copied and pickled, it is the one N still

    def _refuse(self, *_: object) -> Any:
        raise TypeError("the size of the batch is not known: keep shape[0] as it is")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __pow__ = __rpow__ = _refuse
    __floordiv__ = __rfloordiv__ = __truediv__ = __rtruediv__ = __mod__ = __rmod__ = _refuse
    __divmod__ = __rdivmod__ = __neg__ = __int__ = __float__ = _refuse


FEW, MORE = 2, 3  # rows that stand for N where a rule is run: of one, batch normalisation has no spread
N = Batch(FEW)


def with_batch(who: object, row: Any) -> Shapes:
    """The shape of a batch of rows of shape `row`; of several inputs, a tuple of such (TypeError, ValueError)."""
    if isinstance(row, np.ndarray):
        return row.shape
    if isinstance(row, tuple) and all(isinstance(size, int | np.integer) for size in row):
        if any(size < 1 or isinstance(size, bool) for size in row):
            raise ValueError(f"{label(who)} expects a shape of positive sizes, got {row}: leave the batch out")
        return (N, *map(int, row))
    if isinstance(row, tuple) and all(isinstance(part, tuple | np.ndarray) for part in row):
        return tuple(with_batch(who, part) for part in row)
    fix = f"({row},) is a row of {row} numbers" if isinstance(row, int | np.integer) else "a tuple of positive integers"
    got = repr(row) if isinstance(row, tuple | list | int | float) else kind(row)
    raise TypeError(
        f"{label(who)} expects the shape of one row, such as (784,) or (1, 28, 28), or a batch, got {got}: {fix}"
    )


def is_shape(shapes: Shapes) -> bool:
    """`shapes` is that of one array, and not a tuple of such."""
    return all(isinstance(size, int) for size in shapes)


def batch_of(who: object, row: Any, count: int = 1, dtype: Any = np.float64) -> Any:
    """A batch of `count` rows of zeros of shape `row`; what is given as an array is the batch itself."""
    if isinstance(row, np.ndarray):
        return row
    shapes = with_batch(who, row)
    if is_shape(shapes):
        return np.zeros((count, *shapes[1:]), dtype)
    return tuple(batch_of(who, part, count, dtype) for part in row)


def require_shapes(who: object, shapes: Any, count: int | None, what: str = "z") -> None:
    """`shapes` are those of a tuple of `count` arrays, or of any number: in the words of `require_tuple`."""
    if shapes and not isinstance(shapes[0], tuple):
        raise no_tuple(who, f"one array of shape {shapes}", count, what)
    require_tuple(who, shapes, count, what)


def axis_of(who: object, shape: Shape, axis: int) -> int:
    """`axis` of an array of `shape`, counted from 0; not the batch (ValueError)."""
    if not -len(shape) < axis < len(shape):
        raise ShapeError(f"{label(who)} expects z with an axis {axis} beside the batch, got shape {shape}")
    return axis % len(shape)


def shapes_of(z: Any) -> Shapes:
    """The shape of an array, or those of a tuple of arrays."""
    return tuple(shapes_of(part) for part in z) if type(z) is tuple else np.shape(z)


def shape_by_running(layer: Any, shapes: Shapes) -> Shapes:
    """The shape of what a layer gives, found by running rule 1 of a copy on zeros, as at inference.

    Where it refuses those, ones are tried, and indices of 0.  None of a layer that takes more than z, as a loss takes a
    target.
    """
    if takes_more(layer):
        return None
    failures = []
    for number, dtype in ((0, None), (1, None), (0, np.intp)):
        twin = _copied(layer)
        try:
            few = _run(twin, shapes, FEW, number, dtype)
            more = _run(twin, shapes, MORE, number, dtype) if _has_n(shapes) else few
        except Exception as error:
            failures.append(error)
        else:
            break
    else:
        raise _refusal(layer, shapes, *failures[:2])
    try:
        return for_any_batch(few, more)
    except ValueError as error:
        raise NotImplementedError(f"{label(layer)} gives {error}: write output_shape(self, shape)") from None


def takes_more(layer: Any) -> bool:
    """Rule 1 needs more than z: a loss, or a container that hands on what comes after z to one."""
    import inspect  # on use: it is slow to import

    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(layer.forward).parameters.values()
    if sum(p.kind in positional and p.default is p.empty for p in parameters) > 1:
        return True
    hands_on = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return hands_on and any(takes_more(child) for _, child in getattr(layer, "children", tuple)())


def dtype_of(layer: Any) -> Any:
    """The floating type of the parameters of a layer; float64 where it has none."""
    held = [value for value in vars(layer).values() if is_floating(value)]
    return np.result_type(*held) if held else np.float64


def with_rows(shapes: Shapes, rows: int) -> Shapes:
    """The same with so many rows for N."""
    if not is_shape(shapes):
        return tuple(with_rows(part, rows) for part in shapes)
    return tuple(rows if size is N else size for size in shapes)


def _copied(layer: Any) -> Any:
    try:
        return copy.deepcopy(layer)
    except Exception as error:
        raise NotImplementedError(
            f"{label(layer)} does not say its output shape, and cannot be copied to be run on zeros "
            f"({type(error).__name__}: {error}): write output_shape(self, shape)"
        ) from error


def _run(layer: Any, shapes: Shapes, rows: int, number: int, dtype: Any) -> Shapes:
    z = _filled(with_rows(shapes, rows), number, dtype or dtype_of(layer))
    with warnings.catch_warnings(), np.errstate(all="ignore"):  # zeros need not be in the domain of every layer
        warnings.simplefilter("ignore")
        return shapes_of(layer(z))


def _filled(shapes: Shapes, number: int, dtype: Any) -> Any:
    return np.full(shapes, number, dtype) if is_shape(shapes) else tuple(_filled(s, number, dtype) for s in shapes)


def _has_n(shapes: Shapes) -> bool:
    return any(size is N for size in shapes) if is_shape(shapes) else any(map(_has_n, shapes))


def for_any_batch(few: Shapes, more: Shapes, rows: tuple[int, int] = (FEW, MORE)) -> Shapes:
    """N for the first axis where that is as long as the batch, of so few rows and of more (ValueError: another is)."""
    if few == more:
        return few
    if not is_shape(few) and not is_shape(more) and len(few) == len(more):
        return tuple(for_any_batch(*parts, rows) for parts in zip(few, more, strict=True))
    if not (is_shape(few) and is_shape(more)) or (few[:1], more[:1]) != (rows[:1], rows[1:]) or few[1:] != more[1:]:
        raise ValueError(f"shape {few} for {rows[0]} rows and {more} for {rows[1]}, where N is the first axis or none")
    return (N, *few[1:])


def _refusal(layer: Any, shapes: Shapes, of_zeros: Exception, of_ones: Exception) -> Exception:
    """The error of a layer that refuses zeros and ones: of their shape, where it says the same of both."""
    known = vars(of_zeros)  # its notes
    said = str(of_zeros).replace(str(with_rows(shapes, FEW)), str(shapes))
    if isinstance(of_zeros, ShapeError):
        error: Exception = ShapeError(said)
    else:
        of_shape = isinstance(of_zeros, ValueError | TypeError | IndexError) and str(of_zeros) == str(of_ones)
        error = (ShapeError if of_shape else NotImplementedError)(
            f"{label(layer)} does not say its output shape, and rule 1 raised {type(of_zeros).__name__}: {said} "
            f"on zeros of shape {shapes}: write output_shape(self, shape)"
        )
    vars(error).update(known)
    error.__cause__ = of_zeros
    return error


# What a class says of rules that a subclass writes anew.

CLAIMS = {
    "output_shape": ("forward",),
    "multiply_adds": ("forward",),
    "formulas": ("forward", "backward", "parameter_gradients"),
}


def is_outdated(kind: type, claim: str, rules: tuple[str, ...], base: type) -> bool:
    """`kind` has the attribute `claim` from a class whose `rules` it, or one in between, has written anew.

    What `base` says and does is not looked at, nor what is said of a rule that was still to be written then.
    """
    own = vars(kind)
    if claim in own or (len(kind.__bases__) == 1 and not any(rule in own for rule in rules)):
        return False  # at once: each class of the package asks when it is made
    mro = kind.__mro__[: kind.__mro__.index(base)]
    said = next((i for i, other in enumerate(mro) if claim in vars(other)), 0)
    if not said:
        return False

    def was_written(rule: str) -> bool:
        found = getattr(mro[said], rule, None)
        return found not in (None, getattr(base, rule, None)) and not getattr(found, "__isabstractmethod__", False)

    is_whole = was_written("forward")
    anew = {rule: sum(rule in vars(other) for other in mro[:said]) for rule in rules}
    return any(times > (0 if is_whole or was_written(rule) else 1) for rule, times in anew.items())
