"""selfcheck: every way of breaking a rule is caught, and what is missed is said."""

from importlib import import_module

import numpy as np
import pytest

from minigrad import Layer, Linear, LogSoftmax, NLLLoss, Tanh
from minigrad.testing import mutations as errors
from minigrad.testing.check import check_layer
from minigrad.testing.mutations import ANY, NAMES, OF_FORWARD, SCALED, WRITES, Mutant, Mutation, mutations, scaled
from minigrad.testing.power import outcome, selfcheck
from minigrad.testing.report import Diagnosis, GradientContractError

module = import_module("minigrad.testing.power")

Z = np.random.default_rng(0).normal(size=(5, 3))
T = np.array([0, 2, 1, 1, 0])


class Norm(Layer):
    """Every column with mean 0 and variance 1 over the batch, times gamma."""

    parameter_names = ("gamma",)
    rows_independent = False
    complex_safe = False  # the variance takes abs of complex numbers

    def __init__(self):
        self.gamma = np.array([1.0, 2.0, 3.0])

    def forward(self, z):
        s = np.sqrt(z.var(axis=0) + 1e-5)
        x = (z - z.mean(axis=0)) / s
        return self.gamma * x, (x, s)

    def backward(self, delta, cache):
        x, s = cache
        d = self.gamma * delta
        return (d - d.mean(axis=0) - x * (d * x).mean(axis=0)) / s

    def parameter_gradients(self, delta, cache):
        return {"gamma": (delta * cache[0]).sum(axis=0)}


class Product(Layer):
    def forward(self, z):
        return z[0] * z[1], z

    def backward(self, delta, z):
        return delta * z[1], delta * z[0]


@pytest.fixture(scope="module")
def of_linear():
    layer, z = Linear(3, 2, rng=0), Z.copy()
    before = {name: array.copy() for name, array in layer.parameters().items()}
    result = selfcheck(layer, z)
    assert np.array_equal(z, Z)
    for name, array in layer.parameters().items():
        assert np.array_equal(array, before[name])
    return result


@pytest.mark.parametrize(
    ("layer", "z", "arguments"),
    [
        (Tanh(), Z, ()),
        (LogSoftmax(), Z, ()),
        (NLLLoss(), Z, (T,)),
        (Norm(), Z, ()),
        (Product(), (Z[:3], Z[2:]), ()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_all_mutants_are_caught(layer, z, arguments):
    result = selfcheck(layer, z, *arguments)
    assert result.ok, str(result)
    assert "MISSED" not in str(result)
    assert len(result.mutants) >= 15
    inputs = {"z[0]", "z[1]"} if type(z) is tuple else {"z"}
    assert result.smallest.keys() == {(2, name) for name in inputs} | {(3, name) for name in layer.parameters()}
    assert max(result.smallest.values()) <= 1e-6


def test_of_linear_each_array_has_its_mutants_and_its_smallest_error(of_linear):
    assert of_linear.ok, str(of_linear)
    assert of_linear.smallest.keys() == {(2, "z"), (3, "weight"), (3, "bias")}
    assert max(of_linear.smallest.values()) <= 1e-8
    told = {trial[:3]: trial.cause for trial in of_linear.mutants}
    assert len(told) + len(of_linear.equivalent) == len(OF_FORWARD) + 3 * len(ANY) + 2 * len(WRITES) + 2
    assert {name for name, *_ in told} == set(NAMES)
    for array, rule in (("z", 2), ("weight", 3), ("bias", 3)):
        assert told["scaled by 1.01", rule, array] == "factor"
        assert told["sign", rule, array] == "sign"
    assert told["one buffer", 3, "weight"] == "aliasing"
    assert told["writes into z", 1, "z_next"] == "mutation"
    assert told["name left out", 3, "bias"] == "names"
    assert told["cache of the latest", 3, "weight"] == "stale_cache"


def test_equivalent_mutants_are_said(of_linear):
    """Rule 2 of Linear needs nothing of the cache but its shape; a vector is its own transpose."""
    assert set(of_linear.equivalent) == {
        ("cache of the latest", 2, "z"),
        ("cache of the latest", 3, "bias"),
        ("transposed", 3, "bias"),
        ("axes swapped", 3, "bias"),
    }
    assert "4 change nothing here (=)" in str(of_linear)
    assert not {trial[:3] for trial in of_linear.mutants} & set(of_linear.equivalent)


def test_the_table(of_linear):
    lines = str(of_linear).splitlines()
    n, caught = len(of_linear.mutants), sum(trial.caught for trial in of_linear.mutants)
    assert lines[0].startswith(f"Linear(3 -> 2): {caught} of {n} wrong rules are caught; 4 change nothing here (=)")
    assert lines[1].split() == [
        *("rule", "1,", "z_next", "rule", "2,", "z"),
        *("rule", "3,", "weight", "rule", "3,", "bias"),
    ]
    assert next(line for line in lines if "transposed" in line).split()[-1] == "="
    assert lines[-1].split()[:3] == ["smallest", "error", "seen"]
    assert of_linear._repr_html_().count("<tr>") == len(lines) - 1
    assert "3 -&gt; 2" in of_linear._repr_html_()


def test_what_a_blind_check_misses_is_said(monkeypatch):
    monkeypatch.setattr(module, "diagnose", lambda layer, z, *arguments, **options: Diagnosis(repr(layer)))
    result = selfcheck(Tanh(), Z)
    assert not result.ok
    assert not any(trial.caught for trial in result.mutants)
    assert str(result).count("MISSED") == len(result.mutants)
    assert f"0 of {len(result.mutants)} wrong rules are caught" in str(result)
    assert result.smallest == {(2, "z"): np.inf}
    assert "MISSED" in result._repr_html_()


def test_one_missed_mutant_is_enough(monkeypatch):
    right = module.diagnose

    def blind_to_signs(layer, *arguments, **options):
        return Diagnosis("") if layer.mutation.name == "sign" else right(layer, *arguments, **options)

    monkeypatch.setattr(module, "diagnose", blind_to_signs)
    result = selfcheck(Tanh(), Z)
    assert not result.ok
    assert [trial[:3] for trial in result.mutants if not trial.caught] == [("sign", 2, "z")]


def test_all_cases_are_tried_where_the_given_one_shows_nothing(monkeypatch):
    asked = []

    def shy(layer, *arguments, cases, **options):
        asked.append((layer.mutation.name, cases))
        return Diagnosis("") if cases == "given" else right(layer, *arguments, cases=cases, **options)

    right = module.diagnose
    monkeypatch.setattr(module, "diagnose", shy)
    monkeypatch.setattr(errors, "ANY", {"sign": scaled(-1.0)})
    monkeypatch.setattr(errors, "OF_FORWARD", {})
    monkeypatch.setattr(errors, "WRITES", {})
    assert selfcheck(Tanh(), Z).mutants[0].caught
    assert asked == [("sign", "given"), ("sign", "all")]


@pytest.mark.parametrize("claimed", [0.0, 1e-6, 1e-13, np.inf])
def test_the_smallest_error_is_the_smallest(claimed, monkeypatch):
    """Whatever the checks claim of themselves."""

    def boast(*arguments, **options):
        diagnosis = check_layer(*arguments, **options)
        diagnosis.derivatives[0].resolution = claimed
        return diagnosis

    monkeypatch.setattr(module, "check_layer", boast)
    monkeypatch.setattr(errors, "ANY", {SCALED: scaled(1.01)})
    smallest = selfcheck(Tanh(), Z).smallest[2, "z"]
    assert 1e-13 < smallest < 1e-6
    for error, caught in ((10 * smallest, True), (smallest / 100, False)):
        mutant = Mutant(Tanh(), Mutation("scaled", 2, "z", scaled(1 + error)))
        assert module.diagnose(mutant, Z, cases="given").ok is not caught


def test_of_a_derivative_of_0_no_smallest_error_is_asked():
    class Sign(Layer):
        complex_safe = False

        def forward(self, z):
            return np.sign(z), z.shape

        def backward(self, delta, shape):
            return np.zeros(shape, delta.dtype)

    result = selfcheck(Sign(), Z)
    assert (SCALED, 2, "z") in result.equivalent
    assert result.smallest == {}
    assert ("offset", 2, "z") in {trial[:3] for trial in result.mutants if trial.caught}


def test_a_wrong_layer_is_an_error_first():
    class Wrong(Tanh):
        def backward(self, delta, y):
            return delta

    with pytest.raises(GradientContractError, match="rule 2"):
        selfcheck(Wrong(), Z)


def test_an_input_is_found():
    assert selfcheck(Tanh())
    assert selfcheck(Linear(3, 2)).ok


def test_a_mutant_without_parameters_has_a_rule_3_that_gives_none():
    mutant = Mutant(Tanh(), Mutation("sign", 2, "z", scaled(-1.0)))
    z_next, cache = mutant.forward(Z)
    assert mutant.parameter_gradients(z_next, cache) == {}
    assert {f.rule for f in module.diagnose(mutant, Z).findings} == {2}


def test_mutants_do_what_they_say():
    layer, delta = Linear(3, 2, rng=0), np.random.default_rng(1).normal(size=(5, 2))
    right = layer.backpropagate(delta, Z)
    for mutation in mutations(layer, Z):
        mutant = Mutant(layer, mutation)
        assert mutant.parameters() == layer.parameters()
        assert repr(mutant) == f"Linear(3 -> 2) with rule {mutation.rule}, {mutation.array}: {mutation.name}"
        if mutation.name == "scaled by 1.01":
            cache = mutant.forward(Z)[1]
            dz, gradients = mutant.backpropagate(delta, cache)
            results, expected = {"z": dz, **gradients}, {"z": right[0], **right[1]}
            for name, array in results.items():
                factor = 1.01 if name == mutation.array else 1.0
                assert np.array_equal(array, factor * expected[name])


def test_outcomes_differ_where_anything_does():
    assert outcome(Tanh(), Z, ()) == outcome(Tanh(), Z.copy(), ())
    for name in ("one buffer", "cache of the latest", "float32", "writes into delta", "writes into the cache"):
        edit = (ANY | WRITES)[name]
        changed = outcome(Mutant(Tanh(), Mutation(name, 2, "z", edit)), Z, ()) != outcome(Tanh(), Z, ())
        # A delta that is handed over twice shows what was written into it.
        assert changed, name
