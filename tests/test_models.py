"""A whole model: the layers that are wrong are named by their places, and no others."""

import numpy as np
import pytest
from bugs import MODELS
from bugs.models import CANCELLING, RULE_3
from right.for_protocol import Dense, LayerNorm, Residual, SquaredLoss

from minigrad import Layer, Linear, LogSoftmax, NLLLoss, ReLU, Sequential, Sigmoid, Tanh
from minigrad.testing import GradientContractError, check_layer, diagnose

IDS = [f"{number}-{place}" for number, (_, _, place) in enumerate(MODELS)]


def places(diagnosis):
    return {finding.place for finding in diagnosis.findings}


@pytest.mark.parametrize(("make", "sample", "place"), MODELS, ids=IDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_said_of_a_wrong_model(make, sample, place, seed):
    """One diagnosis, which takes seconds, and all that it must say."""
    diagnosis = diagnose(make(), *sample(np.random.default_rng(seed)))
    the_wrong_layers_are_named_and_no_others(diagnosis, place)
    if (make, sample, place) in CANCELLING:
        two_rules_that_cancel_are_said_to_cancel(diagnosis, place)
    else:
        what_shows_end_to_end_is_not_said_to_cancel(diagnosis)
    if (make, sample, place) in RULE_3:
        a_wrong_rule_3_does_not_lead_the_delta_astray(diagnosis)
    else:
        where_the_delta_first_goes_wrong_is_said(diagnosis, place)


def the_wrong_layers_are_named_and_no_others(diagnosis, place):
    assert places(diagnosis) == set(place.split(",")), str(diagnosis)
    for one in place.split(","):
        assert f"layer {one}" in diagnosis.headline()


def two_rules_that_cancel_are_said_to_cancel(diagnosis, place):
    (said,) = [note for note in diagnosis.notes if "cancels" in note]
    assert "end to end nothing shows" in said
    assert all(one in said for one in place.split(","))


def what_shows_end_to_end_is_not_said_to_cancel(diagnosis):
    assert not any("cancels" in note for note in diagnosis.notes)


def where_the_delta_first_goes_wrong_is_said(diagnosis, place):
    """The delta comes from above: the last of the wrong layers meets it first."""
    (said,) = [note for note in diagnosis.notes if "first goes wrong" in note]
    assert f"in layer {place.split(',')[-1]};" in said


def a_wrong_rule_3_does_not_lead_the_delta_astray(diagnosis):
    assert {finding.rule for finding in diagnosis.findings} == {3}
    assert not any("first goes wrong" in note for note in diagnosis.notes)


class Twice(Sequential):
    """The same layers, once more."""

    def __init__(self, layer):
        super().__init__(layer, Tanh(), layer)


RIGHT_MODELS = {
    "sequential": (lambda: Sequential(Linear(3, 4, rng=0), Sigmoid(), Linear(4, 2, rng=1)), ()),
    "nested": (lambda: Sequential(Linear(3, 4, rng=0), Sequential(Tanh(), Sequential(Linear(4, 2, rng=1)))), ()),
    "shared": (lambda: Twice(Linear(3, 3, rng=0)), ()),
    "residual": (lambda: Sequential(Dense(3, 4), Residual(Sequential(LayerNorm(), Dense(4, 4), Tanh()))), ()),
    "with a loss": (lambda: Sequential(Linear(3, 3, rng=0), ReLU(), LogSoftmax(), NLLLoss()), ([0, 2, 1, 0, 1],)),
    "residual with a loss": (lambda: Sequential(Residual(Dense(3, 3)), SquaredLoss()), (np.ones((5, 3)),)),
}


@pytest.mark.parametrize("name", RIGHT_MODELS)
@pytest.mark.parametrize("seed", range(3))
def test_right_models_pass(name, seed):
    make, arguments = RIGHT_MODELS[name]
    z = np.random.default_rng(seed).normal(size=(5, 3))
    diagnosis = check_layer(make(), z, *map(np.asarray, arguments))
    assert diagnosis.ok
    assert not any("cancels" in note or "goes wrong" in note for note in diagnosis.notes)


def test_the_arrays_of_a_model_are_named_by_their_places():
    stack = Sequential(Residual(Sequential(Linear(3, 3, rng=0), Tanh())), Linear(3, 2, rng=1))
    diagnosis = check_layer(stack, np.random.default_rng(0).normal(size=(5, 3)))
    names = ["z", "0.inner.0.weight", "0.inner.0.bias", "1.weight", "1.bias"]
    assert [agreement.array for agreement in diagnosis.derivatives] == names


class WrongTanh(Tanh):
    def df(self, y):
        return 1 - y


@pytest.mark.parametrize("place", ["0", "1.0", "1.1"])
def test_a_mistake_is_found_wherever_it_stands(place):
    layers = {name: WrongTanh() if name == place else Tanh() for name in ("0", "1.0", "1.1")}
    model = Sequential(layers["0"], Sequential(layers["1.0"], layers["1.1"]))
    with pytest.raises(GradientContractError) as caught:
        check_layer(model, np.random.default_rng(0).normal(size=(4, 3)))
    assert places(caught.value.diagnosis) == {place}
    assert f"layer {place}, rule 2" in str(caught.value)


def test_a_wrong_layer_that_is_shared_is_named_once():
    wrong = WrongTanh()
    diagnosis = diagnose(Sequential(wrong, Linear(3, 3, rng=0), wrong), np.random.default_rng(0).normal(size=(4, 3)))
    assert places(diagnosis) == {"0"}


def test_a_container_that_is_wrong_itself_is_named_and_not_what_it_holds():
    class Halved(Residual):
        def backward(self, delta, cache):
            return super().backward(delta, cache) / 2

    model = Sequential(Tanh(), Halved(Linear(3, 3, rng=0)))
    diagnosis = diagnose(model, np.random.default_rng(0).normal(size=(4, 3)))
    assert places(diagnosis) == {"1"}
    assert diagnosis.findings[0].rule == 2


def test_the_model_is_left_as_it_was():
    model = Sequential(Linear(3, 4, rng=0), WrongTanh(), Linear(4, 2, rng=1))
    before = {name: array.copy() for name, array in model.parameters().items()}
    diagnose(model, np.random.default_rng(0).normal(size=(4, 3)))
    for name, array in model.parameters().items():
        np.testing.assert_array_equal(array, before[name])
        assert array.flags.writeable
    assert all(type(vars(layer).get("forward", None)) is type(None) for layer in model)
    assert all(isinstance(layer, Layer) for layer in model)
