"""The pass through a cost as data: z and delta at every place, what they are like, and the time of each rule."""

import copy
import time
import warnings
import weakref

import numpy as np
import pytest
from case import Sizes
from table import CASES
from test_watching import LABELS, Doubled, everything

from minigrad import (
    BatchNorm1d,
    Branch,
    Concatenate,
    Container,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    Flatten,
    HomoscedasticGaussianNLLLoss,
    Identity,
    L2Penalty,
    Layer,
    Linear,
    LogSoftmax,
    MSELoss,
    MultiHeadAttention,
    NLLLoss,
    Penalized,
    ReLU,
    Residual,
    Sequential,
    Tanh,
    value_and_gradients,
)
from minigrad.fusions import Fusion
from minigrad.watching import LayerTrace, Trace, find_nonfinite, flow, trace, unused_parameters, watched
from minigrad.watching.statistics import BLOCK, arrays_of, norm, statistics
from minigrad.watching.watched import parts_of

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 2))


def small():
    rng = np.random.default_rng(1)
    return Sequential(Linear(3, 4, rng=rng), Tanh(), Linear(4, 2, rng=rng), LogSoftmax(), NLLLoss())


# Statistics.

ARRAYS = {
    "float64": RNG.normal(2, 3, (5, 4)),
    "float32": RNG.normal(2, 3, (5, 4)).astype(np.float32),
    "float16": RNG.normal(2, 3, (5, 4)).astype(np.float16),
    "integers": RNG.integers(-3, 3, (5, 4)),
    "bytes": RNG.integers(0, 255, (5, 4)).astype(np.uint8),
    "booleans": RNG.random((5, 4)) < 0.3,
    "zeros": np.where(RNG.random((7, 5)) < 0.4, 0, RNG.normal(size=(7, 5))),
    "transposed": RNG.normal(size=(6, 4)).T,
    "strided": RNG.normal(size=(8, 9))[::3, ::2],
    "large": RNG.normal(1e3, 1, 3 * BLOCK + 17),
    "number": np.float64(-2.5),
    "python": 1.0,
    "constant": np.full((3, 3), 0.1),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_statistics_are_those_of_numpy(name):
    array = ARRAYS[name]
    found = statistics(array)
    wide = np.asarray(array, np.float64)
    assert found.shape == np.shape(array)
    expected = [wide.mean(), wide.min(), wide.max(), np.sqrt((wide**2).sum()), (wide == 0).mean()]
    np.testing.assert_allclose([found.mean, found.min, found.max, found.norm, found.zeros], expected, rtol=1e-13)
    np.testing.assert_allclose(found.std, wide.std(), rtol=1e-12, atol=1e-16)
    assert found.largest == np.abs(wide).max()
    assert found.saturated is None


def test_statistics_of_complex_numbers_are_those_of_their_size():
    z = RNG.normal(size=(4, 3)) + 1j * RNG.normal(size=(4, 3))
    found = statistics(z)
    assert (found.min, found.max) == (np.abs(z).min(), np.abs(z).max())
    np.testing.assert_allclose([found.mean, found.std, found.norm], [z.real.mean(), z.std(), np.linalg.norm(z)])


def test_statistics_of_a_tuple_are_those_of_all_numbers_in_it():
    parts = (X, (Y, np.zeros(5)))
    found, whole = statistics(parts), statistics(np.concatenate([X.ravel(), Y.ravel(), np.zeros(5)]))
    assert found.shape == ((12, 3), ((12, 2), (5,)))
    np.testing.assert_allclose(found[1:7], whole[1:7], rtol=1e-13)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_shows(bad):
    x = X.copy()
    x[3, 1] = bad
    for value in (x, (X, x), (x, X)):
        found = statistics(value)
        assert not np.isfinite([found.mean, found.std, found.norm, found.largest]).any()
        assert np.isnan(bad) == np.isnan(found.min) == np.isnan(found.max) == np.isnan(found.norm)
        assert found.zeros == 0


def test_of_no_numbers_all_is_0_and_of_what_holds_none_nothing():
    assert statistics(np.zeros((0, 3))) == ((0, 3), 0, 0, 0, 0, 0, 0, None)
    assert statistics((np.zeros((0, 3)), np.ones(2))).mean == 1
    assert statistics(["a", "b"]) is statistics(np.array(["a"])) is statistics(None) is statistics(()) is None


def test_squares_neither_overflow_nor_vanish():
    for size in (1e200, 1e-200):
        assert norm(np.full(4, size)) == pytest.approx(2 * size, rel=1e-15)
    assert norm(np.zeros(3)) == 0


def test_no_copy_of_a_large_array_is_made():
    import tracemalloc

    z = np.ones((64, BLOCK // 4), np.float32)
    tracemalloc.start()
    statistics(z)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 * BLOCK < z.nbytes  # a few blocks of float64


# z and delta.


def parts(layer):
    return [layer, *(inner for _, part in parts_of(layer) for inner in parts(part))]


def test_z_and_delta_are_those_of_the_rules_to_the_bit():
    cost = small()
    traced = trace(cost, X, LABELS)
    value, caches = cost.forward(X, LABELS)
    assert traced.value == value
    z, delta = X, 1.0
    for level, (layer, row) in enumerate(zip(cost, traced.layers, strict=True), 1):
        assert (row.place, row.level, row.name, row.layer) == (str(level - 1), level, repr(layer), layer)
        np.testing.assert_array_equal(row.z, z)
        z = layer.forward(z, LABELS)[0] if layer is cost[-1] else layer.forward(z)[0]
        np.testing.assert_array_equal(row.z_next, z)
    for i in reversed(range(len(cost))):
        row = traced.layers[i]
        np.testing.assert_array_equal(row.delta_next, delta)
        for name, gradient in cost[i].parameter_gradients(delta, caches[i]).items():
            np.testing.assert_array_equal(row.gradients[name], gradient)
            assert row.parameters[name] is cost[i].parameters()[name]
        delta = cost[i].backward(delta, caches[i])
        np.testing.assert_array_equal(row.delta, delta)
        for found, array in zip(row[8:12], row[4:8], strict=True):
            assert found[:7] == statistics(array)[:7]


@pytest.mark.parametrize("level", range(5))
def test_delta_is_the_derivative_of_the_cost_by_z(level):
    """The stack cut below a layer, and the cost moved by each entry of what goes in there."""
    cost = small()
    row = trace(cost, X, LABELS, repeats=0).layers[level]
    above, h = cost[level:], 1e-4
    for index in np.ndindex(*row.z.shape):
        step = np.zeros(row.z.shape)
        step[index] = h

        def at(times, step=step):
            return above.forward(row.z + times * step, LABELS)[0]

        by_difference = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)
        assert row.delta[index] == pytest.approx(by_difference, rel=1e-7, abs=1e-11)


def test_gradients_are_those_of_the_cost_and_add_up_over_places():
    cost = everything()
    expected = copy.deepcopy(cost)
    value, cache = expected.forward((X, 2 * X), LABELS)
    gradients = expected.parameter_gradients(1.0, cache)
    traced = trace(cost, (X, 2 * X), LABELS)
    assert traced.value == value
    assert [row.name for row in traced.parameters] == list(gradients)
    for row in traced.parameters:
        np.testing.assert_array_equal(row.gradient, gradients[row.name])
        assert row.size == pytest.approx(np.sqrt((row.array**2).mean()))
        assert row.gradient_size == pytest.approx(np.sqrt((row.gradient**2).mean()))
        assert row.ratio == (pytest.approx(row.gradient_size / row.size) if row.size else None)
        assert row.name == f"{row.place}.{row.name.rpartition('.')[2]}"
    by_place = {row.place: row for row in traced.layers}
    assert list(by_place) == [
        "0.0.0", "0.0.1", "0.1.0", "0.1.1", "1", "2.inner.0", "2.inner.1", "2.inner.2", "3.0", "3.1", "4.inner.0",
        "4.inner.1", "5.first", "5.second", "6", "7",
    ]  # fmt: skip
    assert [row.level for row in traced.layers] == list(range(1, 17))
    once, again = (by_place[place].gradients["bias"] for place in ("0.0.0", "0.1.0"))
    np.testing.assert_array_equal(once + again, gradients["0.0.0.bias"])
    assert np.abs(once - again).max() > 0
    assert by_place["4.inner.0"].gradients == {}  # it is frozen
    assert list(by_place["4.inner.0"].parameters) == ["norm.weight", "norm.bias"]
    # Down to both inputs.
    np.testing.assert_array_equal(
        by_place["0.1.0"].delta, by_place["0.1.0"].delta_next @ by_place["0.1.0"].parameters["weight"]
    )


def test_the_same_numbers_as_value_and_gradients():
    rng = np.random.default_rng(2)
    cost = Sequential(Linear(3, 4, rng=rng), Tanh(), Linear(4, 2, rng=rng), MSELoss())
    traced = trace(cost, X, Y)
    value, gradients = value_and_gradients(cost, X, Y)
    assert traced.value == value
    for row in traced.parameters:
        np.testing.assert_array_equal(row.gradient, gradients[row.name])
        assert row.array is cost.parameters()[row.name]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_layer_is_traced(case):
    sizes, rng = Sizes(5, 4, 3), np.random.default_rng(0)
    layer = case.make(sizes, rng)
    z = case.domain(rng.normal(size=case.z_shape(sizes)))
    arguments = case.arguments(sizes, rng)
    expected, cache = copy.deepcopy(layer).forward(z, *arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        traced = trace(layer, z, *arguments, repeats=1)
        text, html = str(traced), traced._repr_html_()
    np.testing.assert_array_equal(traced.value, expected)
    assert text
    assert html.count("<table>") == html.count("<caption") >= 1
    assert all("forward" in row.seconds for row in traced.layers)
    for row in traced.layers:
        assert row.parameters.keys() >= row.gradients.keys()
        # Fusions go down in one, through their layers.
        if not np.ndim(expected) and not any(isinstance(part, Fusion) for part in parts(layer)):
            assert row.of_delta.shape == row.of_z.shape
    if np.ndim(expected):
        assert all(row.of_delta is row.of_delta_next is row.delta is row.delta_next is None for row in traced.layers)
        assert text.endswith("What is traced is not one number: nothing comes down.")
    else:
        gradients = copy.deepcopy(layer).parameter_gradients(1.0, cache)
        assert {row.name for row in traced.parameters} == set(gradients)
        for row in traced.parameters:
            np.testing.assert_array_equal(row.gradient, gradients[row.name])


@pytest.mark.parametrize("cost", [small()[:-1], Sequential(*small()[:-1], NLLLoss("none"))])
def test_what_is_not_one_number_has_no_deltas(cost):
    traced = trace(cost, X, *([LABELS] if len(cost) > 4 else []))
    assert {row.delta_next is row.of_delta is None and row.gradients == {} for row in traced.layers} == {True}
    assert traced.parameters[0].name == "0.weight"
    assert {(row.gradient, row.gradient_size, row.ratio) for row in traced.parameters} == {(None, None, None)}
    assert [list(row.seconds) for row in traced.layers] == [["forward"]] * len(cost)
    assert str(traced).endswith("What is traced is not one number: nothing comes down.")


def test_no_state_is_moved_and_nothing_left():
    cost = everything()
    plain = copy.deepcopy(cost)
    trace(cost, (X, 2 * X), LABELS)
    expected, cache = plain.forward((X, 2 * X), LABELS)
    found, again = cost.forward((X, 2 * X), LABELS)  # generators, statistics and widths are where they were
    assert found == expected
    for name, gradient in cost.parameter_gradients(1.0, again).items():
        np.testing.assert_array_equal(gradient, plain.parameter_gradients(1.0, cache)[name])
    for row in trace(cost, (X, 2 * X), LABELS).layers:
        assert not {"forward", "backward", "parameter_gradients"} & set(vars(row.layer))


def test_of_dropout_there_is_one_draw():
    cost = Sequential(Linear(3, 50, rng=0), Dropout(0.5, rng=0), Linear(50, 2, rng=1), MSELoss())
    row = trace(cost, X, Y, repeats=5).layers[1]
    np.testing.assert_array_equal(row.z_next, row.z * np.where(row.z_next == 0, 0, 2))
    np.testing.assert_array_equal(row.delta, row.delta_next * np.where(row.z_next == 0, 0, 2))
    assert 0.3 < row.of_z_next.zeros == (row.z_next == 0).mean() == row.of_delta.zeros < 0.7


def test_layers_are_those_of_the_cost_or_have_seen_the_batch():
    cost = Sequential(Linear(3, 4, rng=0), BatchNorm1d(4), Linear(None, 2, rng=0), MSELoss())
    rows = trace(cost, X, Y).layers
    assert [row.layer is layer for row, layer in zip(rows, cost, strict=True)] == [True, True, False, True]
    assert rows[2].name == "Linear(4 -> 2)"
    assert repr(cost[2]) == "Linear(? -> 2)"


class Lowest(Layer):
    """Nothing stands below: it has no rule 2."""

    def forward(self, z):
        return 2 * z, None


def test_a_layer_at_the_bottom_need_not_have_a_rule_2():
    traced = trace(Sequential(Lowest(), Linear(3, 2, rng=0), MSELoss()), X, Y)
    assert [row.delta is None for row in traced.layers] == [True, True, False]
    assert traced.layers[1].delta_next.shape == (12, 2)
    assert [list(row.seconds) for row in traced.layers] == [
        ["forward"], ["forward", "parameter_gradients"], ["forward", "backward"],
    ]  # fmt: skip
    with pytest.raises(NotImplementedError, match="Lowest lacks rule 2"):
        trace(Sequential(Linear(3, 3, rng=0), Lowest(), MSELoss()), X, X)


class Twice(Doubled):
    """One layer that runs twice at one place, the first time below the second."""

    def __init__(self, inner):
        self.inner = inner

    def children(self):
        return [("inner", self.inner)]

    def forward(self, z):
        z, below = self.inner.forward(z)
        z, above = self.inner.forward(z)
        return z, (below, above)

    def backward(self, delta, cache):
        return self.inner.backward(self.inner.backward(delta, cache[1]), cache[0])

    def parameter_gradients(self, delta, cache):
        return {}


def test_of_a_place_that_runs_twice_z_and_delta_are_of_one_run():
    row = trace(Sequential(Twice(Tanh()), MSELoss()), X, X).layers[0]
    np.testing.assert_array_equal(row.z, np.tanh(X))
    np.testing.assert_array_equal(row.delta, row.delta_next * (1 - np.tanh(row.z) ** 2))


# Odd numbers.


def test_numbers_of_all_kinds_are_traced_without_a_warning():
    rng = np.random.default_rng(3)
    words = Sequential(Embedding(7, 4, rng=rng), Flatten(), Linear(12, 2, rng=rng), CrossEntropyLoss())
    branches = Sequential(Branch(Linear(3, 2, rng=rng), Identity()), Concatenate(), Linear(5, 2, rng=rng), MSELoss())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        integers = trace(words, rng.integers(0, 7, (6, 3)), rng.integers(0, 2, 6))
        assert integers.layers[0].of_z.max <= 6
        assert not integers.layers[0].delta.any()
        x = X.copy()
        x[0, 0] = np.nan
        traced = trace(branches, x, Y)
        assert np.isnan([traced.layers[0].of_z.mean, traced.layers[0].of_delta.norm, traced.parameters[0].ratio]).all()
        assert "nan" in str(traced)
        none = trace(branches[:-1], X[:0])
        assert none.layers[0].of_z_next == ((0, 2), 0, 0, 0, 0, 0, 0, None)
        assert trace(Sequential(*branches[:-1], MSELoss("sum")), X[:0], Y[:0]).layers[-1].of_delta.shape == (0, 2)
        turned = trace(small().astype(np.complex128), X + 1e-30j, LABELS)
        assert np.iscomplexobj(turned.layers[0].delta)
        str(turned), str(none), str(integers)
        huge = trace(Sequential(Linear(3, 2, rng=0), MSELoss()), X, 1e200 * Y)
        assert huge.value == np.inf
        assert find_nonfinite(small(), X, LABELS) is None


def test_saturation_stands_where_a_layer_gives_it_and_where_it_goes_in():
    cost = Sequential(Linear(3, 4, rng=0), Tanh(), Linear(4, 2, rng=0), MSELoss())
    cost[0].bias[:] = 20  # the derivatives are all 0, and at 6 they are small
    assert trace(cost, X, Y).layers[1].of_z_next.saturated == 1
    cost[0].bias[:] = 6
    traced = trace(cost, X, Y)
    assert [row.of_z_next.saturated for row in traced.layers] == [None, 1, None, None]
    assert [row.of_z.saturated for row in traced.layers] == [None, None, 1, None]
    assert traced.layers[1].response.units == 4


# Options.


def test_keep_false_lets_the_arrays_go():
    cost = Sequential(Linear(3, 4, rng=0), Tanh(), Linear(4, 2, rng=0), MSELoss())
    kept, slim = trace(cost, X, Y), trace(cost, X, Y, keep=False)
    arrays = [weakref.ref(row.z_next) for row in kept.layers[:3]]
    for a, b in zip(kept.layers, slim.layers, strict=True):
        assert a[8:12] == b[8:12]
        assert all(part is None for part in b[4:8])
        assert b.gradients == {}
    assert [row[4:] for row in kept.parameters] == [row[4:] for row in slim.parameters]
    assert all(row.gradient is None for row in slim.parameters)
    lines = [[line for line in str(t).splitlines() if " us" not in line and " ms" not in line] for t in (kept, slim)]
    assert lines[0] == lines[1]
    del kept, a
    assert [array() for array in arrays] == [None] * 3


class Slow(Layer):
    """Each rule takes its time, and says how often it ran."""

    parameter_names = ("a",)
    state_names = ("runs",)

    def __init__(self):
        self.a, self.runs, self.seen = np.ones(3), np.zeros(3), []

    def __deepcopy__(self, memo):
        twin = Slow()
        twin.a, twin.runs, twin.seen = self.a, self.runs.copy(), self.seen
        return twin

    def forward(self, z):
        self.run(0, 0.002)
        return self.a * z, z

    def backward(self, delta, z):
        self.run(1, 0.004)
        return self.a * delta

    def parameter_gradients(self, delta, z):
        self.run(2, 0.006)
        return {"a": (delta * z).sum(axis=0)}

    def run(self, rule, seconds):
        self.seen.append(rule)
        self.runs[rule] += 1
        time.sleep(seconds)


def test_the_time_of_each_rule_is_that_of_the_rule_alone():
    slow = Slow()
    traced = trace(Sequential(slow, Linear(3, 2, rng=0), MSELoss()), X, Y, repeats=2)
    seconds = traced.layers[0].seconds
    assert list(seconds) == ["forward", "backward", "parameter_gradients"]
    for found, least in zip(seconds.values(), (0.002, 0.004, 0.006), strict=True):
        assert least <= found < least + 0.1
    assert slow.seen == [0, 1, 2, 0, 0, 1, 1, 2, 2]
    assert not slow.runs.any()
    assert list(traced.layers[2].seconds) == ["forward", "backward"]  # nothing to train
    slow.seen.clear()
    assert trace(slow, X, repeats=0).layers[0].seconds == {}
    assert slow.seen == [0]


def test_arguments_by_name_reach_the_loss_each_time():
    cost, weights = Sequential(Linear(3, 2, rng=0), MSELoss()), RNG.random(12)
    named, placed = trace(cost, X, Y, weights=weights), trace(cost, X, weights=weights, target=Y)
    assert named.value == placed.value == trace(cost, X, Y, weights).value != trace(cost, X, Y).value
    assert list(placed.layers[-1].seconds) == ["forward", "backward"]


def test_bad_options_are_named():
    with pytest.raises(TypeError, match=r"^trace expects keep to be True or False, got int$"):
        trace(small(), X, LABELS, keep=1)
    with pytest.raises(ValueError, match=r"^trace expects repeats to be a whole number of 0 or more, got -1$"):
        trace(small(), X, LABELS, repeats=-1)
    with pytest.raises(ValueError, match=r"^trace expects repeats to be a whole number of 0 or more, got 1\.5$"):
        trace(small(), X, LABELS, repeats=1.5)
    with pytest.raises(TypeError, match="expects a layer, got None"):
        trace(None, X)


# What it looks like.


def test_it_reads_as_three_tables():
    traced = trace(small(), X, LABELS)
    assert isinstance(traced, Trace)
    assert isinstance(traced.layers[0], LayerTrace)
    assert repr(traced) == str(traced)
    up, down, parameters, said = (part.splitlines() for part in str(traced).split("\n\n"))
    assert up[0] == "Upwards: z_next, what each layer gives"
    assert " ".join(up[1].split()) == "place layer shape mean std min max norm zeros sat. rule 1"
    assert [line.split()[0] for line in up[2:]] == ["what", "0", "1", "2", "3", "4"]
    assert down[0] == "Downwards: delta = dC/dz, what each layer hands to those below"
    assert [line.split()[0] for line in down[2:]] == ["4", "3", "2", "1", "0"]
    assert down[2].split()[1:4] == ["NLLLoss(mean)", "(12,", "2)"]
    assert " ".join(parameters[1].split()) == "parameter shape rms of gradient ratio"
    assert said == [f"The cost is {traced.value:.6g}."]
    assert max(map(len, str(trace(everything(), (X, X), LABELS)).splitlines())) <= 120
    row = traced.layers[1]
    figures = [f"{number:.3g}" for number in (row.of_z_next.mean, row.of_z_next.std, row.of_z_next.min)]
    assert up[4].split()[4:7] == figures
    assert repr(row) == "LayerTrace(level 2, place '1': Tanh())"
    assert repr(traced.parameters[0]) == "ParameterTrace(0.weight: (4, 3))"


def test_in_notebooks_it_is_three_tables_without_colours():
    html = trace(small(), X, LABELS)._repr_html_()
    assert html.count("<table>") == html.count("<caption") == html.count("</table>") == 3
    assert html.count('<th scope="row"') == 6 + 5 + 4
    assert "Linear(3 -&gt; 4)</td>" in html
    assert "color" not in html
    assert "background" not in html


def test_the_name_of_a_layer_is_of_readable_length():
    class Talkative(Tanh):
        def __repr__(self):
            return "Talkative(\n" + "word " * 40 + ")"

    row = trace(Talkative(), X).layers[0]
    assert row.name == ("Talkative( " + "word " * 40)[:57] + "..."


def test_flow_is_drawn_from_the_same_numbers():
    cost = Sequential(Linear(3, 16, rng=0), ReLU(), Linear(16, 2, rng=1), MSELoss())
    traced, table = trace(cost, X, Y), flow(cost, X, Y)
    for row, line in zip(traced.layers, table.layers, strict=True):
        of = row.of_z_next
        assert (line.shape, line.mean, line.std, line.largest, line.zeros, line.saturated) == (
            of.shape, of.mean, of.std, of.largest, of.zeros, of.saturated,
        )  # fmt: skip
        assert line.delta == row.of_delta_next.norm


# One place that runs several times.


class Siamese(Container):
    """One layer for each input, and down in the same order."""

    def __init__(self, f):
        self.f = f

    def children(self):
        return [("f", self.f)]

    def forward(self, z):
        (a, of_a), (b, of_b) = self.f.forward(z[0]), self.f.forward(z[1])
        return (a, b), (of_a, of_b)

    def backward(self, delta, cache):
        return self.f.backward(delta[0], cache[0]), self.f.backward(delta[1], cache=cache[1])

    def parameter_gradients(self, delta, cache):
        a, b = (self.f.parameter_gradients(delta[i], cache[i]) for i in (0, 1))
        return self.gather([{name: a[name] + b[name] for name in a}])


class SumOfSquares(Layer):
    def forward(self, z):
        return sum((part**2).sum() for part in z), z

    def backward(self, delta, z):
        return tuple(2 * part * delta for part in z)


class Negative(Layer):
    """It keeps nothing."""

    def forward(self, z):
        return -z, None

    def backward(self, delta, cache):
        return -delta


@pytest.mark.parametrize("rows", [12, 5])
def test_siamese_layers_show_the_last_run_and_what_comes_down_to_it(rows):
    inside = Sequential(Linear(3, 4, rng=0), Negative(), Tanh())
    cost, a, b = Sequential(Siamese(inside), SumOfSquares()), X, RNG.normal(size=(rows, 3))
    traced, flowing = trace(cost, (a, b)), flow(cost, (a, b))
    z, caches = b, []
    for row, layer in zip(traced.layers[:3], inside, strict=True):
        np.testing.assert_array_equal(row.z, z)
        z, cache = layer.forward(z)
        np.testing.assert_array_equal(row.z_next, z)
        caches.append(cache)
    delta = 2 * z
    for row, line, layer in list(zip(traced.layers[:3], flowing.layers, inside, strict=False))[::-1]:
        np.testing.assert_array_equal(row.delta_next, delta)
        assert line.delta == row.of_delta_next.norm
        gradients, delta = layer.parameter_gradients(delta, caches[-1]), layer.backward(delta, caches.pop())
        np.testing.assert_array_equal(row.delta, delta)
        assert row.gradients.keys() == gradients.keys()
        for name, gradient in gradients.items():
            np.testing.assert_array_equal(row.gradients[name], gradient)
    value, cache = cost.forward((a, b))
    assert traced.value == value
    for row in traced.parameters:  # of both runs
        np.testing.assert_array_equal(row.gradient, cost.parameter_gradients(1.0, cache)[row.name])


class Handing(Siamese):
    """Its cache is that of the layer inside."""

    def forward(self, z):
        return self.f.forward(z)

    def backward(self, delta, cache):
        return self.f.backward(delta, cache)

    def parameter_gradients(self, delta, cache):
        return self.gather([self.f.parameter_gradients(delta, cache)])


@pytest.mark.parametrize("inner", [Negative(), Handing(Negative()), Siamese(Negative())])
def test_runs_that_keep_nothing_are_told_apart(inner):
    """Their caches are one object, None."""
    nested = type(inner) is Siamese
    z = ((X, 2 * X), (Y, 3 * Y)) if nested else (X, Y)
    last = z[1][1] if nested else z[1]

    class Squares(Layer):
        def forward(self, z):
            return sum(norm(part) ** 2 for part in z), z

        def backward(self, delta, z):
            return tuple(tuple(2 * p for p in part) if type(part) is tuple else 2 * part for part in z)

    row = trace(Sequential(Siamese(inner), Squares()), z).layers[0]
    np.testing.assert_array_equal(row.z, last)
    np.testing.assert_array_equal(row.delta_next, -2 * last)
    np.testing.assert_array_equal(row.delta, 2 * last)


def test_events_say_to_which_run_they_belong():
    events = []
    copied = watched(Siamese(Negative()), events.append)
    for _ in range(2):  # each pass counts anew
        events.clear()
        copied.backward((X, Y), copied.forward((X, Y))[1])
        assert [(event.place, event.rule, event.run) for event in events] == [
            ("f", "forward", 0), ("f", "forward", 1), ("", "forward", 0),
            ("f", "backward", 0), ("f", "backward", 1), ("", "backward", 0),
        ]  # fmt: skip
        assert all(event.cache is None for event in events if event.place == "f")
    events.clear()
    copied.f.backward(X, (1, 2))
    assert events[0].run is None


class Forgetful(Siamese):
    """It makes caches of its own, so that nobody knows to which run they belong."""

    def forward(self, z):
        z_next, (a, b) = super().forward(z)
        return z_next, (a.copy(), b.copy())


def test_where_nobody_knows_to_which_run_a_delta_belongs_there_is_none():
    row = trace(Sequential(Forgetful(Tanh()), SumOfSquares()), (X, Y)).layers[0]
    np.testing.assert_array_equal(row.z, Y)
    assert row.delta is row.delta_next is None
    assert row.gradients == {}


def test_a_layer_under_a_penalty_has_its_own_numbers():
    cost = Penalized(Sequential(Linear(3, 2, rng=0), MSELoss()), L2Penalty(0.3))
    plain, traced = trace(cost.cost, X, Y), trace(cost, X, Y)
    assert [row.place for row in traced.layers] == [row.place for row in plain.layers]
    np.testing.assert_array_equal(traced.layers[0].gradients["weight"], plain.layers[0].gradients["weight"])
    assert traced.value > plain.value
    loss = HomoscedasticGaussianNLLLoss(2)
    loss.log_variance[:] = 0.5, -0.5
    (bare,), (alone,) = trace(Penalized(loss, L2Penalty(0.3)), X[:, :2], Y).layers, trace(loss, X[:, :2], Y).layers
    assert (bare.place, bare.layer, bare.of_z_next) == ("", loss, alone.of_z_next)
    np.testing.assert_array_equal(bare.delta, alone.delta)
    np.testing.assert_array_equal(bare.gradients["log_variance"], alone.gradients["log_variance"])


# Containers with parameters of their own.


def test_levels_follow_the_data_into_a_container_with_parameters():
    z = RNG.normal(size=(4, 5, 8))
    attention = MultiHeadAttention(8, 2, rng=0)
    traced = trace(Sequential(attention, Flatten(), Linear(40, 1, rng=0), MSELoss()), z, np.zeros((4, 1)))
    assert [(row.level, row.place, row.is_container) for row in traced.layers] == [
        (1, "0", True), (2, "0.out_proj", False), (3, "1", False), (4, "2", False), (5, "3", False),
    ]  # fmt: skip
    outer, inner, above = traced.layers[:3]
    assert outer.z is z
    np.testing.assert_array_equal(inner.z, attention.forward(z)[1][2])  # what out_proj keeps is its z
    np.testing.assert_array_equal(above.z, attention.forward(z)[0])
    assert outer.delta.shape == z.shape
    np.testing.assert_array_equal(outer.delta_next, inner.delta_next)
    said = str(traced).split("\n\n")
    assert [line.split()[0] for line in said[1].splitlines()[2:]] == ["3", "2", "1", "0.out_proj", "0"]
    assert said[3].splitlines()[0] == (
        "What layer 0 MultiHeadAttention gives, and its times, are with the layers inside: 0.out_proj."
    )
    bare = trace(Sequential(attention), z)
    assert [row.place for row in bare.layers] == ["0", "0.out_proj"]
    alone = trace(attention, z)
    assert [(row.place, row.is_container) for row in alone.layers] == [("", True), ("out_proj", False)]
    assert "What layer MultiHeadAttention gives, and its times, are with the layers inside: out_proj." in str(alone)
    nested = trace(Sequential(Sequential(Flatten(), Linear(3, 3, rng=0)), Tanh()), X).layers
    assert [row.place for row in nested] == ["0.0", "0.1", "1"]
    assert not any(row.is_container for row in nested)


# Errors.


@pytest.mark.parametrize("watch", [trace, flow, find_nonfinite, unused_parameters])
def test_what_is_no_layer_is_told_by_the_one_who_was_asked(watch):
    with pytest.raises(TypeError, match=rf"^{watch.__name__} expects a layer, got int: pass the model or the cost"):
        watch(3, X)


@pytest.mark.parametrize("watch", [trace, flow, unused_parameters])
def test_a_missing_target_is_said_in_the_words_of_forward(watch):
    said = r"^NLLLoss\(mean\) expects forward\(log_p, target, weights=None\), got 1 argument: a target is missing\n"
    with pytest.raises(TypeError, match=said):
        watch(small(), X)
    found = find_nonfinite(small(), X)
    assert "NLLLoss(mean) expects forward(log_p, target, weights=None), got 1 argument: a target is missing" in found


# Statistics of what is far from 1, or lies apart in memory.


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e-100, 1.0, 1e100, 1e200, 1e308])
def test_mean_and_spread_neither_overflow_nor_vanish(size):
    of_one, found = statistics(np.array([1.0, -0.5, 0.25, 1.0])), statistics(size * np.array([1.0, -0.5, 0.25, 1.0]))
    rtol = 1e-3 if size < 1e-307 else 1e-12  # few digits are left of the smallest numbers
    np.testing.assert_allclose([found.mean, found.std], [size * of_one.mean, size * of_one.std], rtol=rtol)
    assert statistics(np.full(7, size))[1:3] == (pytest.approx(size), pytest.approx(0, abs=1e-15 * size))


@pytest.mark.parametrize("kind", ["strided", "broadcast", "transposed", "thin", "long", "tuple"])
def test_no_copy_is_made_of_what_is_not_contiguous(kind):
    import tracemalloc

    whole = np.ones((400, 8 * BLOCK // 100))
    z = {
        "strided": whole[:, ::2],
        "broadcast": np.broadcast_to(np.arange(16.0 * BLOCK // 400), (800, 16 * BLOCK // 400)),
        "transposed": whole.reshape(100, 4, -1).transpose(1, 2, 0)[:, ::2],
        "thin": whole.reshape(-1, 2)[:, :1],
        "long": whole.reshape(2, -1)[:, ::2],
        "tuple": (whole[:, ::2], whole[::2, ::2]),
    }[kind]
    tracemalloc.start()
    found = statistics(z)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 * BLOCK < 8 * sum(part.size for part in arrays_of(z))
    if kind == "broadcast":
        np.testing.assert_allclose([found.mean, found.std, found.norm], [z.mean(), z.std(), np.linalg.norm(z)])
    else:
        assert found[1:3] == (1, 0)


def test_places_are_never_cut():
    layer = Linear(3, 3, rng=0)
    for _ in range(26):
        layer = Residual(layer)
    for lines in (str(trace(layer, X)).splitlines()[3:4], str(flow(layer, X)).splitlines()[1:2]):
        assert lines[0].split()[0] == ".".join(["inner"] * 26)
