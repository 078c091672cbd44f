"""Formulas as plain text in Unicode: z³ = z² Wᵀ + b."""

from __future__ import annotations

from minigrad.explaining.letters import (
    ACCENTS,
    APPLIED,
    BINARY,
    BOARD,
    FENCES,
    OPERATORS,
    RELATIONS,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    SYMBOLS,
)
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
    items_of,
)

MACROS = {"z": "z", "y": "z_next", "d": "delta"}
BLANK = "____"


def as_text(tree: Tree) -> str:
    """A formula on one line."""
    match tree:
        case Symbol(name):
            return SYMBOLS.get(name, name)
        case Macro(name):
            return MACROS[name]
        case Number(text) | Function(text) | Words(text):
            return text
        case Operator(name):
            return OPERATORS[name]
        case Blank():
            return BLANK
        case Space():
            return "  "
        case Row(items):
            return _row(items)
        case Fraction(top, bottom):
            return f"{_factor(top)}/{_divisor(bottom)}"
        case Root(inside):
            return f"√{_divisor(inside)}"
        case Accent(name, inside):
            text = as_text(inside)
            return text + ACCENTS[name] if len(text) == 1 else f"{name}({text})"
        case Board(letters):
            return "".join(BOARD.get(letter, letter) for letter in letters)
        case Fence(left, inside, right):
            return f"{FENCES[left]}{as_text(inside)}{FENCES[right]}"
        case Scripts(base, sub, sup):
            return _scripts(base, sub, sup)


def _row(items: tuple[Tree, ...]) -> str:
    text = ""
    for i, item in enumerate(items):
        before = items[i - 1] if i else None
        said = as_text(item)
        if isinstance(item, Fraction) and len(items) > 1 and not _stands_alone(items, i):
            said = f"({said})"
        text += _gap(before, item, i < 2 or isinstance(items[i - 2], Operator)) + said
    return text


def _stands_alone(items: tuple[Tree, ...], i: int) -> bool:
    """Only signs of addition or relations stand beside it."""
    beside = [items[j] for j in (i - 1, i + 1) if 0 <= j < len(items)]
    loose = {"+", "-", ",", ".", ";", *RELATIONS}
    return all((isinstance(item, Operator) and item.name in loose) or isinstance(item, Space) for item in beside)


def _gap(before: Tree | None, item: Tree, first: bool) -> str:
    """What goes between two things; `first` where `before` is a sign with nothing on its left."""
    if before is None or isinstance(before, Space) or isinstance(item, Space):
        return ""
    if before == Symbol("partial"):
        return ""
    if isinstance(item, Operator):
        if item.name in (",", ";", ".", ":", "!", "/"):
            return ""
        return "" if item.name == "|" else " "
    if isinstance(before, Operator):
        if before.name in ("/", "|", "!"):
            return " " if before.name == "!" else ""
        return "" if first and before.name in ("+", "-") else " "
    if isinstance(item.base if isinstance(item, Scripts) else item, Fence):
        named = before.base if isinstance(before, Scripts) else before
        if isinstance(named, Function) or (isinstance(named, Symbol) and named.name in APPLIED):
            return ""
    return " "


def _scripts(base: Tree, sub: Tree | None, sup: Tree | None) -> str:
    text = as_text(base)
    if isinstance(base, Fraction | Row | Accent) and len(text) > 2:
        text = f"({text})"
    above = "" if sup is None else _raised(as_text(sup))
    below = "" if sub is None else _lowered(sub)
    # z³ₙ reads better than zₙ³, but of sums the lower limit comes first.
    limits = isinstance(base, Function) or base in (Symbol("sum"), Symbol("prod"))
    return text + (below + above if limits else above + below)


def _raised(text: str) -> str:
    if text == SYMBOLS["prime"]:
        return text
    tight = text.replace(" ", "")
    if all(letter in SUPERSCRIPTS for letter in tight):
        return "".join(SUPERSCRIPTS[letter] for letter in tight)
    return f"^{text}" if len(text) == 1 else f"^({text})"


def _lowered(sub: Tree) -> str:
    """ₙ where there is a letter for it, else [n, k] of indices."""
    text = as_text(sub)
    tight = text.replace(" ", "")
    if all(letter in SUBSCRIPTS for letter in tight):
        return "".join(SUBSCRIPTS[letter] for letter in tight)
    if any(item == Operator(",") or isinstance(item, Scripts) for item in items_of(sub)):
        return f"[{text}]"
    plain = "".join(as_text(item) for item in items_of(sub))
    return f"_{plain}" if plain.isalnum() else f"_({text})"


def _factor(tree: Tree) -> str:
    text = as_text(tree)
    sums = any(isinstance(item, Operator) and item.name in BINARY for item in items_of(tree))
    return f"({text})" if sums else text


def _divisor(tree: Tree) -> str:
    text = as_text(tree)
    one = len(items_of(tree)) == 1 or (isinstance(tree, Row) and tree.items[0] == Symbol("partial"))
    return text if one and not isinstance(tree, Fraction) else f"({text})"
