"""Which classes a file may name: those of minigrad's layers, containers and losses, and those of the caller."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from minigrad.checks import kind
from minigrad.layer import Layer
from minigrad.layers import LATER

ROOMS = ("minigrad.containers", "minigrad.layers", "minigrad.losses", "minigrad.fusions")
LONGEST_TEXT = 10_000  # characters of a string in a model: names are put together from them, layer by layer


def built_in() -> dict[str, type]:
    """{name: class} of the classes that minigrad's own stacks are made of, the internal ones among them.

    The modules that hold them are loaded first; nothing is imported or looked up for the sake of a file.
    """
    for module_name in LATER:
        import_module(f"minigrad.layers.{module_name}")
    found: dict[str, type] = {}
    for module_name, module in list(sys.modules.items()):
        if module_name in ROOMS or module_name.startswith(tuple(f"{room}." for room in ROOMS)):
            for name, value in vars(module).items():
                if isinstance(value, type) and value.__module__ == module_name and name == value.__name__:
                    found[name] = value
    return found


def require_classes(classes: Iterable[type] | Mapping[str, type]) -> dict[str, list[type]]:
    """{name: classes of that name} of what a caller passed (TypeError)."""
    named: dict[str, list[type]] = {}
    if isinstance(classes, type | str) or not isinstance(classes, Iterable):
        raise TypeError(f"load_model expects classes in a list or {{name: class}}, got {kind(classes)}: classes=[...]")
    pairs = classes.items() if isinstance(classes, Mapping) else ((None, value) for value in classes)
    for name, value in pairs:
        if not isinstance(value, type):
            raise TypeError(f"load_model expects classes, got {kind(value)}: pass the class itself, not a layer of it")
        named.setdefault(value.__name__ if name is None else name, []).append(value)
    return named


def class_fault(value: type) -> str:
    """Why objects of a class cannot be saved by their attributes; "" if they can."""
    new: Any = value.__new__
    if new is not object.__new__ or not value.__flags__ & _HEAP_TYPE:
        return "is not made of attributes alone"
    slots = any(name not in ("__dict__", "__weakref__") for base in value.__mro__ for name in _slots(base))
    if slots or not value.__dictoffset__:
        return "has __slots__: leave them out"
    if value.__flags__ & _ABSTRACT:
        return "is abstract: pass one that has all its methods"
    says = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__")
    if any(name in vars(base) for base in value.__mro__[:-1] for name in says):
        return f"says by {', '.join(says)} how it is copied, which a file cannot do"
    return ""


def attribute_fault(value: type, name: Any) -> str:
    """Why an object of a class cannot have the attribute `name`; "" if it can."""
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("__"):
        return "is no name of an attribute"
    if len(name) > LONGEST_TEXT:
        return f"is longer than {LONGEST_TEXT} characters"
    of_class = getattr(value, name, None)
    if callable(of_class) and not isinstance(of_class, type | Layer):  # a layer may be the default of another
        return f"would hide the method of that name of {value.__name__}"
    return ""


_HEAP_TYPE = 1 << 9  # the class was made by a class statement
_ABSTRACT = 1 << 20  # and some of its methods are still abstract


def _slots(value: type) -> Iterable[str]:
    slots = vars(value).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else slots
