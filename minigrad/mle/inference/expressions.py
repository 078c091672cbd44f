"""Expressions: "2*x1 + x2 = 3" as linear forms in named parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from minigrad.typing import Array

NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
WORD = re.compile(r"[^\s=+*/(),`-][^=+*/(),`-]*[^\s=+*/(),`-]|[^\s=+*/(),`-]")  # what may have been meant as a name
GRAMMAR = "expected such as 'x1 = x2', 'x1 = x2 = 0' or '2*x1 + x2 = 3', with names of other signs in backticks"


class Token(NamedTuple):
    """`kind`: "name", "number" or the sign itself."""

    kind: str
    text: str


class Form(NamedTuple):
    """coefficients . params + constant."""

    coefficients: Array  # (m,)
    constant: float

    def plus(self, other: Form, factor: float = 1.0) -> Form:
        """The sum of this and `factor` times the other."""
        return Form(self.coefficients + factor * other.coefficients, self.constant + factor * other.constant)

    def times(self, factor: float) -> Form:
        """`factor` times this."""
        return Form(factor * self.coefficients, factor * self.constant)


def differences(text: str, names: Sequence[str]) -> list[Form]:
    """left - right of each equation in `text`; "a = b = c" is two of them, and a comma stands between others."""
    return [row for part in _split(_tokens(text, names), ",") for row in _rows(part, text, names)]


def _rows(tokens: list[Token], text: str, names: Sequence[str]) -> list[Form]:
    sides = [_Reader(side, text, names).whole() for side in _split(tokens, "=")]
    if len(sides) < 2:
        raise ValueError(f"no '=' in constraint {text!r}: {GRAMMAR}")
    rows = [left.plus(right, -1.0) for left, right in pairwise(sides)]
    for row in rows:
        if not row.coefficients.any():
            raise ValueError(f"no parameter is left in constraint {text!r}: {GRAMMAR}")
    return rows


def _split(tokens: list[Token], sign: str) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.kind == sign:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _tokens(text: str, names: Sequence[str]) -> list[Token]:
    tokens, at = [], 0
    while at < len(text):
        found = _next(text, at, names)
        if found is not None:
            tokens.append(found[0])
        at = at + 1 if found is None else found[1]
    return tokens


def _next(text: str, at: int, names: Sequence[str]) -> tuple[Token, int] | None:
    """The token that begins at `at`, and where it ends; None for a blank."""
    if text[at] == "`":
        end = text.find("`", at + 1)
        if end < 0:
            raise ValueError(f"a backtick without its pair in constraint {text!r}")
        name = text[at + 1 : end]
        if name not in names:
            raise _unknown(name, text, names)
        return Token("name", name), end + 1
    name = max((each for each in names if each and _stands(each, text, at)), key=len, default="")
    number = NUMBER.match(text, at)
    if name and (number is None or len(number[0]) < len(name)):
        _require_plain(name, text, names)
        return Token("name", name), at + len(name)
    if number is not None:
        if name:
            raise ValueError(
                f"{name!r} in constraint {text!r} is a number and a name: write `{name}` if it is the name"
            )
        if text[number.end() : number.end() + 1].isidentifier():
            raise _unknown(WORD.match(text, at)[0], text, names)  # type: ignore[index]
        return Token("number", number[0]), number.end()
    if text[at].isspace():
        return None
    if text[at] in "+-*/(),":
        return Token(text[at], text[at]), at + 1
    if text[at] == "=":
        return Token("=", "="), at + (2 if text[at : at + 2] == "==" else 1)
    word = WORD.match(text, at)
    raise _unknown(word[0] if word else text[at], text, names)


def _stands(name: str, text: str, at: int) -> bool:
    """`name` stands at `at`, and is not the beginning of a longer word."""
    end = at + len(name)
    goes_on = end < len(text) and _of_word(text[end]) and _of_word(name[-1])
    return text.startswith(name, at) and not goes_on


def _of_word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


def _require_plain(name: str, text: str, names: Sequence[str]) -> None:
    """`name` could not be read as an expression in other names: "a - b" beside "a" and "b" (ValueError)."""
    if not set(name) & set("+-*/=,"):
        return
    others = [each for each in names if each != name]
    try:
        for part in _split(_tokens(name, others), ","):
            for side in _split(part, "="):
                _Reader(side, name, others).whole()
    except ValueError:
        return
    raise ValueError(f"{name!r} in constraint {text!r} is a name, and a sum of names: write `{name}` if it is the name")


def _unknown(name: str, text: str, names: Sequence[str]) -> ValueError:
    near = get_close_matches(name, names, n=3)
    listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return ValueError(
        f"there is no parameter {name!r}, in constraint {text!r}: "
        + (f"did you mean {' or '.join(near)}?" if near else f"there are {listed}")
    )


class _Reader:
    """Form expressions: sum = product ((+ | -) product)*, product = part ((* | /) part)*."""

    def __init__(self, tokens: list[Token], text: str, names: Sequence[str]) -> None:
        self.tokens, self.text, self.names, self.at = tokens, text, names, 0

    def whole(self) -> Form:
        found = self.sum()
        if self.peek() is not None:
            raise self.error()
        return found

    def sum(self) -> Form:
        found = self.product()
        while self.peek() in ("+", "-"):
            factor = 1.0 if self.take().kind == "+" else -1.0
            found = found.plus(self.product(), factor)
        return found

    def product(self) -> Form:
        found = self.part()
        while self.peek() in ("*", "/"):
            divides = self.take().kind == "/"
            other = self.part()
            if not divides and not found.coefficients.any():
                found, other = other, found
            if other.coefficients.any() or (divides and not other.constant):
                raise ValueError(f"constraint {self.text!r} is not linear in the parameters: {GRAMMAR}")
            found = found.times(1 / other.constant if divides else other.constant)
        return found

    def part(self) -> Form:
        token = self.take()
        if token.kind in ("+", "-"):
            return self.part().times(1.0 if token.kind == "+" else -1.0)
        if token.kind == "(":
            found = self.sum()
            if self.peek() != ")":
                raise self.error()
            self.take()
            return found
        nothing = np.zeros(len(self.names))
        if token.kind == "number" and math.isfinite(float(token.text)):
            return Form(nothing, float(token.text))
        if token.kind == "name":
            nothing[self.names.index(token.text)] = 1.0
            return Form(nothing, 0.0)
        self.at -= 1
        raise self.error()

    def peek(self) -> str | None:
        return self.tokens[self.at].kind if self.at < len(self.tokens) else None

    def take(self) -> Token:
        if self.at == len(self.tokens):
            raise self.error()
        self.at += 1
        return self.tokens[self.at - 1]

    def error(self) -> ValueError:
        got = f"at {self.tokens[self.at].text!r}" if self.at < len(self.tokens) else "an end too early"
        return ValueError(f"constraint {self.text!r} cannot be read, {got}: {self.product_meant() or GRAMMAR}")

    def product_meant(self) -> str:
        """What to write for "2 x1"."""
        pair = self.tokens[max(self.at - 1, 0) : self.at + 1]
        if [token.kind for token in pair] != ["number", "name"]:
            return ""
        return f"write {pair[0].text}*{pair[1].text}"
