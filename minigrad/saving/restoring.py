"""Arrays and generators put back into a layer, in place: all of them, or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import all_finite, label
from minigrad.layer import Layer
from minigrad.saving.errors import FileError, shown
from minigrad.saving.generators import generator_fault, set_state
from minigrad.saving.states import has_nan, require_all_apart, state_arrays, state_generators
from minigrad.typing import Array


class Unmatched(NamedTuple):
    """Names that only one side has: `missing` in the file, `unexpected` in the layer."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def restoring(
    layer: Layer,
    arrays: Mapping[str, Array],
    generators: Mapping[str, Any] | None,
    *,
    path: str,
    strict: bool = True,
) -> tuple[Callable[[], None], Unmatched]:
    """(write, unmatched): everything is looked at here, and `write()` then puts it in place, and cannot fail.

    `arrays` and `generators` are what `snapshot` gave; None where a file knows of no generators.  Arrays of another
    type are cast, floating to floating and integers to integers that hold them.  FileError lists all names that are
    missing, unexpected or wrong, those that only one side has unless not `strict`.
    """
    own, own_generators = state_arrays(layer), state_generators(layer)
    require_all_apart(layer, own)
    parameters = layer.parameters()
    given: dict[str, Any] = {**arrays, **(generators or {})}
    wanted: dict[str, Any] = {**own, **({} if generators is None else own_generators)}
    unmatched = Unmatched(
        tuple(name for name in wanted if name not in given), tuple(name for name in given if name not in wanted)
    )
    faults: dict[str, str] = {}
    if strict:
        faults |= dict.fromkeys(unmatched.missing, "missing") | dict.fromkeys(unmatched.unexpected, "unexpected")
    casts: list[tuple[Array, Array]] = []
    for name, array in arrays.items():
        if name in own:
            fault, cast = _cast(array, own[name], name in parameters)
            casts.append((own[name], cast))
            if fault:
                faults[name] = fault
    states = []
    for name, state in (generators or {}).items():
        if name in own_generators:
            bits = own_generators[name].bit_generator
            states.append((bits, state))
            if fault := generator_fault(state, bits):
                faults[name] = fault
    if faults:
        raise _unfit(layer, path, faults, given)

    def write() -> None:
        for array, cast in casts:
            array[...] = cast
        for bits, state in states:
            set_state(bits, state)

    return write, unmatched


def _cast(array: Array, own: Array, is_parameter: bool) -> tuple[str, Array]:
    """(what is wrong with an array from a file, or "", the array as the layer's own type)."""
    if array.shape != own.shape:
        return f"has shape {array.shape}, not {own.shape}", own
    if not own.flags.writeable:
        return "is read-only in the layer", own
    if array.dtype.kind not in {"f": "f", "c": "fc", "b": "b"}.get(own.dtype.kind, "iu"):
        return f"is {array.dtype}, which does not become {own.dtype}", own
    if has_nan(array) or (is_parameter and not all_finite(array)):
        count = np.count_nonzero(~np.isfinite(array))
        return f"has {count} of {array.size} entries that are NaN or infinite", own
    with np.errstate(over="ignore"):
        cast = array.astype(own.dtype, copy=False)
    if own.dtype.kind in "iu" and not np.array_equal(cast, array):
        return f"has numbers beyond {own.dtype}", own
    if is_parameter and not all_finite(cast):
        return f"has numbers beyond {own.dtype}", own
    return "", cast


def _unfit(layer: Layer, path: str, faults: dict[str, str], given: Mapping[str, Any]) -> FileError:
    lines = [f"{shown(name)}{' ' if ' ' in fault else ' is '}{fault}" for name, fault in faults.items()]
    told = "; ".join(lines[:20]) + (f"; and {len(lines) - 20} more" if len(lines) > 20 else "")
    kinds = set(faults.values())
    if {"missing", "unexpected"} <= kinds:
        fix = "rename= gives names here for those in the file"
    elif kinds & {"missing", "unexpected"}:
        fix = "strict=False leaves out names that one side lacks"
    else:
        fix = "load it into a layer of the shapes and types that it was saved from"
    return FileError(path, ", ".join(map(shown, list(faults)[:3])), f"to be what {label(layer)} has", told, fix)
