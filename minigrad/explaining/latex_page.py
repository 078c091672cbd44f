r"""The sections as a fragment of a LaTeX document, for \usepackage{amsmath, amssymb}."""

from __future__ import annotations

from collections.abc import Sequence

from minigrad.explaining.as_latex import as_latex, escaped
from minigrad.explaining.document import Hidden, Line, Said, Section, numbers, shape_words
from minigrad.explaining.letters import SYMBOLS
from minigrad.explaining.parsing import parse
from minigrad.explaining.tree import Operator, Row, Tree, items_of

COMMANDS = {letter: rf"\ensuremath{{{as_latex(parse(chr(92) + name))}}}" for name, letter in SYMBOLS.items() if name}


WIDEST = 100  # letters of LaTeX, after which a line is broken


def latex_page(sections: Sequence[Section]) -> str:
    """All sections, one below the other; a column of formulas may go on on the next page."""
    return "{\\allowdisplaybreaks\n" + "\n\n".join(_section(section) for section in sections) + "\n\\par}"


def sentence(said: Said) -> str:
    """Words, and formulas between dollars."""
    return "".join(_words(part) if isinstance(part, str) else f"${as_latex(part)}$" for part in said)


def _words(text: str) -> str:
    return "".join(COMMANDS.get(c, c) if ord(c) > 127 else c for c in escaped(text)).replace("·", r"$\cdot$")


def _section(section: Section) -> str:
    blocks = [rf"\subsection*{{{_words(section.title)}}}"] if section.title else []
    blocks += [sentence(said) + "\n" for said in section.said]
    run: list[str] = []
    for line in (*section.lines, None):
        if run and (line is None or line.equation is None):
            blocks.append("\\begin{align*}\n" + " \\\\\n".join(run) + "\n\\end{align*}")
            run = []
        if line is None:
            break
        if line.equation is None:
            indent = rf"\hspace*{{{2 * line.depth}em}}" if line.depth else ""
            blocks.append(rf"\paragraph{{{indent}{_words(line.heading)}}}\leavevmode")
        else:
            run += _line(line)
    return "\n".join(blocks)


def _line(line: Line) -> list[str]:
    assert line.equation is not None
    left, right = _sides(line.equation)
    first, *further = _broken(right) if right is not None else [""]
    shape = "" if line.shape is None else rf" && \text{{{_words(shape_words(line.shape))}}}"
    rows = [f"{as_latex(left)} &{'= ' if right is not None else ''}{first}{shape}"]
    rows += [rf"&\quad {part}" for part in further]
    value = _value(line.value)
    rows += [f"&= {value}"] if value else []
    rows += [rf"& \parbox[t]{{0.6\linewidth}}{{\small {sentence(said)}}}" for said in line.said]
    return rows


def _broken(tree: Tree) -> list[str]:
    """A formula in lines, broken before a sign between its terms or factors."""
    lines = [""]
    for item in items_of(tree):
        if len(lines[-1]) > WIDEST and isinstance(item, Operator) and item.name in ("+", "-", "cdot"):
            lines.append("")
        lines[-1] += f" {as_latex(item)}"
    return [line.strip() for line in lines]


def _sides(tree: Tree) -> tuple[Tree, Tree | None]:
    """What stands to the left and to the right of the first =."""
    items = items_of(tree)
    if Operator("=") not in items:
        return tree, None
    i = items.index(Operator("="))
    return Row(items[:i]), Row(items[i + 1 :])


def _value(value: object) -> str:
    if isinstance(value, Hidden):
        return r"\underline{\hspace{3em}}"
    rows = None if value is None else numbers(value)
    if rows is None:
        return ""
    if len(rows) == 1 and len(rows[0]) == 1:
        return _number(rows[0][0])
    inside = r" \\ ".join(" & ".join(map(_number, cells)) for cells in rows)
    return rf"\begin{{pmatrix}} {inside} \end{{pmatrix}}"


def _number(word: str) -> str:
    """1e-05 as a power of ten; inf and nan as words."""
    digits, e, power = word.partition("e")
    if e:
        return rf"{digits} \cdot 10^{{{int(power)}}}"
    return {"inf": r"\infty", "-inf": r"-\infty", "nan": r"\text{NaN}"}.get(word, word)
