r"""From the LaTeX of `Formulas` to a tree.

A formula is things one after the other: letters, numbers, signs, \symbols and \functions, \frac{..}{..}, \sqrt{..},
\hat{..}, \text{..}, and what stands in (..), [..], |..|, {..} or \left( .. \right); each with _thing and ^thing after.
"""

from __future__ import annotations

import re
from functools import lru_cache

from minigrad.explaining.letters import ACCENTS, CLOSING, FUNCTIONS, OPENING, OPERATORS, SYMBOLS
from minigrad.explaining.tree import (
    Accent,
    Board,
    Fence,
    Fraction,
    Function,
    Macro,
    Number,
    Operator,
    Root,
    Row,
    Scripts,
    Space,
    Symbol,
    Tree,
    Words,
)

TOKEN = re.compile(r"\\(?:text|operatorname|mathrm|mathbb)\s*\{[^{}]*\}|\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|\S")
MACROS = {"z", "y", "d"}
SPACES = {"quad", "qquad", ",", ";", " ", ":", "!"}


class FormulaError(ValueError):
    """A formula that is not of the LaTeX that `explain` reads."""


@lru_cache(maxsize=1024)
def parse(source: str) -> Tree:
    """The tree of a formula (FormulaError).  A row of one thing is that thing."""
    parser = _Parser(source)
    tree = parser.row(())
    if parser.token is not None:
        raise parser.error(f"{parser.token} closes nothing")
    return tree


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = TOKEN.findall(source)
        self.place = 0

    @property
    def token(self) -> str | None:
        """The next, or None at the end."""
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def take(self) -> str:
        token = self.token
        if token is None:
            raise self.error("it ends too early")
        self.place += 1
        return token

    def error(self, what: str) -> FormulaError:
        return FormulaError(f"the formula {self.source!r} cannot be read: {what}")

    def row(self, until: tuple[str, ...]) -> Tree:
        """Things up to a closing token, which stays to be taken."""
        items: list[Tree] = []
        while (token := self.token) is not None and token not in until and not _closes(token):
            items.append(self.with_scripts(self.thing()))
        return items[0] if len(items) == 1 else Row(tuple(items))

    def with_scripts(self, base: Tree) -> Tree:
        scripts: dict[str, Tree] = {}
        while self.token in ("^", "_", "'"):
            prime = self.take()
            token = "^" if prime == "'" else prime
            if token in scripts:
                raise self.error(f"{token} twice in a row")
            scripts[token] = Symbol("prime") if prime == "'" else self.thing()
        return Scripts(base, scripts.get("_"), scripts.get("^")) if scripts else base

    def thing(self) -> Tree:
        token = self.take()
        if token.startswith("\\"):
            return self.command(token[1:])
        if token == "{":
            inside = self.row(("}",))
            self.expect("}")
            return inside
        if token == "|":
            return self.bars()
        if token in "([":
            return self.fence(token)
        if token[0].isdigit():
            return Number(token)
        if token.isascii() and token.isalpha():
            return Symbol(token)
        if token in OPERATORS:
            return Operator(token)
        raise self.error(f"{token} has nothing before it" if token in "^_" else f"{token} is not known here")

    def command(self, name: str) -> Tree:
        if name == "{":
            return self.fence(r"\{")
        word, brace, text = name.partition("{")
        if brace:
            text = text[:-1]
            word = word.strip()
            if word == "text":
                return Words(text)
            return Board(text.strip()) if word == "mathbb" else Function(text.strip())
        if name in MACROS:
            return Macro(name)
        if name in SYMBOLS:
            return Symbol(name)
        if name in FUNCTIONS:
            return Function(name)
        if name in ACCENTS:
            return Accent(name, self.group())
        if name == "frac":
            return Fraction(self.group(), self.group())
        if name == "sqrt":
            return Root(self.group())
        if name == "left":
            return self.sized()
        if name in SPACES:
            return Space()
        if name in OPERATORS:
            return Operator(name)
        if name in OPENING:
            return self.fence("\\" + name)
        if name == "|":
            return self.fence("\\|")
        raise self.error(rf"\{name} is not known: \operatorname{{{name}}} is a function, \text{{{name}}} a word")

    def group(self) -> Tree:
        if self.token != "{":
            raise self.error(f"{{...}} expected, got {self.token or 'its end'}")
        return self.thing()

    def fence(self, opening: str) -> Tree:
        bars = opening == r"\|"
        inside = self.row((r"\|",) if bars else ())
        closing = self.token
        if closing is None or closing in ("}", r"\right"):
            raise self.error(f"{opening} is not closed")
        self.take()
        return Fence("lVert", inside, "rVert") if bars else Fence(_bare(opening), inside, _bare(closing))

    def bars(self) -> Tree:
        """|...|, or one bar where there is no second."""
        start = self.place
        try:
            inside = self.row(("|",))
        except FormulaError:
            inside = None
        if inside is not None and self.token == "|" and self.place > start:
            self.take()
            return Fence("|", inside, "|")
        self.place = start
        return Operator("|")

    def sized(self) -> Tree:
        r"""\left ... \right, with any bracket, or a point for none, on each side."""
        left = self.take()
        inside = self.row(())
        self.expect(r"\right")
        return Fence(_bare(left), inside, _bare(self.take()))

    def expect(self, closing: str) -> None:
        if self.token != closing:
            raise self.error(f"{closing} expected, got {self.token or 'its end'}")
        self.take()


def _closes(token: str) -> bool:
    return token in (")", "]", "}", r"\right") or (token.startswith("\\") and token[1:] in CLOSING)


def _bare(token: str) -> str:
    return "" if token == "." else token.removeprefix("\\")
