"""The reference: a page for each room, of what it says is public, from the docstrings."""

import importlib
import inspect
import pkgutil
from typing import Any

from docs.site.docstrings import as_markdown
from minigrad import Layer
from minigrad.testing.discovery import NotCheckedError, is_abstract, make

# From the foundation up, as imports run; what is left out is of no use to others.
ROOMS = [
    "typing",
    "layer",
    "containers",
    "kernels",
    "initializers",
    "layers",
    "losses",
    "building",
    "fusions",
    "derivatives",
    "existence",
    "parameters",
    "watching",
    "saving",
    "optim",
    "training",
    "mle",
    "testing",
    "explaining",
    "pictures",
]
BESIDE = {  # what is of use, and written on no class of the room
    "layer": "A layer that multiplies matrices also has `multiply_adds(shape) -> int`, for `summary`: "
    "[what it costs](../own-layer.md#what-it-costs-and-its-formulas)."
}
OF_LAYERS = {"containers", "layers", "losses"}


def pages() -> dict[str, str]:
    """{path: Markdown} of all rooms, and of a list of them."""
    written = {f"reference/{room}.md": page(room) for room in ROOMS}
    lines = ["# Reference", "", "The rooms in the order of their imports: each knows only those before it.", ""]
    lines += ["| room | |", "|---|---|"]
    for room in ROOMS:
        said = _escaped_cell(_summary(importlib.import_module(f"minigrad.{room}")))
        lines.append(f"| [`minigrad.{room}`]({room}.md) | {said} |")
    return {"reference/index.md": "\n".join(lines) + "\n", **written}


def page(room: str) -> str:
    """The names of one room, each with its docstring; `griffe_docstrings.py` adds the rules of layers."""
    module = importlib.import_module(f"minigrad.{room}")
    parts = [f"# minigrad.{room}", as_markdown(inspect.getdoc(module) or "")]
    parts += filter(None, [BESIDE.get(room)])
    for name in public_names(room):
        parts.append(f"::: {_path(module, name)}")
    return "\n\n".join(parts) + "\n"


def _path(module: Any, name: str) -> str:
    """Where a name is; of one that a file of the room has too, where it is written, since the file hides it."""
    files = {file.name for file in pkgutil.iter_modules(getattr(module, "__path__", []))}
    return f"{getattr(module, name).__module__ if name in files else module.__name__}.{name}"


def public_names(room: str) -> list[str]:
    """What the room exports, and of a room that is one file, what is written in it."""
    module = importlib.import_module(f"minigrad.{room}")
    if hasattr(module, "__all__"):
        names = [*module.__all__, *(name for names in getattr(module, "LATER", {}).values() for name in names)]
        return sorted(names, key=str.lower)
    return [name for name, value in vars(module).items() if not name.startswith("_") and _written_in(module, value)]


def formulas_of(thing: Any) -> Any:
    """The rules of a layer class in LaTeX, or of `instance_of` it; None of what has none."""
    if not (isinstance(thing, type) and issubclass(thing, Layer)) or is_abstract(thing):
        return None
    formulas = getattr(thing, "formulas", None)
    return getattr(instance_of(thing), "formulas", None) if isinstance(formulas, property) else formulas


def instance_of(thing: type) -> Any:
    """One that is made by trying, of a class whose formulas depend on the instance; None where there is none."""
    if not isinstance(getattr(thing, "formulas", None), property):
        return None
    try:
        return make(thing)[0]
    except NotCheckedError:
        return None


def _written_in(module: Any, value: Any) -> bool:
    is_written = inspect.isclass(value) or inspect.isfunction(value)
    return is_written and value.__module__ == module.__name__


def _summary(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def _escaped_cell(text: str) -> str:
    return as_markdown(text)
