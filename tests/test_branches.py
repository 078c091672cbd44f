"""Branches, joints and reuse, beside the same sums written out; operators, other places, widths left out."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from minigrad import (
    SGD,
    Add,
    BatchNorm1d,
    Branch,
    Concatenate,
    Container,
    Dropout,
    FlatParameters,
    Frozen,
    L2Penalty,
    Layer,
    Linear,
    LogSoftmax,
    MSELoss,
    NLLLoss,
    Parallel,
    Penalized,
    ReLU,
    Repeat,
    Residual,
    Sequential,
    Split,
    Tanh,
    build,
    value_and_gradients,
)
from minigrad.checks import ShapeError
from minigrad.testing import check_layer, diagnose


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class Quiet(Layer):
    """Twice z in training, z at inference: as dropout, but without the noise."""

    def forward(self, z):
        return 2 * z, None

    def backward(self, delta, cache):
        return 2 * delta

    def __call__(self, z):
        return z


class Counting(Layer):
    """z, counting its forwards as state."""

    state_names = ("count", "mean")

    def __init__(self):
        self.count = np.array(0)
        self.mean = np.zeros(3)

    def forward(self, z):
        self.count += 1
        self.mean += z.mean(axis=0)
        return z, None

    def backward(self, delta, cache):
        return delta


def test_a_residual_is_a_branch_and_a_sum(rng):
    inner = Sequential(Linear(4, 4, rng=rng), Tanh())

    class Same(Layer):
        def forward(self, z):
            return z, None

        def backward(self, delta, cache):
            return delta

    z, delta = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    residual, sum_of_branches = Residual(inner), Same() + inner
    for one, other in zip(
        (residual.forward(z)[0], *flat(residual, z, delta)),
        (sum_of_branches.forward(z)[0], *flat(sum_of_branches, z, delta)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-15)


def flat(layer, z, delta):
    dz, gradients = layer.backpropagate(delta, layer.forward(z)[1])
    return dz, *gradients.values()


def test_two_towers_by_the_formula(rng):
    left, right = Linear(2, 3, rng=rng), Linear(4, 3, rng=rng)
    model = Sequential(Parallel(left, right), Add())
    z = rng.normal(size=(6, 2)), rng.normal(size=(6, 4))
    delta = rng.normal(size=(6, 3))
    z_next, cache = model.forward(z)
    expected = z[0] @ left.weight.T + left.bias + z[1] @ right.weight.T + right.bias
    np.testing.assert_allclose(z_next, expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(model(z), expected, rtol=0, atol=1e-14)
    dz, gradients = model.backpropagate(delta, cache)
    np.testing.assert_allclose(dz[0], delta @ left.weight, rtol=0, atol=1e-14)
    np.testing.assert_allclose(dz[1], delta @ right.weight, rtol=0, atol=1e-14)
    assert list(gradients) == ["0.0.weight", "0.0.bias", "0.1.weight", "0.1.bias"]
    np.testing.assert_allclose(gradients["0.1.weight"], delta.T @ z[1], rtol=0, atol=1e-14)


def test_joints_invert_each_other(rng):
    z = rng.normal(size=(3, 2, 6))
    for axis in (1, 2, -1):
        parts = Split(2, axis=axis)(z)
        assert all(part.shape == parts[0].shape for part in parts)
        np.testing.assert_array_equal(Concatenate(axis)(parts), z)
    delta = rng.normal(size=(3, 5))
    dz = Concatenate().backward(delta, Concatenate().forward((delta[:, :2], delta[:, 2:]))[1])
    np.testing.assert_array_equal(dz[0], delta[:, :2])
    np.testing.assert_array_equal(dz[1], delta[:, 2:])


def test_repeat_adds_the_gradients_of_its_places(rng):
    """Of w^3 z: 3 w^2 z."""
    linear = Linear(1, 1, bias=False, rng=rng)
    w = linear.weight[0, 0]
    model = Repeat(linear, 3)
    z_next, cache = model.forward(np.array([[2.0]]))
    assert z_next == pytest.approx(2 * w**3, rel=1e-14)
    assert model.parameter_gradients(np.ones((1, 1)), cache)["0.weight"] == pytest.approx(6 * w**2, rel=1e-14)
    assert list(model.parameters()) == ["0.weight"]
    assert repr(model) == "Repeat(3 x Linear(1 -> 1, bias=False))"


def test_frozen_lets_deltas_through_and_changes_nothing_below(rng):
    below, middle = Linear(4, 4, rng=rng), Sequential(Linear(4, 4, rng=rng), Tanh())
    x, t = rng.normal(size=(8, 4)), rng.integers(0, 4, 8)
    free = Sequential(below, middle, LogSoftmax(), NLLLoss())
    frozen = Sequential(below, Frozen(middle), LogSoftmax(), NLLLoss())
    value, gradients = value_and_gradients(free, x, t)
    frozen_value, frozen_gradients = value_and_gradients(frozen, x, t)
    assert value == frozen_value
    assert list(frozen_gradients) == list(frozen.parameters()) == ["0.weight", "0.bias"]
    assert all(np.array_equal(frozen_gradients[name], gradients[name]) for name in frozen_gradients)
    before = middle[0].weight.copy()
    SGD(frozen, 0.5).step(frozen_gradients)
    FlatParameters(frozen)
    assert np.array_equal(middle[0].weight, before)
    assert list(frozen.state()) == ["1.inner.0.weight", "1.inner.0.bias"]


def test_rule_3_of_frozen_is_skipped(rng):
    class Costly(Linear):
        def parameter_gradients(self, delta, z):
            raise AssertionError("nobody trains this layer")

    class Bottom(Linear):
        def backward(self, delta, z):
            raise AssertionError("nobody reads this delta")

    stack = Sequential(Bottom(3, 3, rng=rng), Frozen(Costly(3, 3, rng=rng)), Tanh())
    z_next, cache = stack.forward(rng.normal(size=(2, 3)))
    assert list(stack.parameter_gradients(z_next, cache)) == ["0.weight", "0.bias"]
    wholly = Sequential(Frozen(Bottom(3, 3, rng=rng)), Linear(3, 2, rng=rng))
    assert list(wholly.parameter_gradients(np.ones((2, 2)), wholly.forward(np.ones((2, 3)))[1])) == [
        "1.weight",
        "1.bias",
    ]


def test_frozen_is_at_inference_in_training_too(rng):
    norm, z = BatchNorm1d(3), rng.normal(size=(6, 3))
    inner = Sequential(Linear(3, 3, rng=rng), norm, Residual(Dropout(0.5, rng=0)), Tanh())
    inner.forward(z)
    frozen = Frozen(inner)
    before = {name: copy.deepcopy(value) for name, value in frozen.state().items()}
    z_next, cache = frozen.forward(z)
    np.testing.assert_array_equal(z_next, inner(z))
    assert frozen.rows_independent
    assert not inner.rows_independent
    after = frozen.state()
    assert list(before) == list(after)
    for name, value in before.items():
        assert name.endswith("rng") or np.array_equal(value, after[name]), name
    # The affine map that batch normalisation is at inference, doubled by the residual.
    scale = 2 / np.sqrt(norm.running_var + norm.eps)
    delta = rng.normal(size=(6, 3))
    np.testing.assert_allclose(
        frozen.backward(delta, cache), delta * (1 - z_next**2) * scale @ inner[0].weight, rtol=0, atol=1e-14
    )
    norm.running_mean += 1  # it is the same layer, not a copy
    assert not np.allclose(frozen.forward(z)[0], z_next)
    check_layer(frozen, z)
    check_layer(norm.at_inference(), z)
    double = frozen.astype(np.float32)
    assert double.forward(z.astype(np.float32))[0].dtype == np.float32
    assert double.inner[0].weight is double.state()["inner.0.weight"]


def test_a_layer_that_says_by_call_alone_what_it_is_at_inference():
    frozen = Frozen(Sequential(Quiet()))
    z_next, cache = frozen.forward(np.ones((2, 3)))
    assert np.all(z_next == 1)
    with pytest.raises(NotImplementedError, match=r"Quiet says by __call__ alone .*: write at_inference\(self\)"):
        frozen.backward(z_next, cache)


def test_astype_casts_what_is_frozen_and_the_statistics():
    model = Sequential(Frozen(Linear(3, 2, rng=0)), Tanh(), Residual(Counting())).astype(np.float32)
    assert model[0].inner.weight.dtype == np.float32
    assert model[2].inner.mean.dtype == np.float32
    assert model[2].inner.count.dtype.kind == "i"
    assert model[:2](np.ones((1, 3), np.float32)).dtype == np.float32


def test_state_is_named_by_place_and_copied_with_the_parameters():
    model = Sequential(Linear(3, 3, rng=0), Sequential(Counting()))
    assert list(model.state()) == ["1.0.count", "1.0.mean"]
    twin = model.with_parameters(model.parameters())
    twin.forward(np.ones((2, 3)))
    assert model[1][0].count == 0
    assert twin[1][0].count == 1


@pytest.mark.parametrize(
    "make",
    [Residual, Branch, lambda f: Parallel(f), lambda f: Sequential(f), lambda f: Repeat(f, 1)],
    ids=["Residual", "Branch", "Parallel", "Sequential", "Repeat"],
)
def test_calling_a_container_is_inference_all_the_way_down(make):
    z = np.ones((2, 3))
    model = make(Sequential(Quiet()))
    given = (z,) if type(model) is Parallel else z
    once = {Residual: 2.0}.get(make, 1.0)
    found = model(given)
    assert np.all((found[0] if type(found) is tuple else found) == once)
    trained = model.forward(given)[0]
    assert np.all((trained[0] if type(trained) is tuple else trained) == once + 1)


def test_calling_a_container_that_writes_rule_1_alone_is_inference_too():
    class Doubled(Container):
        def __init__(self, first, second):
            self.layers = {"first": first, "second": second}
            self.both = [first, second]

        def children(self):
            return list(self.layers.items())

        def forward(self, z):
            a, cache_a = self.layers["first"].forward(z)
            b, cache_b = self.both[1].forward(z)
            return a + b, (cache_a, cache_b)

    model = Doubled(Quiet(), Quiet())
    assert np.all(model(np.ones((2, 3))) == 2)
    assert np.all(model.forward(np.ones((2, 3)))[0] == 4)
    assert np.all(Sequential(model)(np.ones((2, 3))) == 2)


def test_operators_compose(rng):
    f, g, h = Linear(3, 3, rng=rng), Tanh(), Linear(3, 3, rng=rng)
    z = rng.normal(size=(4, 3))
    stacked = f >> g >> h
    assert list(stacked) == [f, g, h]
    assert list((f >> g) >> (g >> h)) == [f, g, g, h]
    np.testing.assert_array_equal(stacked(z), h(g(f(z))))
    np.testing.assert_allclose((f + h)(z), f(z) + h(z), rtol=0, atol=1e-15)
    cost = f >> g >> LogSoftmax() >> NLLLoss()
    assert isinstance(cost[:-1], Sequential)
    assert len(cost) == 4
    with pytest.raises(TypeError, match="stack expects layers, got the class Tanh as layer 0: make one, Tanh"):
        f >> Tanh
    with pytest.raises(TypeError, match="add expects layers, got int as layer 0"):
        f + 1


def test_a_layer_is_inserted_removed_and_replaced_in_another_stack(rng):
    f, g, h = Linear(3, 3, rng=rng), Tanh(), Linear(3, 2, rng=rng)
    model = Sequential(f, g, h)
    extra = ReLU()
    assert list(model.with_inserted(1, extra)) == [f, extra, g, h]
    assert list(model.with_inserted(3, extra)) == [f, g, h, extra]
    assert list(model.with_inserted(-1, extra)) == [f, g, extra, h]
    assert list(model.with_removed(-2)) == [f, h]
    assert list(model.with_replaced(1, extra)) == [f, extra, h]
    assert list(model) == [f, g, h]
    assert model.with_removed(1)[0].weight is f.weight
    for call in (model.with_removed, lambda i: model.with_replaced(i, extra), lambda i: model.with_inserted(i + 1, g)):
        with pytest.raises(IndexError, match=r"has 3 layers, and no place [34]"):
            call(3)
    with pytest.raises(TypeError, match="Sequential expects layers, got function as layer 1"):
        model.with_replaced(1, lambda z: z)


def test_widths_left_out_are_taken_from_the_first_batch(rng):
    model = Sequential(Linear(None, 5, rng=0), Tanh(), Linear(None, 2, rng=1))
    assert repr(model[0]) == "Linear(? -> 5)"
    with pytest.raises(ValueError, match=r"Linear\(\? -> 5\) has no arrays yet.*minigrad.build"):
        model.parameters()
    with pytest.raises(ValueError, match="has no arrays yet"):
        FlatParameters(model)
    with pytest.raises(ValueError, match=r"expects z of shape \(batch, in_features\), got \(3,\)"):
        model[0](np.ones(3))
    z = rng.normal(size=(4, 3))
    expected = Sequential(Linear(3, 5, rng=0), Tanh(), Linear(5, 2, rng=1))(z)
    twin = copy.deepcopy(model)
    np.testing.assert_array_equal(model(z), expected)
    np.testing.assert_array_equal(twin.forward(z)[0], expected)
    with pytest.raises(ValueError, match=r"Linear\(3 -> 5\) expects z of shape \(batch, 3\), got \(4, 2\)"):
        model(z[:, :2])
    pickle.loads(pickle.dumps(model))
    assert model[0].in_features == 3


def test_build_takes_the_shape_of_one_row_or_a_batch(rng):
    cost = Sequential(Linear(None, 5, dtype=np.float32), Tanh(), Linear(None, 2), LogSoftmax(), NLLLoss())
    assert build(cost, (3,)) is cost
    assert cost[0].weight.shape == (5, 3)
    assert cost[0].weight.dtype == np.float32
    towers = build(Sequential(Parallel(Linear(None, 2), Linear(None, 2)), Add()), ((3,), (4,)))
    assert [layer.in_features for layer in towers[0].layers] == [3, 4]
    assert build(Linear(None, 2), rng.normal(size=(1, 7))).in_features == 7
    with pytest.raises(TypeError, match=r"build expects the shape of one row, such as \(784,\).*got 784"):
        build(Linear(None, 2), 784)


def test_the_checker_takes_layers_of_several_inputs_and_outputs(rng):
    z = rng.normal(size=(4, 3)), rng.normal(size=(4, 2, 2))

    class Forgets(Parallel):
        def backward(self, delta, caches):
            first, second = super().backward(delta, caches)
            return first, 2 * second

    assert check_layer(Parallel(Linear(3, 2, rng=rng), Tanh()), z).ok
    assert check_layer(Branch(Linear(3, 2, rng=rng), Tanh()), z[0]).ok
    found = diagnose(Forgets(Linear(3, 2, rng=rng), Tanh()), z)
    assert {f.array for f in found.findings} == {"z[1]"}
    inside = diagnose(Sequential(Forgets(Linear(3, 2, rng=rng), Tanh()), Parallel(Tanh(), Tanh())), z)
    assert {(f.place, f.array) for f in inside.findings} == {("0", "z[1]")}


class Narrow(Layer):
    """Rule 2 loses a column."""

    def forward(self, z):
        return 1 * z, None

    def backward(self, delta, cache):
        return delta[:, :2]


def test_a_wrong_result_of_rule_2_is_not_blamed_on_the_layer_above(rng):
    told = (
        r"^Narrow\(\) must give dC/dz of the shape of z, \(4, 3\), by rule 2, got \(4, 2\): "
        "it would broadcast to a wrong sum(\n|$)"
    )
    model = Sequential(Linear(3, 3, rng=rng), Residual(Narrow()), Tanh())
    _, cache = model.forward(np.ones((4, 3)))
    for rule in (model.backward, model.backpropagate, model.parameter_gradients):
        with pytest.raises(ValueError, match=told) as caught:
            rule(np.ones((4, 3)), cache)
        assert not isinstance(caught.value, ShapeError)
        assert caught.value.__notes__ == [
            "in layer inner of Residual(Narrow)",
            "in layer 1 of Sequential(Linear, Residual, Tanh)",
        ]
    model = Sequential(Branch(Tanh(), Narrow()), Add(), Tanh())
    _, cache = model.forward(np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"deltas of the shape of z, got \(4, 3\) and \(4, 2\)(\n|$)") as caught:
        model.backward(np.ones((4, 3)), cache)
    assert caught.value.__notes__ == ["in layer 0 of Sequential(Branch, Add, Tanh)"]


MESSAGES = [
    (
        lambda: Parallel(Tanh(), Tanh())(np.ones((2, 3))),
        TypeError,
        "a tuple of 2 arrays, got one array of shape (2, 3)",
    ),
    (lambda: Parallel(Tanh(), Tanh())((np.ones((2, 3)),)), ValueError, "tuple of 2 arrays, got 1: one for each branch"),
    (lambda: Add()(np.ones((2, 3))), TypeError, "expects z to be a tuple of arrays, got one array of shape (2, 3)"),
    (lambda: Add()((np.ones((2, 3)), np.ones((2, 1)))), ValueError, "got (2, 3) in z[0] and (2, 1) in z[1]: bring"),
    (lambda: Add()((np.ones((2, 3)), np.ones((2, 3), int))), TypeError, "expects z[1] of a floating type, got int64"),
    (lambda: Concatenate(0), ValueError, "Concatenate expects axis to be an integer other than 0, the batch, got 0"),
    (lambda: Concatenate(-2)((np.ones((2, 3)),)), ValueError, "expects z with an axis -2 beside the batch"),
    (
        lambda: Concatenate()((np.ones((2, 3)), np.ones((3, 3)))),
        ValueError,
        "agree but for axis -1, got (2, 3) in z[0]",
    ),
    (
        lambda: Split(2)(np.ones((2, 9))),
        ValueError,
        "into 2 equal parts, got 9 entries in z of shape (2, 9): 9 divides",
    ),
    (lambda: Split(0), ValueError, "Split expects parts to be a positive integer, got 0"),
    (lambda: Repeat(Tanh(), 0), ValueError, "Repeat expects times to be a positive integer, got 0"),
    (lambda: Repeat([Tanh()], 2), TypeError, "Repeat expects layers, got list as layer 0: unpack it"),
    (lambda: Frozen(Tanh), TypeError, "Frozen expects layers, got the class Tanh as layer 0: make one, Tanh(...)"),
    (lambda: Branch(np.tanh), TypeError, "Branch expects layers, got ufunc as layer 0: a function becomes a layer"),
    (
        lambda: Residual(Parallel(Tanh())).forward((np.ones((4, 3)),)),
        TypeError,
        "Residual(Parallel) expects an array that becomes an array, got a tuple: Add joins branches",
    ),
    (
        lambda: Residual(Linear(3, 2))(np.ones((4, 3))),
        ValueError,
        "keep the shape of z, (4, 3), got (4, 2): f +",
    ),
]


@pytest.mark.parametrize(("call", "kind", "text"), MESSAGES, ids=[text[:50] for _, _, text in MESSAGES])
def test_message(call, kind, text):
    with pytest.raises(kind) as caught:
        call()
    assert text in str(caught.value)


def test_errors_inside_a_branch_say_where(rng):
    model = Sequential(Branch(Tanh(), Residual(Linear(3, 3, rng=rng))), Add())
    with pytest.raises(ValueError, match=r"Linear\(3 -> 3\) expects z of shape") as caught:
        model.forward(np.ones((2, 4)))
    assert caught.value.__notes__ == [
        "in layer inner of Residual(Linear)",
        "in layer 1 of Branch(Tanh, Residual)",
        "in layer 0 of Sequential(Branch, Add)",
    ]
    with pytest.raises(ValueError, match="Linear") as caught:
        model(np.ones((2, 4)))
    assert "in layer 1 of Branch(Tanh, Residual)" in caught.value.__notes__
    _, cache = model.forward(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"Add\(\) expects delta") as caught:
        model.backward(np.ones((2, 4)), cache)
    assert caught.value.__notes__ == ["in layer 1 of Sequential(Branch, Add)"]


class SumOfRows(Layer):
    """2 z, whose rule 2 forgets that the rows are apart."""

    def forward(self, z):
        return 2 * z, None

    def backward(self, delta, cache):
        return 2 * delta.sum(axis=0)


@pytest.mark.parametrize("make", [Residual, lambda f: Tanh() + f], ids=["Residual", "Branch"])
def test_a_delta_of_another_shape_does_not_broadcast(make):
    z = np.ones((4, 3))
    model = make(SumOfRows())
    _, cache = model.forward(z)
    for rule in (model.backward, model.backpropagate):
        with pytest.raises(ValueError, match=r"\(4, 3\)"):
            rule(z, cache)


def test_children_of_one_name_are_refused(rng):
    class Twice(Container):
        def __init__(self, *layers):
            self.layers = layers

        def children(self):
            return [("layer", layer) for layer in self.layers]

    with pytest.raises(ValueError, match=r"two parameters of one name, layer.weight: give each child another name"):
        Twice(Linear(2, 2, rng=rng), Linear(2, 2, rng=rng)).parameters()
    linear = Linear(2, 2, rng=rng)
    assert list(Twice(linear, linear).parameters()) == ["layer.weight", "layer.bias"]


def test_arrays_of_several_places_stay_one_when_cast_or_flattened(rng):
    linear, norm = Linear(3, 3, rng=rng), BatchNorm1d(3)
    for model in (Repeat(norm, 2), linear >> Frozen(linear), Repeat(Frozen(linear), 2)):
        single = model.astype(np.float32)
        assert all(value.dtype == np.float32 for value in single.parameters().values())
        assert single.forward(np.ones((4, 3), np.float32))[0].dtype == np.float32
    frozen = Linear(3, 3, rng=rng)
    frozen.weight = linear.weight
    flat = FlatParameters(linear >> Frozen(frozen))
    flat.vector[:] = 0
    assert frozen.weight is linear.weight
    assert not frozen.weight.any()


def test_inference_of_a_container_that_reads_the_arrays_of_its_child(rng):
    class Tied(Container):
        def __init__(self, inner):
            self.inner = inner

        def children(self):
            return [("inner", self.inner), ("quiet", Quiet())]

        def forward(self, z):
            h, cache = self.inner.forward(z)
            return h @ self.inner.weight, (h, cache)

    linear = Linear(3, 2, bias=False, rng=rng)
    z = rng.normal(size=(4, 3))
    np.testing.assert_allclose(Tied(linear)(z), z @ linear.weight.T @ linear.weight, rtol=0, atol=1e-14)


def test_a_failed_build_leaves_the_model_as_it_was(rng):
    model = Linear(None, 4, rng=rng) >> Linear(5, 2, rng=rng)
    with pytest.raises(ValueError, match=r"Linear\(5 -> 2\) expects z of shape \(batch, 5\), got \(1, 4\)"):
        build(model, (7,))
    assert model[0].in_features is None
    lazy = Linear(None, 3, weight_initializer=lambda shape, rng: np.ones((1, 1)))
    with pytest.raises(ValueError, match="was asked for an array of shape"):
        lazy(np.ones((2, 3)))
    assert lazy.in_features is None
    with pytest.raises(ValueError, match="expects a width of 1 or more, got an input of none"):
        Linear(None, 2)(np.ones((4, 0)))
    with pytest.raises(AttributeError, match=r"Linear\(\? -> 2\) has no arrays yet.*such as \(784,\) or \(1, 28, 28\)"):
        _ = Linear(None, 2).weight
    with pytest.raises(ValueError, match=r"build expects a shape of positive sizes, got \(-3,\)"):
        build(Linear(None, 2), (-3,))


def test_build_leaves_out_penalties_and_the_loss(rng):
    cost = Penalized(Linear(None, 4, rng=rng) >> Tanh() >> (Linear(None, 2, rng=rng) >> MSELoss()), L2Penalty(0.1))
    build(cost, (3,))
    assert [array.shape for array in cost.parameters().values()] == [(4, 3), (4,), (2, 4), (2,)]
    assert len(cost[:-1]) == 3
    nested = Sequential(Linear(None, 4, rng=rng), Sequential(Linear(None, 2, rng=rng), MSELoss()))
    assert build(nested, (3,))[1][0].in_features == 4


MORE_MESSAGES = [
    (lambda: Branch(), ValueError, "Branch expects a layer or more, got none: Branch(f, g)"),
    (
        lambda: Residual(Branch(Tanh(), Tanh()))(np.ones((2, 3))),
        TypeError,
        "an array that becomes an array, got a tuple",
    ),
    (
        lambda: (Tanh() >> BatchNorm1d(3)).with_parameters({"1.running_mean": 0}),
        ValueError,
        "it is state, model.state()",
    ),
]


@pytest.mark.parametrize(("call", "kind", "text"), MORE_MESSAGES, ids=[text[:50] for _, _, text in MORE_MESSAGES])
def test_more_messages(call, kind, text):
    test_message(call, kind, text)


def test_threads_that_share_a_first_batch_get_one_set_of_arrays():
    z = np.ones((4, 6))
    for _ in range(20):
        layer = Linear(None, 3, rng=0)
        start = Barrier(4)

        def run(layer=layer, start=start):
            start.wait()
            return layer(z)

        with ThreadPoolExecutor(4) as pool:
            outputs = [job.result() for job in [pool.submit(run) for _ in range(4)]]
        assert all(np.array_equal(output, layer(z)) for output in outputs)
