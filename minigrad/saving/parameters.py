"""Parameters and state of a layer in a file, under their dotted names, as in a state dict of PyTorch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from minigrad.checks import kind as kind_of
from minigrad.checks import require_flag, require_layer
from minigrad.layer import Layer
from minigrad.saving.container import read_file, save_arrays
from minigrad.saving.errors import FileError, listed, shown
from minigrad.saving.restoring import Unmatched, restoring
from minigrad.saving.states import snapshot
from minigrad.typing import Array

Rename = Callable[[str], str] | Mapping[str, str]


def save_parameters(layer: Layer, path: Any, *, rename: Rename | None = None) -> None:
    """Write the parameters and the state of a layer, running statistics and random generators, to a safetensors file.

    Arrays stand in it under their dotted names, "0.weight", so that `safetensors.torch.load_file` gives a state dict.
    What several places share is written once, under the name of the first.  `rename` gives the names in the file for
    those here, as a function or as a mapping of their beginnings: {"0": "fc1"} makes "fc1.weight" of "0.weight", and
    load_parameters with {"fc1": "0"} goes back.

    ValueError where a parameter is not finite, or names are one after `rename`, TypeError where state is neither array
    nor generator; OSError leaves an old file intact.
    """
    require_layer(save_parameters, layer)
    arrays, generators = snapshot(layer)
    if rename is not None:
        arrays, generators = _renamed(save_parameters, os.fsdecode(path), arrays, generators, rename)
    save_arrays(path, arrays, {"generators": generators}, kind="parameters")


def load_parameters(layer: Layer, path: Any, *, strict: bool = True, rename: Rename | None = None) -> Unmatched:
    """Read parameters and state into a layer, in place: all of them, or none where FileError says what is wrong.

    The file is one of minigrad, of any kind, or of another program: a state dict of PyTorch that was saved as
    safetensors loads by name.  `rename` gives the names here for those in the file, as a function or as a mapping of
    their beginnings: {"encoder.fc1": "0"} makes "0.weight" of "encoder.fc1.weight".  Floating numbers are cast to the
    type that the layer has, integers to integers if they fit; complex numbers do not become real.

    With strict=False names that only one side has are left out, and returned as (missing, unexpected).  Generators are
    asked for only in files of minigrad, since others have none.
    """
    require_layer(load_parameters, layer)
    require_flag(load_parameters, "strict", strict)
    where = os.fsdecode(path)
    kind, arrays, record = read_file(where)
    generators = None
    if kind is not None:
        arrays = {name: array for name, array in arrays.items() if "/" not in name}
        generators = record.get("generators", {})
        if not isinstance(generators, dict):
            raise FileError(where, "record['generators']", "to be a dictionary", shown(generators))
        generators = {name: state for name, state in generators.items() if "/" not in name}
    if rename is not None:
        arrays, renamed = _renamed(load_parameters, where, arrays, generators or {}, rename)
        generators = None if generators is None else renamed
    write, unmatched = restoring(layer, arrays, generators, path=where, strict=strict)
    write()
    return unmatched


def _renamed(
    who: Any, path: str, arrays: dict[str, Array], generators: dict[str, Any], rename: Rename
) -> tuple[dict[str, Array], dict[str, Any]]:
    """(arrays, generators) under their new names."""
    names = _names(who, path, [*arrays, *generators], rename)
    return {names[name]: a for name, a in arrays.items()}, {names[name]: state for name, state in generators.items()}


def _names(who: Any, path: str, names: list[str], rename: Rename) -> dict[str, str]:
    """{name: new name}, where no two are one."""
    if isinstance(rename, Mapping):
        for start in rename:
            if not any(_begins(name, start) for name in names):
                raise FileError(
                    path,
                    "the names",
                    f"to begin with {start!r}, as rename says",
                    listed(names),
                    "a beginning ends before a dot: {'fc1': '0'}",
                )
        renamed = {name: _by_beginning(name, rename) for name in names}
    elif callable(rename):
        renamed = {name: rename(name) for name in names}
    else:
        raise TypeError(f"{who.__name__} expects rename to be a function or a mapping, got {kind_of(rename)}")
    taken: dict[str, str] = {}
    for name, new in renamed.items():
        if not isinstance(new, str):
            raise TypeError(f"{who.__name__} expects rename to give names, got {kind_of(new)} for {shown(name)}")
        if new in taken:
            got = f"{shown(new)} of both {shown(taken[new])} and {shown(name)}"
            raise FileError(path, "the names", "to differ after rename", got, "let rename give each another name")
        taken[new] = name
    return renamed


def _begins(name: str, start: str) -> bool:
    return name == start or name.startswith(f"{start}.")


def _by_beginning(name: str, beginnings: Mapping[str, str]) -> str:
    """The name with its longest beginning among `beginnings` replaced."""
    fitting = [start for start in beginnings if _begins(name, start)]
    if not fitting:
        return name
    longest = max(fitting, key=len)
    return f"{beginnings[longest]}{name[len(longest) :]}".lstrip(".")
