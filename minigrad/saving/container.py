"""Arrays and a record in one file: a safetensors file that any reader of these opens, with checksums.

What minigrad adds to the format stands in its metadata, as texts:

    "sha256"      of the header, with zeros in its own place, then of each array in the order of the data
    "format"      "minigrad";   "version" "1";   "kind" "parameters", "model" or "checkpoint"
    "record"      JSON, see records.py
    "complex128"  names of arrays stored as pairs of F64, which the format lacks; where there are any
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from minigrad.checks import kind as kind_of
from minigrad.saving.atomic import write_all, write_atomically
from minigrad.saving.errors import DAMAGED, FITS, SMALLER, FileError, shown
from minigrad.saving.header import CODES, LONGEST, Entry, header_length, read_header
from minigrad.saving.records import PIECES, pieces, record_of, record_text, untagged
from minigrad.typing import Array

FORMAT, VERSION = "minigrad", "1"
KINDS = ("parameters", "model", "checkpoint")
_CHUNK = 2**20
_DIGEST = 64  # hexadecimal digits
_PREFIX = b'{"__metadata__":{"sha256":"'  # so that the checksum of the header stands at a known place


def save_arrays(path: Any, arrays: Mapping[str, Array], record: Mapping[str, Any] | None = None, *, kind: str) -> None:
    """Write arrays by name, and a record, atomically: the file at `path` is the whole old or the whole new one.

    `kind` says what the file is to load_arrays: "parameters", "model" or "checkpoint"; arrays of your own are
    "parameters".  Arrays are of real or complex floating types, integers or bool, of any layout.  The record is a
    dictionary of None, bool, int, float, str, list, tuple and dict.  TypeError and ValueError name what a file cannot
    hold, before any file is touched; OSError, as of a full disk, leaves the old file intact.
    """
    where = os.fsdecode(path)
    metadata = {"format": FORMAT, "version": VERSION, "kind": _require_kind(kind)}
    metadata["record"] = record_text("save_arrays", {} if record is None else record)
    stored = {_require_name(name): _require_array(name, array) for name, array in arrays.items()}
    head, order = _layout(stored, metadata)

    def fill(descriptor: int) -> None:
        import hashlib  # on use: importing minigrad loads little beyond NumPy

        write_all(descriptor, len(head).to_bytes(8, "little") + head)
        digests = b""
        for name in order:
            digest = hashlib.sha256()
            flat = np.ascontiguousarray(stored[name], stored[name].dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
            for start in range(0, flat.size, _CHUNK):
                # A copy: what is summed is what is written, also while another thread trains.
                chunk = flat[start : start + _CHUNK].tobytes()
                digest.update(chunk)
                write_all(descriptor, chunk)
            digests += digest.hexdigest().encode()
        whole = _with_digests(head, digests)
        os.lseek(descriptor, 0, os.SEEK_SET)
        write_all(descriptor, len(whole).to_bytes(8, "little") + whole)

    write_atomically(where, fill)


def load_arrays(path: Any, *, kind: str | None = None) -> tuple[dict[str, Array], dict[str, Any]]:
    """(arrays, record) of a file, all of it verified before anything is returned.

    `kind` is what the file is to be, any where None.  A safetensors file of another program holds "parameters", and
    no record; its bfloat16 becomes float32.  FileError names the field that is wrong.  Nothing in a file is ever run,
    and what it takes of memory is bounded by its size.
    """
    found, arrays, record = read_file(path)
    wanted = found if kind is None else _require_kind(kind)
    if (found or "parameters") != (wanted or "parameters"):
        got = f"{found!r}" if found else "a safetensors file of another program"
        fix = "load_model reads it" if found == "model" else "load_parameters takes the parameters out of it"
        raise FileError(os.fsdecode(path), "kind", f"to be {kind!r}", got, fix)
    return arrays, record


def read_file(path: Any) -> tuple[str | None, dict[str, Array], dict[str, Any]]:
    """(kind, arrays, record) of a file, verified; the kind of a file of another program is None."""
    where = os.fsdecode(path)
    if not stat.S_ISREG(os.stat(where).st_mode) and not os.path.isdir(where):
        raise FileError(where, "the file", "to be a regular file", "a device or a pipe", "copy it into a file first")
    with open(where, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(4096)
        file.seek(max(size - 4096, 0))
        length = header_length(where, start, file.read(4096), size)
        file.seek(8)
        head = bytearray(length)
        _fill(where, file, "header", memoryview(head))
        metadata, entries = read_header(where, bytes(head), size - 8 - length)
        digests = _digests(where, bytes(head), metadata, len(entries))
        record, pairs = _of_minigrad(where, metadata, entries) if digests else ({}, set())
        arrays: dict[str, Array] = {entry.name: np.empty(0) for entry in entries}  # in the order of the header
        for i, entry in enumerate(sorted(entries, key=lambda entry: (entry.start, entry.stop))):
            digest = digests[i + 1] if digests else ""
            try:
                arrays[entry.name] = _array(where, file, entry, digest, entry.name in pairs)
            except MemoryError:
                got = f"{entry.stop - entry.start} bytes"
                raise FileError(where, shown(entry.name), FITS, got, SMALLER) from None
    return (metadata["kind"] if digests else None), arrays, record


def _layout(arrays: dict[str, Array], metadata: dict[str, str]) -> tuple[bytes, list[str]]:
    """(the header with zeros for checksums, names in the order of the data)."""
    import json

    pairs = [name for name, array in arrays.items() if array.dtype == np.complex128]
    if pairs:
        metadata["complex128"] = json.dumps(pairs)
    # Wide types first, as in the reference implementation: so each array is aligned, without gaps.
    order = sorted(arrays, key=lambda name: -min(arrays[name].dtype.itemsize, 8))
    offsets, stop = {}, 0
    for name in order:
        offsets[name] = [stop, stop := stop + arrays[name].nbytes]
    header: dict[str, Any] = {"__metadata__": {"sha256": "0" * _DIGEST * (1 + len(arrays)), **metadata}}
    for name, array in arrays.items():
        complex128 = array.dtype == np.complex128
        code = "F64" if complex128 else CODES[array.dtype.newbyteorder("<")]
        shape = [*array.shape, 2] if complex128 else [*array.shape]
        header[name] = {"dtype": code, "shape": shape, "data_offsets": offsets[name]}
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    if len(head) > LONGEST or pieces(head) > PIECES:
        raise ValueError(
            f"save_arrays expects names and a record of at most {LONGEST} bytes and {PIECES} pieces as JSON, "
            f"got {len(head)} and {pieces(head)}: put many numbers into an array, and several arrays into one"
        )
    return head, order


def _with_digests(head: bytes, of_arrays: bytes) -> bytes:
    """The header with the checksums of the arrays, and its own, in their places."""
    at = len(_PREFIX)
    with_zeros = head[: at + _DIGEST] + of_arrays + head[at + _DIGEST + len(of_arrays) :]
    return with_zeros[:at] + _digest_of_header(with_zeros).encode() + with_zeros[at + _DIGEST :]


def _digest_of_header(head: bytes) -> str:
    import hashlib

    at = len(_PREFIX)
    with_zeros = head[:at] + b"0" * _DIGEST + head[at + _DIGEST :]
    return hashlib.sha256(len(head).to_bytes(8, "little") + with_zeros).hexdigest()


def _digests(path: str, head: bytes, metadata: dict[str, str], count: int) -> list[str]:
    """The checksums of header and arrays, the first one verified; none in a file of another program."""
    if metadata.get("format") != FORMAT and not head.startswith(_PREFIX):
        return []
    if metadata.get("format") != FORMAT:
        raise FileError(path, "__metadata__.format", f"to be {FORMAT!r}", shown(metadata.get("format")))
    version = metadata.get("version")
    if version != VERSION:
        newer = "a newer minigrad wrote it: update minigrad"
        fix = newer if version is not None and version.isdigit() and version > VERSION else DAMAGED
        raise FileError(path, "__metadata__.version", f"to be {VERSION!r}", shown(version), fix)
    text = metadata.get("sha256", "")
    if not head.startswith(_PREFIX) or len(text) != _DIGEST * (1 + count):
        got = f"{len(text)} digits" if head.startswith(_PREFIX) else "none at the beginning"
        raise FileError(path, "__metadata__.sha256", f"to be checksums of the header and {count} arrays", got)
    found = _digest_of_header(head)
    if text[:_DIGEST] != found:
        raise FileError(path, "header", f"of SHA-256 {shown(text[:16])}...", f"{found[:16]!r}...")
    return [text[i : i + _DIGEST] for i in range(0, len(text), _DIGEST)]


def _of_minigrad(path: str, metadata: dict[str, str], entries: list[Entry]) -> tuple[dict[str, Any], set[str]]:
    """(record, names of arrays of complex128) of a file that minigrad wrote."""
    if metadata.get("kind") not in KINDS:
        raise FileError(path, "__metadata__.kind", f"to be one of {', '.join(KINDS)}", shown(metadata.get("kind")))
    try:
        record = untagged(record_of(metadata.get("record", "")))
        pairs = record_of(metadata.get("complex128", "[]"))
    except ValueError as error:
        raise FileError(path, "__metadata__.record", "to be the JSON of a record", error) from None
    if not isinstance(record, dict):
        raise FileError(path, "__metadata__.record", "to be an object", shown(record))
    known = {entry.name for entry in entries if entry.code == "F64" and entry.shape[-1:] == (2,)}
    if not isinstance(pairs, list) or not all(isinstance(name, str) and name in known for name in pairs):
        raise FileError(path, "__metadata__.complex128", "to name arrays of pairs of F64", shown(pairs))
    return record, set(pairs)


def _array(path: str, file: BinaryIO, entry: Entry, digest: str, paired: bool) -> Array:
    """One array, read and verified."""
    import hashlib

    array = np.empty(entry.shape, entry.dtype)
    view = memoryview(array.reshape(-1).view(np.uint8).data) if array.size else memoryview(b"")
    sums = hashlib.sha256()
    for start in range(0, len(view), _CHUNK):
        chunk = view[start : start + _CHUNK]
        _fill(path, file, shown(entry.name), chunk)
        if digest:
            sums.update(chunk)
    if digest and sums.hexdigest() != digest:
        expected = f"of SHA-256 {digest[:16]!r}..."
        raise FileError(path, shown(entry.name), expected, f"{sums.hexdigest()[:16]!r}...")
    if entry.code == "BOOL" and array.size and array.view(np.uint8).max() > 1:
        raise FileError(path, shown(entry.name), "to be bytes of 0 and 1", f"{array.view(np.uint8).max()}")
    if entry.code == "BF16":
        wide = array.astype(np.uint32)
        wide <<= 16
        array = wide.view(np.float32)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return array.view(np.complex128).reshape(array.shape[:-1]) if paired else array


def _fill(path: str, file: BinaryIO, field: str, view: memoryview) -> None:
    read = file.readinto(view)  # type: ignore[attr-defined]
    if read != len(view):
        raise FileError(path, field, f"of {len(view)} bytes more", f"{read}", "the file changed while it was read")


def _require_kind(kind: Any) -> str:
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"save_arrays and load_arrays expect kind to be one of {', '.join(KINDS)}, got {kind!r}")
    return kind


def _require_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"save_arrays expects names of arrays to be strings, got {name!r}")
    if name == "__metadata__" or not name or not name.isprintable():
        raise ValueError(f"save_arrays expects names of arrays that can be printed, got {name!r}: give it another name")
    return name


def _require_array(name: str, array: Any) -> Array:
    plain = isinstance(array, np.ndarray | np.generic) and not isinstance(array, np.matrix | np.ma.MaskedArray)
    if not plain:
        raise TypeError(f"save_arrays expects {name!r} to be a NumPy array, got {kind_of(array)}: np.asarray({name})")
    stored = np.asarray(array)
    if not stored.dtype.isnative:
        stored = stored.astype(stored.dtype.newbyteorder("="))
    if stored.dtype != np.complex128 and stored.dtype.newbyteorder("<") not in CODES:
        types = "floating types of 16, 32 or 64 bits, complex of them, integers and bool"
        raise TypeError(f"save_arrays expects {name!r} of {types}, got {stored.dtype}: astype brings it to one of them")
    return stored
