"""Formulas as MathML, which browsers set without any script."""

from __future__ import annotations

from html import escape

from minigrad.explaining.letters import APPLIED, BOARD, FENCES, OPERATORS, SYMBOLS
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

MACROS = {"z": "z", "y": "z_next", "d": "δ"}
UPRIGHT = {"infty", "top", "dots", "ldots", "cdots", "partial", "nabla", "prime"}
MARKS = {"hat": "^", "bar": "¯", "tilde": "~"}
APPLY, TIMES, THIN = "<mo>&#x2061;</mo>", "<mo>&#x2062;</mo>", '<mspace width="0.17em"/>'


def as_mathml(tree: Tree) -> str:
    """A formula as one <math>."""
    return f'<math displaystyle="true">{_of(tree)}</math>'


def _of(tree: Tree) -> str:
    match tree:
        case Symbol("sum" | "prod" as name):
            return f"<mo>{'∑' if name == 'sum' else '∏'}</mo>"
        case Symbol(name):
            upright = ' mathvariant="normal"' if name in UPRIGHT else ""
            return f"<mi{upright}>{SYMBOLS.get(name, name)}</mi>"
        case Macro(name):
            return f"<mi>{MACROS[name]}</mi>"
        case Number(digits):
            return f"<mn>{digits}</mn>"
        case Operator("-"):
            return "<mo>&#x2212;</mo>"
        case Operator(name):
            return f"<mo>{escape(OPERATORS[name])}</mo>"
        case Function(name):
            return f'<mi mathvariant="normal">{escape(name)}</mi>' if len(name) == 1 else f"<mi>{escape(name)}</mi>"
        case Words(text):
            return f"<mtext>{escape(text)}</mtext>"
        case Space():
            return '<mspace width="1em"/>'
        case Blank():
            return "<mtext>____</mtext>"
        case Row(items):
            return f"<mrow>{_row(items)}</mrow>"
        case Fraction(top, bottom):
            return f"<mfrac>{_of(top)}{_of(bottom)}</mfrac>"
        case Root(inside):
            return f"<msqrt>{_of(inside)}</msqrt>"
        case Accent(name, inside):
            return f'<mover accent="true">{_of(inside)}<mo stretchy="false">{MARKS[name]}</mo></mover>'
        case Board(letters):
            return f"<mi>{''.join(BOARD.get(letter, letter) for letter in letters)}</mi>"
        case Fence(left, inside, right):
            ends = [
                f'<mo fence="true" form="{form}" lspace="0" rspace="0">{FENCES[name]}</mo>' if name else ""
                for name, form in ((left, "prefix"), (right, "postfix"))
            ]
            return f"<mrow>{ends[0]}{_of(inside)}{ends[1]}</mrow>"
        case Scripts(base, sub, sup):
            of_base = _of(base)
            if sub is None or sup is None:
                tag = "msup" if sub is None else "msub"
                return f"<{tag}>{of_base}{_of(sub or sup or Row(()))}</{tag}>"
            return f"<msubsup>{of_base}{_of(sub)}{_of(sup)}</msubsup>"


def _row(items: tuple[Tree, ...]) -> str:
    text = ""
    for before, item in zip((None, *items), items, strict=False):
        if before is not None and not isinstance(before, Operator | Space) and not isinstance(item, Operator | Space):
            named = before.base if isinstance(before, Scripts) else before
            applied = isinstance(named, Function) or (
                isinstance(named, Symbol) and named.name in APPLIED and isinstance(item, Fence)
            )
            gap = "" if not applied or isinstance(item, Fence) else THIN
            text += "" if named in (Symbol("sum"), Symbol("prod")) else f"{APPLY}{gap}" if applied else TIMES
        text += _of(item)
    return text
