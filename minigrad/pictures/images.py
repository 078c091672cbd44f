"""Weights as images: what each output looks for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.checks import kind
from minigrad.layer import Layer
from minigrad.pictures.canvas import canvas, clipped, dress, entitle
from minigrad.pictures.wording import MINUS, count, not_finite
from minigrad.typing import Array

MOST = 64  # images
CROSS = "\N{MULTIPLICATION SIGN}"
BENEATH: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top", "fontsize": 9}


def weight_images(
    weight: Layer | Array,
    shape: tuple[int, int],
    classes: Any = None,
    ax: Any = None,
    theme: str | None = None,
) -> Any:
    """The weights of each output as an image of `shape`, all on one scale that is even about 0.

    `weight` is (K, H W), (K, H, W) or (K, 1, H, W); of a layer, it is the lowest parameter of such a shape.  Red weighs
    for an output and blue against it, where a dot says so too; a cross is not finite.  `classes` are the names of the
    outputs.  The axes are returned, and hold one for each image.
    """
    height, width = _shape(shape)
    images = _images(weight, height, width)
    names = [str(k) for k in range(len(images))] if classes is None else [str(name) for name in classes]
    if len(names) != len(images):
        raise ValueError(f"weight_images expects a name for each of {len(images)} outputs, got {len(names)} classes")
    total, lost, images, names = len(images), not_finite(images), images[:MOST], names[:MOST]
    if not np.isfinite(images).any():
        raise ValueError(f"weight_images expects finite weights, got {lost}: find_nonfinite says where NaN arises")
    across = min(len(images), 5 if len(images) <= 10 else 8)
    down = math.ceil(len(images) / across)
    tall = min(max(height / width, 0.2), 5.0)
    aspect = "equal" if tall == height / width else "auto"  # what is longer has pixels that are not square
    gap, head = 0.14, 0.24 / tall  # between images, in widths and heights of one
    ax, colours = canvas(
        "weight_images",
        ax,
        theme,
        (max(1.35 * across + 1.3, 5.0), max(1.35 * tall * (down + head * (down - 1)) + 0.9, 3.0)),
    )
    ax.axis("off")
    bound = float(np.abs(images[np.isfinite(images)]).max(initial=0.0)) or 1.0
    wide, high = 0.94 / (across + gap * (across - 1)), 1 / (down + head * (down - 1))
    dot = 72 * 1.35 / width * 0.22
    for k, (image, name) in enumerate(zip(images, names, strict=True)):
        row, column = divmod(k, across)
        place = [column * wide * (1 + gap), 1 - (row + 1) * high - row * head * high, wide, high]
        panel = ax.inset_axes(place)
        dress(panel, colours)
        seen = np.where(np.isfinite(image), image, np.nan)
        drawn = panel.imshow(seen, cmap="RdBu_r", vmin=-bound, vmax=bound, interpolation="nearest", aspect=aspect)
        rows, columns = np.nonzero(seen < -0.05 * bound)
        dots = np.where(image[rows, columns] < -0.5 * bound, "#ffffff", "#10233f")
        panel.scatter(columns, rows, s=dot**2, c=list(dots), linewidths=0)
        rows, columns = np.nonzero(~np.isfinite(image))
        panel.scatter(columns, rows, s=(2 * dot) ** 2, marker="x", color=colours.ink)
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set(visible=True, color=colours.edge)
        panel.set_title(clipped(name, 14 if across > 2 else 28), fontsize=9.5, color=colours.ink, pad=3)
    scale = ax.inset_axes([0.965, 0.0, 0.022, 1.0])
    bar = ax.figure.colorbar(drawn, cax=scale)
    bar.outline.set_edgecolor(colours.edge)
    bar.set_label(f"weight: {MINUS} against, + for", color=colours.ink)
    scale.tick_params(colors=colours.edge, labelcolor=colours.muted, labelsize=9)
    shown = f"{count(total, 'output')}" + (f", the first {MOST}" if total > MOST else "")
    entitle(ax, colours, f"Weights as images of {height} by {width}, {shown}", room=22)
    if lost:
        ax.annotate(f"{CROSS}: {lost}", (0, 0), (0, -6), **BENEATH, color=colours.muted)
    return ax


def _shape(shape: Any) -> tuple[int, int]:
    sizes = tuple(shape) if isinstance(shape, tuple | list) else ()
    if len(sizes) != 2 or not all(isinstance(n, int | np.integer) and n > 0 for n in sizes):
        raise ValueError(f"weight_images expects the shape of an image, such as (8, 8), got {shape!r}")
    return int(sizes[0]), int(sizes[1])


def _images(weight: Any, height: int, width: int) -> Array:
    """(K, H, W), of an array or of the lowest parameter that can be seen as such."""
    expected = f"a weight of shape (K, {height * width}) or (K, {height}, {width})"
    if hasattr(weight, "parameters"):
        arrays = weight.parameters()
        fitting = [array for array in arrays.values() if _fits(array, height, width)]
        if not fitting:
            found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "no parameters"
            raise ValueError(
                f"weight_images expects {expected}, got {found}: pass the shape of one image, or the array"
            )
        weight = fitting[0]
    if not isinstance(weight, np.ndarray):
        raise TypeError(f"weight_images expects a layer or an array, got {kind(weight)}")
    if not _fits(weight, height, width):
        raise ValueError(f"weight_images expects {expected}, got {weight.shape}: pass the shape of one image")
    return np.real(weight).astype(float).reshape(-1, height, width)


def _fits(array: Array, height: int, width: int) -> bool:
    return (
        array.ndim > 1
        and len(array) > 0
        and array.shape[1:]
        in (
            (height * width,),
            (height, width),
            (1, height, width),
        )
    )
