"""What a cost and its data are, in plain values, so that two runs can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.containers import Container
from minigrad.derivatives.mapped import release
from minigrad.layer import Layer
from minigrad.losses import Penalized
from minigrad.typing import Array

ROWS, NUMBERS = 64, 4096  # of an array, and of each of its rows, that a checksum looks at


def described(cost: Layer) -> dict[str, Any]:
    """The class of every layer and its settings, by place: what stands in its attributes, but parameters and state."""
    trained = {id(array) for array in cost.parameters().values()} | {id(value) for value in cost.state().values()}
    found: dict[str, Any] = {}
    _describe(cost, "", trained, found)
    return found


def checksum(array: Array) -> str:
    """Of some numbers of some rows, spread over `array`."""
    import hashlib  # on use: importing minigrad loads little beyond NumPy

    digest = hashlib.sha256()
    rows = array if array.ndim else array.reshape(1)
    for i in range(0, len(rows), max(1, -(-len(rows) // ROWS))):
        digest.update(np.asarray(rows[i : i + 1].flat[:NUMBERS]).tobytes())
    release(array)
    return digest.hexdigest()[:16]


def _describe(layer: Any, place: str, trained: set[int], found: dict[str, Any]) -> None:
    parts: dict[str, Any] = dict(layer.children()) if isinstance(layer, Container) else {}
    if isinstance(layer, Penalized):
        parts |= {f"penalty {i}": penalty for i, penalty in enumerate(layer.penalties)}
    own = {name: value for name, value in vars(layer).items() if not (parts and name.startswith("_"))}
    settings = {name: _plain(value) for name, value in own.items() if id(value) not in trained}
    found[place or "all"] = {"class": type(layer).__name__} | {
        key: value for key, value in settings.items() if value is not None
    }
    for part, inner in parts.items():
        _describe(inner, f"{place}.{part}" if place else part, trained, found)


def _plain(value: Any) -> Any:
    """Numbers, texts, and checksums of arrays; None for what is neither, and for None."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {checksum(value)}" if value.dtype.kind != "O" else None
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list):
        parts = [_plain(part) for part in value]
        return parts if any(part is not None for part in parts) else None
    return value if isinstance(value, bool | int | float | str) else None
