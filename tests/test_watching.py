"""What is said of a cost at work: where NaN arises, what is not trained, how numbers and deltas flow."""

import copy
import re
import warnings

import numpy as np
import pytest
from case import OneArray, Sizes
from table import CASES

from minigrad import (
    Add,
    BatchNorm1d,
    Branch,
    Concatenate,
    Container,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Elementwise,
    Flatten,
    Frozen,
    Identity,
    L2Penalty,
    Layer,
    LayerNorm,
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
    Sigmoid,
    Slice,
    Tanh,
    value_and_gradients,
)
from minigrad.saving import save_model
from minigrad.watching import Event, Flow, find_nonfinite, flow, unused_parameters, watched

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 2))
LABELS = RNG.integers(0, 2, 12)


class Log(Elementwise):
    def f(self, z):
        return np.log(z)

    def df(self, z_next):
        return np.exp(-z_next)


class Exp(Elementwise):
    def f(self, z):
        return np.exp(z)

    def df(self, z_next):
        return z_next


class Root(Elementwise):
    def f(self, z):
        return np.sqrt(z)

    def df(self, z_next):
        return 0.5 / z_next


class Inverse(Elementwise):
    def f(self, z):
        return 1 / z

    def df(self, z_next):
        return -z_next * z_next


class Cubed(Layer):
    """z a^3: at a = 1e120 rule 1 is finite for z = 0, and rule 3 overflows for a large delta."""

    parameter_names = ("a",)

    def __init__(self, a=1.0):
        self.a = np.array(a)

    def forward(self, z):
        return z * self.a**3, z

    def backward(self, delta, z):
        return delta * self.a**3

    def parameter_gradients(self, delta, z):
        return {"a": np.sum(delta * z * 1e300 * self.a) * 1e300}


class Raising(Elementwise):
    def f(self, z):
        raise FloatingPointError("as numpy.seterr can be told to")

    def df(self, z_next):
        return z_next


class Doubled(Container):
    """A container that does something of its own between its layers."""

    def __init__(self, first, second, factor=2.0):
        self.first, self.second, self.factor = first, second, factor

    def children(self):
        return [("first", self.first), ("second", self.second)]

    def forward(self, z):
        z, below = self.first.forward(z)
        z, above = self.second.forward(self.factor * z)
        return z, (below, above)

    def backward(self, delta, cache):
        return self.first.backward(self.factor * self.second.backward(delta, cache[1]), cache[0])

    def parameter_gradients(self, delta, cache):
        delta, above = self.second.backpropagate(delta, cache[1])
        return self.gather([self.first.parameter_gradients(self.factor * delta, cache[0]), above])


def everything():
    """Lazy, frozen, repeated, shared, parallel and stateful layers."""
    rng = np.random.default_rng(1)
    encoder = Sequential(Linear(3, 3, rng=rng), ReLU())
    return Penalized(
        Sequential(
            Parallel(encoder, encoder),
            Add(),
            Residual(Sequential(Linear(3, 3, rng=rng), Dropout(0.5, rng=rng), BatchNorm1d(3))),
            Repeat(Tanh(), 2),
            Frozen(Sequential(BatchNorm1d(3), Dropout(0.3, rng=rng))),
            Doubled(Tanh(), Identity()),
            Linear(None, 2, rng=rng),
            CrossEntropyLoss(),
        ),
        L2Penalty(0.1, "*.weight"),
    )


def events_of(cost, *arguments):
    events = []
    twin = watched(cost, events.append)
    value, cache = twin.forward(*arguments)
    return events, value, twin.parameter_gradients(1.0, cache)


# Watched copies.


def test_every_rule_is_reported_at_its_place():
    events, _, _ = events_of(everything(), (X, 2 * X), LABELS)
    upwards = [f"{event.place} {type(event.layer).__name__}" for event in events if event.rule == "forward"]
    assert upwards == [
        "0.0.0 Linear", "0.0.1 ReLU", "0.0 Sequential", "0.1.0 Linear", "0.1.1 ReLU", "0.1 Sequential", "0 Parallel",
        "1 Add", "2.inner.0 Linear", "2.inner.1 Dropout", "2.inner.2 BatchNorm1d", "2.inner Sequential", "2 Residual",
        "3.0 Tanh", "3.1 Tanh", "3 Repeat", "4.inner.0 BatchNormAtInference", "4.inner.1 Identity",
        "4.inner Sequential", "4 Frozen", "5.first Tanh", "5.second Identity", "5 Doubled", "6 Linear",
        "7 CrossEntropyLoss", " Sequential", " Penalized",
    ]  # fmt: skip
    leaves = ["0.0.0", "0.0.1", "0.1.0", "0.1.1", "1", "2.inner.0", "2.inner.1", "2.inner.2", "3.0", "3.1"]
    leaves += ["4.inner.0", "4.inner.1", "5.first", "5.second", "6", "7"]
    downwards = {event.place for event in events if event.rule == "backward"}
    assert downwards >= set(leaves) - {"0.0.0", "0.1.0"}  # the delta of the bottom input is not computed
    assert {e.place for e in events if e.rule == "parameter_gradients"} >= {"0.0.0", "0.1.0", "2.inner.0", "6"}


def test_a_layer_of_several_places_is_told_apart_on_the_way_down():
    events, _, _ = events_of(everything(), (X, 2 * X), LABELS)
    z_next = {event.place: event.result for event in events if event.rule == "forward"}
    for event in events:
        if event.rule == "backward" and event.place in ("3.0", "3.1"):
            np.testing.assert_array_equal(event.result, event.given * (1 - z_next[event.place] ** 2))
        if event.rule == "backward" and event.place in ("0.0.1", "0.1.1"):
            np.testing.assert_array_equal(event.result, event.given * (z_next[event.place] > 0))


def test_a_watched_copy_gives_the_same_numbers_and_leaves_the_original_alone():
    cost = everything()
    plain = copy.deepcopy(cost)
    expected, cache = plain.forward((X, 2 * X), LABELS)
    gradients = plain.parameter_gradients(1.0, cache)
    _, value, found = events_of(cost, (X, 2 * X), LABELS)
    assert value == expected
    for name, array in gradients.items():
        np.testing.assert_array_equal(found[name], array)
    # Neither generators, nor statistics, nor widths were moved: the original now does what its copy did.
    again, cache = cost.forward((X, 2 * X), LABELS)
    assert again == expected


@pytest.mark.parametrize("use", [find_nonfinite, unused_parameters, flow])
def test_no_state_is_moved(use):
    cost = Sequential(Linear(3, 4, rng=0), Dropout(0.5, rng=0), BatchNorm1d(4), Linear(4, 2, rng=0), MSELoss())
    before = copy.deepcopy({**cost.parameters(), **cost.state()})
    generator = cost[1].rng.bit_generator.state
    use(cost, X, Y)
    assert cost[1].rng.bit_generator.state == generator
    for name, array in {**cost.parameters(), **cost.state()}.items():
        if isinstance(array, np.ndarray):
            np.testing.assert_array_equal(array, before[name])
    for layer in cost:
        assert not {"forward", "backward", "parameter_gradients"} & set(vars(layer))


class Recomputing(Layer):
    """Rule 2 runs rule 1 again: that is no event of its own, and its cache is what it was."""

    def forward(self, z):
        return z * z, z

    def backward(self, delta, z):
        _, again = self.forward(z)
        return 2 * delta * again


def test_a_rule_that_runs_another_is_reported_once():
    layer = Recomputing()
    events, _, _ = events_of(Sequential(Linear(3, 3, rng=0), layer, layer, MSELoss()), X, X)
    of_layer = [(event.place, event.rule) for event in events if event.place[:1] in ("1", "2")]
    down = [(place, rule) for place in "21" for rule in ("backward", "parameter_gradients")]
    assert of_layer == [("1", "forward"), ("2", "forward"), *down]


def test_parameters_are_shared_with_the_copy():
    cost = Sequential(Linear(3, 2, rng=0), MSELoss())
    twin = watched(cost, lambda event: None)
    assert twin[0].weight is cost[0].weight


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_layer_runs_as_it_does_unwatched(case):
    sizes, rng = Sizes(5, 4, 3), np.random.default_rng(0)
    layer = case.make(sizes, rng)
    z = case.domain(rng.normal(size=case.z_shape(sizes)))
    arguments = case.arguments(sizes, rng)
    expected, cache = copy.deepcopy(layer).forward(z, *arguments)
    events: list[Event] = []
    twin = watched(layer, events.append)
    z_next, seen = twin.forward(z, *arguments)
    np.testing.assert_array_equal(z_next, expected)
    assert events[-1].place == ""
    assert events[-1].result is z_next
    delta = rng.normal(size=np.shape(z_next))[()]
    dz, gradients = twin.backpropagate(delta, seen)
    plain_dz, plain_gradients = copy.deepcopy(layer).backpropagate(delta, cache)
    np.testing.assert_array_equal(dz, plain_dz)
    for name, array in plain_gradients.items():
        np.testing.assert_array_equal(gradients[name], array)
    assert find_nonfinite(layer, z, *arguments) is None


# NaN and infinities.


def test_a_sound_cost_is_called_so():
    assert find_nonfinite(everything(), (X, 2 * X), LABELS) is None
    assert find_nonfinite(Linear(3, 2, rng=0), X) is None  # rule 1 alone


ENTRY = r"1 of 2 entries is not finite\. z, what went in, is finite"
TROUBLE = {
    "log": (
        Log(),
        [[2.0], [-1.0]],
        rf"layer 1, Log\(\): rule 1, forward, gives nan at \[1, 0\], row 1 of the batch: {ENTRY}, from -1 to 2; "
        r"z is -1 at that entry\. The function is undefined there",
    ),
    "exp": (
        Exp(),
        [[800.0], [9.0]],
        rf"layer 1, Exp\(\): rule 1, forward, gives inf at \[0, 0\], row 0 of the batch: {ENTRY}, from 9 to 800; "
        r"z is 800 at that entry\. Numbers overflow there",
    ),
    "inverse": (Inverse(), [[1.0], [0.0]], r"layer 1, Inverse\(\): rule 1, forward, gives inf at \[1, 0\]"),
    "root": (
        Root(),
        [[1.0], [0.0]],
        r"layer 1, Root\(\): rule 2, backward, gives -inf at \[1, 0\], row 1 of the batch: 1 of 2 .*delta, what went "
        r"in, is finite, from -1 to 0; z is 0 at that entry\. The derivative overflows, or is infinite or undefined",
    ),
    "rule 3": (
        Cubed(),
        [[1e10], [0.0]],
        r"layer 1, Cubed\(\): rule 3, parameter_gradients, gives inf of a\. delta, what went in, is finite, from .* "
        r"to .*, and so are the parameters\. .* or its sum over the batch, overflows: scale the data",
    ),
    "raises": (
        Raising(),
        [[1.0], [0.0]],
        r"layer 1, Raising\(\): rule 1, forward, raised FloatingPointError: as numpy.* z, what went in, is finite",
    ),
}


@pytest.mark.parametrize("name", TROUBLE)
def test_where_nan_arises(name):
    layer, x, said = TROUBLE[name]
    cost = Sequential(Linear(1, 1, rng=0), layer, MSELoss())
    cost[0].weight[:], cost[0].bias[:] = 1, 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = find_nonfinite(cost, np.array(x), np.ones((2, 1)))
    assert re.match(said, found), found


def test_a_parameter_that_is_not_finite():
    cost = Sequential(Linear(3, 4, rng=0), Tanh(), Residual(Linear(4, 4, rng=1)), Linear(4, 2, rng=0), MSELoss())
    cost[2].inner.weight[1, 3] = np.nan
    assert find_nonfinite(cost, X, Y).startswith(
        "layer 2.inner, Linear(4 -> 4): 2.inner.weight[1, 3] is nan: 1 of 16 entries is not finite, before any rule "
        "ran: go back to the last parameters that were finite"
    )
    statistics = Sequential(Frozen(BatchNorm1d(3)), Linear(3, 2, rng=0), MSELoss())
    statistics[0].inner.running_var[1] = np.inf
    statistics[0].inner.running_mean[1] = np.inf
    assert "running_mean[1] is inf" in find_nonfinite(statistics, X, Y)


def test_data_that_are_not_finite():
    x, y, w = X.copy(), Y.copy(), np.ones(12)
    x[5, 1] = np.inf
    cost = Sequential(Linear(3, 2, rng=0), MSELoss())
    start = "x[5, 1] is inf, row 5 of the batch: 1 of 36 entries is not finite: clean or impute the data first"
    assert find_nonfinite(cost, x, Y) == start
    pair = Sequential(Parallel(Linear(3, 2, rng=0), Linear(3, 2, rng=1)), Add(), MSELoss())
    assert find_nonfinite(pair, (X, x), Y).startswith("x[1][5, 1] is inf, row 5")
    y[7, 0] = np.nan
    assert find_nonfinite(cost, X, y).startswith("target[7, 0] is nan, row 7 of the batch: 1 of 24")
    w[2] = np.nan
    assert find_nonfinite(cost, X, Y, w).startswith("weights[2] is nan, row 2 of the batch")
    assert find_nonfinite(cost, X, Y, weights=w).startswith("weights[2] is nan")


def test_what_no_rule_reads_is_no_trouble():
    x = X.copy()
    x[3, 2] = np.nan
    assert find_nonfinite(Sequential(Slice(0, 2), Linear(2, 2, rng=0), MSELoss()), x, Y) is None


def test_a_loss_that_overflows():
    cost = Sequential(Linear(3, 2, rng=0), MSELoss())
    found = find_nonfinite(cost, X, 1e200 * Y)
    assert found.startswith("layer 1, MSELoss(mean): rule 1, forward, gives inf. z, what went in, is finite")
    assert found.endswith(
        "The loss overflows: scale the data and the target, or go back to parameters that were smaller"
    )
    assert "logits" not in found
    certain = Sequential(Identity(), NLLLoss())
    found = find_nonfinite(certain, np.array([[-1e308, 0.0], [-1e308, 0.0]]), np.array([0, 0]))
    assert "a loss of logits stays finite" in found
    # In the wrong order the probability 0 has the logarithm -inf, and it is the logarithm that is named.
    steep = Sequential(Sigmoid(), Log(), NLLLoss())
    found = find_nonfinite(steep, np.array([[-800.0, 1.0]]), np.array([0]))
    assert found.startswith("layer 1, Log(): rule 1, forward, gives -inf at [0, 0]")


def test_a_container_that_overflows_between_its_layers():
    cost = Sequential(Doubled(Linear(3, 2, rng=0), Identity(), 1.7e308), MSELoss())
    found = find_nonfinite(cost, 100 * X, Y)
    assert found.startswith("layer 0, Doubled(Linear, Identity): rule 1, forward, gives")
    attention = Sequential(MultiHeadAttention(4, 2, rng=0), Flatten(), Linear(8, 2, rng=0), MSELoss())
    x = np.full((3, 2, 4), 1e308)
    assert find_nonfinite(attention, x, Y[:3]).startswith("layer 0, MultiHeadAttention")


def test_a_penalty_that_overflows():
    cost = Penalized(Sequential(Linear(3, 2, rng=0), MSELoss()), L2Penalty(1.0, "*.weight"))
    cost[0].weight[:] = 1e160
    found = find_nonfinite(cost, 0 * X, Y)
    assert found.startswith("Penalized(Sequential): rule 1, forward, gives inf")


def test_the_lowest_place_of_a_shared_layer_is_named():
    exp = Exp()
    cost = Sequential(Parallel(Sequential(exp), Sequential(exp)), Add(), Linear(3, 2, rng=0), MSELoss())
    assert find_nonfinite(cost, (X, 1000 * np.abs(X)), Y).startswith("layer 0.1.0, Exp()")
    repeated = Sequential(Repeat(Exp(), 3), Linear(3, 2, rng=0), MSELoss())
    assert find_nonfinite(repeated, np.full((12, 3), 2.0), Y).startswith("layer 0.2, Exp()")


def test_it_agrees_with_the_error_of_value_and_gradients():
    cost = Sequential(Linear(3, 2, rng=0), Exp(), MSELoss())
    with np.errstate(over="ignore"), pytest.raises(FloatingPointError):
        value_and_gradients(cost, 1e4 * X, Y)
    assert "Exp()" in find_nonfinite(cost, 1e4 * X, Y)


# Parameters that the cost does not depend on.


class Choosy(Container):
    """Runs the first of its layers alone."""

    def __init__(self, *layers):
        self.layers = layers

    def children(self):
        return [(str(i), layer) for i, layer in enumerate(self.layers)]

    def forward(self, z):
        return self.layers[0].forward(z)

    def backward(self, delta, cache):
        return self.layers[0].backward(delta, cache)

    def parameter_gradients(self, delta, cache):
        first = self.layers[0].parameter_gradients(delta, cache)
        others = [{name: 0 * array for name, array in layer.parameters().items()} for layer in self.layers[1:]]
        return self.gather([first, *others])


def test_unused_parameters_and_why():
    cost = Sequential(Choosy(Linear(3, 4, rng=0), Linear(3, 4, rng=1)), ReLU(), Linear(4, 2, rng=2), MSELoss())
    never = {"0.1.weight": "its layer does not run", "0.1.bias": "its layer does not run"}
    assert unused_parameters(cost, X, Y) == never
    assert unused_parameters(Penalized(cost, L2Penalty(1.0)), X, Y) == never  # penalties aside
    cost[2].weight[:] = 0
    none = dict.fromkeys(("0.0.weight", "0.0.bias"), "no delta reaches its layer")
    assert unused_parameters(cost, X, Y) == none | never
    cost[2].weight[:] = 1
    assert unused_parameters(cost, 0 * X, Y) == {"0.0.weight": "its gradient is 0 for this batch"} | never


def test_all_parameters_are_used_by_sound_models():
    cost = Sequential(Linear(3, 8, rng=0), Tanh(), Linear(8, 2, rng=1), LogSoftmax(), NLLLoss())
    assert unused_parameters(cost, X, LABELS) == {}
    assert "4.inner.0.weight" not in unused_parameters(everything(), (X, 2 * X), LABELS)
    with pytest.raises(ValueError, match=r"unused_parameters expects a cost that is one number, got \(12, 3\)"):
        unused_parameters(Linear(3, 3, rng=0), X)


def test_a_bias_below_batch_normalisation():
    """Its gradient is what rounding leaves of a sum that is 0: 1e-17, and another number for every batch."""
    x = many(64)
    for dtype in (np.float64, np.float32):
        for below in (Linear(3, 8, rng=0), Sequential(Linear(3, 8, rng=0), Linear(8, 8, rng=3))):
            cost = Sequential(below, BatchNorm1d(8), ReLU(), Linear(8, 2, rng=1), MSELoss()).astype(dtype)
            x, y = x.astype(dtype), x[:, :2].astype(dtype)
            _, gradients = value_and_gradients(cost, x, y)
            biases = [name for name in gradients if name.startswith("0.") and name.endswith("bias")]
            assert np.any(gradients[biases[-1]])
            assert unused_parameters(cost, x, y) == dict.fromkeys(biases, "its gradient is 0 to rounding")
            assert unused_parameters(cost, 1e6 * x, y) == dict.fromkeys(biases, "its gradient is 0 to rounding")


def test_a_gradient_that_is_0_at_the_minimum_is_no_unused_parameter():
    x = many(64)
    y = x[:, :2] ** 2
    cost = Sequential(Linear(3, 2, rng=0), MSELoss())
    design = np.column_stack([x, np.ones(64)])
    found = np.linalg.lstsq(design, y, rcond=None)[0]
    cost[0].weight[:], cost[0].bias[:] = found[:-1].T, found[-1]
    _, gradients = value_and_gradients(cost, x, y)
    assert max(np.abs(gradient).max() for gradient in gradients.values()) < 1e-14
    assert unused_parameters(cost, x, y) == {}


def test_a_batch_that_is_fitted_exactly():
    cost = Sequential(Linear(3, 2, rng=0), MSELoss())
    reason = "the loss gives no delta"
    assert unused_parameters(cost, X, cost[0](X)) == {"0.weight": reason, "0.bias": reason}


def test_an_infinite_parameter_is_not_called_data(tmp_path):
    cost = Sequential(Linear(3, 4, rng=0), Tanh(), Linear(4, 2, rng=0), MSELoss())
    for place in (0, 2):
        cost[place].weight[0, 1] = np.inf
        with np.errstate(all="ignore"):
            unused_parameters(cost, X, Y)
            found = [find_nonfinite(cost, X, Y) or "", *flow(cost, X, Y).findings]
        with pytest.raises(ValueError, match=r"got inf in \d.weight\[0, 1\] .*: put back parameters") as caught:
            save_model(cost, tmp_path / "a")
        assert not any("impute" in said for said in [*found, str(caught.value)])
        cost[place].weight[0, 1] = 0


# The table.


def many(n=200, d=3):
    return np.random.default_rng(3).normal(size=(n, d))


def test_dead_units_are_counted_and_said():
    cost = Sequential(Linear(3, 16, rng=0), ReLU(), Linear(16, 2, rng=1), MSELoss())
    x = many()
    y = x[:, :2]
    assert flow(cost, x, y).findings == ()
    cost[0].bias[:12] = -1000
    table = flow(cost, x, y)
    assert table.findings == ("layer 1, ReLU(): 12 of 16 units are 0 for every row and do not respond.",)
    row = table.layers[1]
    assert (row.units, row.dead, row.saturated) == (16, 12, 0)
    z = cost[:2](x)
    np.testing.assert_allclose(
        [row.mean, row.std, row.largest, row.zeros], [z.mean(), z.std(), z.max(), (z == 0).mean()]
    )
    # Of a batch of few rows, many units are 0 by chance.
    assert flow(cost, x[:7], y[:7]).findings == ()


def test_units_into_which_nothing_goes_are_not_called_dead():
    x = many()
    x[:, :2] = 0  # as pixels at the border of images
    row = flow(Sequential(ReLU(), Linear(3, 2, rng=0), MSELoss()), x, x[:, :2]).layers[0]
    assert (row.units, row.dead) == (3, 0)


def test_dead_channels_of_images():
    cost = Sequential(Conv2d(1, 4, 3, rng=0), ReLU(), MaxPool2d(2), Flatten(), Linear(None, 2, rng=0), MSELoss())
    x = many(20, 64).reshape(20, 1, 8, 8)
    cost.forward(x, x[:, 0, 0, :2])
    cost[0].bias[[0, 2, 3]] = -1000
    table = flow(cost, x, x[:, 0, 0, :2])
    assert (table.layers[1].units, table.layers[1].dead) == (4, 3)
    assert table.findings == ("layer 1, ReLU(): 3 of 4 units are 0 for every row and do not respond.",)


def test_saturated_units():
    cost = Sequential(Linear(3, 16, rng=0), Tanh(), Linear(16, 2, rng=1), MSELoss())
    x = many()
    assert flow(cost, x, x[:, :2]).layers[1].saturated == 0
    cost[0].bias[:] = 20
    table = flow(cost, x, x[:, :2])
    assert table.layers[1].saturated == 1
    assert table.findings[0] == "layer 1, Tanh(): saturated, 100% of its outputs hardly respond."
    cost[0].bias[:] = 3.5
    z = cost[0](x) + 1.5
    cost[0].bias[:] = 5
    slope = 1 / np.cosh(z) ** 2
    few = (slope < 1e-3) & (slope * z < 1e-3 * np.tanh(z))
    assert 0.05 < flow(cost, x, x[:, :2]).layers[1].saturated == few.mean() < (slope < 1e-3).mean() < 0.95


def test_layers_that_mix_entries_are_not_called_saturated():
    cost = Sequential(
        LayerNorm(3), LogSoftmax(), Linear(3, 3, rng=0), Dropout(0.5, rng=0), Linear(3, 2, rng=1), MSELoss()
    )
    x = many()
    assert [row.saturated for row in flow(cost, x, x[:, :2]).layers] == [None] * 6


class Milli(Elementwise):
    """A change of units."""

    def f(self, z):
        return 1e-6 * z

    def df(self, z_next):
        return np.full_like(z_next, 1e-6)


def test_a_change_of_units_is_not_saturation():
    x = many()
    assert flow(Sequential(Milli(), Linear(3, 2, rng=0), MSELoss()), x, x[:, :2]).layers[0].saturated == 0


class Square(Layer):
    def forward(self, z):
        return z * z, z

    def backward(self, delta, z):
        return 2 * z * delta


def test_small_numbers_that_respond_are_not_saturated():
    """A slope that is small since all numbers are: of probabilities of many classes, of squares of small numbers."""
    x = many()
    probabilities = Sequential(Linear(3, 4000, rng=0), LogSoftmax(), Exp(), Linear(4000, 2, rng=1), MSELoss())
    squares = Sequential(Square(), Linear(3, 2, rng=1), MSELoss())
    for cost, z in ((probabilities, x), (squares, 1e-4 * x)):
        table = flow(cost, z, x[:, :2])
        assert table.findings == ()
        assert [row.saturated for row in table.layers if row.layer in ("Exp()", "Square()")] == [0]


def deep(gain, layers=8, activation=Identity):
    rng = np.random.default_rng(5)
    stack = []
    for _ in range(layers):
        stack += [Linear(16, 16, rng=rng), activation()]
        stack[-2].weight[:] = rng.normal(size=(16, 16)) * gain / 4
    return Sequential(*stack, Linear(16, 2, rng=rng), MSELoss())


def test_vanishing_and_exploding_deltas():
    x = many(50, 16)
    assert flow(deep(1.0), x, x[:, :2]).findings == ()
    exploding = flow(deep(4.0, 30, Tanh), x, x[:, :2])
    assert exploding.findings[-1].startswith(
        "Deltas explode: at layer 0, Linear(16 -> 16), delta times std is 3e+04 of"
    )
    for gain, activation in ((0.1, Identity), (0.1, Tanh), (1.0, Sigmoid)):
        vanishing = flow(deep(gain, activation=activation), x, x[:, :2])
        assert vanishing.findings[0].startswith("Deltas vanish: at layer 0, Linear(16 -> 16), delta times std is")
    low, high = vanishing.layers[0], vanishing.layers[-2]
    assert f" {low.delta * low.std / (high.delta * high.std):.1g} of that at layer 16" in vanishing.findings[0]
    saturated = flow(deep(30.0, activation=Tanh), x, x[:, :2])
    assert any("saturated" in finding for finding in saturated.findings)


@pytest.mark.parametrize("unit", [1e-2, 1.0, 1e6, 1e8])
def test_the_units_of_the_data_are_no_trouble(unit):
    """BatchNorm takes the unit out, and the delta below is in one over it."""
    cost = Sequential(Linear(3, 8, rng=0), BatchNorm1d(8), Linear(8, 2, rng=1), MSELoss())
    x = many()
    assert flow(cost, unit * x, x[:, :2]).findings == ()


def test_layers_that_start_at_0_have_no_deltas_that_vanish():
    cost = Sequential(Linear(3, 8, rng=0), Linear(8, 2, rng=1), MSELoss())
    cost[0].weight[:], cost[0].bias[:] = 0, 0  # its outputs have no spread: nothing can be said
    assert not any("Deltas" in finding for finding in flow(cost, X, Y).findings)


def test_deltas_are_those_of_the_rules():
    cost = deep(1.0, layers=2)
    x = many(50, 16)
    table = flow(cost, x, x[:, :2])
    delta, caches = np.float64(1.0), cost.forward(x, x[:, :2])[1]
    for i in reversed(range(len(cost))):
        assert table.layers[i].delta == pytest.approx(np.linalg.norm(delta), rel=1e-12)
        below = cost[i].backward(delta, caches[i])
        if i:
            assert table.layers[i].ratio == pytest.approx(np.linalg.norm(below) / np.linalg.norm(delta), rel=1e-12)
        delta = below
    assert table.layers[0].ratio is None  # the delta of x is not computed
    _, gradients = value_and_gradients(cost, x, x[:, :2])
    for row in table.parameters:
        array = cost.parameters()[row.name]
        assert row.size == pytest.approx(np.sqrt((array**2).mean()))
        assert row.gradient == pytest.approx(np.sqrt((gradients[row.name] ** 2).mean()))
        assert row.ratio == pytest.approx(row.gradient / row.size)


def test_what_is_not_finite_or_not_trained_stands_below_the_table():
    cost = Sequential(Linear(3, 2, rng=0), MSELoss())
    assert flow(cost, X, 1e200 * Y).findings == ("There are NaN or infinities: find_nonfinite says where they arise.",)
    cost = Sequential(Linear(3, 4, rng=0), Linear(4, 2, rng=0), MSELoss())
    cost[1].weight[:] = 0
    assert flow(cost, X, Y).findings[-1] == "The gradient is 0 for 0.weight, 0.bias: unused_parameters says why."


def test_it_reads_as_a_table():
    cost = Sequential(Branch(Linear(3, 16, rng=0), Identity()), Concatenate(), ReLU(), Linear(19, 2, rng=1), MSELoss())
    table = flow(cost, many(), many()[:, :2])
    assert isinstance(table, Flow)
    assert repr(table) == str(table)
    assert [row.place for row in table.layers] == ["0.0", "0.1", "1", "2", "3", "4"]
    lines = str(table).splitlines()
    assert lines[0].split() == [
        "place", "layer", "shape", "mean", "std", "largest", "zeros", "units", "dead", "saturated", "delta", "ratio",
    ]  # fmt: skip
    assert lines[1].startswith("0.0    Linear(3 -> 16)")
    assert lines[-1] == "Nothing stands out."
    assert "3.weight" in str(table)
    html = table._repr_html_()
    assert html.count("<table>") == 2
    assert "<td>Linear(3 -&gt; 16)</td>" in html
    model = flow(cost[:-1], many())  # no deltas without a cost
    assert [row.delta for row in model.layers] == [None] * 5
    assert model.parameters == ()
    assert "place" in str(model)


def test_everything_at_once_flows():
    table = flow(everything(), (X, 2 * X), LABELS)
    assert len(table.layers) == 16
    assert len(str(table).splitlines()) > 20


def test_one_layer_alone():
    assert len(flow(OneArray(Linear(3, 2, rng=0)), X).layers) == 1
    assert len(flow(Linear(3, 2, rng=0), X).layers) == 1
