"""An answer, put in place of the rule that was left blank, and checked by minigrad.testing."""

from __future__ import annotations

import copy
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from minigrad.checks import label
from minigrad.explaining.blank import Asked, parameters_at_hand
from minigrad.explaining.fitting import misfit, parameters_of
from minigrad.explaining.upwards import same_function
from minigrad.layer import Layer
from minigrad.testing.check import diagnose
from minigrad.testing.models import HARMLESS
from minigrad.testing.report import Agreement, Diagnosis, Finding
from minigrad.typing import Array, Delta, Gradients

HUGE = "numbers of size 1000"  # where the plain way to write a right rule may overflow


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
        self.rule, self.one = asked.rule, asked.name
        self.function, self.options = function, dict(asked.node.options)
        self.wanted = tuple(p.name for p in parameters_of(function) if p.name in asked.at_hand())
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
        own = self.layer.parameter_gradients(delta, cache[0])
        if self.rule != 3:
            return own
        given: Any = self.answer(delta, cache)
        if self.one is not None:
            given = {self.one: given}
        return {**own, **given} if isinstance(given, dict) else given

    def answer(self, delta: Delta, kept: Any) -> Any:
        """What the function gives, its arguments handed over by name."""
        cache, z, z_next, arguments = kept
        held = {"delta": delta, "z": z, "z_next": z_next, "cache": cache}
        held |= dict(zip(self.taken, arguments, strict=False)) | self.options | parameters_at_hand(self.layer)
        return self.function(**{name: held[name] for name in self.wanted})

    def __repr__(self) -> str:
        return label(self.layer)


def judged(asked: Asked, function: Callable[..., Any]) -> Verdict:
    """The verdict on an answer: tried at the arrays of the explanation first, then checked."""
    if said := misfit(asked, function):
        return Verdict(False, f"Not an answer yet: {asked}.\n{_wrapped(said)}")
    if asked.rule == 1:
        wrong, others = same_function(asked.node, function)
        if wrong:
            return Verdict(False, f"Not right: {asked}.\n{_wrapped(wrong)}")
        if not others:
            return Verdict(False, f"Not confirmed: {asked}.\n  the layer takes no other z that was tried")
        return Verdict(True, f"Right: {asked}.\n  the same numbers as the layer's own, on this z and on others")
    return _checked(asked, diagnose(Answered(asked, function), asked.node.z, *asked.node.arguments))


def _checked(asked: Asked, diagnosis: Diagnosis) -> Verdict:
    """The checker's words on the rule that was asked for, and on no other."""
    named = {*asked.names, None} if asked.rule == 3 else None
    found = [f for f in diagnosis.findings if f.rule == asked.rule and (named is None or f.array in named)]
    wrong = [replace(f, source="") for f in found if not _is_harmless(f)]
    if wrong:
        return Verdict(False, "\n  ".join([f"Not right: {asked}.", *map(str, wrong)]), diagnosis)
    compared = [
        replace(a, checked=a.checked - a.wrong, wrong=0)  # what is wrong is harmless, and said below
        for a in diagnosis.derivatives
        if a.rule == asked.rule and (named is None or a.array in named)
    ]
    lines = [f"d/d{a.array}: {f'{a.checked} derivatives compared, ' * (a.checked > 0)}{a.remarks()}" for a in compared]
    arrays = {a.array for a in compared}
    missing = [name for name in asked.names if name not in arrays] if asked.rule == 3 else []
    lines += [f"d/d{name}: not checked" for name in missing]
    if not compared or missing or not all(map(_is_told, compared)):
        return Verdict(
            False, "\n  ".join([f"Not confirmed: {asked}.", *(lines or ["no derivative was compared"])]), diagnosis
        )
    besides = [f"besides: {f.message}; seen with {f.case}" if f.case else f"besides: {f.message}" for f in found]
    return Verdict(True, "\n  ".join([f"Right: {asked}.", *lines, *besides]), diagnosis)


def _is_harmless(finding: Finding) -> bool:
    """The derivatives are right, and overflow, if at all, where numbers are huge."""
    return finding.cause in HARMLESS and (finding.cause != "unstable" or finding.case == HUGE)


def _is_told(agreement: Agreement) -> bool:
    return agreement.checked > agreement.undecided


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 116, initial_indent="  ", subsequent_indent="  ")
