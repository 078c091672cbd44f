"""What is said, before it is text, LaTeX or HTML: sections of lines, each a formula with its shape and its numbers."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minigrad.explaining.tree import Tree
from minigrad.typing import Shapes

MOST = 4  # rows and columns of an array whose numbers are shown

Said: TypeAlias = tuple["str | Tree", ...]
"""A sentence, with formulas in it."""


class Hidden(NamedTuple):
    """In place of numbers that are to be found."""


class Line(NamedTuple):
    """A formula; or a heading, where there is none."""

    equation: Tree | None
    shape: Shapes | None = None
    value: Any = None  # an array whose numbers are shown, or Hidden
    said: tuple[Said, ...] = ()
    heading: str = ""
    rule: str = ""
    depth: int = 0


class Section(NamedTuple):
    """Lines under a title."""

    title: str
    said: tuple[Said, ...] = ()
    lines: tuple[Line, ...] = ()


def numbers(value: Any) -> list[list[str]] | None:
    """The numbers of an array of at most 4 x 4 as rows of words, None of a larger one."""
    array = np.asarray(value)
    if array.ndim > 2 or array.size == 0 or max(array.shape, default=1) > MOST or array.dtype.kind not in "biufc":
        return None
    return [[number(entry) for entry in row] for row in np.atleast_2d(array)]


def number(value: Any) -> str:
    """Four digits of a number."""
    if isinstance(value, bool | np.bool | int | np.integer):
        return str(int(value))
    if isinstance(value, complex | np.complexfloating):
        return f"{value.real:.4g}{value.imag:+.4g}i"
    value = value + 0.0  # no sign of zeros
    return f"{value:.4g}" if math.isfinite(value) else str(float(value))


def shape_words(shape: Shapes) -> str:
    """A shape in words: (5, 2), or those of a tuple of arrays, and that () is a number."""
    if shape == ():
        return "a number"
    return str(shape)
