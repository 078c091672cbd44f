"""The way back from a record to a model: objects are made bare, and their attributes put in.

Nothing that a file says is called, imported or looked up: classes come from a dictionary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from minigrad.saving.classes import LONGEST_TEXT, attribute_fault, built_in, class_fault
from minigrad.saving.encoding import SCALAR_TYPES
from minigrad.saving.errors import DAMAGED, FileError, listed, shown
from minigrad.saving.generators import generator_fault, new_bit_generator
from minigrad.saving.sizes import LARGEST, layers_in, references
from minigrad.typing import Array

ALIKE = 100  # keys of one hash in a dictionary: 1 and True are two


class Decoding:
    """The model that a record tells of, from its arrays and `classes`; FileError names the field that is wrong."""

    def __init__(
        self, path: str, record: Mapping[str, Any], arrays: Mapping[str, Array], classes: Mapping[str, list[type]]
    ) -> None:
        self.path = path
        self._built_in, self._classes = built_in(), classes
        self._arrays = arrays
        objects, states = record.get("objects"), record.get("generators")
        if not isinstance(objects, list) or not objects:
            self._refuse("record['objects']", "to be a list of objects", objects)
        if not isinstance(states, dict):
            self._refuse("record['generators']", "to be a dictionary", states)
        self._table = objects
        for name, state in states.items():
            if fault := generator_fault(state):
                raise FileError(path, f"the generator {shown(name)}", "to be the state of a generator", fault)
        self._bits = {name: new_bit_generator(state) for name, state in states.items()}
        if layers_in(objects) > LARGEST:
            expected = f"of at most {LARGEST} layers, counted at every place"
            raise FileError(path, "record['objects']", expected, "more", "save its parts apart")
        self.objects = [self._bare(i, entry) for i, entry in enumerate(objects)]
        for i, entry in enumerate(objects):
            self._furnish(self.objects[i], entry, f"record['objects'][{i}]")

    def _bare(self, i: int, entry: Any) -> Any:
        """An object without what is in it."""
        place = f"record['objects'][{i}]"
        keys = entry.keys() if isinstance(entry, dict) else None
        if keys == {"list"} and isinstance(entry["list"], list):
            return []
        if keys == {"dict"} and isinstance(entry["dict"], list):
            return {}
        if keys == {"generator"} and isinstance(entry["generator"], str) and entry["generator"] in self._bits:
            return np.random.Generator(self._bits[entry["generator"]])
        if keys == {"class", "module", "attributes"} and isinstance(entry["attributes"], dict):
            found = self._class(entry["class"], entry["module"], place)
            if fault := class_fault(found):
                raise FileError(self.path, place, "to be an object of attributes", f"{found.__name__}, which {fault}")
            return object.__new__(found)
        return self._refuse(place, "to be an object of a class, a list, a dictionary or a known generator", entry)

    def _furnish(self, thing: Any, entry: dict[str, Any], place: str) -> None:
        if "list" in entry:
            thing.extend(self._value(item, f"{place}[{i}]") for i, item in enumerate(entry["list"]))
        elif "dict" in entry:
            self._fill(thing, entry["dict"], place)
        elif "attributes" in entry:
            for name, item in entry["attributes"].items():
                if fault := attribute_fault(type(thing), name):
                    raise FileError(self.path, f"{place}.{shown(name)}", "to be an attribute", f"a name that {fault}")
                vars(thing)[name] = self._value(item, f"{place}.{name}")

    def _fill(self, thing: dict[Any, Any], pairs: list[Any], place: str) -> None:
        """Put pairs into a dictionary, after a look at the keys: many of one hash would take for ever."""
        keys, alike = [], Counter[int]()
        for pair in pairs:
            if not isinstance(pair, list) or len(pair) != 2:
                self._refuse(place, "to be pairs of key and value", pair)
            keys.append(self._value(pair[0], place))
            try:
                if any(True for _ in references(pair[0])):
                    raise TypeError("an object is no key")
                alike[hash(keys[-1])] += 1
            except Exception:  # also what a class of the caller raises
                self._refuse(place, "to have keys that can be keys", pair[0])
        if max(alike.values(), default=0) > ALIKE:
            self._refuse(place, f"to have at most {ALIKE} keys of one hash", max(alike.values()))
        thing.update(zip(keys, (self._value(pair[1], place) for pair in pairs), strict=True))

    def _value(self, value: Any, place: str) -> Any:
        if type(value) is str and len(value) > LONGEST_TEXT:
            self._refuse(place, f"to be at most {LONGEST_TEXT} characters", value)
        if type(value) is tuple:
            return tuple(self._value(item, f"{place}[{i}]") for i, item in enumerate(value))
        if isinstance(value, list):
            self._refuse(place, "to be a value, or a reference to what is in the file", value)
        if not isinstance(value, dict):
            return value
        tag, count = next(iter(value), ""), len(value)
        part = value.get(tag)
        if tag == "object" and count == 1 and type(part) is int and 0 <= part < len(self.objects):
            return self.objects[part]
        if tag in ("array", "scalar") and count == 1 and isinstance(part, str) and part in self._arrays:
            return self._arrays[part] if tag == "array" else self._arrays[part][()]
        if tag == "named" and count == 3 and isinstance(value.get("values"), list):
            return self._named(value, place)
        if tag == "slice" and count == 1 and isinstance(part, list) and len(part) == 3:
            return slice(*(self._value(item, place) for item in part))
        if tag == "complex" and count == 1 and isinstance(part, list) and [*map(type, part)] == [float, float]:
            return complex(*part)
        if tag in ("dtype", "scalar_type") and count == 1 and isinstance(part, str) and part in SCALAR_TYPES:
            return np.dtype(part) if tag == "dtype" else SCALAR_TYPES[part]
        if tag == "ellipsis" and count == 1:
            return ...
        return self._refuse(place, "to be a value, or a reference to what is in the file", value)

    def _named(self, value: dict[str, Any], place: str) -> Any:
        found = self._class(value["named"], value.get("module"), place)
        fields = getattr(found, "_fields", ())
        if not issubclass(found, tuple) or len(value["values"]) != len(fields):
            self._refuse(place, f"to be a tuple of the fields {fields}", value)
        return tuple.__new__(found, [self._value(item, place) for item in value["values"]])

    def _class(self, name: Any, module: Any, place: str) -> type:
        if isinstance(name, str) and module is None:
            if name in self._built_in:
                return self._built_in[name]
            fix = "a newer minigrad wrote the file: update minigrad"
            raise FileError(self.path, f"{place}['class']", "to be a class of minigrad", shown(name), fix)
        if not isinstance(name, str) or not isinstance(module, str):
            self._refuse(f"{place}['class']", "to be the names of a class and its module", [name, module])
        last = name.rpartition(".")[2]
        found = [
            one for key in {last, name, f"{module}.{last}", f"{module}.{name}"} for one in self._classes.get(key, [])
        ]
        if len(found) > 1:
            found = [one for one in found if (one.__module__, one.__qualname__) == (module, name)] or found
        if len(found) == 1:
            return found[0]
        passed = f"{len(found)} classes {shown(last)[1:-1]}" if found else listed(self._classes)
        fix = f"load_model(path, classes=[{shown(last)[1:-1]}]), of the class {shown(f'{module}.{name}')}"
        expected = f"to be one of minigrad or of those passed, {passed}"
        raise FileError(self.path, f"{place}['class']", expected, shown(last), fix)

    def _refuse(self, field: str, expected: str, got: Any, fix: str = DAMAGED) -> NoReturn:
        raise FileError(self.path, field, expected, shown(got), fix)
