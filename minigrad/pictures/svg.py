"""SVG: elements as text, and how wide text is before anyone has drawn it."""

from __future__ import annotations

from typing import Any

FONTS = "system-ui, 'DejaVu Sans', Arial, sans-serif"


def element(tag: str, *inside: str, **attributes: Any) -> str:
    """<tag attributes>inside</tag>; what is inside is SVG already, `words` make it of text.

    >>> element("text", words("a < b"), x=1.5, font_size=12, class_="ink")
    '<text x="1.5" font-size="12" class="ink">a &lt; b</text>'
    """
    given = "".join(
        f' {name.strip("_").replace("_", "-")}="{words(_value(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{given}>{''.join(inside)}</{tag}>" if inside else f"<{tag}{given}/>"


def words(text: str) -> str:
    """Text as XML has it: &, <, > and quotes escaped, and no character that XML forbids."""
    from html import escape

    return escape("".join(letter if _allowed(letter) else "\N{REPLACEMENT CHARACTER}" for letter in text))


def text(x: float, y: float, said: str, size: float = 12, bold: bool = False, **attributes: Any) -> str:
    """A line of text that starts, or as `text_anchor` says ends or has its middle, at x, with its foot at y."""
    weight = 600 if bold else None
    return element("text", words(said), x=x, y=y, font_size=size, font_weight=weight, **attributes)


def width(said: str, size: float = 12, bold: bool = False) -> float:
    """No less than the width of a line of text, in any of FONTS."""
    from unicodedata import combining, normalize

    letters = (letter for letter in normalize("NFD", said) if not combining(letter))
    return size * sum(_WIDTHS[bold].get(letter, _other(letter)) for letter in letters) / 100


def cut(said: str, room: float, size: float = 12, bold: bool = False) -> str:
    """Text that is no wider than `room`, with an ellipsis where some is left out."""
    if width(said, size, bold) <= room:
        return said
    kept = said
    while kept and width(kept + "…", size, bold) > room:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def end(said: str, room: float, size: float = 12) -> str:
    """Text that is no wider than `room`, with an ellipsis for what is left out at its start."""
    kept = said
    while kept and width(said if kept == said else "…" + kept, size) > room:
        kept = kept[1:]
    return kept if kept == said else "…" + kept


def lines(said: str, room: float, size: float = 12) -> list[str]:
    """Text broken between words into lines that are no wider than `room`."""
    broken: list[str] = []
    for word in said.split():
        longer = f"{broken[-1]} {word}" if broken else word
        if broken and width(longer, size) <= room:
            broken[-1] = longer
        else:
            broken.append(word)
    return broken


def _value(value: Any) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _allowed(letter: str) -> bool:
    code = ord(letter)
    return code in (9, 10, 13) or 32 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code > 0xFFFF


def _other(letter: str) -> float:
    """Of letters that are in no table: an em, and of pictures more."""
    return 140.0 if ord(letter) >= 0x1F000 else 105.0


def _by_letter(by_width: dict[int, str]) -> dict[str, int]:
    return {letter: size for size, letters in by_width.items() for letter in letters}


# In hundredths of an em, of DejaVu Sans, the widest of FONTS, rounded up.
_WIDTHS = {
    False: _by_letter(
        {
            30: "'IJijl",
            35: " ,./:;\\|·",
            40: "()-[]ft",
            45: "!r⁰¹²³⁴⁵⁶⁷⁸⁹",
            50: '"*_`\N{EN DASH}',
            55: "?csz∂",
            60: "FLkvxy",
            65: "$0123456789EPSTYabdeghnopqu{}δθ",
            70: "ABCKRVXZ",
            75: "NU",
            80: "&DGHOQ",
            85: "#+<=>^w~±\N{MULTIPLICATION SIGN}\N{MINUS SIGN}→↑↓∞",
            90: "M",
            100: "%@Wm…",
        }
    ),
    True: _by_letter(
        {
            35: " 'ijl",
            40: ",./:;IJ\\|·",
            45: "-f⁰¹²³⁴⁵⁶⁷⁸⁹",
            50: "!()[]_`rt\N{EN DASH}",
            55: '"*∂',
            60: "?csz",
            65: "Lx",
            70: "$0123456789EFTaekovyδθ",
            75: "CPSYZbdghnpqu{}",
            80: "ABKRVX",
            85: "#+<=>DGHNU^~±\N{MULTIPLICATION SIGN}\N{MINUS SIGN}→↑↓∞",
            90: "&OQ",
            95: "w",
            100: "@M…",
            105: "%m",
            115: "W",
        }
    ),
}
