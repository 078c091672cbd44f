"""Offsets: known parts of the linear units."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.typing import Array


def centred(offset: Any, shape: tuple[int, int], coupled: bool, has_bias: bool) -> tuple[Array | None, Array]:
    """The offset (K, N) without what all rows share, and that, (K,): a bias cancels it before anything is rounded.

    Under a softmax, where a shift of all classes changes nothing, without that too.
    """
    rows, classes = shape
    if offset is None:
        return None, np.zeros(classes)
    by_class = np.broadcast_to(np.asarray(offset, dtype=float).reshape(rows, -1).T, (classes, rows))
    if coupled:
        by_class = by_class - by_class.mean(axis=0)
    if not has_bias:
        return by_class, np.zeros(classes)
    shift = by_class.mean(axis=1)
    return by_class - shift[:, np.newaxis], shift
