"""The header of a safetensors file: which array of what type and shape stands where.

    8 bytes      the length of the header, little-endian
    header       JSON: {"__metadata__": {name: text}, array name: {"dtype", "shape", "data_offsets"}, ...}
    data         the arrays in C order, little-endian, one after the other without a gap

https://github.com/huggingface/safetensors.  Everything is looked at here before an array is read.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minigrad.saving.errors import DAMAGED, FileError, shown
from minigrad.saving.foreign import known_format
from minigrad.saving.records import record_of

LONGEST = 16 * 2**20  # bytes of a header
DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "C64": "<c8",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
    "BF16": "<u2",  # the upper half of a float32
}
CODES = {np.dtype(text): code for code, text in DTYPES.items() if code != "BF16"}
_CONVERT = "convert it, tensor.float(), before it is saved"


class Entry(NamedTuple):
    """An array of the file: its bytes are those from `start` to `stop` of the data."""

    name: str
    code: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its bytes."""
        return np.dtype(DTYPES[self.code])


def header_length(path: str, start: bytes, end: bytes, size: int) -> int:
    """The length of the header of a file of `size` bytes that begins with `start` (FileError unless it has one)."""
    length = int.from_bytes(start[:8], "little")
    if len(start) > 8 and length <= min(LONGEST, size - 8) and start[8:9] == b"{":
        return length
    known = known_format(start, end)
    if known:
        raise FileError(path, "the file", "to be a safetensors file", *known)
    if size < 10:
        raise FileError(path, "the file", "to be a safetensors file, of 10 bytes or more", f"{size} bytes")
    if length > size - 8:
        got = f"{length} in a file of {size} bytes"
        raise FileError(path, "header length", f"to be at most the size of the file, {size - 8}", got)
    if length > LONGEST:
        fix = "keep numbers in arrays, and long texts in another file"
        raise FileError(path, "header length", f"to be at most {LONGEST}", length, fix)
    raise FileError(path, "header", "to begin with {", shown(start[8:9]))


def read_header(path: str, text: bytes, size: int) -> tuple[dict[str, str], list[Entry]]:
    """(metadata, arrays in the order of the header), of a file with `size` bytes of data (FileError)."""
    try:
        header = record_of(text)
    except ValueError as error:
        raise FileError(path, "header", "to be JSON", error) from None
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise FileError(path, "__metadata__", "to be an object of strings", shown(metadata))
    entries = [_entry(path, name, found) for name, found in header.items()]
    stop = 0
    for entry in sorted(entries, key=lambda entry: (entry.start, entry.stop)):
        if entry.start != stop:
            got = f"{[entry.start, entry.stop]}, {'an overlap' if entry.start < stop else 'a gap'}"
            raise FileError(
                path, f"{shown(entry.name)}.data_offsets", f"to begin where the last array ends, {stop}", got
            )
        stop = entry.stop
    if stop != size:
        fix = "the file was cut short: take another copy of it" if stop > size else DAMAGED
        raise FileError(path, "data", f"of {stop} bytes, as the header says", f"{size} bytes", fix)
    return metadata, entries


def _entry(path: str, name: str, found: Any) -> Entry:
    field = shown(name)
    if not isinstance(found, dict) or found.keys() != {"dtype", "shape", "data_offsets"}:
        raise FileError(path, field, "to have dtype, shape and data_offsets", shown(found))
    code, shape, offsets = found["dtype"], found["shape"], found["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise FileError(path, f"{field}.dtype", f"to be one of {', '.join(DTYPES)}", shown(code), _CONVERT)
    if not isinstance(shape, list) or not all(_is_size(n) for n in shape) or len(shape) > 64:
        raise FileError(path, f"{field}.shape", "to be a list of at most 64 sizes", shown(shape))
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_is_size(n) for n in offsets):
        raise FileError(path, f"{field}.data_offsets", "to be [start, stop]", shown(offsets))
    start, stop = offsets
    needed = math.prod(shape) * np.dtype(DTYPES[code]).itemsize
    # NumPy multiplies the sizes other than 0, and must not overflow in that.
    if math.prod(n for n in shape if n) >= 2**59 or stop - start != needed:
        got = f"{stop - start} bytes, from {start} to {stop}"
        raise FileError(path, f"{field}.data_offsets", f"to hold shape {shown(shape)} of {code}", got)
    return Entry(name, code, tuple(shape), start, stop)


def _is_size(n: Any) -> bool:
    return type(n) is int and 0 <= n < 2**62
