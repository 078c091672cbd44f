"""A thousand broken files: each is refused by an error that names file and field; nothing is loaded, nothing run."""

import gzip
import hashlib
import io
import json
import math
import os
import pickle
import re
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from minigrad import BatchNorm1d, Dropout, Linear, ReLU, Sequential
from minigrad.saving import FileError, load_arrays, load_model, load_parameters, save_arrays, save_model
from minigrad.saving.header import read_header
from minigrad.saving.states import snapshot

PREFIX = len('{"__metadata__":{"sha256":"')


def model(rng=0):
    rng = np.random.default_rng(rng)
    stack = Sequential(Linear(6, 9, rng=rng), BatchNorm1d(9), Dropout(0.5, rng), ReLU(), Linear(9, 4, rng=rng))
    stack.forward(rng.normal(size=(8, 6)))
    return stack


def bits(layer):
    """All that training moves, to the bit."""
    values = {**layer.parameters(), **layer.state()}.values()
    return [v.tobytes() if isinstance(v, np.ndarray) else str(v.bit_generator.state) for v in values]


def sealed(header: dict, data: bytes, of_sums=lambda sums: sums) -> bytes:
    """A file of `header` and `data` whose checksums are right, written from the description of the format alone."""
    header = json.loads(json.dumps(header))
    arrays = sorted((v["data_offsets"] for k, v in header.items() if k != "__metadata__"))
    sums = "".join(hashlib.sha256(data[start:stop]).hexdigest() for start, stop in arrays)
    header["__metadata__"] = {**header["__metadata__"], "sha256": "0" * 64 + of_sums(sums)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    length = len(text).to_bytes(8, "little")
    own = hashlib.sha256(length + text).hexdigest().encode()
    return length + text[:PREFIX] + own + text[PREFIX + 64 :] + data


def opened(file: bytes) -> tuple[dict, bytes]:
    length = int.from_bytes(file[:8], "little")
    return json.loads(file[8 : 8 + length]), file[8 + length :]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of every kind, as bytes."""
    path = tmp_path_factory.mktemp("files") / "a"
    arrays, generators = snapshot(model())
    found = {}
    save_arrays(path, arrays, {"generators": generators}, kind="parameters")
    found["parameters"] = path.read_bytes()
    save_model(model(), path)
    found["model"] = path.read_bytes()
    record = {"generators": generators, "step": 3, "rate": math.inf, "history": (1.5, [2, 10**30])}
    vectors = {"optimizer/m": np.arange(50.0), "history/loss": np.ones(3, np.complex128), "best/x": np.zeros((2, 0))}
    save_arrays(path, arrays | vectors, record, kind="checkpoint")
    found["checkpoint"] = path.read_bytes()
    return found


LOADERS = {
    "parameters": [lambda path, into: load_parameters(into, path), lambda path, into: load_arrays(path)],
    "model": [lambda path, into: load_model(path), lambda path, into: load_parameters(into, path)],
    "checkpoint": [
        lambda path, into: load_arrays(path, kind="checkpoint"),
        lambda path, into: load_parameters(into, path),
    ],
}


def refused(tmp_path, broken: bytes, loaders, slack=2**22) -> str:
    """What is said of a broken file, after all that must hold of that was looked at."""
    path = tmp_path / "broken.safetensors"
    path.write_bytes(broken)
    into = model(1)
    before = bits(into)
    said = ""
    for load in loaders:
        tracemalloc.start()
        try:
            with pytest.raises(FileError) as caught:
                load(path, into)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        said = str(caught.value)
        assert said.startswith(f"{path}: expected {caught.value.field} ")
        assert ", got " in said
        assert len(said) < 3000
        assert peak < 4 * len(broken) + slack, f"{peak} bytes for a file of {len(broken)}"
        assert bits(into) == before
    return said


def test_the_oracle_of_the_format_agrees(files):
    for file in files.values():
        assert sealed(*opened(file)) == file


KINDS = ["parameters", "model", "checkpoint"]


@pytest.mark.parametrize("kind", KINDS)
def test_160_files_cut_short_or_longer(tmp_path, files, kind):
    file = files[kind]
    rng = np.random.default_rng(0)
    places = [*range(12), *range(len(file) - 12, len(file)), *rng.integers(12, len(file) - 12, 116)]
    for place in places:
        refused(tmp_path, file[:place], LOADERS[kind])
    for extra in range(20):
        refused(tmp_path, file + rng.bytes(extra + 1), LOADERS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_170_files_with_flipped_bits(tmp_path, files, kind):
    file = files[kind]
    rng = np.random.default_rng(1)
    for trial in range(170):
        broken = bytearray(file)
        region = [(0, 8), (8, 8 + PREFIX), (8, len(file)), (len(file) // 2, len(file))][trial % 4]
        for place in rng.choice(np.arange(*region), 1 + trial % 3, replace=False):
            broken[place] ^= 1 << int(rng.integers(8))
        refused(tmp_path, bytes(broken), LOADERS[kind])


def test_every_bit_of_a_small_file(tmp_path):
    path = tmp_path / "a"
    save_arrays(path, {"x": np.ones(2), "b": np.array([True, False])}, {"n": 1}, kind="parameters")
    file = path.read_bytes()
    for place in range(len(file)):
        for bit in range(8):
            broken = bytearray(file)
            broken[place] ^= 1 << bit
            path.write_bytes(broken)
            with pytest.raises(FileError, match=str(path)):
                load_arrays(path)


@pytest.mark.parametrize("kind", KINDS)
def test_20_files_with_blocks_in_the_wrong_place(tmp_path, files, kind):
    file = files[kind]
    rng = np.random.default_rng(2)
    done = 0
    while done < 20:
        a, b = sorted(int(place) for place in rng.integers(8, len(file) - 64, 2))
        size = int(rng.integers(1, 64))
        broken = bytearray(file)
        broken[a : a + size], broken[b : b + size] = (
            file[b : b + size],
            file[a : a + size] if done % 2 else b"\0" * size,
        )
        if bytes(broken) != file:
            refused(tmp_path, bytes(broken), LOADERS[kind])
            done += 1


def edits(header: dict, rng: np.random.Generator) -> dict:
    """{what is wrong: (changes a header, what the message says)}, of an array that is drawn."""
    names = [name for name in header if "/" not in name and name != "__metadata__"]
    name = names[rng.integers(len(names))]
    other = next(n for n in names if header[n]["data_offsets"][1] - header[n]["data_offsets"][0]
                 != header[name]["data_offsets"][1] - header[name]["data_offsets"][0])  # fmt: skip
    shape, (start, stop) = header[name]["shape"], header[name]["data_offsets"]
    later = next((n for n in names if header[n]["data_offsets"][0] == stop), None)
    about = f"'{name}'"

    def of(array=name, **values):
        return lambda header: header[array].update(values)

    def swapped(header):
        header[name]["data_offsets"], header[other]["data_offsets"] = (
            header[other]["data_offsets"],
            header[name]["data_offsets"],
        )

    def together(header):
        header["twin"] = dict(header[name])

    def moved(header):
        header[f"{name}2"] = header.pop(name)

    def without(header):
        del header[name]

    def metadata(**values):
        return lambda header: header["__metadata__"].update(values)

    return {
        "swapped": (swapped, "data_offsets to hold shape"),
        "overlap": (together, "an overlap"),
        "shifted": (of(data_offsets=[start + 1, stop + 1]), "data_offsets|cut short"),
        "backwards": (of(data_offsets=[stop, start]), f"{about}.data_offsets to hold shape"),
        "beyond": (of(data_offsets=[start + 2**40, stop + 2**40]), "a gap|data of"),
        "negative": (of(data_offsets=[-stop, -start]), f"{about}.data_offsets to be"),
        "three offsets": (of(data_offsets=[start, stop, stop]), f"{about}.data_offsets to be"),
        "true offsets": (of(data_offsets=[False, True]), f"{about}.data_offsets to be"),
        "huge": (of(data_offsets=[start, 10**4000]), f"{about}.data_offsets to be"),
        "wrong shape": (of(shape=[*shape, 2]), f"{about}.data_offsets to hold shape"),
        "huge shape": (of(shape=[2**40, 2**40]), f"{about}.data_offsets to hold shape"),
        "empty huge shape": (of(shape=[0, 2**61, 2**61]), f"{about}.data_offsets to hold shape"),
        "negative shape": (of(shape=[-1, -1]), f"{about}.shape to be a list"),
        "float shape": (of(shape=[2.0]), f"{about}.shape to be a list"),
        "no shape": (of(shape=None), f"{about}.shape to be a list"),
        "many axes": (of(shape=[1] * 65), f"{about}.shape to be a list of at most 64"),
        "unknown type": (of(dtype="F128"), f"{about}.dtype to be one of F64"),
        "no type": (of(dtype=["F64"]), f"{about}.dtype to be one of F64"),
        "narrower type": (of(dtype="BOOL"), f"{about}.data_offsets to hold shape"),
        "integers": (of("0.weight", dtype="I64"), "0.weight|parameters|floating"),
        "more keys": (of(strides=[1]), f"{about} to have dtype, shape and data_offsets"),
        "no array": (lambda header: header.update({name: 3}), f"{about} to have dtype"),
        "gone": (without, "data_offsets to begin|data of"),
        "renamed": (moved, "missing|array|names"),
        "newer": (metadata(version="2"), "version to be '1', got '2': a newer minigrad wrote it"),
        "older": (metadata(version="0"), "version to be '1', got '0': the file is damaged"),
        "no version": (lambda header: header["__metadata__"].pop("version"), "version to be '1', got None"),
        "other format": (metadata(format="pt"), "format to be 'minigrad', got 'pt'"),
        "other kind": (metadata(kind="pickle"), "kind to be one of parameters, model, checkpoint, got 'pickle'"),
        "numbers": (metadata(kind=3), "__metadata__ to be an object of strings"),
        "no metadata": (lambda header: header.update({"__metadata__": {"sha256": ""}}), "version|format|sha256"),
        "no record": (metadata(record=""), "record to be the JSON"),
        "record list": (metadata(record="[]"), "record to be an object, got"),
        "record NaN": (metadata(record='{"a":NaN}'), "record to be the JSON of a record, got NaN"),
        "record inf": (metadata(record='{"a":1e999}'), "beyond the floating numbers"),
        "record digits": (metadata(record='{"a":' + "9" * 5000 + "}"), "record to be the JSON"),
        "record twice": (metadata(record='{"a":1,"a":2}'), "'a' twice in one object"),
        "record deep": (metadata(record='{"a":' + "[" * 200 + "]" * 200 + "}"), "deeper than 64"),
        "record bomb": (metadata(record="[" * 200_000), "too deeply|JSON"),
        "record tag": (metadata(record='{"$call":1}'), "an unknown tag '\\$call'"),
        "record tags": (metadata(record='{"$int":"0x1","b":1}'), "beside other keys"),
        "record int": (metadata(record='{"a":{"$int":"12"}}'), "an integer that is not 0x"),
        "record float": (metadata(record='{"a":{"$float":"1"}}'), "a number that is none of"),
        "record tuple": (metadata(record='{"a":{"$tuple":1}}'), "a tuple that is no list"),
        "pairs": (metadata(complex128='["0.bias"]'), "complex128 to name arrays of pairs"),
        "pairs of none": (metadata(complex128="3"), "complex128 to name arrays of pairs"),
    } | ({"gap": (of(later, data_offsets=[stop + 8, stop + 16]), "data_offsets")} if later else {})  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_some_130_forged_headers_with_right_checksums(tmp_path, files, kind):
    rng = np.random.default_rng(3)
    count = 0
    for _ in range(3):
        header, data = opened(files[kind])
        for name, (change, message) in edits(header, rng).items():
            header, data = opened(files[kind])
            change(header)
            try:
                broken = sealed(header, data)
            except (TypeError, ValueError, KeyError):  # no array to sum: the checksums do not matter then
                text = json.dumps(header, separators=(",", ":"))
                broken = len(text).to_bytes(8, "little") + text.encode() + data
            loaders = LOADERS[kind][:1] if name in ("integers", "renamed") else LOADERS[kind]
            if kind == "checkpoint" and name in ("integers", "renamed"):
                loaders = LOADERS[kind][1:]  # what the arrays of a checkpoint are is for the run to say
            said = refused(tmp_path, broken, loaders)
            assert re.search(message, said), (name, said)
            count += 1
    assert count >= 130


@pytest.mark.parametrize("kind", KINDS)
def test_checksums_lacking_or_too_many(tmp_path, files, kind):
    for of_sums in (lambda sums: "", lambda sums: sums[:-64], lambda sums: sums[:-1], lambda sums: sums + "0" * 64):
        said = refused(tmp_path, sealed(*opened(files[kind]), of_sums), LOADERS[kind])
        assert "expected __metadata__.sha256 to be checksums of the header and" in said


def raw(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


ONE = b'{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
HEADERS = {
    "longer than the file": (raw(b"{}", length=2**20), "header length to be at most the size of the file"),
    "as long as can be": (raw(b"{}", length=2**64 - 1), "header length to be at most the size of the file"),
    "text": (raw(b"hello, world"), "header to begin with {"),
    "no JSON": (raw(b"{hello"), "header to be JSON"),
    "no UTF-8": (raw(b'{"\xff":1}'), "header to be JSON, got text that is not UTF-8"),
    "UTF-16": (raw('{"a":1}'.encode("utf-16")), "header to begin with {"),
    "two objects": (raw(b"{}{}"), "header to be JSON"),
    "deep": (raw(b'{"a":' + b"[" * 100_000), "header to be JSON, got lists or objects in each other too deeply"),
    "deep objects": (raw(b'{"a":' * 50_000), "header to be JSON, got lists or objects in each other too deeply"),
    "twice": (
        raw(b'{"a":' + ONE + b',"a":' + ONE + b"}", b"a"),
        "'a' twice in one object",
    ),
    "a long name twice": (raw(b'{"' + b"a" * 90000 + b'":1,"' + b"a" * 90000 + b'":1}'), "twice in one object"),
    "an empty array that is huge": (
        raw(b'{"a":{"dtype":"U8","shape":[0,2305843009213693952,2305843009213693952],"data_offsets":[0,0]}}'),
        "'a'.data_offsets to hold shape [0, 2305843009213693952, 2305843009213693952] of U8",
    ),
    "digits": (raw(b'{"a":' + b"9" * 100_000 + b"}"), "header to be JSON"),
    "not a number": (raw(b'{"a":NaN}'), "NaN, which is no number in JSON"),
    "infinite": (raw(b'{"a":-Infinity}'), "-Infinity, which is no number in JSON"),
    "zeros": (bytes(1000), "header to begin with {"),
    "too short": (b"\x01\0\0\0\0\0\0\0x", "of 10 bytes or more, got 9 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_are_none(tmp_path, name):
    broken, message = HEADERS[name]
    said = refused(tmp_path, broken, [load for kind in KINDS for load in LOADERS[kind]])
    assert message in said


@pytest.mark.parametrize(
    "piece", [b"[],", b"{},", b'"ab",', b"1.5,", b"999,", b'["a",[]],'], ids=lambda piece: piece.decode()
)
def test_a_header_of_many_small_things_takes_little_memory(tmp_path, piece):
    """Each piece would become an object of some 60 bytes."""
    for size, said in ((1_000_000, "JSON|object of strings|dtype"), (15_000_000, "which is more than 500000")):
        header = b'{"a":[' + piece * (size // len(piece)) + b"0]}"
        found = refused(tmp_path, raw(header), LOADERS["parameters"][:1], slack=2**24)
        assert re.search(said, found)


def test_one_of_many_names_twice_is_found_at_once(tmp_path):
    """Looked for among all the others one by one, it would take an hour."""
    header = b"{" + b",".join(b'"%d":1' % i for i in range(200_000)) + b',"199999":2}'
    assert "'199999' twice in one object" in refused(tmp_path, raw(header), LOADERS["parameters"][:1], slack=2**26)


def test_a_header_longer_than_any(tmp_path):
    broken = raw(b"{" + b" " * (16 * 2**20) + b"}")
    assert "header length to be at most 16777216" in refused(tmp_path, broken, LOADERS["parameters"])


class Evil:
    """What runs code when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def foreign(marker: Path) -> dict[str, tuple[bytes, str]]:
    """{what it is: (bytes, what is said)} of other formats, many of which would run code if trusted."""

    def written(save, *arguments, **options) -> bytes:
        file = io.BytesIO()
        save(file, *arguments, **options)
        return file.getvalue()

    def zipped(name, data) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, data)
        return file.getvalue()

    evil = np.array([Evil(marker)], dtype=object)
    pickles = {
        f"pickle {protocol}": (pickle.dumps({"0.weight": Evil(marker)}, protocol), "a pickle, .* which could run code")
        for protocol in range(6)
    }
    return pickles | {
        "npy": (written(np.save, np.zeros(3)), "a .npy file of NumPy: minigrad.save_arrays"),
        "npy of objects": (written(np.save, evil, allow_pickle=True), "a .npy file of NumPy"),
        "npz": (written(np.savez, a=np.zeros(3)), "a zip archive of .npy files, as of np.savez: np.load"),
        "npz of objects": (written(np.savez_compressed, a=evil), "a zip archive of .npy files"),
        "torch": (zipped("archive/data.pkl", pickle.dumps(Evil(marker))), "as of torch.save: .*safetensors.torch"),
        "zip bomb": (zipped("data", bytes(10**8)), "a zip archive"),
        "npz bomb": (zipped("weight.npy", bytes(10**8)), "a zip archive of .npy files"),
        "gzip bomb": (gzip.compress(bytes(10**8)), "a gzip archive: unpack it first"),
        "gzip pickle": (gzip.compress(pickle.dumps(Evil(marker))), "a gzip archive"),
        "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
        "bzip2": (b"BZh91AY&SY" + bytes(100), "a bzip2 archive"),
        "xz": (b"\xfd7zXZ\x00" + bytes(100), "an xz archive"),
        "zstd": (b"\x28\xb5\x2f\xfd" + bytes(100), "a zstd archive"),
        "GGUF": (b"GGUF" + bytes(100), "a GGUF file"),
        "empty": (b"", "an empty file: nothing was written into it"),
    }  # fmt: skip


def test_files_of_other_formats_are_called_by_their_names_and_not_run(tmp_path):
    marker = tmp_path / "marker"
    for name, (broken, message) in foreign(marker).items():
        said = refused(tmp_path, broken, [load for kind in KINDS for load in LOADERS[kind]])
        assert re.search(f"expected the file to be a safetensors file, got .*{message}", said), (name, said)
        assert not marker.exists()
    pickle.loads(pickle.dumps(Evil(marker)))
    assert marker.exists(), "the marker would not have told"


def test_a_file_of_torch_is_called_so(tmp_path):
    torch = pytest.importorskip("torch")
    for new in (True, False):
        file = io.BytesIO()
        torch.save({"0.weight": torch.zeros(3)}, file, _use_new_zipfile_serialization=new)
        said = refused(tmp_path, file.getvalue(), LOADERS["parameters"])
        assert "torch.save" in said
        assert "safetensors.torch.save_file" in said


def test_a_pickle_within_a_safetensors_file_stays_bytes(tmp_path):
    marker = tmp_path / "marker"
    bomb = np.frombuffer(pickle.dumps(Evil(marker)), np.uint8)
    save_arrays(tmp_path / "a", {"x": bomb}, {"x": pickle.dumps(Evil(marker), 0).decode()}, kind="parameters")
    np.testing.assert_array_equal(load_arrays(tmp_path / "a")[0]["x"], bomb)
    assert not marker.exists()


@pytest.mark.parametrize("seed", range(60))
def test_files_of_chance(tmp_path, seed):
    rng = np.random.default_rng(seed)
    broken = rng.bytes(int(rng.integers(1, 3000)))
    if seed % 2:
        broken = raw(b"{" + broken)
    refused(tmp_path, broken, LOADERS["model"])


def test_a_file_of_another_program_has_its_shapes_checked_too(tmp_path):
    """No checksums there: what is said of places and shapes still has to hold."""
    safetensors = pytest.importorskip("safetensors.numpy")
    safetensors.save_file(dict(model().parameters()), tmp_path / "a")
    file = (tmp_path / "a").read_bytes()
    for place in [*range(0, len(file), 7)]:
        refused(tmp_path, file[:place], LOADERS["parameters"])
    length = int.from_bytes(file[:8], "little")
    rng = np.random.default_rng(0)
    for place in rng.choice(length, 60, replace=False):
        for bit in (0, 3, 5):
            broken = bytearray(file)
            broken[8 + place] ^= 1 << bit
            if json_like(broken[8 : 8 + length]) != json_like(file[8 : 8 + length]):
                refused(tmp_path, bytes(broken), LOADERS["parameters"][:1])


def json_like(text: bytes):
    try:
        return json.loads(text)
    except ValueError:
        return None


def test_a_bool_that_is_neither(tmp_path):
    header = b'{"x":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}'
    assert "'x' to be bytes of 0 and 1, got 2" in refused(tmp_path, raw(header, b"\1\2"), LOADERS["parameters"][1:])
    assert "'x' to be bytes of 0 and 1, got 255" in refused(tmp_path, raw(header, b"\xff\0"), LOADERS["parameters"][1:])


def test_a_file_that_shrinks_while_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a"
    save_arrays(path, {"x": np.ones(100_000)}, kind="parameters")

    def cut(*arguments):
        os.truncate(path, 4096)
        return read_header(*arguments)

    monkeypatch.setattr("minigrad.saving.container.read_header", cut)
    with pytest.raises(FileError, match=r"expected 'x' of .* bytes more, got .*the file changed while it was read"):
        load_arrays(path)
