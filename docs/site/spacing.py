"""Names of functions in MathML as TeX would set them: upright, and apart from what stands around them."""

import re
import xml.etree.ElementTree as ET

SCRIPTS = {"msub", "msup", "msubsup", "munder", "mover", "munderover"}
FIXED = SCRIPTS | {"mfrac", "mroot"}  # each child has its place: nothing may come between
THIN = "0.17em"
APPLIED = "\u2061"  # between a function and what it is applied to


def spaced(mathml: str) -> str:
    """The same, with log y and t log y where latex2mathml has logy and tlogy."""
    opening, inside = re.fullmatch(r"(<math[^>]*>)(.*)</math>", mathml, re.DOTALL).groups()  # type: ignore[union-attr]
    root = ET.fromstring(f"<math>{inside}</math>")
    for element in [*root.iter()]:
        if element.tag == "mo" and _is_word(element):
            element.tag = "mi"
            element.attrib.clear()
    for row in [*root.iter()]:
        if row.tag not in FIXED:
            row[:] = _row([*row])
    return opening + "".join(map(_written, root)) + "</math>"


def _row(elements: list[ET.Element]) -> list[ET.Element]:
    found: list[ET.Element] = []
    for i, element in enumerate(elements):
        if not _is_word(element):
            found.append(element)
            continue
        before, after = elements[i - 1] if i else None, elements[i + 1] if i + 1 < len(elements) else None
        if before is not None and not _is_word(before) and (not _is_operator(before) or _text(before) in (")", "]")):
            found.append(ET.Element("mspace", width=THIN))
        found.append(element)
        if after is not None and (not _is_operator(after) or _opens(after)):
            applied = ET.Element("mo")
            applied.text = APPLIED
            found.append(applied)
            found += [] if _opens(after) else [ET.Element("mspace", width=THIN)]
    return found


def _base(element: ET.Element) -> ET.Element:
    """What stands on the line."""
    return _base(element[0]) if element.tag in SCRIPTS else element


def _text(element: ET.Element) -> str:
    return (_base(element).text or "").strip()


def _is_word(element: ET.Element) -> bool:
    return _base(element).tag in ("mi", "mo") and re.fullmatch(r"[A-Za-z][A-Za-z0-9]+", _text(element)) is not None


def _is_operator(element: ET.Element) -> bool:
    return _base(element).tag in ("mo", "mspace")


def _opens(element: ET.Element) -> bool:
    """A bracket, or what stands between two."""
    first = element[0] if element.tag == "mrow" and len(element) else element
    return first.tag == "mo" and _text(first) in ("(", "[")


def _written(element: ET.Element) -> str:
    attributes = "".join(f' {name}="{value}"' for name, value in element.attrib.items())
    inside = _escaped(element.text) + "".join(_written(child) + _escaped(child.tail) for child in element)
    if not inside and element.tag == "mspace":
        return f"<{element.tag}{attributes} />"
    return f"<{element.tag}{attributes}>{inside}</{element.tag}>"


def _escaped(text: str | None) -> str:
    return re.sub(r"[^a-zA-Z0-9 .]", lambda match: f"&#x{ord(match[0]):05X};", text or "")
