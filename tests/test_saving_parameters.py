"""Parameters by name: to a file and back, to PyTorch and from it, and all or nothing."""

import copy

import numpy as np
import pytest

from minigrad import (
    GRU,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Embedding,
    FlatParameters,
    Flatten,
    Frozen,
    GroupNorm,
    Layer,
    LayerNorm,
    Linear,
    MultiHeadAttention,
    ReLU,
    Repeat,
    Sequential,
    Tanh,
)
from minigrad.saving import FileError, load_arrays, load_parameters, save_arrays, save_model, save_parameters
from minigrad.saving.restoring import restoring
from minigrad.saving.states import snapshot


def net(rng=0, dtype=np.float64, noise=None):
    rng = np.random.default_rng(rng)
    noise = np.random.default_rng(7) if noise is None else noise
    stack = Sequential(
        Linear(3, 4, rng=rng), BatchNorm1d(4), Dropout(0.5, noise), ReLU(), Dropout(0.2, noise), Linear(4, 2, rng=rng)
    ).astype(dtype)
    stack.forward(rng.normal(size=(8, 3)).astype(dtype))
    return stack


def bits(layer: Layer) -> list:
    """All that training moves, to the bit."""
    return [
        (name, v.tobytes() if isinstance(v, np.ndarray) else str(v.bit_generator.state))
        for name, v in [*layer.parameters().items(), *layer.state().items()]
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_parameters_and_state_come_back_in_place(tmp_path, dtype):
    old, new = net(0, dtype), net(1, dtype, np.random.default_rng(8))
    arrays = new.parameters()
    generator = new[2].rng
    save_parameters(old, tmp_path / "a")
    assert list(load_arrays(tmp_path / "a")[1]["generators"]) == ["2.rng"]
    assert load_parameters(new, tmp_path / "a") == ((), ())
    assert bits(new) == bits(old)
    assert all(new.parameters()[name] is array for name, array in arrays.items())
    assert new[2].rng is new[4].rng is generator
    assert list(load_arrays(tmp_path / "a")[0])[:4] == ["0.weight", "0.bias", "1.weight", "1.bias"]


@pytest.mark.parametrize("bit_generator", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
@pytest.mark.parametrize("drawn", [0, 5])
def test_generators_go_on_where_they_were(tmp_path, bit_generator, drawn):
    def layer(seed):
        return Dropout(0.5, np.random.Generator(getattr(np.random, bit_generator)(seed)))

    old, new = layer(0), layer(1)
    old.rng.random(drawn, np.float32)  # of 5, half a number of 64 bits is left over
    save_parameters(old, tmp_path / "a")
    load_parameters(new, tmp_path / "a")
    np.testing.assert_array_equal(new.rng.random(9, np.float32), old.rng.random(9, np.float32))
    np.testing.assert_array_equal(new.rng.integers(0, 9, 9), old.rng.integers(0, 9, 9))
    other = Dropout(
        0.5, np.random.Generator(np.random.MT19937(0) if bit_generator != "MT19937" else np.random.PCG64(0))
    )
    with pytest.raises(FileError, match=f"'rng' the state of a generator of {bit_generator} for one of "):
        load_parameters(other, tmp_path / "a")


def test_another_generator_is_refused():
    class Mine(np.random.PCG64):
        pass

    with pytest.raises(TypeError, match=r"rng is a random generator of Mine, which cannot be saved: take one of PCG64"):
        snapshot(Dropout(0.5, np.random.Generator(Mine(0))))


def test_flat_parameters_are_written_through(tmp_path):
    old, new = net(0), net(1)
    theta = FlatParameters(new)
    save_parameters(old, tmp_path / "a")
    load_parameters(new, tmp_path / "a")
    np.testing.assert_array_equal(theta.vector, FlatParameters(old).vector)


def test_what_several_places_share_is_written_once(tmp_path):
    a, b = Linear(3, 3, rng=0), Linear(3, 3, rng=1)
    b.weight = a.weight
    norm = BatchNorm1d(3)
    stack = Sequential(a, Tanh(), b, Repeat(norm, 2), Frozen(Linear(3, 2, rng=2)))
    save_parameters(stack, tmp_path / "a")
    expected = ["0.weight", "0.bias", "2.bias", "3.0.weight", "3.0.bias", "3.0.running_mean", "3.0.running_var"]
    assert list(load_arrays(tmp_path / "a")[0]) == [
        *expected,
        "3.0.num_batches_tracked",
        "4.inner.weight",
        "4.inner.bias",
    ]
    other = copy.deepcopy(stack)
    for array in other.parameters().values():
        array[...] = 0
    load_parameters(other, tmp_path / "a")
    assert bits(other) == bits(stack)
    assert other[2].weight is other[0].weight


def test_all_that_does_not_fit_is_listed_and_nothing_is_loaded(tmp_path):
    save_arrays(
        tmp_path / "a",
        {
            "0.weight": np.zeros((4, 4)),
            "0.bias": np.zeros(4, complex),
            "2.weight": np.ones((2, 4)),
            "2.bias": np.array([np.nan, 1]),
            "extra": np.zeros(1),
        },
        kind="parameters",
    )
    stack = Sequential(Linear(3, 4, rng=0), Tanh(), Linear(4, 2, rng=0), Linear(2, 1, rng=0), Dropout(rng=0))
    before = bits(stack)
    with pytest.raises(FileError) as caught:
        load_parameters(stack, tmp_path / "a")
    for part in (
        "'3.weight' is missing",
        "'3.bias' is missing",
        "'4.rng' is missing",
        "'extra' is unexpected",
        "'0.weight' has shape (4, 4), not (4, 3)",
        "'0.bias' is complex128, which does not become float64",
        "'2.bias' has 1 of 2 entries that are NaN or infinite",
        "rename= gives names here for those in the file",
    ):
        assert part in str(caught.value), part
    assert "2.weight" not in str(caught.value)
    assert bits(stack) == before
    with pytest.raises(FileError, match=r"'0.weight' has shape"):
        load_parameters(stack, tmp_path / "a", strict=False)
    assert bits(stack) == before


def test_not_strict_leaves_out_what_one_side_lacks(tmp_path):
    save_arrays(tmp_path / "a", {"0.weight": np.ones((4, 3)), "9.bias": np.zeros(1)}, kind="parameters")
    stack = Sequential(Linear(3, 4, rng=0))
    bias = stack[0].bias.copy()
    with pytest.raises(FileError, match=r"'0.bias' is missing; '9.bias' is unexpected"):
        load_parameters(stack, tmp_path / "a")
    assert load_parameters(stack, tmp_path / "a", strict=False) == (("0.bias",), ("9.bias",))
    assert (stack[0].weight == 1).all()
    np.testing.assert_array_equal(stack[0].bias, bias)
    with pytest.raises(TypeError, match=r"expects strict to be True or False"):
        load_parameters(stack, tmp_path / "a", strict="no")


@pytest.mark.parametrize(
    ("own", "given", "fault"),
    [
        (np.float32, np.array([1e300]), "has numbers beyond float32"),
        (np.float64, np.array([[[1.0]]]), r"has shape \(1, 1, 1\), not \(1, 1\)"),
        (np.float32, np.array([np.inf]), "has 1 of 1 entries that are NaN or infinite"),
        (np.float64, np.array([1]), "is int64, which does not become float64"),
        (np.float64, np.array([1j]), "is complex128, which does not become float64"),
        (np.float16, np.array([7e4], np.float32), "has numbers beyond float16"),
    ],
)
def test_types_that_lose_a_number_are_refused(tmp_path, own, given, fault):
    layer = Linear(1, 1, bias=False, dtype=own)
    save_arrays(tmp_path / "a", {"weight": given.reshape(1, 1) if given.ndim == 1 else given}, kind="parameters")
    with pytest.raises(FileError, match=f"'weight' {fault}"):
        load_parameters(layer, tmp_path / "a")


def test_floating_types_are_cast_to_that_of_the_layer(tmp_path):
    save_parameters(Linear(3, 2, rng=0), tmp_path / "a")
    for dtype in (np.float16, np.float32, np.complex64):
        layer = Linear(3, 2, dtype=dtype)
        load_parameters(layer, tmp_path / "a")
        np.testing.assert_array_equal(layer.weight, Linear(3, 2, rng=0).weight.astype(dtype))


class Counting(Layer):
    """State of integers and of floating numbers."""

    state_names = ("count", "largest", "nothing")

    def __init__(self):
        self.count, self.largest, self.nothing = np.array(0, np.int8), np.array(-np.inf), None


def test_state_of_integers_and_infinities(tmp_path):
    layer = Counting()
    save_parameters(layer, tmp_path / "a")
    assert load_parameters(layer, tmp_path / "a") == ((), ())
    save_arrays(tmp_path / "a", {"count": np.array(300), "largest": np.array(np.nan)}, kind="parameters")
    with pytest.raises(FileError, match=r"'count' has numbers beyond int8; 'largest' has 1 of 1 entries that are NaN"):
        load_parameters(layer, tmp_path / "a")
    save_arrays(tmp_path / "a", {"count": np.array(100), "largest": np.array(3.0)}, kind="parameters")
    load_parameters(layer, tmp_path / "a")
    assert (layer.count, layer.count.dtype, layer.largest) == (100, np.int8, 3)
    layer.count.flags.writeable = False
    with pytest.raises(FileError, match=r"'count' is read-only in the layer"):
        load_parameters(layer, tmp_path / "a")


def test_what_would_not_load_is_not_written(tmp_path):
    layer = Linear(2, 2)
    layer.weight[0, 1] = np.nan
    with pytest.raises(ValueError, match=r"got nan in weight\[0, 1\] .* not finite\): put back parameters and"):
        save_parameters(layer, tmp_path / "a")
    counting = Counting()
    counting.largest[...] = np.nan
    with pytest.raises(ValueError, match=r"has NaN in its state largest"):
        save_parameters(counting, tmp_path / "a")
    counting.largest = 3
    with pytest.raises(TypeError, match=r"has int as its state largest, which cannot be saved: let it be an array"):
        save_parameters(counting, tmp_path / "a")
    with pytest.raises(ValueError, match=r"has no arrays yet.*minigrad.build"):
        save_parameters(Linear(None, 2), tmp_path / "a")
    with pytest.raises(TypeError, match=r"save_parameters expects a layer, got PosixPath|got WindowsPath"):
        save_parameters(tmp_path / "a", layer)
    stack = Sequential(Linear(2, 2), Linear(2, 2))
    stack[1].weight = stack[0].weight.T
    with pytest.raises(ValueError, match=r"0\.weight and 1\.weight that overlap"):
        save_parameters(stack, tmp_path / "a")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("view", [lambda w: w[:], lambda w: w[::-1], lambda w: w.T, lambda w: w[1:]])
def test_overlap_is_seen_among_many(tmp_path, view):
    stack = Sequential(*(Linear(3, 3) for _ in range(300)))
    FlatParameters(stack)  # neighbours in memory touch each other, and do not overlap
    save_parameters(stack, tmp_path / "a")
    stack[280].weight = view(stack[5].weight)
    with pytest.raises(ValueError, match=r"(5|280)\.weight and (5|280)\.weight that overlap"):
        save_parameters(stack, tmp_path / "a")


def test_arrays_that_only_interleave_do_not_overlap(tmp_path):
    class Three(Layer):
        state_names = ("a", "b", "c")

    layer, memory = Three(), np.zeros(9)
    layer.a, layer.b, layer.c = memory[::2], memory[1:2], memory[5:6]
    save_parameters(layer, tmp_path / "a")
    layer.c = memory[6:8]  # the span of a, and beyond that of b
    with pytest.raises(ValueError, match="parameters a and c that overlap"):
        save_parameters(layer, tmp_path / "a")


def test_names_with_a_slash_belong_to_checkpoints(tmp_path):
    class Odd(Sequential):
        def children(self):
            return [("a/b", self[0])]

    with pytest.raises(ValueError, match=r"has an array 'a/b.weight': names in a file have no /"):
        save_parameters(Odd(Linear(2, 2)), tmp_path / "a")


def test_the_parameters_of_checkpoints_and_models(tmp_path):
    old, new = net(0), net(1)
    arrays, generators = snapshot(old)
    save_arrays(
        tmp_path / "a",
        arrays | {"optimizer/step": np.ones(3)},
        {"generators": generators, "epoch": 3},
        kind="checkpoint",
    )
    load_parameters(new, tmp_path / "a")
    assert bits(new) == bits(old)
    new = net(1)
    old.mask = np.zeros(3)
    save_model(old, tmp_path / "a")
    load_parameters(new, tmp_path / "a")
    assert bits(new) == bits(old)


def test_restoring_looks_first_and_writes_after(tmp_path):
    old, new = net(0), net(1)
    arrays, generators = snapshot(old)
    before = bits(new)
    write, unmatched = restoring(new, arrays, generators, path="here")
    assert unmatched == ((), ())
    assert bits(new) == before
    write()
    assert bits(new) == bits(old)
    generators["2.rng"] = {**generators["2.rng"], "has_uint32": 2}
    with pytest.raises(FileError, match=r"here: expected '2.rng' .*no possible state of a generator of PCG64"):
        restoring(new, arrays, generators, path="here")
    with pytest.raises(FileError, match=r"no state of a generator of PCG64, "):
        restoring(new, arrays, {"2.rng": 3}, path="here")


def test_rename(tmp_path):
    save_arrays(
        tmp_path / "a",
        {"net.fc1.weight": np.ones((4, 3)), "net.fc1.bias": np.ones(4), "net.fc10.bias": np.ones(2)},
        kind="parameters",
    )
    stack = Sequential(Linear(3, 4), Linear(4, 2))
    missing = ("1.weight",)
    for rename in (
        {"net.fc1": "0", "net.fc10": "1"},
        {"net": "", "net.fc1": "0", "net.fc10.bias": "1.bias"},
        lambda name: name.replace("net.fc10", "1").replace("net.fc1", "0"),
    ):
        stack[0].weight[...] = 0
        assert load_parameters(stack, tmp_path / "a", strict=False, rename=rename) == (missing, ())
        assert (stack[0].weight == 1).all()
    with pytest.raises(FileError, match=r"to begin with 'net.fc', as rename says, got net.fc1.weight"):
        load_parameters(stack, tmp_path / "a", rename={"net.fc": "0"})
    with pytest.raises(FileError, match=r"'0.bias' of both 'net.fc1.bias' and 'net.fc10.bias'"):
        load_parameters(stack, tmp_path / "a", rename={"net.fc1": "0", "net.fc10": "0"})
    with pytest.raises(TypeError, match=r"rename to be a function or a mapping, got str"):
        load_parameters(stack, tmp_path / "a", rename="net")
    with pytest.raises(TypeError, match=r"rename to give names, got None for 'net.fc1.weight'"):
        load_parameters(stack, tmp_path / "a", rename=lambda name: None)


def test_rename_goes_both_ways(tmp_path):
    old, new = net(0), net(1)
    there = {"0": "fc1", "1": "norm", "2": "noise", "5": "head"}
    back = {name: place for place, name in there.items()}
    for forth in (there, lambda name: f"{there[name[0]]}{name[1:]}"):
        save_parameters(old, tmp_path / "a", rename=forth)
        arrays, record = load_arrays(tmp_path / "a")
        assert list(arrays)[:4] == ["fc1.weight", "fc1.bias", "norm.weight", "norm.bias"]
        assert list(record["generators"]) == ["noise.rng"]
        with pytest.raises(FileError, match=r"'0.weight' is missing.*rename= gives names here"):
            load_parameters(new, tmp_path / "a")
        assert load_parameters(new, tmp_path / "a", rename=back) == ((), ())
        assert bits(new) == bits(old)
    for rename, error, said in (
        ({"fc1": "0"}, ValueError, r"to begin with 'fc1', as rename says, got 0.weight, .*: a beginning ends before a"),
        (
            {"0": "a", "5": "a"},
            ValueError,
            r"'a.weight' of both '0.weight' and '5.weight': let rename give each another",
        ),
        ("fc1", TypeError, r"save_parameters expects rename to be a function or a mapping, got str"),
        (lambda name: 3, TypeError, r"save_parameters expects rename to give names, got int for '0.weight'"),
    ):
        with pytest.raises(error, match=said):
            save_parameters(old, tmp_path / "b", rename=rename)
    assert not (tmp_path / "b").exists()


def test_names_of_pytorch_go_there_and_back(tmp_path):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)

        def forward(self, x):
            return self.fc2(torch.relu(self.fc1(x)))

    theirs, ours = Net().double(), Sequential(Linear(3, 4), ReLU(), Linear(4, 2))
    safetensors.save_file(theirs.state_dict(), tmp_path / "a")
    load_parameters(ours, tmp_path / "a", rename={"fc1": "0", "fc2": "2"})
    ours[0].weight *= 2
    save_parameters(ours, tmp_path / "a", rename={"0": "fc1", "2": "fc2"})
    theirs.load_state_dict(safetensors.load_file(tmp_path / "a"))
    x = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(theirs(torch.tensor(x)).detach().numpy(), ours(x), rtol=1e-12)


def pairs(torch):
    """(ours, theirs, an input) of one architecture."""
    nn = torch.nn
    x = np.random.default_rng(0).normal(size=(5, 3))
    images = np.random.default_rng(0).normal(size=(2, 3, 6, 6))
    sequence = np.random.default_rng(0).normal(size=(2, 5, 4))
    return {
        "linear": (
            Sequential(Linear(3, 4), BatchNorm1d(4), ReLU(), Dropout(), Linear(4, 2, bias=False), LayerNorm(2)),
            nn.Sequential(
                nn.Linear(3, 4),
                nn.BatchNorm1d(4),
                nn.ReLU(),
                nn.Dropout(),
                nn.Linear(4, 2, bias=False),
                nn.LayerNorm(2),
            ),
            x,
        ),
        "convolution": (
            Sequential(
                Conv2d(3, 4, 3),
                BatchNorm2d(4),
                ReLU(),
                ConvTranspose2d(4, 2, 2),
                GroupNorm(1, 2),
                Flatten(),
                Linear(50, 3),
            ),
            nn.Sequential(
                nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 2, 2), nn.GroupNorm(1, 2),
                nn.Flatten(), nn.Linear(50, 3),
            ),
            images,
        ),
        "embedding": (
            Sequential(Embedding(7, 4), LayerNorm(4)),
            nn.Sequential(nn.Embedding(7, 4), nn.LayerNorm(4)),
            np.array([[0, 6, 3]]),
        ),
        "attention": (MultiHeadAttention(4, 2), nn.MultiheadAttention(4, 2, batch_first=True), sequence),
        "recurrent": (GRU(4, 3), nn.GRU(4, 3, batch_first=True), sequence),
    }  # fmt: skip


def theirs_of(theirs, z):
    name = type(theirs).__name__
    result = theirs(z, z, z, need_weights=False) if name == "MultiheadAttention" else theirs(z)
    return (result[0] if isinstance(result, tuple) else result).detach().numpy()


@pytest.mark.parametrize("name", ["linear", "convolution", "embedding", "attention", "recurrent"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_state_dicts_move_both_ways(tmp_path, name, dtype):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    ours, theirs, z = pairs(torch)[name]
    ours = ours.astype(dtype)
    theirs = theirs.to(torch.float32 if dtype is np.float32 else torch.float64)
    z = z.astype(dtype) if z.dtype.kind == "f" else z
    rng = np.random.default_rng(1)
    for array in theirs.state_dict().values():
        array.copy_(
            torch.tensor(rng.uniform(0.5, 1.5, size=tuple(array.shape)) * (10 if array.dtype == torch.int64 else 1))
        )

    safetensors.save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    load_parameters(ours, tmp_path / "theirs.safetensors")
    theirs.eval()
    tolerance = 1e-5 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(ours(z), theirs_of(theirs, torch.tensor(z)), rtol=tolerance, atol=tolerance)
    for key, array in theirs.state_dict().items():
        held = (ours.parameters() | ours.state())[key]
        assert held.tobytes() == array.numpy().tobytes(), key

    for array in ours.parameters().values():
        array += rng.normal(size=array.shape).astype(dtype)
    save_parameters(ours, tmp_path / "ours.safetensors")
    theirs.load_state_dict(safetensors.load_file(tmp_path / "ours.safetensors"))  # strict: no name more, none less
    np.testing.assert_allclose(ours(z), theirs_of(theirs, torch.tensor(z)), rtol=tolerance, atol=tolerance)
