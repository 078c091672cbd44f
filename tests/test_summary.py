"""What a model is made of: shapes, parameters, multiply-adds and caches, against counts by hand."""

import copy
from functools import partial

import numpy as np
import pytest
from case import Sizes
from table import CASES
from test_watching import everything

from minigrad import (
    BatchNorm1d,
    BatchNorm2d,
    Bilinear,
    Concatenate,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Elementwise,
    Embedding,
    Flatten,
    Frozen,
    L2Penalty,
    Layer,
    Linear,
    LogSoftmax,
    MaxPool2d,
    MSELoss,
    MultiHeadAttention,
    NLLLoss,
    Parallel,
    Penalized,
    ReLU,
    Repeat,
    Residual,
    Sequential,
    Tanh,
)
from minigrad.shapes import N
from minigrad.watching import Summary, summary
from minigrad.watching.caches import arrays_in, buffer, cache_bytes
from minigrad.watching.readable import count, duration, size
from minigrad.watching.watched import Event


def mlp(dtype=np.float64):
    return Sequential(Linear(784, 100, rng=0, dtype=dtype), Tanh(), Linear(100, 10, rng=0, dtype=dtype), LogSoftmax())


def rows_of(found, *fields):
    return {row.place: tuple(getattr(row, field) for field in fields) for row in found.rows}


# Counts by hand.


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_perceptron_counted_by_hand(dtype):
    item = np.dtype(dtype).itemsize
    found = summary(mlp(dtype), (784,), batch=128)
    assert isinstance(found, Summary)
    assert rows_of(found, "shape", "parameters", "multiply_adds", "cache_bytes") == {
        "0": ((N, 100), 784 * 100 + 100, 784 * 100, 784 * item),  # z
        "1": ((N, 100), 0, 0, 100 * item),  # z_next
        "2": ((N, 10), 100 * 10 + 10, 100 * 10, 0),  # z, which Tanh has already
        "3": ((N, 10), 0, 0, 10 * item),  # log p
    }
    assert found.parameters == found.trained == 79_510
    assert found.parameter_bytes == 79_510 * item
    assert (found.frozen, found.state, found.state_bytes) == (0, 0, 0)
    assert found.multiply_adds == 784 * 100 + 100 * 10
    assert found.cache_bytes == 894 * item
    assert (found.batch, found.batch_cache_bytes) == (128, 128 * 894 * item)
    assert found.all_counted
    assert found.all_measured
    assert found.notes == ()


def test_a_convolutional_net_counted_by_hand():
    model = Sequential(Conv2d(1, 4, 3, padding=1), BatchNorm2d(4), ReLU(), MaxPool2d(2), Flatten(), Linear(None, 3))
    found = summary(model, (1, 8, 8))
    by_place = rows_of(found, "shape", "parameters", "multiply_adds")
    assert by_place["0"] == ((N, 4, 8, 8), 4 * 9 + 4, 8 * 8 * 4 * 9)
    assert by_place["1"] == ((N, 4, 8, 8), 8, 0)
    assert by_place["4"] == ((N, 64), 0, 0)
    assert by_place["5"] == ((N, 3), 3 * 64 + 3, 3 * 64)
    assert found.state == 8 + 1  # and how many batches
    assert repr(model[5]) == "Linear(? -> 3)"  # a copy saw the zeros
    assert not model[1].running_mean.any()


def test_multiply_adds_of_a_container_that_says_them_are_those_of_all_inside():
    model = Sequential(MultiHeadAttention(8, 2, rng=0), Flatten(), Linear(40, 3))
    found = summary(model, (5, 8))
    of = rows_of(found, "multiply_adds")
    projections, products = 4 * 5 * 8 * 8, 2 * 5 * 5 * 8
    assert of["0"] == (projections + products,)
    inside = [row.multiply_adds for row in found.rows if row.place.startswith("0.") and "Linear" in row.name]
    assert inside == [5 * 8 * 8] * len(inside)
    assert found.multiply_adds == projections + products + 40 * 3


def test_shared_and_frozen_arrays_count_once_and_are_marked():
    shared = Linear(3, 3, rng=0)
    model = Sequential(Parallel(shared, shared), Concatenate(), Frozen(BatchNorm1d(6)), Repeat(Linear(6, 6), 2))
    found = summary(model, ((3,), (3,)))
    assert rows_of(found, "parameters", "shared", "frozen") == {
        "0": (0, (), False),
        "0.0": (12, (), False),
        "0.1": (0, ("0.0",), False),
        "1": (0, (), False),
        "2": (0, (), False),
        "2.inner": (12, (), True),
        "3": (0, (), False),
        "3.0": (42, (), False),
        "3.1": (0, ("3.0",), False),
    }
    assert (found.trained, found.frozen, found.parameters, found.state) == (54, 12, 66, 13)
    assert (found.parameter_bytes, found.state_bytes) == (66 * 8, 13 * 8)
    assert found.multiply_adds == 2 * 9 + 2 * 36  # each time over
    lines = str(found).splitlines()
    assert "as 0.0 " in lines[4]
    assert "12 frozen" in lines[7]
    assert "Parameters: 54 trained, 12 frozen, 528 B; state: 13 numbers, 104 B" in lines


def test_everything_at_once_is_summed_up():
    cost = everything()
    found = summary(cost, ((3,), (3,)), batch=10)
    assert [row.place for row in found.rows if not row.is_container] == [
        "0.0.0", "0.0.1", "0.1.0", "0.1.1", "1", "2.inner.0", "2.inner.1", "2.inner.2", "3.0", "3.1", "4.inner.0",
        "4.inner.1", "5.first", "5.second", "6", "7",
    ]  # fmt: skip
    assert rows_of(found, "depth", "name")["2.inner.1"] == (2, "Dropout(0.5)")
    assert found.multiply_adds == 3 * 9 + 6
    assert found.trained == 12 + 12 + 6 + 8
    assert (found.frozen, found.state) == (6, 14)  # of an integer that counts batches too
    assert not found.all_measured
    assert found.rows[-1].cache_bytes is None
    assert cost.cost[2].inner[2].running_mean.tolist() == [0, 0, 0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_parameters_are_those_of_the_model(case):
    """And the caches those of a batch, as large as is said."""
    sizes, rng = Sizes(5, 4, 3), np.random.default_rng(0)
    layer = case.make(sizes, rng)
    z = case.domain(rng.normal(size=case.z_shape(sizes)))
    if case.arguments(sizes, rng):
        return
    found = summary(layer, z)
    arrays = {id(array): array for array in layer.parameters().values()}.values()
    assert found.trained == sum(array.size for array in arrays)
    assert found.parameters == found.trained + found.frozen == sum(row.parameters for row in found.rows)
    frozen = [value for value in layer.state().values() if isinstance(value, np.ndarray)]
    assert found.frozen + found.state == sum(array.size for array in {id(a): a for a in frozen}.values())
    assert found.all_measured
    for rows in (2, 4, 7):
        twin = copy.deepcopy(layer)
        index = np.arange(rows) % len(z)
        _, cache = twin.forward(z[index])
        held = {id(buffer(a)) for a in arrays_in(tuple(twin.parameters().values()) + tuple(twin.state().values()))}
        whole = {id(buffer(a)): buffer(a).nbytes for a in arrays_in(cache) if id(buffer(a)) not in held}
        assert summary(layer, z, rows).batch_cache_bytes == sum(whole.values()), case.name


# What a cache holds.


def test_a_buffer_counts_once_and_whole():
    a, b = np.zeros(100), np.zeros(7)
    windows = np.lib.stride_tricks.sliding_window_view(a, 5)
    assert buffer(a[3:5]) is a
    assert buffer(windows[2]) is a
    assert buffer(np.broadcast_to(b, (50, 7))) is b

    class Kept:
        __slots__ = ("array", "other")

        def __init__(self):
            self.array, self.other = a[:2], {"b": [b]}

    class Holder:
        def __init__(self):
            self.kept, self.holder = Kept(), self

    layer = Linear(3, 2)
    assert {id(buffer(array)) for array in arrays_in((Holder(), layer, None, 3))} == {id(a), id(b)}
    events = [
        Event("0", layer, "forward", (), None, (a[::2], layer.weight.T)),
        Event("1", layer, "forward", (), None, [windows, b, {"again": b}]),
        Event("1", layer, "forward", (), None, np.zeros(1)),
    ]
    assert cache_bytes(events, [layer]) == {"0": 800, "1": 7 * 8 + 8}


def test_what_does_not_grow_with_the_batch_is_not_multiplied():
    class Keeps(Layer):
        def forward(self, z):
            return z, (z, np.zeros(11))

    found = summary(Keeps(), (3,), batch=100)
    assert (found.cache_bytes, found.batch_cache_bytes) == (3 * 8 + 88, 100 * 24 + 88)


# What is not known.


class Mine(Layer):
    """A layer of a user, which says nothing of itself."""

    parameter_names = ("a",)

    def __init__(self):
        self.a = np.ones(3)

    def forward(self, z):
        return z @ np.diag(self.a), z


class Says(Mine):
    def multiply_adds(self, shape):
        return shape[0] * 9


class Squared(Elementwise):
    def f(self, z):
        return z * z

    def df(self, z_next):
        return 2 * np.sqrt(z_next)


def test_of_a_layer_that_does_not_say_multiply_adds_are_not_known():
    found = summary(Sequential(Mine(), Linear(3, 2)), (3,))
    assert rows_of(found, "multiply_adds") == {"0": (None,), "1": (6,)}
    assert (found.multiply_adds, found.all_counted) == (6, False)
    assert str(found).splitlines()[2].split()[-3:] == ["?", "24", "B"]
    assert "Multiply-adds: at least 6 for a row, in the matrix products of rule 1" in str(found)
    assert found.notes == ("?: multiply_adds(shape) would say it of layer 0, Mine()",)
    assert summary(Mine(), (3,)).notes == ("?: multiply_adds(shape) would say it of Mine()",)
    says = summary(Sequential(Says(), Squared(), Linear(3, 2)), (3,))
    assert (says.multiply_adds, says.all_counted) == (9 + 6, True)


def test_a_loss_on_top_needs_no_target():
    cost = Penalized(Sequential(*mlp(), NLLLoss()), L2Penalty(0.1, "*.weight"))
    found, model = summary(cost, (784,)), summary(mlp(), (784,))
    assert rows_of(found, "shape", "parameters", "cache_bytes")["4"] == ((), 0, None)
    assert (found.cache_bytes, found.all_measured) == (model.cache_bytes, False)
    assert found.notes == ("-: NLLLoss(mean) runs on a target, so that what it keeps is not measured",)
    assert "Cache: at least 7.15 kB for a row" in str(found)
    assert str(found).splitlines()[6].split() == ["4", "NLLLoss(mean)", "()", "0", "0", "-"]
    assert summary(MSELoss(), (3,)).rows[0].cache_bytes is None


class Picky(Layer):
    def forward(self, z):
        if not z.all():
            raise ValueError("there is a 0")
        return z, z

    def output_shape(self, shape):
        return shape


def test_where_zeros_are_refused_a_batch_is_asked_for():
    model = Sequential(Linear(3, 3), Picky(), Linear(3, 2))
    for array in model[0].parameters().values():
        array[:] = 0
    found = summary(model, (3,))
    assert rows_of(found, "cache_bytes") == {"0": (24,), "1": (None,), "2": (None,)}
    assert found.notes[-1] == (
        "-: not measured, since rule 1 of Picky() raised ValueError on zeros, there is a 0: give a batch of data for "
        "input_shape"
    )
    model[0].bias[:] = 1
    assert summary(model, np.ones((1, 3))).all_measured


class Log(Layer):
    """A layer of a user, which declares nothing."""

    def forward(self, z):
        if (z <= 0).any():
            raise ValueError("Log expects positive numbers")
        return np.log(z), z


class Between(Layer):
    """It refuses zeros, ones and indices of 0."""

    def forward(self, z):
        if ((z <= 0) | (z >= 1)).any():
            raise ValueError("expects numbers between 0 and 1")
        return np.log(z), z


def test_data_that_are_given_are_run_before_zeros_are():
    inside = Sequential(Between(), Linear(None, 2), Tanh())
    for model in (inside, Residual(Sequential(inside, Linear(2, 3)))):
        found = summary(model, np.full((5, 3), 0.5))
        assert found.all_measured
        place = "0" if model is inside else "inner.0.0"
        assert found.notes == (f"?: multiply_adds(shape) would say it of layer {place}, Between()",)
        with pytest.raises(ValueError, match="expects numbers between 0 and 1") as expected:
            model.check((3,))
        with pytest.raises(ValueError, match="expects numbers between 0 and 1") as raised:
            summary(model, (3,))
        assert str(raised.value) == str(expected.value)
    assert rows_of(summary(inside, np.full((5, 3), 0.5)), "shape", "cache_bytes") == {
        "0": ((N, 3), 24), "1": ((N, 2), 24), "2": ((N, 2), 16),
    }  # fmt: skip
    # With a loss on top that is given no target: its shape is what it declares.
    cost = summary(Sequential(*inside, MSELoss()), np.full((5, 3), 0.5))
    assert rows_of(cost, "shape")["3"] == ((),)
    assert cost.notes[-1] == "-: MSELoss(mean) runs on a target, so that what it keeps is not measured"
    misfit = r"^Linear\(4 -> 2\) expects z of shape \(batch, 4\), got \(N, 3\)"
    with pytest.raises(ValueError, match=misfit):
        summary(Sequential(Between(), Linear(4, 2)), np.full((5, 3), 0.5))
    assert summary(Sequential(Log(), Linear(3, 2)), (3,)).all_measured  # ones will do
    found = summary(Picky(), np.zeros((2, 3)))
    assert found.notes[-1] == "-: not measured, since rule 1 of Picky() raised ValueError on this batch, there is a 0"


class Wider(Linear):
    """It says its own shape, and gives another."""

    def forward(self, z):
        y, cache = super().forward(z)
        return np.concatenate([y, y], axis=-1), cache

    def output_shape(self, shape):
        return (*shape[:-1], 2)


class Refuses(Tanh):
    def output_shape(self, shape):
        raise ValueError("no")


def test_a_wrong_declaration_is_noted_and_what_was_measured_shown():
    model = Sequential(Residual(Sequential(Linear(3, 3), Tanh())), Sequential(Wider(3, 2)), Tanh())
    for z in ((3,), np.ones((4, 3))):
        found = summary(model, z)
        assert rows_of(found, "shape")["1.0"] == rows_of(found, "shape")["2"] == ((N, 4),)
        assert found.notes[-1] == (
            "the output_shape of layer 1.0, Wider(3 -> 2) is wrong: of z (N, 3) it says (N, 2), and rule 1 gives (N, 4)"
        )
        assert sum("is wrong" in note for note in found.notes) == 1  # not that of what stands around it
        assert found.all_measured
        assert str(found).endswith(found.notes[-1])
    below = summary(Sequential(Wider(3, 2), Linear(2, 1)), (3,))
    assert "layer 0, Wider" in below.notes[-2]
    assert below.notes[-1].startswith("-: not measured, since rule 1 of Linear(2 -> 1) raised ShapeError on zeros, ")
    assert "give a batch" not in below.notes[-1]
    assert not below.all_measured
    raising = summary(Refuses(), np.ones((2, 3)))
    assert raising.notes[-1] == (
        "the output_shape of Refuses() is wrong: of z (N, 3) it raises ValueError, no, and rule 1 gives (N, 3)"
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_declaration_of_minigrad_is_wrong(case):
    sizes, rng = Sizes(5, 4, 3), np.random.default_rng(0)
    layer = case.make(sizes, rng)
    if not case.arguments(sizes, rng):
        found = summary(layer, case.domain(rng.normal(size=case.z_shape(sizes))))
        assert not [note for note in found.notes if "is wrong" in note]


class Pairs(Layer):
    """It keeps what each row is to each other one, and more."""

    def __init__(self, powers=(2,)):
        self.powers = powers

    def forward(self, z):
        return z, [np.zeros((len(z),) * power) for power in self.powers]

    def multiply_adds(self, shape):
        return 0


@pytest.mark.parametrize("powers", [(2,), (1, 2), (2, 2, 1)])
def test_caches_of_pairs_of_rows_are_extrapolated_as_such(powers):
    for rows in (1, 2, 7, 128):
        found = summary(Sequential(Pairs(powers), Linear(3, 2)), (3,), batch=rows)
        assert found.batch_cache_bytes == 8 * sum(rows**power for power in powers) + 24 * rows
        assert found.all_measured


def test_caches_that_grow_otherwise_are_not_guessed():
    found = summary(Sequential(Linear(3, 2), Pairs((3,))), (3,), batch=7)
    assert rows_of(found, "cache_bytes") == {"0": (24,), "1": (None,)}
    assert (found.batch_cache_bytes, found.all_measured) == (7 * 24, False)
    assert found.notes == (
        "-: not measured, since it grows neither with the rows nor with their pairs, of layer 1, Pairs()",
    )
    assert "Cache: at least 24 B for a row, at least 168 B for a batch of 7" in str(found)


class Together(Layer):
    """All rows of all sequences, one below the other."""

    def forward(self, z):
        return z.reshape(-1, z.shape[-1]), z.shape


def test_a_note_on_multiply_adds_is_for_layers_that_lack_the_method():
    found = summary(Sequential(Together(), Linear(3, 2), Tanh()), np.ones((4, 5, 3)))
    assert rows_of(found, "shape", "multiply_adds") == {"0": (None, None), "1": (None, None), "2": (None, None)}
    assert found.notes == (
        "?: multiply_adds(shape) would say it of layer 0, Together()",
        "?: not known, since the shape of z is not, of layer 1, Linear(3 -> 2), layer 2, Tanh()",
    )


class Squares(Layer):
    """A loss that is no Loss."""

    def forward(self, z, target):
        return ((z - target) ** 2).mean(), (z, target)


def test_what_takes_a_target_is_a_loss_by_its_signature():
    for data in ((3,), np.ones((4, 3))):
        found = summary(Sequential(Linear(3, 1), Squares()), data)
        assert found.notes[-1] == "-: Squares() runs on a target, so that what it keeps is not measured"
        assert rows_of(found, "shape", "cache_bytes") == {"0": ((N, 1), 24), "1": (None, None)}


def test_empty_batches_of_several_inputs_are_refused_too():
    said = r"^summary expects a batch of one row or more, got shape \(\(0, 3\), \(0, 4\)\)$"
    with pytest.raises(ValueError, match=said):
        summary(Bilinear(3, 4, 2), (np.ones((0, 3)), np.ones((0, 4))))
    assert summary(Bilinear(3, 4, 2), (np.ones((2, 3)), (4,))).all_measured


def test_deep_nests_keep_their_places_and_names():
    model = Linear(3, 3)
    for _ in range(26):
        model = Residual(model)
    lines = str(summary(model, (3,))).splitlines()
    places = [line.split()[0] for line in lines[2:28]]
    assert places == [".".join(["inner"] * depth) for depth in range(1, 27)]
    assert lines[27].split()[1:4] == ["Linear(3", "->", "3)"]


def test_indices_are_run_as_integers_or_as_the_batch_that_is_given():
    model = Sequential(Embedding(10, 4), Flatten(), Linear(None, 2))
    for rows in ((5,), np.arange(10).reshape(2, 5)):
        found = summary(model, rows)
        assert rows_of(found, "shape", "cache_bytes") == {
            "0": ((N, 5, 4), 5 * 8), "1": ((N, 20), 0), "2": ((N, 2), 20 * 8),
        }  # fmt: skip
        assert found.parameters == 40 + 42


def test_layers_that_say_no_shape_are_run_on_zeros():
    class Inner(Residual):
        def output_shape(self, shape):
            return Layer.output_shape(self, shape)

    found = summary(Sequential(Inner(Sequential(Linear(3, 3), Tanh())), Linear(None, 2)), (3,))
    assert rows_of(found, "shape")["0.inner.0"] == ((N, 3),)
    assert found.multiply_adds == 9 + 6


# Errors are those of check.


def test_a_misfit_raises_the_error_of_check():
    model = Sequential(Linear(4, 3), Tanh(), Linear(5, 2))
    for bad in ((4,), (7,), 4, (0,), [4]):
        with pytest.raises((ValueError, TypeError)) as expected:
            model.check(bad)
        with pytest.raises(type(expected.value)) as found:
            summary(model, bad)
        assert str(found.value) == str(expected.value)
        assert getattr(found.value, "__notes__", []) == getattr(expected.value, "__notes__", [])


def test_bad_options_are_named():
    with pytest.raises(ValueError, match=r"^summary expects batch to be a positive integer, got 0$"):
        summary(mlp(), (784,), batch=0)
    with pytest.raises(TypeError, match=r"^summary expects a layer, got None: pass the model or the cost itself$"):
        summary(None, (3,))
    with pytest.raises(ValueError, match=r"^summary expects a batch of one row or more, got shape \(0, 784\)$"):
        summary(mlp(), np.zeros((0, 784)))


def test_nothing_is_moved():
    model = Sequential(Linear(3, 4, rng=0), Dropout(0.5, rng=0), BatchNorm1d(4), Linear(None, 2, rng=0))
    twin = copy.deepcopy(model)
    summary(model, (3,))
    assert not {"output_shape", "forward"} & {name for layer in model for name in vars(layer)}
    x = np.random.default_rng(0).normal(size=(6, 3))
    np.testing.assert_array_equal(model.forward(x)[0], twin.forward(x)[0])
    np.testing.assert_array_equal(model[2].running_mean, twin[2].running_mean)


# What it looks like.


def test_it_reads_as_a_table():
    found = summary(Sequential(Residual(Sequential(Linear(3, 3), Dropout(0.5))), CrossEntropyLoss()), (3,))
    assert repr(found) == str(found)
    assert str(found) == (
        "Sequential(Residual, CrossEntropyLoss) for z (N, 3)\n"
        "place      layer                   output  parameters  multiply-adds  cache\n"
        "0          Residual                (N, 3)\n"
        "0.inner      Sequential            (N, 3)\n"
        "0.inner.0      Linear(3 -> 3)      (N, 3)          12              9   24 B\n"
        "0.inner.1      Dropout(0.5)        (N, 3)           0              0   24 B\n"
        "1          CrossEntropyLoss(mean)  ()               0              0      -\n"
        "\n"
        "Parameters: 12 trained, 96 B\n"
        "Multiply-adds: 9 for a row, in the matrix products of rule 1\n"
        "Cache: at least 48 B for a row\n"
        "-: CrossEntropyLoss(mean) runs on a target, so that what it keeps is not measured"
    )
    html = found._repr_html_()
    assert html.count("<table>") == html.count("<caption") == 1
    assert html.count('<th scope="col"') == 6
    assert html.count('<th scope="row"') == 5
    assert '<td style="text-align:left;white-space:pre">    Linear(3 -&gt; 3)</td>' in html
    assert '<td style="text-align:right;white-space:nowrap">12</td>' in html
    assert "<p>Parameters: 12 trained, 96 B</p>" in html
    assert "color" not in html


def test_long_names_are_cut_and_large_numbers_short():
    model = Sequential(*[Linear(1000, 1200, rng=0), Linear(1200, 1000, rng=0)] * 12)
    lines = str(summary(model, (1000,))).splitlines()
    assert lines[0] == f"Sequential({'Linear, ' * 12}"[:77] + "... for z (N, 1000)"
    assert max(map(len, lines)) <= 100
    assert lines[2].split()[-6:] == ["1.2", "M", "1.2", "M", "8", "kB"]
    assert "Multiply-adds: 28,800,000 for a row, in the matrix products of rule 1" in lines


def test_it_is_a_method_of_every_layer():
    assert str(mlp().summary((784,), batch=3)) == str(summary(mlp(), (784,), batch=3))


def test_numbers_are_readable():
    assert [count(n) for n in (0, 235_146, 999_999, 1_000_000, 1_249_000, 3_200_000_000)] == [
        "0", "235,146", "999,999", "1 M", "1.25 M", "3.2 G",
    ]  # fmt: skip
    assert [size(n) for n in (0, 999, 1000, 999_499, 999_600, 2_500_000_000)] == [
        "0 B", "999 B", "1 kB", "999 kB", "1 MB", "2.5 GB",
    ]  # fmt: skip
    assert [duration(t) for t in (0.0, 1.5e-6, 0.0009999, 0.25, 999.96, 5000.0)] == [
        "0 us", "1.5 us", "1 ms", "250 ms", "1e+03 s", "5e+03 s",
    ]  # fmt: skip


class ByFunction(Layer):
    """Its cache is rule 2 itself, a closure or a partial function."""

    def __init__(self, kept):
        self.kept = kept

    def forward(self, z):
        y = np.tanh(z)
        rules = {"closure": lambda delta: delta * (1 - y**2), "partial": partial(np.multiply, 1 - y**2)}
        return y.copy(), rules[self.kept]

    def backward(self, delta, cache):
        return cache(delta)


@pytest.mark.parametrize("kept", ["closure", "partial"])
def test_a_cache_that_is_a_function_is_measured(kept):
    assert summary(Sequential(ByFunction(kept)), (100,)).cache_bytes == 800
