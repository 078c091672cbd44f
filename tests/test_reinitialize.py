"""reinitialize: a whole model drawn anew, by the names of its parameters, all of it or nothing."""

import numpy as np
import pytest

from minigrad import FlatParameters, Frozen, Linear, Sequential, Tanh
from minigrad.initializers import constant, kaiming_normal, normal, orthogonal, reinitialize, uniform, zeros


def model(seed=0) -> Sequential:
    return Sequential(Linear(3, 4, rng=seed), Tanh(), Linear(4, 4, rng=seed + 1), Linear(4, 2, rng=seed + 2))


def test_a_model_is_drawn_anew_by_the_names_of_its_parameters():
    stack = model()
    arrays = stack.parameters()
    kept = arrays["3.bias"].copy()
    reinitialize(stack, {"*.weight": orthogonal(), "[02].bias": zeros(), "3.weight": constant(2)}, rng=0)
    assert all(stack.parameters()[name] is array for name, array in arrays.items())
    np.testing.assert_allclose(arrays["2.weight"] @ arrays["2.weight"].T, np.eye(4), atol=1e-12)
    assert (arrays["3.weight"] == 2).all()  # the last pattern decides
    assert not arrays["0.bias"].any()
    assert not arrays["2.bias"].any()
    np.testing.assert_array_equal(arrays["3.bias"], kept)


def test_the_last_pattern_decides_and_the_order_of_draws_is_that_of_the_parameters():
    one, other = model(), model(5)
    reinitialize(one, {"*": normal(1), "3.*": constant(1), "0.*": uniform(1)}, rng=7)
    reinitialize(other, {"3.*": constant(1), "2.*": normal(1), "0.*": uniform(1)}, rng=7)
    for name, array in one.parameters().items():
        np.testing.assert_array_equal(array, other.parameters()[name])
    reinitialize(one, {"3.*": constant(1), "*": zeros()})
    assert not any(array.any() for array in one.parameters().values())


def test_a_generator_goes_on_from_model_to_model():
    rng = np.random.default_rng(0)
    one, other = model(), model()
    reinitialize(one, {"*": normal(1)}, rng=rng)
    reinitialize(other, {"*": normal(1)}, rng=rng)
    assert not np.array_equal(one.parameters()["0.weight"], other.parameters()["0.weight"])


def test_a_shared_parameter_is_drawn_once_and_has_all_its_names():
    first, second = Linear(3, 3, rng=0), Linear(3, 3, rng=1)
    second.weight = first.weight
    stack = Sequential(first, second)
    reinitialize(stack, {"*.weight": normal(1)}, rng=3)
    np.testing.assert_array_equal(first.weight, np.random.default_rng(3).normal(size=(3, 3)))
    assert second.weight is first.weight
    reinitialize(stack, {"1.weight": constant(4)})
    assert (first.weight == 4).all()


def test_the_vector_of_an_optimiser_sees_the_new_numbers():
    stack = model()
    theta = FlatParameters(stack)
    reinitialize(stack, {"*": constant(3)})
    assert (theta.vector == 3).all()


def test_the_floating_type_stays():
    stack = model().astype(np.float32)
    reinitialize(stack, {"*.weight": kaiming_normal()}, rng=0)
    assert stack.parameters()["0.weight"].dtype == np.float32
    lone = Linear(2, 3).astype(np.complex128)
    reinitialize(lone, {"weight": normal(1)}, rng=0)
    assert lone.weight.dtype == np.complex128


@pytest.mark.parametrize(
    ("rules", "error", "message"),
    [
        (
            {"*": zeros(), "*.wieght": zeros()},
            ValueError,
            r"finds no parameter '\*.wieght' in Sequential\(.*: it has 0.weight",
        ),
        (
            {"0.*": zeros(), "3.bias": lambda shape, rng: np.full(shape, np.nan)},
            ValueError,
            "expects finite numbers, got nan",
        ),
        (
            {"0.*": zeros(), "3.bias": lambda shape, rng: np.zeros(3)},
            ValueError,
            r"array of shape \(2,\), got ndarray of",
        ),
        (
            {"0.*": zeros(), "3.bias": lambda shape, rng: np.zeros(1)},
            ValueError,
            r"array of shape \(2,\), got ndarray of",
        ),
        ({"0.*": zeros(), "3.bias": kaiming_normal()}, ValueError, r"fans expects the shape of a weight"),
        ({"0.*": zeros(), "3.bias": kaiming_normal}, ValueError, "an initialiser is a function"),
        ({"0.*": zeros(), "3.bias": 0.0}, ValueError, "an initialiser is a function"),
    ],
)
def test_nothing_is_changed_where_anything_is_wrong(rules, error, message):
    stack = model()
    before = {name: array.copy() for name, array in stack.parameters().items()}
    with pytest.raises(error, match=message) as caught:
        reinitialize(stack, rules, rng=0)
    for name, array in stack.parameters().items():
        np.testing.assert_array_equal(array, before[name])
    if "finds" not in message:
        assert caught.value.__notes__ == ["in the new numbers for 3.bias; nothing was changed"]


def test_what_cannot_be_written_is_refused_first():
    stack = model()
    stack.layers[3].bias.flags.writeable = False
    before = stack.layers[0].weight.copy()
    with pytest.raises(ValueError, match=r"writes into the arrays of Sequential.*, but 3.bias is read-only"):
        reinitialize(stack, {"*": constant(1)})
    np.testing.assert_array_equal(stack.layers[0].weight, before)
    with pytest.raises(ValueError, match="has no arrays yet, since its width was left out"):
        reinitialize(Linear(None, 2), {"*": zeros()})
    with pytest.raises(ValueError, match=r"finds no parameter '\*' in Frozen.*: it has none"):
        reinitialize(Frozen(Linear(2, 2)), {"*": zeros()})
    with pytest.raises(TypeError, match="reinitialize expects a layer, got dict"):
        reinitialize({}, {"*": zeros()})
