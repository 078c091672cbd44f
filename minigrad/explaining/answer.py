"""An answer, put in place of the rule that was left blank, and checked by minigrad.testing."""

from __future__ import annotations

import copy
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minigrad.checks import is_floating, kind, label
from minigrad.explaining.blank import Asked
from minigrad.explaining.upwards import same_function
from minigrad.layer import Layer
from minigrad.shapes import shapes_of
from minigrad.testing.check import diagnose
from minigrad.testing.models import HARMLESS
from minigrad.testing.report import Diagnosis
from minigrad.testing.subject import copied
from minigrad.typing import Array, Delta, Gradients


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and how it shows.  True in a condition, if it is."""

    right: bool
    said: str
    diagnosis: Diagnosis | None = None

    def __bool__(self) -> bool:
        return self.right

    def __str__(self) -> str:
        return self.said

    __repr__ = __str__


class Answered(Layer):
    """A layer with an answer for one of its rules."""

    def __init__(self, asked: Asked, function: Callable[..., Any]) -> None:
        self.layer = copy.deepcopy(asked.node.layer)
        self.rule, self.names, self.one = asked.rule, tuple(asked.names) if asked.rule == 3 else (), asked.name
        self.function, self.options = function, dict(asked.node.options)
        self.wanted = tuple(inspect.signature(function).parameters)
        self.taken = tuple(inspect.signature(type(self.layer).forward).parameters)[2:]
        self.complex_safe, self.rows_independent = self.layer.complex_safe, self.layer.rows_independent

    def parameters(self) -> dict[str, Array]:
        return self.layer.parameters()

    def parameter_places(self) -> list[tuple[str, Layer, str]]:
        return self.layer.parameter_places()

    def forward(self, z: Any, *arguments: Any) -> tuple[Any, Any]:
        z_next, cache = self.layer.forward(z, *arguments, **self.options)
        return z_next, (cache, z, z_next, arguments)

    def backward(self, delta: Delta, cache: Any) -> Any:
        return self.answer(delta, cache) if self.rule == 2 else self.layer.backward(delta, cache[0])

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        if self.rule != 3:
            return self.layer.parameter_gradients(delta, cache[0])
        given: Any = self.answer(delta, cache)
        if self.one is None:
            return given
        return {**self.layer.parameter_gradients(delta, cache[0]), self.one: given}

    def answer(self, delta: Delta, kept: Any) -> Any:
        """What the function gives, its arguments handed over by name."""
        cache, z, z_next, arguments = kept
        held = {"delta": delta, "z": z, "z_next": z_next, "cache": cache}
        held |= dict(zip(self.taken, arguments, strict=False)) | self.options | self.layer.parameters()
        return self.function(**{name: held[name] for name in self.wanted})

    def __repr__(self) -> str:
        return label(self.layer)


def judged(asked: Asked, function: Callable[..., Any]) -> Verdict:
    """The verdict on an answer: tried at the arrays of the explanation first, then checked."""
    if not callable(function):
        raise TypeError(f"answer expects a function, such as lambda delta, z: ..., got {kind(function)}")
    if said := _misfit(asked, function):
        return Verdict(False, f"Not an answer yet: {asked}.\n{_wrapped(said)}")
    if asked.rule == 1:
        wrong = same_function(asked.node, function)
        what = "the same numbers as the layer's own, on this z and on others"
        return Verdict(not wrong, f"Not right: {asked}.\n{_wrapped(wrong)}" if wrong else f"Right: {asked}.\n  {what}")
    return _checked(asked, diagnose(Answered(asked, function), asked.node.z, *asked.node.arguments))


def _misfit(asked: Asked, function: Callable[..., Any]) -> str:
    """What is wrong with an answer before its numbers are looked at; "" where nothing is."""
    held = asked.at_hand()
    parameters = inspect.signature(function).parameters.values()
    unknown = [p.name for p in parameters if (p.name not in held and p.default is p.empty) or p.kind in (2, 4)]
    if unknown:
        return f"it takes {', '.join(unknown)}, and at hand are {', '.join(held)}: name what it takes after these"
    wanted = {p.name: copied(held[p.name]) for p in parameters if p.name in held}
    try:
        with np.errstate(all="ignore"):
            result = function(**wanted)
    except Exception as error:
        shapes = ", ".join(f"{name} {_shape(value)}" for name, value in wanted.items())
        return f"it raises {type(error).__name__}: {error}; with {shapes or 'nothing'}"
    if asked.rule == 3 and asked.name is None:
        return _misfit_of_gradients(asked, result)
    what = {1: "z_next", 2: "dC/dz", 3: f"dC/d{asked.name}"}[asked.rule]
    like = {1: "z_next", 2: "z", 3: asked.name or ""}[asked.rule]
    expected = {1: asked.node.z_next, 2: asked.node.z, 3: asked.node.parameters.get(asked.name or "")}[asked.rule]
    return _misfit_of_array(what, like if asked.rule != 1 else "", expected, result)


def _misfit_of_gradients(asked: Asked, result: Any) -> str:
    if not isinstance(result, dict) or result.keys() != asked.node.parameters.keys():
        got = f"the names {', '.join(map(str, result)) or 'of none'}" if isinstance(result, dict) else kind(result)
        return f"it must give a dictionary of {', '.join(asked.names)}, got {got}"
    for name, array in asked.node.parameters.items():
        if said := _misfit_of_array(f"dC/d{name}", name, array, result[name]):
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
    if shapes_of(result) != shapes_of(expected):
        of = f" that of {like}," if like else ""
        return f"it gives shape {shapes_of(result)}, and {what} has{of} {shapes_of(expected)}"
    return ""


def _checked(asked: Asked, diagnosis: Diagnosis) -> Verdict:
    """The checker's words on the rule that was asked for, and on no other."""
    named = {*asked.names, None} if asked.rule == 3 else None
    found = [f for f in diagnosis.findings if f.rule == asked.rule and (named is None or f.array in named)]
    wrong = [replace(f, source="") for f in found if f.cause not in HARMLESS]
    if wrong:
        return Verdict(False, "\n  ".join([f"Not right: {asked}.", *map(str, wrong)]), diagnosis)
    compared = [a for a in diagnosis.derivatives if a.rule == asked.rule and (named is None or a.array in named)]
    if not any(a.checked > a.undecided for a in compared):
        return Verdict(False, f"Not confirmed: {asked}.\n  {diagnosis.headline()}", diagnosis)
    lines = [f"d/d{a.array}: {a.checked} derivatives compared, {a.remarks()}" for a in compared]
    besides = [f"besides: {f.message}" for f in found]
    return Verdict(True, "\n  ".join([f"Right: {asked}.", *lines, *besides]), diagnosis)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 116, initial_indent="  ", subsequent_indent="  ")


def _shape(value: Any) -> str:
    return str(shapes_of(value)) if is_floating(value) or np.ndim(value) or np.isscalar(value) else kind(value)
