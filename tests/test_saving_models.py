"""Models in one file: every layer of the table comes back, with the same numbers and the same sharing, and no code."""

import abc
import json
import os
import subprocess
import sys
import tracemalloc
from collections import OrderedDict
from enum import Enum
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cases_structure
import numpy as np
import pytest
from case import HeldFixed, OfIndices, OneArray, Sizes
from table import CASES

import minigrad
from minigrad import (
    GELU,
    BatchNorm1d,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    FlatParameters,
    Flatten,
    Frozen,
    L1Penalty,
    L2Penalty,
    Layer,
    Linear,
    MaxPool2d,
    NLLLoss,
    Penalized,
    Polynomial,
    ReLU,
    ScaledDotProductAttention,
    Sequential,
    Tanh,
    build,
    transformer_encoder_block,
)
from minigrad.saving import FileError, load_arrays, load_model, save_arrays, save_model
from minigrad.saving.classes import built_in
from minigrad.testing.randomness import Randomness

ROOMS = ("containers", "layers", "losses", "fusions")
OF_TESTS = [OneArray, OfIndices, HeldFixed, cases_structure.HeldFixedByPlace, Randomness]


def sharing(thing, found=None, path="model"):
    """[the paths that lead to one mutable thing, for each thing that several lead to]."""
    first = found is None
    found = {} if first else found
    if isinstance(thing, np.ndarray | np.random.Generator | Layer | list | dict) or hasattr(thing, "__dict__"):
        known = id(thing) in found
        found.setdefault(id(thing), (thing, []))[1].append(path)
        if not known:
            inside = thing.items() if isinstance(thing, dict) else getattr(thing, "__dict__", {}).items()
            inside = enumerate(thing) if isinstance(thing, list) else inside
            for name, value in inside if not isinstance(thing, np.ndarray | np.random.Generator) else ():
                sharing(value, found, f"{path}.{name}")
    elif isinstance(thing, tuple):
        for i, value in enumerate(thing):
            sharing(value, found, f"{path}.{i}")
    return [paths for _, paths in found.values() if len(paths) > 1] if first else None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_layer_comes_back(tmp_path, case):
    for dtype in (np.float64, np.float32):
        sizes, rng = Sizes(3, 4, 5), np.random.default_rng(0)
        layer = case.make(sizes, rng).astype(dtype)
        z = case.domain(rng.normal(size=case.z_shape(sizes))).astype(dtype)
        arguments = case.arguments(sizes, rng)
        save_model(layer, tmp_path / "a")
        again = load_model(tmp_path / "a", classes=OF_TESTS)
        assert type(again) is type(layer)
        assert repr(again) == repr(layer)
        assert sharing(again) == sharing(layer)
        assert list(again.parameters()) == list(layer.parameters())
        for ours, theirs in (
            (layer(z, *arguments), again(z, *arguments)),
            (layer.forward(z, *arguments)[0], again.forward(z, *arguments)[0]),
        ):
            assert np.array_equal(ours, theirs, equal_nan=True)
            assert np.asarray(ours).dtype == np.asarray(theirs).dtype
        names = [*layer.parameters()]
        for name in names:
            held, loaded = layer.parameters()[name], again.parameters()[name]
            assert (held.dtype, held.flags.f_contiguous) == (loaded.dtype, loaded.flags.f_contiguous)
            assert held.tobytes() == loaded.tobytes()
        assert [type(value) for value in again.state().values()] == [type(value) for value in layer.state().values()]


def convolutional():
    rng = np.random.default_rng(0)
    block = minigrad.Residual(Conv2d(4, 4, 3, padding=1, rng=rng) >> BatchNorm1dOfImages(4) >> ReLU())
    model = Conv2d(1, 4, 3, padding=1, rng=rng) >> block >> MaxPool2d(2) >> Flatten() >> Dropout(0.5, rng)
    return build(model >> Linear(None, 3, rng=rng), (1, 4, 4))


BatchNorm1dOfImages = minigrad.BatchNorm2d


def transformer():
    rng = np.random.default_rng(0)
    return transformer_encoder_block(8, 2, dropout=0.1, rng=rng) >> Linear(8, 2, rng=rng)


def penalised():
    model = Sequential(Linear(4, 3, rng=0), Tanh(), Frozen(Linear(3, 3, rng=1) >> BatchNorm1d(3)), Linear(3, 2, rng=2))
    return Penalized(model >> CrossEntropyLoss(), L2Penalty(0.1, "*.weight"), L1Penalty(0.01))


@pytest.mark.parametrize("make", [convolutional, transformer, penalised])
def test_training_goes_on_to_the_bit(tmp_path, make):
    model = make()
    shape = {"convolutional": (6, 1, 4, 4), "transformer": (6, 5, 8), "penalised": (6, 4)}[make.__name__]
    z, labels = np.random.default_rng(1).normal(size=shape), np.array([0, 1, 1, 0, 1, 0])
    save_model(model, tmp_path / "a")
    again = load_model(tmp_path / "a")
    arguments = (labels,) if make is penalised else ()
    for _ in range(3):  # dropout draws, running statistics move
        outputs = []
        for one in (model, again):
            value, cache = one.forward(z, *arguments)
            outputs.append((np.asarray(value).tobytes(), one.parameter_gradients(np.ones_like(value), cache)))
            theta = FlatParameters(one)
            theta.vector -= 0.1 * theta.flatten(outputs[-1][1])
        assert outputs[0][0] == outputs[1][0]
    assert repr(again) == repr(model)
    np.testing.assert_array_equal(again(z, *arguments), model(z, *arguments))


def test_what_is_shared_is_shared_again(tmp_path):
    rng = np.random.default_rng(0)
    tied = Linear(3, 3, rng=rng)
    other = Linear(3, 3, rng=rng)
    other.weight = tied.weight
    norm = BatchNorm1d(3)
    bits = np.random.Generator(rng.bit_generator)
    model = Sequential(tied, Dropout(0.5, rng), other, tied, Frozen(norm), norm, Dropout(0.5, rng), Dropout(0.1, bits))
    save_model(model, tmp_path / "a")
    again = load_model(tmp_path / "a")
    assert again[0] is again[3]
    assert again[0].weight is again[2].weight
    assert again[4].inner is again[5]
    assert again[4]._fixed.norm is again[5]
    assert again[1].rng is again[6].rng
    assert again[7].rng is not again[1].rng
    assert again[7].rng.bit_generator is again[1].rng.bit_generator
    assert list(load_arrays(tmp_path / "a")[0]) == [
        "0.weight", "0.bias", "2.bias", "5.weight", "5.bias", "4.inner.running_mean", "4.inner.running_var",
        "4.inner.num_batches_tracked",
    ]  # fmt: skip


class Pair(NamedTuple):
    first: object
    second: object


class Helper:
    def __init__(self, layer):
        self.layer = layer
        self.table = {"a": [1, 2.5, None], (1, "b"): np.float32(0.5)}


class Everything(Layer):
    """Attributes of every kind that a file holds."""

    parameter_names = ("a",)

    def __init__(self):
        self.a = np.asfortranarray(np.arange(6.0).reshape(2, 3))
        self.mask = np.array([True, False])
        self.scalar, self.number = np.float32(0.1), np.int64(7)
        self.values = (1, -0.0, np.inf, 10**400, "text", None, True, 2 + 1j, slice(1, None, np.int8(2)), ...)
        self.slice = slice(np.int64(1), np.int64(5))
        self.types = [np.dtype(np.float32), np.float64]
        self.pair = Pair([1, 2], np.arange(3, dtype=">i4"))
        self.again = self.pair.first
        self.helper = Helper(self)  # a circle
        self.rng = np.random.Generator(np.random.Philox(3))

    def forward(self, z):
        return z * self.a.sum(), z

    def backward(self, delta, z):
        return delta * self.a.sum()

    def parameter_gradients(self, delta, z):
        return {"a": np.full_like(self.a, (delta * z).sum())}


def test_attributes_of_every_kind(tmp_path):
    layer = Everything()
    save_model(layer, tmp_path / "a")
    again = load_model(tmp_path / "a", classes=[Everything, Pair, Helper])
    assert list(vars(again)) == list(vars(layer))
    assert repr(again.values) == repr(layer.values)
    assert [type(value) for value in again.values] == [type(value) for value in layer.values]
    assert type(again.values[8].step) is np.int8
    assert again.slice == layer.slice
    assert again.types == layer.types
    assert again.types[1] is np.float64
    assert (again.scalar, type(again.scalar), again.number) == (layer.scalar, np.float32, 7)
    assert type(again.pair) is Pair
    assert again.pair.first is again.again
    np.testing.assert_array_equal(again.pair.second, [0, 1, 2])
    assert again.a.flags.f_contiguous
    assert not again.a.flags.c_contiguous
    assert again.helper.layer is again
    assert list(again.helper.table) == ["a", (1, "b")]
    assert type(again.helper.table[1, "b"]) is np.float32
    assert again.rng.random() == layer.rng.random()


class Colour(Enum):
    RED = 1


def with_attribute(value):
    layer = Linear(2, 2)
    layer.extra = [0, value]
    return Sequential(Tanh(), layer)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda z: z, "function"),
        (len, "builtin_function_or_method"),
        (Tanh().f, "method"),
        (partial(max, 1), "partial"),
        (np.sqrt, "ufunc"),
        (Linear, "the class Linear"),
        ({1, 2}, "set: .* so keep a list of its items, or a tuple"),
        (range(3), "range: .* so keep a list of its items, or a tuple"),
        (b"abc", "bytes: .* so keep a string, or an array of np.uint8"),
        (Path("a"), r"(Posix|Windows)Path: .* so keep a string, str\(path\)"),
        (Colour.RED, "Colour: .* so keep its value, an int or a string"),
        (OrderedDict(a=1), "OrderedDict: .* so keep a dict itself"),
        (np.ma.zeros(2), "MaskedArray .* so keep np.asarray of it"),
        (np.random.RandomState(0), "RandomState"),
        (os, "module"),
        (FlatParameters(Linear(1, 1)), "FlatParameters, which says by __reduce__"),
        (np.array([None]), r"ndarray of object and shape \(1,\)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_code_is_refused_before_a_file_is_touched(tmp_path, value, said):
    place = r"Sequential\._layers\[1\]\.extra\[1\]"
    with pytest.raises(TypeError, match=f"save_model cannot save {place}, {said}"):
        save_model(with_attribute(value), tmp_path / "a")
    assert not list(tmp_path.iterdir())


class Slotted(Layer):
    __slots__ = ("a",)


class Hiding(Layer):
    def __init__(self):
        self.forward = 3


def test_layers_that_are_more_than_their_attributes_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"cannot save Sequential\._layers\[0\], Slotted, which has __slots__"):
        save_model(Sequential(Slotted()), tmp_path / "a")
    with pytest.raises(TypeError, match=r"cannot save Hiding: its attribute 'forward' would hide the method"):
        save_model(Hiding(), tmp_path / "a")
    with pytest.raises(ValueError, match=r"Linear\(\? -> 2\) has no arrays yet, since its width was left out.*build"):
        save_model(Sequential(Tanh(), Linear(None, 2)), tmp_path / "a")
    with pytest.raises(TypeError, match=r"save_model expects a layer, got the class Linear: make one"):
        save_model(Linear, tmp_path / "a")
    layer = Linear(2, 2)
    layer.weight[0, 0] = np.inf
    with pytest.raises(ValueError, match=r"got inf in weight\[0, 0\]"):
        save_model(layer, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_classes_of_the_caller(tmp_path):
    class Scale(Layer):  # minigrad has one too
        parameter_names = ("a",)

        def __init__(self, features):
            raise AssertionError("not called")

        def forward(self, z):
            return self.a * z, z

    class Other(Scale):
        pass

    Other.__name__, Other.__module__ = "Scale", "elsewhere"
    layer = object.__new__(Scale)
    layer.a = np.arange(3.0)
    stack = Sequential(minigrad.Scale(3), layer)
    save_model(stack, tmp_path / "a")
    with pytest.raises(
        FileError, match=r"passed, none, got 'Scale': load_model\(path, classes=\[Scale\]\), of the class"
    ):
        load_model(tmp_path / "a")
    for classes in ([Scale], (c for c in [Scale]), {"Scale": Scale}, {f"{__name__}.Scale": Scale}, [Other, Scale]):
        again = load_model(tmp_path / "a", classes=classes)
        assert [type(layer) for layer in again] == [minigrad.Scale, Scale]
        np.testing.assert_array_equal(again(np.ones((2, 3))), stack(np.ones((2, 3))))
    assert type(load_model(tmp_path / "a", classes={"Scale": Other})[1]) is Other
    Other.__module__, Other.__qualname__ = Scale.__module__, Scale.__qualname__
    with pytest.raises(FileError, match=r"passed, 2 classes Scale, got 'Scale'"):
        load_model(tmp_path / "a", classes=[Scale, Other])
    with pytest.raises(TypeError, match=r"expects classes in a list or .* got the class Scale"):
        load_model(tmp_path / "a", classes=Scale)
    with pytest.raises(TypeError, match=r"expects classes, got Sequential: pass the class itself"):
        load_model(tmp_path / "a", classes=[stack])


def test_a_model_is_read_where_its_class_was_never_imported(tmp_path):
    save_model(penalised(), tmp_path / "a")
    code = "import sys; from minigrad.saving import load_model; print(len(load_model(sys.argv[1]).parameters()))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a"], capture_output=True, text=True, check=True, env=environment
    )
    assert run.stdout == "4\n"


def test_a_deep_stack(tmp_path):
    """Deeper than a record may be, were it as deep as the model; not so deep that repr cannot go down."""
    model = Sequential(Linear(2, 2, rng=0))
    for _ in range(80):
        model = Sequential(model, Tanh())
    save_model(model, tmp_path / "a")
    assert repr(load_model(tmp_path / "a")) == repr(model)


def forged(tmp_path, change, model=None):
    """A file with right checksums whose record `change` has changed."""
    save_model(Sequential(Linear(2, 2), Dropout(), NLLLoss()) if model is None else model, tmp_path / "a")
    arrays, record = load_arrays(tmp_path / "a")
    change(record)
    save_arrays(tmp_path / "a", arrays, record, kind="model")
    return tmp_path / "a"


def place_of(record, name):
    return next(i for i, entry in enumerate(record["objects"]) if entry.get("class") == name)


def furnish(name, value, of="Linear"):
    def change(record):
        record["objects"][place_of(record, of)]["attributes"][name] = value

    return change


def put(entry):
    def change(record):
        record["objects"][place_of(record, "Linear")] = entry

    return change


def replace(**items):
    return lambda record: record.update(items)


def squared(record):
    """Sixty stacks, each of twice the one before: 2^60 layers."""
    number = len(record["objects"])
    for i in range(60):
        inner = {"object": number + i + 1 if i < 59 else place_of(record, "Linear")}
        attributes = {"_layers": (inner, inner), "_children": (("0", inner), ("0", inner))}
        record["objects"].append({"class": "Sequential", "module": None, "attributes": attributes})
    record["objects"][0]["attributes"]["_layers"] = ({"object": number},)


def penalties(record):
    """Forty costs, each of which has the next for its penalty too."""
    number = len(record["objects"])
    for i in range(40):
        inner = {"object": number + i + 1 if i < 39 else place_of(record, "Linear")}
        attributes = {"_cost": inner, "_penalties": (inner,)}
        record["objects"].append({"class": "Penalized", "module": None, "attributes": attributes})
    record["objects"][0]["attributes"]["_layers"] = record["objects"][0]["attributes"]["_children"] = (
        ("0", {"object": number}),
    )


def names(record):
    """Twenty stacks in each other with long names, around many layers with parameters: gigabytes of names."""
    number = len(record["objects"])
    for i in range(20):
        inner = [("x" * 9999, {"object": number + i + 1})]
        if i == 19:
            inner = [(str(j), {"object": place_of(record, "Linear")}) for j in range(1000)]
        attributes = {"_layers": (), "_children": tuple(inner)}
        record["objects"].append({"class": "Sequential", "module": None, "attributes": attributes})
    record["objects"][0]["attributes"]["_children"] = (("0", {"object": number}),)


FORGERIES = {
    "an import": (put({"class": "system", "module": "os", "attributes": {}}), "'class'.* got 'system'"),
    "a class of numpy": (
        put({"class": "ndarray", "module": None, "attributes": {}}),
        "class of minigrad, got 'ndarray'",
    ),
    "a dunder": (furnish("__class__", 1), "'__class__' to be an attribute, got a name that is no name of an attribute"),
    "a method": (furnish("forward", 1), "'forward' to be an attribute, got a name that would hide the method"),
    "no name": (furnish("a b", 1), "'a b' to be an attribute"),
    "an unknown array": (furnish("weight", {"array": "9.weight"}), r"\.weight to be a value, or a reference"),
    "an unknown object": (furnish("x", {"object": 99}), r"\.x to be a value, or a reference"),
    "a negative object": (furnish("x", {"object": -1}), r"\.x to be a value, or a reference"),
    "a true object": (furnish("x", {"object": True}), r"\.x to be a value, or a reference"),
    "an unknown tag": (furnish("x", {"call": "os.system"}), r"\.x to be a value, or a reference"),
    "two tags": (furnish("x", {"array": "0.bias", "object": 0}), r"\.x to be a value, or a reference"),
    "a bare list": (furnish("x", [1]), r"\.x to be a value, or a reference"),
    "an empty value": (furnish("x", {}), r"\.x to be a value, or a reference"),
    "an odd dtype": (furnish("x", {"dtype": "O"}), r"\.x to be a value, or a reference"),
    "a named class": (furnish("x", {"named": "Linear", "module": None, "values": []}), "tuple of the fields"),
    "fields lacking": (furnish("x", {"named": "Window", "module": None, "values": [1]}), "tuple of the fields"),
    "an unknown object entry": (put({"set": []}), r"record\['objects'\]\[\d\] to be an object of a class"),
    "an unknown generator": (put({"generator": "9.rng"}), "to be an object of a class, .* or a known generator"),
    "no pair": (put({"dict": [[1]]}), "to be pairs of key and value"),
    "no key": (put({"dict": [[{"object": 0}, 1], [{"object": 2}, 1], [{"object": 1}, 1]]}), "keys that can be keys"),
    "no objects": (replace(objects=[]), r"record\['objects'\] to be a list of objects, got \[\]"),
    "objects that are none": (replace(objects=[3]), r"record\['objects'\]\[0\] to be an object of a class"),
    "no layer": (replace(objects=[{"list": []}]), r"record\['objects'\]\[0\] to be a layer, got list"),
    "no generators": (replace(generators=3), r"record\['generators'\] to be a dictionary, got 3"),
    "a bad generator": (
        replace(generators={"1.rng": {"bit_generator": "MT19937"}}),
        "no possible state of a generator of",
    ),
    "fortran": (replace(fortran=["x"]), r"record\['fortran'\] to be names of arrays"),
    "names lacking": (
        replace(parameters=["0.bias"]),
        "the names of parameters to be those of the model, 0.weight, 0.bias",
    ),
    "weights exchanged": (furnish("bias", {"array": "0.weight"}), "the names of parameters|another array"),
    "no parameter": (furnish("weight", 3), "to be a model with parameters, got TypeError"),
    "no attributes": (
        put({"class": "Linear", "module": None, "attributes": {}}),
        "those of the model, none, got 0.weight",
    ),
    "children that are none": (furnish("_children", 3, "Sequential"), "to be a model with parameters, got TypeError"),
    "a circle": (furnish("_children", (("0", {"object": 0}),), "Sequential"), "RecursionError"),
    "a long string": (furnish("x", "x" * 10_001), r"\.x to be at most 10000 characters, got 'x+'?\.\.\. \(10003 char"),
    "a long name": (furnish("x" * 10_001, 1), "to be an attribute, got a name that is longer than 10000 characters"),
    "a name that is none": (
        furnish("_children", (({"object": 1}, {"object": 1}),), "Sequential"),
        "the names of layers to be strings, got Linear",
    ),
    "a tower of penalties": (penalties, r"of at most 1000000 layers, counted at every place, got more"),
    "names of names": (names, r"names of parameters to be of at most 67108864 characters in all, got more"),
    "keys of one hash": (
        put({"dict": [[k * (2**61 - 1), None] for k in range(1, 20_000)]}),
        "to have at most 100 keys of one hash, got 19999",
    ),
    "a tower": (squared, r"of at most 1000000 layers, counted at every place, got more: save its parts apart"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_records_are_refused(tmp_path, name):
    change, message = FORGERIES[name]
    path = forged(tmp_path, change)
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=message) as caught:
            load_model(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * path.stat().st_size + 2**23
    assert caught.value.path == str(path)
    assert len(str(caught.value)) < 2000


def test_stacks_that_stand_twice_within_themselves(tmp_path, monkeypatch):
    monkeypatch.setattr("minigrad.saving.models.LARGEST", 10_000)
    twice = furnish("_children", (("0", {"object": 0}), ("1", {"object": 0})), "Sequential")
    with pytest.raises(FileError, match="layers in each other, got an endless descent"):
        load_model(forged(tmp_path, twice))


REPRS = {
    "causal": (ScaledDotProductAttention(causal=True), "causal", "ScaledDotProductAttention(causal)"),
    "polynomial": (Polynomial(2, True), "interaction_only", "Polynomial(2, interaction_only=True)"),
}


@pytest.mark.parametrize("name", REPRS)
def test_a_flag_that_is_a_number_does_not_make_a_long_repr(tmp_path, name):
    layer, flag, said = REPRS[name]

    def change(record):
        record["objects"][0]["attributes"][flag] = 10**7

    assert repr(load_model(forged(tmp_path, change, layer))) == repr(layer) == said


@pytest.mark.skipif(sys.platform == "win32", reason="needs sparse files")
def test_what_does_not_fit_into_memory_is_said_so(tmp_path, monkeypatch):
    size = 2**43
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with pytest.raises(MemoryError):
        np.empty(size, np.uint8)
    with open(tmp_path / "a", "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        try:
            file.truncate(8 + len(header) + size)
        except OSError:
            pytest.skip("the file system has no files of this size")
    with pytest.raises(FileError, match=r"expected 'w' to fit into memory, got 8796093022208 bytes: take a machine"):
        load_arrays(tmp_path / "a")

    def full(*_):
        raise MemoryError

    save_model(ReLU(), tmp_path / "a")
    monkeypatch.setattr("minigrad.saving.models.snapshot", full)
    with pytest.raises(FileError, match=r"expected record\['objects'\] to fit into memory, got more: take a machine"):
        load_model(tmp_path / "a")


class Keyed(Layer):
    def __init__(self, key):
        self.table = {key: 1}


class Key:
    def __init__(self):
        self.name = "a"

    def __hash__(self):
        return hash(self.name)  # which is not there yet while a file is read

    def __eq__(self, other):
        return self.name == other.name


def test_keys_that_are_objects_are_refused(tmp_path):
    for key in (Key(), (1, Key())):
        with pytest.raises(
            TypeError, match=r"cannot save a key of Keyed.table, (Key|tuple): keys are numbers, strings and tuples"
        ):
            save_model(Keyed(key), tmp_path / "a")
    assert not list(tmp_path.iterdir())

    def change(record):
        record["objects"][1]["dict"] = [[{"object": 2}, 1]]
        record["objects"].append({"class": "Key", "module": __name__, "attributes": {"name": "a"}})

    path = forged(tmp_path, change, Keyed("a"))
    with pytest.raises(FileError, match=r"record\['objects'\]\[1\] to have keys that can be keys, got {'object': 2}"):
        load_model(path, classes=[Keyed, Key])


class Viewing(Layer):
    parameter_names = ("weight",)

    def __init__(self, view):
        self.weight = np.ones((3, 3))
        self.other = view(self.weight)


@pytest.mark.parametrize("view", [lambda w: w.T, lambda w: w[1:, ::2], lambda w: w.reshape(-1)])
def test_a_view_of_a_parameter_is_refused(tmp_path, view):
    with pytest.raises(ValueError, match=r"cannot save Viewing.other, which is a view of weight: compute it in the"):
        save_model(Viewing(view), tmp_path / "a")
    assert not list(tmp_path.iterdir())
    save_model(Viewing(lambda w: w), tmp_path / "a")  # the array itself is one array again
    again = load_model(tmp_path / "a", classes=[Viewing])
    assert again.other is again.weight
    save_model(Viewing(lambda w: w.T.copy()), tmp_path / "a")


class Abstract(abc.ABC):
    @abc.abstractmethod
    def rule(self): ...


class Concrete(Abstract, Layer):
    def rule(self): ...


class Slotless:
    __slots__ = ()


def test_classes_of_which_no_object_can_be_made_bare(tmp_path):
    save_model(Concrete(), tmp_path / "a")
    assert type(load_model(tmp_path / "a", classes=[Concrete])) is Concrete
    with pytest.raises(FileError, match=r"an object of attributes, got Abstract, which is abstract: pass one that has"):
        load_model(tmp_path / "a", classes={"Concrete": Abstract})
    with pytest.raises(FileError, match=r"an object of attributes, got Slotless, which has __slots__: leave them out"):
        load_model(tmp_path / "a", classes={"Concrete": Slotless})
    with pytest.raises(TypeError, match=r"cannot save .*, Slotless, which has __slots__: leave them out"):
        save_model(with_attribute(Slotless()), tmp_path / "b")


class WithDefault(Layer):
    act: Layer = ReLU()

    def __init__(self, act):
        self.act = act


def test_a_layer_that_is_the_default_of_its_class_can_be_another(tmp_path):
    save_model(WithDefault(Tanh()), tmp_path / "a")
    assert type(load_model(tmp_path / "a", classes=[WithDefault]).act) is Tanh


class First:
    class Cell(Layer):
        pass


class Second:
    class Cell(Layer):
        pass


def test_classes_of_one_name_within_others(tmp_path):
    stack = Sequential(First.Cell(), Second.Cell())
    save_model(stack, tmp_path / "a")
    again = load_model(tmp_path / "a", classes=[Second.Cell, First.Cell])
    assert [type(layer) for layer in again] == [First.Cell, Second.Cell]
    only = load_model(tmp_path / "a", classes={"First.Cell": First.Cell, "Second.Cell": First.Cell})
    assert [type(layer) for layer in only] == [First.Cell, First.Cell]


def test_a_string_in_a_model_is_short(tmp_path):
    layer = Linear(2, 2)
    layer.note = "x" * 10_000
    save_model(layer, tmp_path / "a")
    assert load_model(tmp_path / "a").note == layer.note
    layer.note += "x"
    with pytest.raises(ValueError, match=r"cannot save Linear.note, a string of 10001 characters: at most 10000"):
        save_model(layer, tmp_path / "b")


def test_arrays_under_the_names_of_others_are_noticed(tmp_path):
    """As many names, as many arrays, right checksums; but the weight is what the file calls the bias."""

    def exchange(record):
        attributes = record["objects"][place_of(record, "BatchNorm1d")]["attributes"]
        attributes["weight"], attributes["bias"] = attributes["bias"], attributes["weight"]

    with pytest.raises(FileError, match="expected 'weight' to be what the model has under its name, got another array"):
        load_model(forged(tmp_path, exchange, BatchNorm1d(3)))


def test_a_generator_of_impossible_state_is_refused(tmp_path):
    """NumPy itself takes a position beyond the numbers of MT19937, and reads there."""
    model = Dropout(0.5, np.random.Generator(np.random.MT19937(0)))

    def beyond(record):
        record["generators"]["rng"]["state"]["pos"] = 10**6

    with pytest.raises(
        FileError, match=r"the generator 'rng' to be the state .* no possible state of a generator of MT"
    ):
        load_model(forged(tmp_path, beyond, model))


def test_other_files_are_no_models(tmp_path):
    save_arrays(tmp_path / "a", {"0.weight": np.zeros((2, 2))}, kind="parameters")
    with pytest.raises(FileError, match=r"kind to be 'model', got 'parameters': load_parameters takes the parameters"):
        load_model(tmp_path / "a")


def test_names_of_built_in_classes_differ():
    """A file names a class of minigrad by its name alone."""
    modules = {name: module for name, module in sys.modules.items() if name.startswith("minigrad.")}
    names = [
        name
        for module_name, module in modules.items()
        if module_name.split(".")[1] in ROOMS
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module_name
    ]
    assert len(names) > 100
    assert sorted(names) == sorted(built_in())


def test_many_keys_that_are_numbers_of_numpy(tmp_path):
    layer = Tanh()
    layer.table = {np.int64(i): i for i in range(1500)}
    save_model(layer, tmp_path / "a")
    again = load_model(tmp_path / "a")
    assert again.table == layer.table
    assert {type(key) for key in again.table} == {np.int64}


def test_a_model_under_flat_parameters(tmp_path):
    model = convolutional()
    theta = FlatParameters(model)
    theta.vector += 1
    save_model(model, tmp_path / "a")
    np.testing.assert_array_equal(FlatParameters(load_model(tmp_path / "a")).vector, theta.vector)


def test_the_largest_and_the_smallest(tmp_path, monkeypatch):
    monkeypatch.setattr("minigrad.saving.models.LARGEST", 1000)
    tower = Linear(1, 1)
    for _ in range(10):
        tower = Sequential(tower, tower)
    with pytest.raises(ValueError, match=r"at most 1000 layers, counted at every place: save its parts apart"):
        save_model(tower, tmp_path / "a")
    for layer in (GELU(), NLLLoss(class_weights=np.array([1.0, 2.0]))):
        save_model(layer, tmp_path / "a")
        assert repr(load_model(tmp_path / "a")) == repr(layer)
