"""Hands the docstrings, as Markdown, to the reference; those of layers with their rules."""

import importlib

import griffe

from docs.site.docstrings import as_markdown
from docs.site.mathematics import rules
from docs.site.reference import OF_LAYERS, formulas_of


class AsMarkdown(griffe.Extension):
    """Every docstring that is read."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """One after the other."""
        if not obj.docstring:
            return
        obj.docstring.value = as_markdown(obj.docstring.value)
        if obj.is_class and obj.path.split(".")[1] in OF_LAYERS:
            formulas = formulas_of(getattr(importlib.import_module(obj.module.path), obj.name, None))
            if formulas:
                obj.docstring.value += f"\n\n{rules(formulas)}"
