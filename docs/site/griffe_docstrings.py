"""Hands the docstrings, as Markdown, to the reference: of layers with their rules, and of attributes the comments."""

import importlib
import re

import griffe

from docs.site.docstrings import as_markdown
from docs.site.mathematics import rules
from docs.site.reference import OF_LAYERS, formulas_of, instance_of


class AsMarkdown(griffe.Extension):
    """Every docstring that is read."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """One after the other."""
        if obj.name == "formulas" and obj.parent is not None and obj.parent.name != "Layer":
            obj.docstring = None  # the rules stand with the class
        elif obj.is_attribute and not obj.docstring and (said := _comment(obj)):
            obj.docstring = griffe.Docstring(said)
        if not obj.docstring:
            return
        obj.docstring.value = as_markdown(obj.docstring.value)
        if obj.is_class and obj.path.split(".")[1] in OF_LAYERS:
            thing = getattr(importlib.import_module(obj.module.path), obj.name, None)
            formulas = formulas_of(thing)
            if formulas:
                made = instance_of(thing)
                said = "" if made is None else f"The rules of `{' '.join(repr(made).split())}`:\n\n"
                obj.docstring.value += f"\n\n{said}{rules(formulas)}"


def _comment(attribute: griffe.Object) -> str:
    """What is said of an attribute of a class on its line, or on the lines above it, as a sentence."""
    if attribute.parent is None or not attribute.parent.is_class or attribute.lineno is None:
        return ""
    return comment(attribute.module.filepath.read_text().splitlines(), attribute.lineno)  # type: ignore[union-attr]


def comment(lines: list[str], number: int) -> str:
    """The comment of line `number`, counted from 1, as a sentence; else the one right above it."""
    if beside := re.search(r"  # (.*)$", lines[number - 1]):
        said = beside[1]
    else:
        above = number - 1
        while above and lines[above - 1].strip().startswith("# "):
            above -= 1
        said = " ".join(line.strip()[2:] for line in lines[above : number - 1])
    said = said.rstrip(".") + "." * bool(said)
    return said if "." in said.split(" ")[0] else said[:1].upper() + said[1:]
