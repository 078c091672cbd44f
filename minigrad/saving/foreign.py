"""Files of other formats, by their first bytes: what they are, and how a safetensors file is made of them."""

from __future__ import annotations

_FROM_TORCH = (
    "where it was made, safetensors.torch.save_file(torch.load(path, weights_only=True), 'model.safetensors'), "
    "of a state dict"
)
_FROM_NUMPY = "minigrad.save_arrays('arrays.safetensors', arrays, kind='parameters') writes arrays"
_UNPACK = "unpack it first"

_STARTS = (
    (b"\x93NUMPY", "a .npy file of NumPy", _FROM_NUMPY),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as of Keras or PyTables", _FROM_NUMPY),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", _UNPACK),
    (b"GGUF", "a GGUF file", "take the safetensors file of the same model"),
)


def known_format(start: bytes, end: bytes) -> tuple[str, str] | None:
    """(what a file is, how to get a safetensors file from it), from its first bytes and its last."""
    if not start:
        return "an empty file", "nothing was written into it: take another copy of it"
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        if b".npy" in start or b".npy" in end:
            return "a zip archive of .npy files, as of np.savez", f"np.load(path) reads it, {_FROM_NUMPY}"
        return "a zip archive, as of torch.save", _FROM_TORCH
    for magic, what, fix in _STARTS:
        if start.startswith(magic):
            return what, fix
    binary = start[:1] == b"\x80" and start[1:2] in b"\x01\x02\x03\x04\x05"
    if binary or (start[:1] in b"(c]}l\x00" and end.endswith(b".")):
        return (
            "a pickle, as of pickle, joblib or an old torch.save, which could run code and is not opened",
            _FROM_TORCH,
        )
    return None
