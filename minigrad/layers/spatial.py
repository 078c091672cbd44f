"""What the layers of sequences (N, C, L) and images (N, C, H, W) ask of their arguments and their input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import ShapeError, label
from minigrad.layers.windows import Window
from minigrad.shapes import require_shape
from minigrad.typing import Shape

AXES = {1: "length", 2: "height, width"}


def require_sizes(who: object, name: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """`value`, a whole number of `least` or more, or a tuple of `rank` of them, as a tuple (ValueError)."""
    sizes = tuple(value) if isinstance(value, tuple | list) else (value,) * rank
    if len(sizes) != rank or not all(_is_whole(size) and size >= least for size in sizes):
        expects = "a positive integer" if least else "an integer of 0 or more"
        axes = "" if rank == 1 else f", or {rank} of them, ({AXES[rank]})"
        raise ValueError(f"{label(who)} expects {name} to be {expects}{axes}, got {value!r}")
    return tuple(map(int, sizes))


def require_image_shape(layer: Any, shape: Shape, rank: int, channels: int | None = None) -> None:
    """`shape` is (N, C, L) or (N, C, H, W) of so many channels (ValueError)."""
    require_shape(layer, shape)
    if len(shape) == rank + 2 and channels in (None, shape[1]):
        return
    expects = f"{layer!r} expects z of shape (batch, {channels or 'channels'}, {AXES[rank]}), got {shape}"
    if len(shape) == rank + 1:
        fix = "a batch of one is z[np.newaxis]"
        if channels in (None, 1):
            fix += ", images of one channel are z[:, np.newaxis]"
    elif len(shape) != rank + 2:
        fix = f"it has {len(shape)} axes, not {rank + 2}"
    elif shape[-1] == channels:
        fix = "np.moveaxis(z, -1, 1) puts the channels, now last, in second place"
    else:
        fix = f"the second axis holds the channels, and {type(layer).__name__}({shape[1]}, ...) takes {shape[1]}"
    raise ShapeError(f"{expects}: {fix}")


def require_counts(layer: Any, shape: Shape, windows: Sequence[Window]) -> tuple[int, ...]:
    """How many windows there are along each spatial axis of `shape`: one or more (ValueError)."""
    lengths = shape[2:]
    counts = tuple(w.count(length) for w, length in zip(windows, lengths, strict=True))
    if min(counts) < 1:
        spans = by(w.span for w in windows)
        padded = by(w.before + length + w.after for w, length in zip(windows, lengths, strict=True))
        raise ShapeError(
            f"{layer!r} expects an input of at least its kernel, {spans}, got {padded} with the padding, "
            f"from z of shape {shape}: pad more, or take a smaller kernel or fewer layers that shrink the input"
        )
    return counts


def require_entries(layer: Any, shape: Shape) -> None:
    """An array of `shape` has something to pool (ValueError)."""
    if 0 in shape[2:]:
        raise ShapeError(f"{layer!r} expects spatial axes of one entry or more, got z of shape {shape}: crop less")


class Letters(NamedTuple):
    """The indices of windows in LaTeX: entry i, j of window r, s is [h, w] = `seen` of the axis."""

    windows: str  # r, s
    entries: str  # i, j
    axes: str  # h, w
    seen: str  # 2 r + i - 1, 2 s + j - 1
    here: str  # [h = 2 r + i - 1] [w = 2 s + j - 1]


def letters(windows: Sequence[Window]) -> Letters:
    """The indices of these windows."""
    names = list(zip("rs", "ij", "hw", windows, strict=False))
    return Letters(
        ", ".join(r for r, _, _, _ in names),
        ", ".join(i for _, i, _, _ in names),
        ", ".join(h for _, _, h, _ in names),
        ", ".join(w.place(r, i) for r, i, _, w in names),
        " ".join(f"[{h} = {w.place(r, i)}]" for r, i, h, w in names),
    )


def describe(*options: tuple[str, Any, int]) -> str:
    """What a repr says of sizes that are not as by default: ", stride 2, padding 1x0"."""
    words = ""
    for name, sizes, default in options:
        different = set(sizes) if isinstance(sizes, tuple) else {sizes}
        if different != {default}:
            words += f", {name} {by(sizes) if len(different) > 1 else different.pop()}"
    return words


def by(sizes: Iterable[Any]) -> str:
    """3x3."""
    return "x".join(map(str, sizes))


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
