"""Rule 1 of a model on zeros, before there are data: what goes where, and what is kept of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.layer import Layer
from minigrad.shapes import N, batch_of, is_shape, shapes_of
from minigrad.typing import Shapes
from minigrad.watching.caches import cache_bytes
from minigrad.watching.passes import layers_by_place
from minigrad.watching.watched import Event, watch

FEW, MORE = 2, 3  # rows: of one, batch normalisation has no spread


class Rehearsal(NamedTuple):
    """What runs on zeros showed: a copy of the model with all its arrays, and by place the shapes and bytes of caches.

    `shapes` are (z, z_next) for each run, `bytes` those for few rows and for one more.  `failure` is the event of the
    rule that raised, before which all is known.
    """

    model: Layer
    shapes: dict[str, list[tuple[Shapes, Shapes]]]
    bytes: dict[str, tuple[int, int]]
    failure: Event | None

    def bytes_of(self, place: str, rows: int) -> int | None:
        """What the cache at a place takes of a batch of `rows`: so much for each, and so much besides."""
        if place not in self.bytes:  # it raised, or another does its work, and keeps what there is
            return None if self.failure else 0
        few, more = self.bytes[place]
        return max(few + (rows - FEW) * (more - few), 0)

    def total_bytes(self, rows: int) -> int:
        """What all caches take that are known."""
        return sum(self.bytes_of(place, rows) or 0 for place in self.bytes)


def rehearse(model: Layer, input_shape: Any) -> Rehearsal:
    """Run rule 1 of a copy on a few rows of zeros, or of the batch that is given, in the type of the parameters."""
    twin, events = _best_run(model, input_shape)  # it has made arrays that were still to be made
    arrays = [getattr(owner, name, None) for _, owner, name in twin.parameter_places()]
    types = [array.dtype for array in arrays if isinstance(array, np.ndarray)]
    dtype = _integer(events) or (np.result_type(*types) if types else np.dtype(np.float64))
    runs = [_run(twin, _rows(input_shape, rows, dtype))[1] for rows in (FEW, MORE)]
    layers = list(layers_by_place(twin).values())
    done = [[event for event in run if event.error is None] for run in runs]
    few, more = (cache_bytes(run, layers) for run in done)
    shapes: dict[str, list[tuple[Shapes, Shapes]]] = {}
    for event, other in zip(*done, strict=False):
        pair = ((shapes_of(e.given[0]), shapes_of(e.result)) for e in (event, other))
        (z, z_next), (more_z, more_next) = pair
        shapes.setdefault(event.place, []).append((_with_n(z, more_z), _with_n(z_next, more_next)))
    failure = next((event for event in runs[0] if event.error is not None), None)
    return Rehearsal(twin, shapes, {place: (few[place], more[place]) for place in few if place in more}, failure)


def declared(model: Layer, shape: Shapes) -> dict[str, list[tuple[Shapes, Shapes]]]:
    """{place: (shape of z, of z_next) for each run} as the layers declare them; the errors of `check`."""
    events: list[Event] = []
    twin, _ = watch(model, events.append, ("output_shape",))
    twin.output_shape(shape)
    found: dict[str, list[tuple[Shapes, Shapes]]] = {}
    for event in events:
        found.setdefault(event.place, []).append((event.given[0], event.result))
    return found


def without_rows(shapes: Shapes) -> Shapes:
    """The same for a batch of any size: N for the first axis of each array."""
    return (N, *shapes[1:]) if is_shape(shapes) else tuple(map(without_rows, shapes))


def with_rows(shapes: Shapes, rows: int) -> Shapes:
    """The same with so many rows for N."""
    if not is_shape(shapes):
        return tuple(with_rows(part, rows) for part in shapes)
    return tuple(rows if size is N else size for size in shapes)


def _best_run(model: Layer, input_shape: Any) -> tuple[Layer, list[Event]]:
    """On numbers, or where they are refused and integers are not, as by an embedding, on those."""
    twin, events = _run(model, _rows(input_shape, FEW, np.dtype(np.float64)))
    if events and events[-1].error is not None:
        other = _run(model, _rows(input_shape, FEW, np.dtype(np.intp)))
        if _count(other[1]) > _count(events):
            return other
    return twin, events


def _run(model: Layer, z: Any) -> tuple[Layer, list[Event]]:
    """Rule 1 of a copy, and what it reported, up to an error."""
    import warnings  # on use: importing minigrad loads little beyond NumPy

    events: list[Event] = []
    twin, release = watch(model, events.append)
    with warnings.catch_warnings(), np.errstate(all="ignore"):  # zeros need not be in the domain of every layer
        warnings.simplefilter("ignore")
        try:
            twin.forward(z)
        except Exception:
            if not events or events[-1].error is None:
                raise
    release()
    return twin, events


def _count(events: list[Event]) -> int:
    return sum(event.error is None for event in events)


def _integer(events: list[Event]) -> np.dtype[Any] | None:
    """The type of what went in, where that is of integers."""
    given = events[-1].given[0] if events else None
    dtype = getattr(given[0] if type(given) is tuple and given else given, "dtype", None)
    return dtype if dtype is not None and dtype.kind in "iu" else None


def _rows(input_shape: Any, rows: int, dtype: np.dtype[Any]) -> Any:
    """Zeros; of a batch that is given, its rows, from the first on again where they are fewer."""
    if isinstance(input_shape, np.ndarray):
        return input_shape[np.arange(rows) % len(input_shape)]
    if input_shape and all(isinstance(part, tuple | np.ndarray) for part in input_shape):
        return tuple(_rows(part, rows, dtype) for part in input_shape)
    return batch_of(_rows, input_shape, rows, dtype)


def _with_n(few: Shapes, more: Shapes) -> Shapes:
    """N for the sizes that are those of the batch in both runs."""
    if not is_shape(few):
        return tuple(_with_n(a, b) for a, b in zip(few, more, strict=False))
    return tuple(N if (a, b) == (FEW, MORE) else a for a, b in zip(few, more, strict=False))
