"""The rows of a summary: each layer at its place, and what it adds to what stands above it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from minigrad.containers import Frozen
from minigrad.layer import Layer
from minigrad.losses import Penalized
from minigrad.shapes import with_rows
from minigrad.typing import Array, Shapes
from minigrad.watching.passes import is_built
from minigrad.watching.watched import parts_of
from minigrad.watching.zeros import Rehearsal, Runs


class SummaryRow(NamedTuple):
    """A layer at one place; None where something is not known.

    `shape` is that of z_next, with N for the batch.  `parameters` counts entries of the arrays that no row above it
    in the table has, and `shared` names the places of those that do; `frozen` are not trained.
    `is_container` says that others stand inside, which have rows of their own.  `multiply_adds` and
    `cache_bytes` are for one row; multiply-adds of a container those of all inside, None where it leaves them to them.
    """

    place: str
    depth: int
    layer: Layer
    is_container: bool
    name: str
    shape: Shapes | None
    parameters: int | None
    frozen: bool
    shared: tuple[str, ...]
    multiply_adds: int | None
    cache_bytes: int | None


def rows_of(rehearsed: Rehearsal, shapes: Runs) -> tuple[SummaryRow, ...]:
    """A row for each layer, outer ones before those inside; `shapes` are (z, z_next) of each run at a place."""
    trained = _ids(_trained(rehearsed.model))
    first: dict[int, str] = {}  # where each array stands first
    rows = []
    for place, depth, layer in _walk(rehearsed.model):
        own = own_parameters(layer)
        new = {id(array): array for array in (own or {}).values() if id(array) not in first}
        shared = dict.fromkeys(first[id(array)] for array in (own or {}).values() if id(array) in first)
        first |= dict.fromkeys(new, place)
        runs = shapes.get(place, [])
        rows.append(
            SummaryRow(
                place,
                depth,
                layer,
                bool(_inside(layer)),
                _name(layer),
                runs[-1][1] if runs else None,
                None if own is None else sum(array.size for array in new.values()),
                bool(own) and not any(id(array) in trained for array in (own or {}).values()),
                tuple(shared),
                _multiply_adds(layer, [z for z, _ in runs]),
                rehearsed.bytes_of(place, 1),
            )
        )
    outer = rows[0]
    if outer.is_container and not (outer.parameters or outer.multiply_adds is not None or outer.cache_bytes):
        return tuple(row._replace(depth=row.depth - 1) for row in rows[1:])
    return tuple(rows)


def total_multiply_adds(rows: tuple[SummaryRow, ...]) -> list[int | None]:
    """Those that add up to the whole; None where one is not known."""
    found: list[int | None] = []
    counted = -1  # the depth of a container that has counted what stands inside
    for row in rows:
        if 0 <= counted < row.depth:
            continue
        counted = -1
        if row.is_container and row.multiply_adds is None:
            continue
        found.append(row.multiply_adds)
        counted = row.depth if row.is_container else -1
    return found


def arrays_of(model: Layer) -> tuple[list[tuple[Array, bool]], list[Array]]:
    """(array, whether it is trained) for each parameter, and the arrays of state that are none; each array once."""
    trained = _ids(_trained(model))
    parameters = _once(_all_parameters(model))
    held = _ids(parameters)
    try:
        state = [value for value in model.state().values() if isinstance(value, np.ndarray)]
    except ValueError:  # arrays that are still to be made
        state = []
    return [(array, id(array) in trained) for array in parameters], [a for a in _once(state) if id(a) not in held]


def own_parameters(layer: Layer) -> dict[str, Array] | None:
    """Those that no layer inside holds; None where they are still to be made."""
    if not _inside(layer):
        return layer.parameters() if is_built(layer) else None
    return {name: getattr(layer, name) for name in layer.parameter_names}


def _inside(layer: Layer) -> list[tuple[str, Layer]]:
    return [("inner", layer.inner)] if isinstance(layer, Frozen) else parts_of(layer)


def _walk(layer: Layer, place: str = "", depth: int = 0) -> Iterator[tuple[str, int, Layer]]:
    """(place, depth, layer) for a layer and all inside, outer ones first."""
    if isinstance(layer, Penalized):  # its place is that of its cost
        layer = layer.cost
    yield place, depth, layer
    for name, part in _inside(layer):
        yield from _walk(part, f"{place}.{name}" if place else name, depth + 1)


def _trained(model: Layer) -> list[Array]:
    try:
        return list(model.parameters().values())
    except ValueError:  # arrays that are still to be made
        return _all_parameters(model)


def _all_parameters(model: Layer) -> list[Array]:
    return [array for _, _, layer in _walk(model) for array in (own_parameters(layer) or {}).values()]


def _once(arrays: list[Array]) -> list[Array]:
    return list({id(array): array for array in arrays}.values())


def _ids(arrays: list[Array]) -> set[int]:
    return {id(array) for array in arrays}


def _name(layer: Layer) -> str:
    return type(layer).__name__ if _inside(layer) else " ".join(repr(layer).split())


def _multiply_adds(layer: Layer, shapes: list[Shapes]) -> int | None:
    """Those that a layer says; of those of minigrad that say nothing, and multiply no matrices, 0."""
    says = getattr(layer, "multiply_adds", None)
    if says is not None:
        is_known = shapes and None not in shapes
        return sum(int(says(with_rows(shape, 1))) for shape in shapes) if is_known else None
    if _inside(layer):
        return None
    writer = next(kind for kind in type(layer).__mro__ if "forward" in vars(kind))
    return 0 if writer.__module__.startswith(("minigrad.layers", "minigrad.losses", "minigrad.containers")) else None
