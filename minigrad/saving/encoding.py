"""A model as a record: the objects that it is made of, in one table, which refer to each other by number.

    objects    {"class": name, "module": module or None where built in, "attributes": {name: value}}, the model first;
               {"list": [values]}, {"dict": [[key, value], ...]}, {"generator": name}
    values     None, bool, int, float, str, tuples of values, and {"object": number}, {"array": name},
               {"scalar": name}, {"named": class, "module": ..., "values": [...]}, {"slice": [...]},
               {"complex": [re, im]}, {"dtype": name}, {"scalar_type": name}, {"ellipsis": None}

Whatever stands in several places is one object there, and so it will be when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.checks import kind
from minigrad.layer import Layer
from minigrad.layers import LazyLayer
from minigrad.saving.classes import LONGEST_TEXT, attribute_fault, built_in, class_fault
from minigrad.saving.generators import bit_generator_state
from minigrad.saving.header import CODES
from minigrad.saving.sizes import references
from minigrad.saving.states import snapshot, state_generators
from minigrad.typing import Array

SCALAR_TYPES = {dtype.name: dtype.type for dtype in (*CODES, np.dtype(np.complex128))}


class Encoding:
    """The arrays and the record of a model.

    TypeError names the attribute that a file cannot hold, ValueError a layer whose width is still left out.
    """

    def __init__(self, model: Layer) -> None:
        self._built_in = built_in()
        self._numbers: dict[int, int] = {}  # of objects, by identity
        self._waiting: list[tuple[Any, str]] = []  # objects in the order of their numbers
        self._kept: list[Any] = []  # alive while their identities are used
        self._require_built(model)
        parameters_and_state, self.generators = snapshot(model)
        self.arrays: dict[str, Array] = dict(parameters_and_state)
        self._array_names = {id(array): name for name, array in self.arrays.items()}
        self._bit_names = {id(rng.bit_generator): name for name, rng in state_generators(model).items()}
        self.objects: list[dict[str, Any]] = []
        self._reference(model, type(model).__name__)
        while len(self.objects) < len(self._waiting):  # a loop: stacks may be deeper than Python's own
            self.objects.append(self._object(*self._waiting[len(self.objects)]))

    def _object(self, value: Any, place: str) -> dict[str, Any]:
        if type(value) is list:
            return {"list": [self._value(item, f"{place}[{i}]") for i, item in enumerate(value)]}
        if type(value) is dict:
            return {"dict": [[self._key(key, place), self._value(value[key], f"{place}[{key!r}]")] for key in value]}
        if isinstance(value, np.random.Generator):
            return {"generator": self._bits(value.bit_generator, place)}
        attributes = {}
        for name, item in vars(value).items():
            if fault := attribute_fault(type(value), name):
                raise TypeError(f"save_model cannot save {place}: its attribute {name!r} {fault}")
            attributes[name] = self._value(item, f"{place}.{name}")
        return {**self._class(type(value)), "attributes": attributes}

    def _key(self, key: Any, place: str) -> Any:
        """A key says what it is by itself: an object could not be looked up before it is whole."""
        encoded = self._value(key, f"a key of {place}")
        if any(True for _ in references(encoded)):
            raise TypeError(
                f"save_model cannot save a key of {place}, {kind(key)}: keys are numbers, strings and tuples of them"
            )
        return encoded

    def _value(self, value: Any, place: str, depth: int = 0) -> Any:
        if type(value) is str and len(value) > LONGEST_TEXT:
            raise ValueError(
                f"save_model cannot save {place}, a string of {len(value)} characters: at most {LONGEST_TEXT}; "
                "let a longer text stand in a file of its own"
            )
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) is np.ndarray:
            return {"array": self._array(value, place)}
        if isinstance(value, np.generic) and value.dtype.name in SCALAR_TYPES:
            return {"scalar": self._array(np.array(value), place)}
        if isinstance(value, tuple) and depth < 16:
            items = [self._value(item, f"{place}[{i}]", depth + 1) for i, item in enumerate(value)]
            if type(value) is tuple:
                return tuple(items)
            if (
                type(value).__new__ is not tuple.__new__
                and hasattr(value, "_fields")
                and not hasattr(value, "__dict__")
            ):
                found = self._class(type(value))
                return {"named": found["class"], "module": found["module"], "values": items}
        if type(value) is slice:
            return {"slice": [self._value(part, place, depth + 1) for part in (value.start, value.stop, value.step)]}
        if type(value) is complex:
            return {"complex": [value.real, value.imag]}
        if isinstance(value, np.dtype) and value.name in SCALAR_TYPES and value.isnative:
            return {"dtype": value.name}
        if isinstance(value, type) and SCALAR_TYPES.get(np.dtype(value).name if issubclass(value, np.generic) else ""):
            return {"scalar_type": np.dtype(value).name}
        if value is Ellipsis:
            return {"ellipsis": None}
        return self._reference(value, place)

    def _reference(self, value: Any, place: str) -> dict[str, int]:
        if id(value) not in self._numbers:
            if type(value) not in (list, dict, np.random.Generator):
                self._require_object(value, place)
            self._numbers[id(value)] = len(self._waiting)
            self._waiting.append((value, place))
        return {"object": self._numbers[id(value)]}

    def _require_object(self, value: Any, place: str) -> None:
        fault = "" if isinstance(value, type) else class_fault(type(value))
        if isinstance(value, type) or fault:
            why = f", which {fault}" if fault and not _instead(value) else ""
            fix = _instead(value) or "and no code; make it a method or a class of its own"
            raise TypeError(
                f"save_model cannot save {place}, {kind(value)}{why}: a file holds numbers, strings, arrays, "
                f"generators, layers, lists, tuples and dictionaries of them, {fix}"
            )
        self._require_built(value)

    def _require_built(self, value: Any) -> None:
        if isinstance(value, LazyLayer) and value._make is not None:
            raise ValueError(value._not_yet())

    def _class(self, value: type) -> dict[str, Any]:
        own = self._built_in.get(value.__name__) is value
        return (
            {"class": value.__name__, "module": None}
            if own
            else {
                "class": value.__qualname__,
                "module": value.__module__,
            }
        )

    def _array(self, array: Array, place: str) -> str:
        if array.dtype.kind not in "fciub" or array.dtype.name not in SCALAR_TYPES:
            raise TypeError(f"save_model cannot save {place}, {kind(array)}: astype gives an array of numbers or bool")
        if id(array) not in self._array_names:
            self._require_no_view(array, place)
            self._kept.append(array)
            self._array_names[id(array)] = name = _free(f"/{place}", self.arrays)
            self.arrays[name] = array
        return self._array_names[id(array)]

    def _require_no_view(self, array: Array, place: str) -> None:
        """It would come back as an array of its own, which training leaves behind."""
        for name, own in self.arrays.items():
            if "/" not in name and np.may_share_memory(array, own) and np.shares_memory(array, own):
                raise ValueError(
                    f"save_model cannot save {place}, which is a view of {name}: compute it in the rule, or make it a "
                    "property"
                )

    def _bits(self, bits: Any, place: str) -> str:
        if id(bits) not in self._bit_names:
            self._kept.append(bits)
            self._bit_names[id(bits)] = name = _free(f"/{place}", self.generators)
            self.generators[name] = bit_generator_state(place, bits)
        return self._bit_names[id(bits)]


def _instead(value: Any) -> str:
    """What to keep in the place of a value of a common kind that a file does not hold."""
    if isinstance(value, type):
        return ""
    if hasattr(type(value), "__members__"):  # an Enum
        return "so keep its value, an int or a string"
    if hasattr(value, "__fspath__"):
        return "so keep a string, str(path)"
    if isinstance(value, np.ndarray):
        return "so keep np.asarray of it"
    if isinstance(value, bytes | bytearray | memoryview):
        return "so keep a string, or an array of np.uint8"
    if isinstance(value, dict | int | float | str):
        return f"so keep a {next(base for base in (dict, int, float, str) if isinstance(value, base)).__name__} itself"
    if hasattr(type(value), "__iter__") and hasattr(type(value), "__len__") and not isinstance(value, Layer):
        return "so keep a list of its items, or a tuple"
    return ""


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """A name that is not taken: the two numbers of a slice have one place."""
    free = name
    while free in taken:
        free = f"{name}#{len(taken)}"
    return free
