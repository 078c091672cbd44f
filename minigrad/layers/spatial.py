"""What the layers of sequences (N, C, L) and images (N, C, H, W) ask of their arguments and their input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minigrad.checks import label, require_floating
from minigrad.layers.windows import Window
from minigrad.typing import Array

AXES = {1: "length", 2: "height, width"}


def require_sizes(who: object, name: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """`value`, a whole number of `least` or more, or a tuple of `rank` of them, as a tuple (ValueError)."""
    sizes = tuple(value) if isinstance(value, tuple | list) else (value,) * rank
    if len(sizes) != rank or not all(_is_whole(size) and size >= least for size in sizes):
        expects = "a positive integer" if least else "an integer of 0 or more"
        axes = "" if rank == 1 else f", or {rank} of them, ({AXES[rank]})"
        raise ValueError(f"{label(who)} expects {name} to be {expects}{axes}, got {value!r}")
    return tuple(map(int, sizes))


def require_images(layer: Any, z: Any, rank: int, channels: int | None = None) -> None:
    """`z` is a floating array (N, C, L) or (N, C, H, W) of so many channels (TypeError, ValueError)."""
    require_floating(layer, z)
    if z.ndim == rank + 2 and channels in (None, z.shape[1]):
        return
    expects = f"{layer!r} expects z of shape (batch, {channels or 'channels'}, {AXES[rank]}), got {z.shape}"
    if z.ndim == rank + 1:
        one = "a batch of one is z[np.newaxis]"
        if channels in (None, 1):
            one += ", images of one channel are z[:, np.newaxis]"
        raise ValueError(f"{expects}: {one}")
    if z.ndim == rank + 2 and z.shape[-1] == channels:
        raise ValueError(f"{expects}: np.moveaxis(z, -1, 1) puts the channels, now last, in second place")
    fix = f"it has {z.ndim} axes, not {rank + 2}" if z.ndim != rank + 2 else "the second axis holds the channels"
    raise ValueError(f"{expects}: {fix}")


def require_counts(layer: Any, z: Any, windows: Sequence[Window]) -> tuple[int, ...]:
    """How many windows there are along each spatial axis of z: one or more (ValueError)."""
    lengths = z.shape[2:]
    counts = tuple(w.count(length) for w, length in zip(windows, lengths, strict=True))
    if min(counts) < 1:
        spans = by(w.span for w in windows)
        padded = by(w.before + length + w.after for w, length in zip(windows, lengths, strict=True))
        raise ValueError(
            f"{layer!r} expects an input of at least its kernel, {spans}, got {padded} with the padding, "
            f"from z of shape {z.shape}: pad more, or take a smaller kernel or fewer layers that shrink the input"
        )
    return counts


def require_entries(layer: Any, z: Array) -> None:
    """z has something to pool (ValueError)."""
    if 0 in z.shape[2:]:
        raise ValueError(f"{layer!r} expects spatial axes of one entry or more, got z of shape {z.shape}: crop less")


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
