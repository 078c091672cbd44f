"""Whether an answer can be one, before its numbers are looked at: what it takes, and what it gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad.checks import is_floating, kind
from minigrad.explaining.blank import Asked
from minigrad.shapes import shapes_of
from minigrad.testing.subject import copied, read_only

FUNCTION = "answer expects a function, such as lambda delta, z: ..., got"
BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def parameters_of(function: Any) -> list[inspect.Parameter]:
    """What a function takes (TypeError where it is none, or does not say)."""
    if not callable(function):
        raise TypeError(f"{FUNCTION} {kind(function)}")
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:
        name = getattr(function, "__name__", kind(function))
        raise TypeError(f"{FUNCTION} {name}, which does not say what it takes") from None


def taken(function: Callable[..., Any], held: Mapping[str, Any]) -> dict[str, Any]:
    """What a function takes of what is at hand, by name; what is not at hand has a default."""
    return {p.name: held[p.name] for p in parameters_of(function) if p.name in held}


def misfit(asked: Asked, function: Callable[..., Any]) -> str:
    """What is wrong with an answer before its numbers are looked at; "" where nothing is."""
    held = asked.at_hand()
    unknown = [
        p.name
        for p in parameters_of(function)
        if p.kind not in BY_NAME or (p.name not in held and p.default is p.empty)
    ]
    if unknown:
        listed = ", ".join(held)
        unnamed = [p.name for p in parameters_of(function) if p.kind is p.POSITIONAL_ONLY]
        if unnamed:
            return f"it takes {', '.join(unnamed)} by place alone, and gets by name what is at hand: {listed}"
        return f"it takes {', '.join(unknown)}, and at hand are {listed}: name what it takes after these"
    wanted = taken(function, held)
    try:
        with np.errstate(all="ignore"):
            result = function(**copied(wanted))
    except Exception as error:
        shapes = ", ".join(f"{name} {_shape(value)}" for name, value in wanted.items())
        return f"it raises {type(error).__name__}: {error}; with {shapes or 'nothing'}"
    if asked.rule == 3 and asked.name is None:
        return _misfit_of_gradients(asked, result)
    what = {1: "z_next", 2: "dC/dz", 3: f"dC/d{asked.name}"}[asked.rule]
    like = {1: "", 2: "z", 3: asked.name or ""}[asked.rule]
    return _misfit_of_array(what, like, asked.right, result)


def protected(value: Any) -> Any:
    """Copies that cannot be written to."""
    return read_only(copied(value))


def _misfit_of_gradients(asked: Asked, result: Any) -> str:
    names = asked.names
    if not isinstance(result, dict) or result.keys() != set(names):
        got = f"the names {', '.join(map(str, result)) or 'of none'}" if isinstance(result, dict) else kind(result)
        return f"it must give a dictionary of {', '.join(names)}, got {got}"
    for name in names:
        if said := _misfit_of_array(f"dC/d{name}", name, asked.right[name], result[name]):
            return said
    return ""


def _misfit_of_array(what: str, like: str, expected: Any, result: Any) -> str:
    if result is None:
        return f"it gives None, and must give {what}: a return is missing"
    if type(expected) is tuple:
        if type(result) is not tuple or len(result) != len(expected):
            return f"it must give {what} as a tuple of {len(expected)} arrays, got {kind(result)}"
    elif not isinstance(result, np.ndarray | np.generic | float):
        return f"it must give {what} as an array, got {kind(result)}"
    for found, right in zip(_parts(result), _parts(expected), strict=True):
        if np.asarray(found).dtype.kind not in ("fc" if np.asarray(right).dtype.kind == "c" else "f"):
            return f"it must give {what} as an array of {np.asarray(right).dtype}, got {kind(found)}"
    if shapes_of(result) != shapes_of(expected):
        of = f" that of {like}," if like else ""
        return f"it gives shape {shapes_of(result)}, and {what} has{of} {shapes_of(expected)}"
    for found, right in zip(_parts(result), _parts(expected), strict=True):
        lost = np.argwhere(np.isfinite(right) & ~np.isfinite(found))
        if len(lost):
            place = tuple(map(int, lost[0]))
            at = f" at [{', '.join(map(str, place))}]" if place else ""
            return f"it gives {np.asarray(found)[place]}{at}, where {what} is {np.asarray(right)[place]:.4g}"
    return ""


def _parts(value: Any) -> tuple[Any, ...]:
    return value if type(value) is tuple else (value,)


def _shape(value: Any) -> str:
    return str(shapes_of(value)) if is_floating(value) or np.ndim(value) or np.isscalar(value) else kind(value)
