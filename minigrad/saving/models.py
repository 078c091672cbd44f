"""Models in a file: architecture, weights and state of a stack of layers, without any code."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minigrad.checks import kind, require_layer
from minigrad.containers import Container
from minigrad.layer import Layer
from minigrad.saving.classes import require_classes
from minigrad.saving.container import load_arrays, save_arrays
from minigrad.saving.decoding import Decoding
from minigrad.saving.encoding import Encoding
from minigrad.saving.errors import FITS, SMALLER, FileError, cut, listed, shown
from minigrad.saving.header import LONGEST
from minigrad.saving.sizes import LARGEST, layers_in
from minigrad.saving.states import snapshot

DEEPEST = 2000  # stacks in each other


def save_model(model: Layer, path: Any) -> None:
    """Write a model, or a cost with its losses and penalties, to one file: every layer, its arrays and its generators.

    The file is a safetensors file: parameters and state stand in it under their dotted names, and load_parameters takes
    them out of it; the architecture is JSON in its metadata.  Arrays, layers and generators of several places are
    written once, and are one again when loaded.  Layers of your own are saved by their attributes; TypeError names one
    that is code, such as a function, and ValueError a layer whose width is still left out, before a file is touched.
    """
    require_layer(save_model, model)
    code = Encoding(model)
    if layers_in(code.objects) > LARGEST:
        raise ValueError(f"save_model expects at most {LARGEST} layers, counted at every place: save its parts apart")
    fortran = [name for name, a in code.arrays.items() if a.flags.f_contiguous and not a.flags.c_contiguous]
    record = {
        "objects": code.objects,
        "generators": code.generators,
        "parameters": list(model.parameters()),
        "fortran": fortran,  # products of the same numbers laid out otherwise differ in the last bit
    }
    save_arrays(path, code.arrays, record, kind="model")


def load_model(path: Any, *, classes: Iterable[type] | Mapping[str, type] = ()) -> Layer:
    """The model of a file that save_model wrote.

    Classes of minigrad are known; those of your own are passed, classes=[Scale], or by the name that the file has,
    {"Scale": NewScale}.  Their attributes are put in place without a call of __init__.  Nothing in the file is run or
    imported.  FileError names what is wrong, or the class that is not known.
    """
    named = require_classes(classes)
    where = os.fsdecode(path)
    try:
        return _model(where, named)
    except MemoryError:
        raise FileError(where, "record['objects']", FITS, "more", SMALLER) from None


def _model(where: str, named: Mapping[str, list[type]]) -> Layer:
    arrays, record = load_arrays(where, kind="model")
    fortran = record.get("fortran")
    if not isinstance(fortran, list) or not all(isinstance(name, str) and name in arrays for name in fortran):
        raise FileError(where, "record['fortran']", "to be names of arrays", shown(fortran))
    for name in fortran:
        arrays[name] = np.asfortranarray(arrays[name])
    try:
        model = Decoding(where, record, arrays, named).objects[0]
    except RecursionError:
        raise FileError(where, "record['objects']", "to be within each other", "an endless descent") from None
    if not isinstance(model, Layer):
        raise FileError(where, "record['objects'][0]", "to be a layer", type(model).__name__)
    _require_short_names(where, model)
    _require_agreement(where, model, arrays, record)
    return model


def _require_short_names(path: str, model: Layer) -> None:
    """All names of parameters and state, at all places, are together no longer than four headers.

    A name is put together from those of all layers around it: a short file can make long ones of many.
    """
    total = visits = 0
    waiting: list[tuple[Any, int, int]] = [(model, 0, 0)]
    while waiting and total <= 4 * LONGEST and visits <= LARGEST:
        layer, before, depth = waiting.pop()
        visits += 1
        try:
            own, inside = (*layer.parameter_names, *layer.state_names), []
            if isinstance(layer, Container) and depth < DEEPEST:  # beyond, Python itself says that it is too deep
                inside = list(layer.children())
            names = [*own, *(name for name, _ in inside)]
        except Exception:
            continue  # what is no layer is called so below
        if not all(isinstance(name, str | int) for name in names):
            raise FileError(path, "the names of layers", "to be strings", ", ".join({kind(name) for name in names}))
        total += sum(before + len(f"{name}") for name in own)
        waiting += [(child, before + len(f"{name}") + 1, depth + 1) for name, child in inside]
    if visits > LARGEST:  # more than there are: a stack stands within itself
        raise FileError(path, "record['objects']", "to be layers in each other", "an endless descent")
    if waiting:
        raise FileError(path, "the names of parameters", f"to be of at most {4 * LONGEST} characters in all", "more")


def _require_agreement(path: str, model: Layer, arrays: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """The parameters and the state of the model are the arrays of the file that have their names."""
    try:
        own, generators = snapshot(model)
        parameters = list(model.parameters())
    except MemoryError:
        raise
    except Exception as error:
        got = cut(f"{type(error).__name__}: {error}", 500)
        raise FileError(path, "record['objects']", "to be a model with parameters", got) from error
    in_file = {name: array for name, array in arrays.items() if "/" not in name}
    if parameters != record.get("parameters") or own.keys() != in_file.keys():
        expected = f"to be those of the model, {listed(own)}"
        raise FileError(path, "the names of parameters", expected, listed(in_file))
    for name, array in own.items():
        if array is not in_file[name]:
            raise FileError(path, shown(name), "to be what the model has under its name", "another array")
    if generators.keys() != {name for name in record["generators"] if "/" not in name}:
        expected = f"to be those of the model, {listed(generators)}"
        raise FileError(path, "the names of generators", expected, listed(record["generators"]))
