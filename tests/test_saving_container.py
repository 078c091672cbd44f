"""Arrays and records in safetensors files: nothing is lost on the way, and what a file cannot hold is named before."""

import json
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigrad.saving import FileError, load_arrays, save_arrays
from minigrad.saving.header import LONGEST
from minigrad.saving.records import untagged

REAL = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]
TYPES = [*REAL, "c8", "c16"]
BIG = [">f8", ">f4", ">f2", ">i8", ">u2", ">c8", ">c16"]


def numbers(dtype: str, shape=(3, 4)):
    """Every bit pattern counts: NaN with a payload, -0.0 and subnormals too."""
    native = np.dtype(dtype).newbyteorder("=")
    if native.kind == "b":
        return np.random.default_rng(0).integers(0, 2, shape).astype(bool)
    bits = np.random.default_rng(0).bytes(math.prod(shape) * native.itemsize)
    return np.frombuffer(bits, native).reshape(shape).astype(dtype)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", TYPES + BIG)
@pytest.mark.parametrize("shape", [(), (1,), (3, 4), (0,), (3, 0, 2), (2, 1, 3, 1)])
def test_arrays_come_back_bit_for_bit(tmp_path, dtype, shape):
    array = numbers(dtype, shape)
    save_arrays(tmp_path / "a", {"x": array}, kind="parameters")
    arrays, record = load_arrays(tmp_path / "a", kind="parameters")
    assert record == {}
    assert same(arrays["x"], array.astype(array.dtype.newbyteorder("=")))
    assert arrays["x"].flags.writeable
    assert arrays["x"].flags.c_contiguous
    assert arrays["x"].dtype.isnative


@pytest.mark.parametrize("view", [lambda a: a.T, lambda a: a[::-1, ::2], lambda a: np.broadcast_to(a[0], (5, 4))])
def test_arrays_of_any_layout(tmp_path, view):
    array = view(numbers("f8"))
    save_arrays(str(tmp_path / "a"), {"x": array, "y": np.float32(2.5)}, kind="checkpoint")
    arrays, _ = load_arrays(str(tmp_path / "a"))
    assert same(arrays["x"], np.ascontiguousarray(array))
    assert same(arrays["y"], np.array(2.5, np.float32))


def test_arrays_keep_their_order_and_are_aligned(tmp_path):
    arrays = {str(i): numbers(dtype, (3,)) for i, dtype in enumerate(["?", "f2", "c16", "u1", "f8", "f4", "c8"])}
    save_arrays(tmp_path / "a", arrays, kind="parameters")
    assert list(load_arrays(tmp_path / "a")[0]) == list(arrays)
    data = (tmp_path / "a").read_bytes()
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    header = json.loads(data[8 : 8 + length])
    for name, array in arrays.items():
        assert header[name]["data_offsets"][0] % min(array.dtype.itemsize, 8) == 0


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=("C", "Z")), min_size=1),
        hnp.arrays(st.sampled_from(TYPES), hnp.array_shapes(min_dims=0, min_side=0, max_dims=4)),
        max_size=5,
    )
)
def test_any_arrays_of_any_names(tmp_path_factory, arrays):
    path = tmp_path_factory.getbasetemp() / "any"
    save_arrays(path, arrays, kind="model")
    again, _ = load_arrays(path)
    assert list(again) == list(arrays)
    assert all(same(again[name], array) for name, array in arrays.items())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([2**53 + 1, -(2**200)]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.sampled_from(["$int", "$tuple", "$", "$$float"]), inner, max_size=3)
    ),
    max_leaves=12,
)


def told(value):
    """A text that tells values apart that == does not: 1 and True, 0.0 and -0.0, NaN and NaN; integers in hex."""
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}{[told(item) for item in value]}"
    if isinstance(value, dict):
        return str([(key, told(item)) for key, item in value.items()])
    return hex(value) if type(value) is int else repr(value)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_records_come_back_as_they_were(tmp_path_factory, record):
    path = tmp_path_factory.getbasetemp() / "record"
    save_arrays(path, {}, record, kind="checkpoint")
    assert told(load_arrays(path)[1]) == told(record)


def test_a_record_holds_what_is_not_finite(tmp_path):
    record = {"a": [math.inf, -math.inf, math.nan, -0.0, 5e-324, 1.7976931348623157e308]}
    save_arrays(tmp_path / "a", {}, record, kind="checkpoint")
    assert told(load_arrays(tmp_path / "a")[1]) == told(record)


def test_a_record_holds_integers_of_any_size(tmp_path):
    save_arrays(tmp_path / "a", {}, {"large": -(10**5000)}, kind="checkpoint")  # too many digits for str and int
    assert load_arrays(tmp_path / "a")[1]["large"] == -(10**5000)


def test_a_record_holds_numbers_of_numpy_as_those_of_python(tmp_path):
    record = {"a": np.float32(0.1), "b": np.int64(3), "c": np.True_, "d": np.float64("nan")}
    save_arrays(tmp_path / "a", {}, record, kind="checkpoint")
    again = load_arrays(tmp_path / "a")[1]
    assert [type(value) for value in again.values()] == [float, int, bool, float]
    assert told(again) == told({"a": float(np.float32(0.1)), "b": 3, "c": True, "d": math.nan})


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"a": [1, {2, 3}]}, r"got set at record\['a'\]\[1\]: put into words"),
        ({"a": {"b": np.zeros(2)}}, r"got ndarray of float64 and shape \(2,\) at record\['a'\]\['b'\]: put it among"),
        ({"a": b"x"}, r"got bytes at record\['a'\]"),
        ({"a": {1: 2}}, r"keys of a record to be strings, got 1 at record\['a'\]"),
        ({"a": np.longdouble(1)}, r"got longdouble at record\['a'\]"),
        ([1], "expects the record to be a dictionary, got list"),
    ],
)
def test_what_a_record_cannot_hold_is_named(tmp_path, record, message):
    with pytest.raises(TypeError, match=message):
        save_arrays(tmp_path / "a", {}, record, kind="checkpoint")
    assert not list(tmp_path.iterdir())


def test_a_record_that_is_too_large_is_refused_before_a_file_is_touched(tmp_path):
    nested: list = []
    for _ in range(100):
        nested = [nested]
    with pytest.raises(ValueError, match=r"at most 64 lists in each other"):
        save_arrays(tmp_path / "a", {}, {"a": nested}, kind="checkpoint")
    with pytest.raises(ValueError, match=r"at most 500000 numbers.*put many numbers into an array"):
        save_arrays(tmp_path / "a", {}, {"a": [0] * 600_000}, kind="checkpoint")
    with pytest.raises(ValueError, match=f"at most {LONGEST} bytes.*put many numbers into an array"):
        save_arrays(tmp_path / "a", {}, {"a": "x" * LONGEST}, kind="checkpoint")
    assert not list(tmp_path.iterdir())


def test_a_long_key_is_not_copied_for_every_value_below_it(tmp_path):
    """Of 100000 values below a key of 2 MB, the places alone would be 200 GB: they hold its beginning."""
    long = "x" * 2_000_000
    with pytest.raises(
        ValueError, match=r"an unknown tag '\$call' at record\['x+'?\.\.\. \(2000002 char.*\)\]"
    ) as caught:
        untagged({long: {"$call": 1}})
    assert len(str(caught.value)) < 200
    with pytest.raises(TypeError, match=r"got set at record\['x+'?\.\.\. \(2000002 char.*\)\]\[0\]") as refused:
        save_arrays(tmp_path / "a", {}, {long: [{1}]}, kind="checkpoint")
    assert len(str(refused.value)) < 300
    save_arrays(tmp_path / "a", {}, {long: list(range(1000))}, kind="checkpoint")
    assert load_arrays(tmp_path / "a")[1] == {long: list(range(1000))}


@pytest.mark.parametrize(
    ("name", "array", "error", "message"),
    [
        ("x", [1.0], TypeError, "expects 'x' to be a NumPy array, got list"),
        ("x", np.ma.zeros(3), TypeError, "expects 'x' to be a NumPy array, got MaskedArray"),
        ("x", np.array([{}]), TypeError, "expects 'x' of floating types .* got object"),
        ("x", np.array(["a"]), TypeError, "got <U1"),
        ("x", np.zeros(2, "M8[s]"), TypeError, "got datetime64"),
        ("x", np.zeros(2, "f8,i4"), TypeError, "expects 'x' of floating types"),
        (3, np.zeros(2), TypeError, "names of arrays to be strings, got 3"),
        ("__metadata__", np.zeros(2), ValueError, "names of arrays that can be printed, got '__metadata__'"),
        ("", np.zeros(2), ValueError, "names of arrays that can be printed, got ''"),
        ("a\ud800", np.zeros(2), ValueError, "names of arrays that can be printed"),
    ],
)
def test_arrays_that_a_file_cannot_hold_are_named(tmp_path, name, array, error, message):
    with pytest.raises(error, match=message):
        save_arrays(tmp_path / "a", {name: array}, kind="parameters")
    assert not list(tmp_path.iterdir())


def test_a_kind_is_asked_for(tmp_path):
    with pytest.raises(ValueError, match=r"expect kind to be one of parameters, model, checkpoint, got 'weights'"):
        save_arrays(tmp_path / "a", {}, kind="weights")
    save_arrays(tmp_path / "a", {}, kind="checkpoint")
    with pytest.raises(FileError, match=r"expected kind to be 'model', got 'checkpoint': load_parameters takes"):
        load_arrays(tmp_path / "a", kind="model")
    with pytest.raises(FileNotFoundError, match=r"nowhere"):
        load_arrays(tmp_path / "nowhere")


def test_the_safetensors_library_reads_our_files(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    arrays = {dtype: numbers(dtype) for dtype in [*REAL, "c8"]} | {"empty": np.zeros((0, 3)), "one": np.array(1.5)}
    save_arrays(tmp_path / "a", arrays, {"epoch": 3}, kind="checkpoint")
    theirs = safetensors.load_file(tmp_path / "a")
    assert theirs.keys() == arrays.keys()
    for name, array in arrays.items():
        assert same(theirs[name], array), name


def test_complex128_is_pairs_to_other_readers(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    array = numbers("c16")
    save_arrays(tmp_path / "a", {"x": array}, kind="parameters")
    theirs = safetensors.load_file(tmp_path / "a")["x"]
    assert theirs.shape == (3, 4, 2)
    assert theirs.tobytes() == array.tobytes()


def test_files_of_the_safetensors_library_are_read(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    arrays = {dtype: numbers(dtype) for dtype in [*REAL, "c8"]} | {"empty": np.zeros((0, 3)), "one": np.array(1.5)}
    safetensors.save_file(arrays, tmp_path / "a", {"format": "np", "record": "not ours"})
    again, record = load_arrays(tmp_path / "a", kind="parameters")
    assert record == {}
    assert again.keys() == arrays.keys()
    assert all(same(again[name], array) for name, array in arrays.items())
    with pytest.raises(FileError, match=r"kind to be 'model', got a safetensors file of another program"):
        load_arrays(tmp_path / "a", kind="model")


def test_bfloat16_is_widened(tmp_path):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    numbers = torch.tensor([[1.0, -2.5, 1e38], [3e-39, float("inf"), -0.0]], dtype=torch.bfloat16)
    safetensors.save_file({"x": numbers, "y": numbers[0, 0].clone()}, tmp_path / "a")
    arrays, _ = load_arrays(tmp_path / "a")
    assert same(arrays["x"], numbers.float().numpy())
    assert same(arrays["y"], np.array(1, np.float32))


def test_a_type_that_is_not_known_is_named(tmp_path):
    header = json.dumps({"w": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")
    with pytest.raises(FileError, match=r"'w'.dtype to be one of F64, .* got 'F8_E4M3': convert it"):
        load_arrays(tmp_path / "a")


def test_a_file_that_another_tool_changed_is_noticed(tmp_path):
    safetensors = pytest.importorskip("safetensors")
    numpy = pytest.importorskip("safetensors.numpy")
    save_arrays(tmp_path / "a", {"x": np.zeros(2)}, kind="parameters")
    with safetensors.safe_open(tmp_path / "a", "np") as file:
        metadata = file.metadata()
    numpy.save_file({"x": np.ones(2)}, tmp_path / "b", metadata)
    with pytest.raises(FileError, match=r"sha256|SHA-256"):
        load_arrays(tmp_path / "b")


def test_the_error_names_file_and_field_and_can_be_sent_on(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(FileError, match=re.escape(str(tmp_path / "a"))) as caught:
        load_arrays(tmp_path / "a")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.path, again.field, str(again)) == (str(tmp_path / "a"), "the file", str(caught.value))
    assert isinstance(again, ValueError)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError):
        load_arrays(tmp_path)
    if Path("/dev/zero").exists():
        with pytest.raises(
            FileError, match=r"/dev/zero: expected the file to be a regular file, got a device or a pipe"
        ):
            load_arrays("/dev/zero")
    with pytest.raises(TypeError, match=r"got? ?int|not int"):
        load_arrays(3)
