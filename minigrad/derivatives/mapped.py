"""Arrays that are read from a file as they are used, and may be larger than memory."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def release(array: Any) -> None:
    """Give back the memory of what was read of `array`, where it is mapped from a file; it is read again when used.

    Of a tuple, that of each part.  Other arrays stay as they are, and so do those of mode "c", whose changes are in
    memory alone.  Only Linux promises to keep what was written to the others, so that nothing is done elsewhere.
    """
    if isinstance(array, tuple):
        for part in array:
            release(part)
    elif sys.platform == "linux" and (mapped := _mapped(array)) is not None and mapped.mode in ("r", "r+", "w+"):
        from mmap import MADV_DONTNEED  # on use: importing minigrad loads little beyond NumPy

        mapped._mmap.madvise(MADV_DONTNEED)


def _mapped(array: Any) -> Any:
    """The mapped array that `array` is, or is a view of; None where it is in memory."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and getattr(array, "_mmap", None) is not None:
            return array
        array = array.base
    return None
