r"""Formulas as LaTeX again, for amsmath."""

from __future__ import annotations

from minigrad.explaining.letters import FUNCTIONS, SYMBOLS
from minigrad.explaining.tree import (
    Accent,
    Blank,
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

MACROS = {"z": "z", "y": r"{z_{\mathrm{next}}}", "d": r"\delta"}
SPECIAL = {c: "\\" + c for c in "#$%&_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\^{}"}
SPECIAL |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}


def as_latex(tree: Tree) -> str:
    """A formula, without the $ around it."""
    match tree:
        case Symbol(name):
            return f"\\{name}" if name in SYMBOLS else name
        case Macro(name):
            return MACROS[name]
        case Number(digits):
            return digits
        case Operator(name):
            return f"\\{name}" if name.isalpha() else name
        case Function(name):
            return f"\\{name}" if name in FUNCTIONS else rf"\operatorname{{{escaped(name)}}}"
        case Words(text):
            return rf"\text{{{escaped(text)}}}"
        case Space():
            return r"\quad"
        case Blank():
            return r"\underline{\hspace{3em}}"
        case Row(items):
            return " ".join(as_latex(item) for item in items)
        case Fraction(top, bottom):
            return rf"\frac{{{as_latex(top)}}}{{{as_latex(bottom)}}}"
        case Root(inside):
            return rf"\sqrt{{{as_latex(inside)}}}"
        case Accent(name, inside):
            return rf"\{name}{{{as_latex(inside)}}}"
        case Board(letters):
            # There is no 1 in \mathbb.
            return rf"\mathbb{{{letters}}}" if letters.isalpha() else rf"\mathbf{{{letters}}}"
        case Fence(left, inside, right):
            return rf"\left{_bracket(left)} {as_latex(inside)} \right{_bracket(right)}"
        case Scripts(base, sub, sup):
            plain = isinstance(base, Symbol | Function | Fence | Macro | Number | Words)
            said = as_latex(base) if plain else f"{{{as_latex(base)}}}"
            said += "" if sub is None else f"_{{{as_latex(sub)}}}"
            return said + ("" if sup is None else f"^{{{as_latex(sup)}}}")


def escaped(text: str) -> str:
    """Words in which nothing is a command."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def _bracket(name: str) -> str:
    if not name:
        return "."
    return f"\\{name}" if name.isalpha() or name in "{}" else name
