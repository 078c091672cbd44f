"""derive: rules 2 and 3 by numbers, of a layer that has rule 1."""

import warnings
from importlib import import_module

import numpy as np
import pytest

from minigrad import SGD, Elementwise, Layer, Linear, LogSoftmax, NLLLoss, ReLU, Sequential, Softmax, Tanh
from minigrad import value_and_gradients as gradients_of
from minigrad.testing import check_layer, diagnose
from minigrad.testing.derived import Call, derive
from minigrad.testing.report import GradientContractError

module = import_module("minigrad.testing.derived")

Z = np.random.default_rng(0).normal(size=(5, 3))
T = np.array([0, 2, 1, 1, 0])


class Bare(Layer):
    """Rule 1 of another layer and nothing else."""

    def __init__(self, layer, **declared):
        self.__dict__.update(layer.parameters(), **declared)
        self.parameter_names = tuple(layer.parameters())
        self.rows_independent = declared.get("rows_independent", layer.rows_independent)
        self.rule_1 = type(layer).forward
        self.rest = {name: value for name, value in vars(layer).items() if name not in self.parameter_names}
        self.kind = type(layer)

    def forward(self, z, *arguments):
        layer = self.kind.__new__(self.kind)
        vars(layer).update(self.rest, **{name: getattr(self, name) for name in self.parameter_names})
        return layer.forward(z, *arguments)[0], None

    def __repr__(self):
        return "Bare()"


class Function(Layer):
    def __init__(self, f, **declared):
        self.f = f
        self.__dict__.update(declared)

    def forward(self, z, *arguments):
        return self.f(z, *arguments), None

    def __repr__(self):
        return "Function()"


class Dropout(Layer):
    def __init__(self, rng):
        self.rng = rng

    def forward(self, z):
        return np.tanh(z) * (self.rng.random(z.shape) < 0.5), None


class Counted(Function):
    """Counts its forwards, outside of itself."""

    def __init__(self, f, counts, **declared):
        super().__init__(f, **declared)
        self.count = counts.append

    def forward(self, z, *arguments):
        self.count(1)
        return super().forward(z, *arguments)


def both(layer, z, *arguments, **declared):
    """(rules 2 and 3 of the layer, the same derived), on one delta."""
    twin = derive(Bare(layer, **declared))
    z_next, cache = layer.forward(z, *arguments)
    twin_next, twin_cache = twin.forward(z, *arguments)
    assert np.array_equal(z_next, twin_next)
    delta = np.asarray(np.random.default_rng(1).normal(size=np.shape(z_next)), np.asarray(z_next).dtype)[()]
    return layer.backpropagate(delta, cache), twin.backpropagate(delta, twin_cache)


LAYERS = [
    (Linear(3, 2, rng=0), (), 3e-15),
    (Linear(3, 2, bias=False, rng=0), (), 3e-15),
    (Tanh(), (), 1e-14),
    (Softmax(), (), 1e-14),
    (LogSoftmax(), (), 1e-14),
    (ReLU(), (), 1e-14),
    (NLLLoss(), (T,), 1e-14),
    (NLLLoss("none"), (T,), 1e-14),
]


@pytest.mark.parametrize(("layer", "arguments", "by_steps"), LAYERS, ids=lambda value: str(value)[:16])
def test_the_numbers_are_the_rules(layer, arguments, by_steps):
    for complex_safe, accuracy in ((True, by_steps), (False, 1e-9)):
        (dz, gradients), (derived, of_parameters) = both(layer, Z, *arguments, complex_safe=complex_safe)
        np.testing.assert_allclose(derived, dz, rtol=accuracy, atol=accuracy)
        assert gradients.keys() == of_parameters.keys()
        for name, gradient in gradients.items():
            np.testing.assert_allclose(of_parameters[name], gradient, rtol=accuracy, atol=accuracy)


@pytest.mark.parametrize(
    ("f", "df"),
    [
        (np.abs, np.sign),
        (lambda z: np.maximum(z, 0.1 * z), lambda z: np.where(z > 0, 1, 0.1)),
        (lambda z: z + 0.5 * np.abs(z), lambda z: 1 + 0.5 * np.sign(z)),
        (lambda z: np.where(z.real > 0, z.real**2, z), lambda z: np.where(z > 0, 2 * z, 1)),
        (lambda z: np.asarray(z, float) ** 3, lambda z: 3 * z**2),
    ],
)
def test_what_complex_steps_pass_silently_is_derived_by_differences(f, df):
    twin = derive(Function(f))  # says that it is complex safe, and is not
    delta = np.ones(Z.shape)
    np.testing.assert_allclose(twin.backward(delta, twin.forward(Z)[1]), df(Z), rtol=1e-9)


def test_at_a_kink_the_slope_lies_between_those_of_both_sides():
    z = np.array([[0.0, 1.0, -1.0, 1e-9, -1e-9]])
    twin = derive(Function(np.abs, complex_safe=False))
    dz = twin.backward(np.ones(z.shape), twin.forward(z)[1])
    np.testing.assert_allclose(dz[0, 1:3], [1, -1], rtol=1e-9)
    assert (np.abs(dz) <= 1 + 1e-6).all()
    assert check_layer(twin, z)


def test_numbers_of_very_different_sizes():
    z = np.array([[1e-6, 1.0, 1e3], [1e6, -30.0, 2.0]])
    for complex_safe, accuracy in ((True, 1e-14), (False, 1e-6)):
        twin = derive(Function(lambda z: np.sin(z / 1e3) * z, complex_safe=complex_safe))
        dz = twin.backward(np.ones(z.shape), twin.forward(z)[1])
        np.testing.assert_allclose(dz, np.sin(z / 1e3) + z / 1e3 * np.cos(z / 1e3), rtol=accuracy, atol=accuracy)


def test_rows_that_are_independent_move_together():
    z = np.random.default_rng(0).normal(size=(50, 3))
    counts = {}
    for declared in (True, False):
        seen = []
        twin = derive(Counted(np.tanh, seen, rows_independent=declared))
        dz = twin.backward(np.ones(z.shape), twin.forward(z)[1])
        np.testing.assert_allclose(dz, 1 - np.tanh(z) ** 2, rtol=1e-14)
        counts[declared] = len(seen)
    assert counts == {True: 1 + 9 + 3, False: 1 + 9 + 150}


def test_rows_that_are_wrongly_called_independent_are_seen():
    for complex_safe in (True, False):
        twin = derive(Function(lambda z: z - z.mean(axis=0), complex_safe=complex_safe))
        delta = np.random.default_rng(1).normal(size=Z.shape)
        dz = twin.backward(delta, twin.forward(Z)[1])
        np.testing.assert_allclose(dz, delta - delta.mean(axis=0), atol=1e-10)


def test_rules_of_the_author_are_used_as_they_are():
    class Half(Tanh):
        def backward(self, delta, y):
            return 7 * delta

    class Scale(Layer):
        parameter_names = ("a",)
        a = None

        def __init__(self):
            self.a = np.array([1.0, 2.0, 3.0])

        def forward(self, z):
            return self.a * z, "its own cache"

        def parameter_gradients(self, delta, cache):
            return {"a": cache}

    assert derive(Half()).derived == ()
    assert derive(Half()).complex_safe
    half = derive(Half())
    assert (half.backward(np.ones(Z.shape), half.forward(Z)[1]) == 7).all()
    twin = derive(Scale())
    cache = twin.forward(Z)[1]
    assert twin.derived == (2,)
    assert twin.parameter_gradients(np.ones(Z.shape), cache) == {"a": "its own cache"}
    np.testing.assert_allclose(twin.backward(np.ones(Z.shape), cache), np.tile([1.0, 2.0, 3.0], (5, 1)), rtol=1e-15)


def test_an_elementwise_function_without_its_derivative():
    class Swish(Elementwise):
        def f(self, z):
            return z / (1 + np.exp(-z))

    twin = derive(Swish())
    s = 1 / (1 + np.exp(-Z))
    np.testing.assert_allclose(twin.backward(np.ones(Z.shape), twin.forward(Z)[1]), s * (1 + Z * (1 - s)), rtol=1e-14)
    assert repr(twin) == "derive(Swish()): rule 2 by complex steps, slow"
    assert not twin.complex_safe


def test_repr():
    assert repr(derive(Bare(Linear(3, 2)))) == "derive(Bare()): rules 2 and 3 by complex steps, slow"
    assert repr(derive(Function(np.abs, complex_safe=False))) == "derive(Function()): rule 2 by differences, slow"
    assert repr(derive(Linear(3, 2))) == "derive(Linear(3 -> 2)): its own rules"


def test_random_numbers_are_those_of_the_forward():
    twin = derive(Dropout(np.random.default_rng(3)))
    (first, cache_1), (second, cache_2) = twin.forward(Z), twin.forward(Z)
    assert not np.array_equal(first == 0, second == 0)
    state = twin.layer.rng.bit_generator.state
    for z_next, cache in ((second, cache_2), (first, cache_1), (second, cache_2)):
        dz = twin.backward(np.ones(Z.shape), cache)
        np.testing.assert_allclose(dz, (1 - np.tanh(Z) ** 2) * (z_next != 0), rtol=1e-14)
    assert twin.layer.rng.bit_generator.state == state


def test_random_numbers_of_the_class_go_on_as_before():
    class Shared(Dropout):
        rng = np.random.default_rng(3)

        def __init__(self):
            pass

    twin = derive(Shared())
    z_next, cache = twin.forward(Z)
    state = Shared.rng.bit_generator.state
    dz = twin.backward(np.ones(Z.shape), cache)
    np.testing.assert_allclose(dz, (1 - np.tanh(Z) ** 2) * (z_next != 0), rtol=1e-14)
    assert Shared.rng.bit_generator.state == state


def test_float32_stays_float32_with_all_its_digits():
    layer = Linear(3, 2, rng=0, dtype=np.float32)
    z = Z.astype(np.float32)
    (dz, gradients), (derived, of_parameters) = both(layer, z)
    assert {derived.dtype, *(g.dtype for g in of_parameters.values())} == {np.dtype(np.float32)}
    np.testing.assert_allclose(derived, dz, rtol=1e-6)
    np.testing.assert_allclose(of_parameters["weight"], gradients["weight"], rtol=1e-5)
    assert derive(Bare(Linear(3, 2))).astype(np.float32).parameters()["weight"].dtype == np.float32


def test_pure_and_of_the_call_that_made_the_cache():
    twin = derive(Bare(Linear(3, 2, rng=0)))
    one, two, delta = Z.copy(), 2 * Z, np.ones((5, 2))
    (_, first), (_, second) = twin.forward(one), twin.forward(two)
    expected = twin.backpropagate(delta, first)
    other = twin.backpropagate(delta, second)
    one[...] = 0
    twin.parameters()["weight"][...] += 1
    twin.parameters()["bias"][...] += 1
    again = twin.backpropagate(delta, first)
    assert np.array_equal(again[0], expected[0])
    for name, gradient in expected[1].items():
        assert np.array_equal(again[1][name], gradient)
    np.testing.assert_allclose(other[1]["weight"], 2 * expected[1]["weight"], rtol=1e-14)


def test_a_model_trains_on_the_same_path():
    x = np.random.default_rng(5).normal(size=(20, 3))
    t = (x[:, 0] * x[:, 1] > 0).astype(int)

    def train(wrap):
        layers = Linear(3, 4, rng=1), Tanh(), Linear(4, 2, rng=2), LogSoftmax(), NLLLoss()
        cost = Sequential(*map(wrap, layers))
        optimiser, values = SGD(cost, 0.5), []
        for _ in range(15):
            value, gradients = gradients_of(cost, x, t)
            optimiser.step(gradients)
            values.append(value)
        return np.array(values), cost.parameters()

    values, parameters = train(lambda layer: layer)
    derived_values, derived = train(lambda layer: derive(Bare(layer)))
    assert derived_values[-1] < 0.9 * derived_values[0]
    np.testing.assert_allclose(derived_values, values, rtol=1e-12)
    assert parameters.keys() == derived.keys()
    for name, array in parameters.items():
        np.testing.assert_allclose(derived[name], array, rtol=1e-11)


def test_parameters_are_those_of_the_layer():
    layer = Bare(Linear(3, 2, rng=0))
    twin = derive(layer)
    assert twin.parameters()["weight"] is layer.weight
    assert twin.parameter_names == ("weight", "bias")
    assert twin.parameter_places() == [("weight", layer, "weight"), ("bias", layer, "bias")]
    other = twin.with_parameters({"bias": np.zeros(2)})
    assert (other.parameters()["bias"] == 0).all()
    assert other.parameters()["weight"] is layer.weight
    assert layer.bias.any()
    assert not derive(Function(np.tanh, rows_independent=False)).rows_independent


def test_several_inputs():
    class Product(Layer):
        def forward(self, z):
            return z[0] * z[1][z[2]], None

    twin = derive(Product())
    z = Z, Z + 1, np.array([4, 3, 2, 1, 0])
    first, second, indices = twin.backward(np.ones(Z.shape), twin.forward(z)[1])
    np.testing.assert_allclose(first, (Z + 1)[::-1], rtol=1e-14)
    np.testing.assert_allclose(second, Z[::-1], rtol=1e-14)
    assert indices is None


def test_empty_batches_and_numbers():
    (dz, gradients), (derived, of_parameters) = both(Linear(3, 2, rng=0), Z[:0])
    assert derived.shape == dz.shape
    assert np.array_equal(of_parameters["weight"], gradients["weight"])
    assert derive(Bare(NLLLoss())).forward(Z, T)[1].shape == ()


def test_wrong_deltas_and_complex_numbers_are_refused():
    twin = derive(Bare(Linear(3, 2, rng=0)))
    with pytest.raises(ValueError, match=r"Bare\(\) expects delta of the shape of its output, \(5, 2\), got \(2, 5\)"):
        twin.backward(np.ones((2, 5)), twin.forward(Z)[1])
    with pytest.raises(TypeError, match="gives real derivatives"):
        twin.backward(np.ones((5, 2)), twin.forward(Z + 0j)[1])
    with pytest.raises(TypeError, match="derive expects a layer, got the class Tanh"):
        derive(Tanh)


def test_many_forwards_are_told_once():
    twin = derive(Function(lambda z: z * 1.0, rows_independent=False))
    z = np.zeros((1, module.MANY + 1))
    module._warn_once.cache_clear()
    with pytest.warns(UserWarning, match=rf"derive\(Function\(\)\).* takes {module.MANY + 1} forwards"):
        twin.backward(z, twin.forward(z)[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        twin.backward(z, twin.forward(z)[1])


def test_check_layer_compares_the_rules_of_an_author():
    class Wrong(Bare):
        def backward(self, delta, cache):
            return 1.001 * delta @ self.weight

    class Right(Bare):
        def backward(self, delta, cache):
            return delta @ self.weight

    assert check_layer(derive(Right(Linear(3, 2, rng=0))), Z)
    assert check_layer(derive(Bare(Tanh())), Z)
    assert check_layer(derive(Bare(NLLLoss())), Z, T, cases="given")
    with pytest.raises(GradientContractError, match="rule 2"):
        check_layer(derive(Wrong(Linear(3, 2, rng=0))), Z, cases="given")
    assert [f.rule for f in diagnose(derive(Wrong(Linear(3, 2, rng=0))), Z, cases="given").findings] == [2]


def test_a_layer_without_parameters_has_a_rule_3_that_gives_none():
    for layer in (Tanh(), Bare(Tanh())):
        twin = derive(layer)
        assert twin.parameter_gradients(np.ones(Z.shape), twin.forward(Z)[1]) == {}
        assert check_layer(twin, Z, cases="given")


def test_the_cache_holds_the_layer_as_it_was():
    cache = derive(Bare(Linear(3, 2, rng=0))).forward(Z)[1]
    assert isinstance(cache, Call)
    assert not np.shares_memory(cache.z, Z)
