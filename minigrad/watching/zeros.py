"""Rule 1 of a model on zeros, before there are data: what goes where, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from minigrad.layer import Layer
from minigrad.losses import Loss
from minigrad.shapes import N, batch_of, is_shape, shapes_of, takes_more
from minigrad.typing import Shapes
from minigrad.watching.caches import cache_bytes
from minigrad.watching.passes import layers_by_place
from minigrad.watching.watched import Event, watch

FEW, MORE = 2, 3  # rows: of one, batch normalisation has no spread
FILLS = ((0, np.dtype(np.float64)), (1, np.dtype(np.float64)), (0, np.dtype(np.intp)))

Runs = dict[str, list[tuple[Shapes, Shapes]]]
"""{place: (shape of z, of z_next) for each run}, None where one is not known."""


class Rehearsal(NamedTuple):
    """What runs on zeros showed: a copy of the model with all its arrays, and by place the shapes and bytes of caches.

    `bytes` are those for few rows, for one more, and so on.  `failure` is the event of the rule that raised, before
    which all is known, and `fill` says on which numbers.
    """

    model: Layer
    shapes: Runs
    bytes: dict[str, tuple[int, ...]]
    failure: Event | None
    fill: str

    def bytes_of(self, place: str, rows: int) -> int | None:
        """What the cache at a place takes of a batch of `rows`; None where that is not known.

        So much for each row, so much besides, and so much for each pair of rows: what grows otherwise shows in a
        fourth run, and is not known.
        """
        if place not in self.bytes:  # it raised, or another does its work, and keeps what there is
            return None if self.failure else 0
        differences = list(_differences(self.bytes[place]))
        if any(differences[3:]):
            return None
        n = rows - FEW
        terms = zip(differences, (1, n, n * (n - 1) // 2), strict=False)
        return max(sum(difference * times for difference, times in terms), 0)

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """The places of caches that grow otherwise."""
        return tuple(place for place in self.bytes if self.bytes_of(place, 1) is None)

    def total_bytes(self, rows: int) -> int:
        """What all caches take that are known."""
        return sum(self.bytes_of(place, rows) or 0 for place in self.bytes)


def rehearse(model: Layer, input_shape: Any) -> Rehearsal:
    """Run rule 1 of a copy on a few rows of zeros, or of the batch that is given, in the type of the parameters.

    Where zeros are refused, ones may not be, or indices.
    """
    twin, events, number = _best_run(model, input_shape)  # it has made arrays that were still to be made
    arrays = [getattr(owner, name, None) for _, owner, name in twin.parameter_places()]
    types = [array.dtype for array in arrays if isinstance(array, np.ndarray)]
    dtype = _integer(events) or (np.result_type(*types) if types else np.dtype(np.float64))
    layers = list(layers_by_place(twin).values())
    done, found, failure = [], list[dict[str, int]](), None
    for rows in (FEW, MORE, MORE + 1, MORE + 2):
        if rows == MORE + 2 and not any(list(_differences(of))[2] for of in _together(found).values()):
            break
        _, run = _run(twin, _rows(input_shape, rows, number, dtype))
        failure = failure or next((event for event in run if event.error is not None), None)
        run = [event for event in run if event.error is None]
        found.append(cache_bytes(run, layers))
        done += [run] if rows <= MORE else []
        del run
    shapes: Runs = {}
    for event, other in zip(*done, strict=False):
        pair = ((shapes_of(e.given[0]), shapes_of(e.result)) for e in (event, other))
        (z, z_next), (more_z, more_next) = pair
        shapes.setdefault(event.place, []).append((_with_n(z, more_z), _with_n(z_next, more_next)))
    return Rehearsal(twin, shapes, _together(found), failure, "ones" if number else "zeros")


def needs_target(event: Event) -> bool:
    """Rule 1 raised since a layer was not given what it takes beside z, as a loss takes a target."""
    return isinstance(event.layer, Loss) or takes_more(event.layer)


def without_rows(shapes: Shapes) -> Shapes:
    """The same for a batch of any size: N for the first axis of each array."""
    return (N, *shapes[1:]) if is_shape(shapes) else tuple(map(without_rows, shapes))


def _together(found: list[dict[str, int]]) -> dict[str, tuple[int, ...]]:
    """By place the bytes of all runs, where each came so far."""
    return {place: tuple(each[place] for each in found) for place in found[0] if all(place in each for each in found)}


def _differences(numbers: tuple[int, ...]) -> Iterator[int]:
    """The first of the numbers, of their differences, of the differences of these, and so on."""
    while numbers:
        yield numbers[0]
        numbers = tuple(b - a for a, b in pairwise(numbers))


def _best_run(model: Layer, input_shape: Any) -> tuple[Layer, list[Event], int]:
    """That which comes furthest: on zeros, on ones, or on integers, as an embedding takes them."""
    best: tuple[Layer, list[Event], int] | None = None
    for number, dtype in FILLS:
        twin, events = _run(model, _rows(input_shape, FEW, number, dtype))
        if best is None or _count(events) > _count(best[1]):
            best = twin, events, number
        failure = next((event for event in events if event.error is not None), None)
        if failure is None or needs_target(failure):
            break
    assert best is not None
    return best


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


def _rows(input_shape: Any, rows: int, number: int, dtype: np.dtype[Any]) -> Any:
    """One number throughout; of a batch that is given, its rows, from the first on again where they are fewer."""
    if isinstance(input_shape, np.ndarray):
        return input_shape[np.arange(rows) % len(input_shape)]
    if input_shape and all(isinstance(part, tuple | np.ndarray) for part in input_shape):
        return tuple(_rows(part, rows, number, dtype) for part in input_shape)
    return batch_of(_rows, input_shape, rows, dtype) + dtype.type(number)


def _with_n(few: Shapes, more: Shapes) -> Shapes:
    """N for the sizes that are those of the batch in both runs; None where others grow with it."""
    if not is_shape(few):
        parts = tuple(_with_n(a, b) for a, b in zip(few, more, strict=False))
        return None if None in parts else parts
    sizes = tuple(N if (a, b) == (FEW, MORE) else a if a == b else None for a, b in zip(few, more, strict=False))
    return None if None in sizes else sizes
