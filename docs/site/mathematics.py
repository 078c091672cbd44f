r"""LaTeX as MathML, when the site is built: browsers show it without a script.

Of a page, $...$ and $$...$$; of a layer, its `formulas`, where \z, \y and \d stand for z, z_next and delta.
"""

import html
import re

from docs.site.spacing import spaced
from minigrad.typing import Formulas

MACROS = {"z": "z", "y": r"z_{\text{next}}", "d": r"\delta"}
# What latex2mathml takes for operators, and would set apart.
PLAIN = re.compile(r"<mo>(&#x02202;|&#x02207;)</mo>")
SPAN = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)


def mathml(latex: str, display: str = "inline") -> str:
    """`display` is inline or block (ValueError where a command is not known)."""
    from latex2mathml.converter import convert

    found = convert(latex, display=display)
    lost = re.findall(r"\\[A-Za-z]+", html.unescape(found)) + re.findall(r"<mi>&(?:amp;)?</mi>", found)
    if lost:
        raise ValueError(f"no MathML for {lost[0]} in {latex}")
    return spaced(PLAIN.sub(r"<mi>\1</mi>", found))


def with_mathml(content: str) -> str:
    """The HTML of a page with its mathematics in MathML."""

    def converted(match: re.Match[str]) -> str:
        latex = html.unescape(match[2]).strip()
        display = "inline" if latex.startswith(r"\(") else "block"
        return mathml(latex[2:-2].strip(), display)

    return SPAN.sub(converted, content)


def rules(formulas: Formulas) -> str:
    """A table of the three rules, in HTML whose mathematics `with_mathml` converts."""
    symbols = formulas.symbols
    rows = [
        ("1 forward", r"\y", formulas.forward),
        ("2 backward", r"\frac{\partial C}{\partial \z}", formulas.backward),
    ]
    for name, gradient in formulas.gradients.items():
        symbol = symbols.get(name, rf"\text{{{name}}}")
        rows.append(("3 parameters", rf"\frac{{\partial C}}{{\partial {symbol}}}", gradient))
    table = "".join(
        f'<tr><th scope="row">{rule}</th><td>{_span(f"{left} = {right}")}</td></tr>' for rule, left, right in rows
    )
    notes = [f"{_span(symbol)} is <code>{name}</code>" for name, symbol in symbols.items()]
    notes += [html.escape(formulas.where)] * bool(formulas.where)
    said = f"<p>{'; '.join(notes)}</p>" if notes else ""
    return f'<div class="rules"><table>{table}</table>{said}</div>'


def expanded(latex: str) -> str:
    r"""With z for \z, z_next for \y and delta for \d, in brackets where they are raised to a power."""
    for macro, meaning in MACROS.items():
        if macro == "y":
            latex = re.sub(r"\\y(?=\s*(\^|_))(?![A-Za-z])", lambda _: rf"({MACROS['y']})", latex)
        latex = re.sub(rf"\\{macro}(?![A-Za-z])", lambda _, meaning=meaning: meaning, latex)  # type: ignore[misc]
    return latex.replace("|", r"\vert ")


def _span(latex: str) -> str:
    return rf'<span class="arithmatex">\(\displaystyle {html.escape(expanded(latex))}\)</span>'
