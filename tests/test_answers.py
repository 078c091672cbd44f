"""Answers for a rule that was left blank: what is right and what is not, for hard inputs and odd functions."""

import inspect
import re

import numpy as np
import pytest
from case import Sizes
from table import CASES

from minigrad import (
    BatchNorm1d,
    BCELoss,
    Embedding,
    Identity,
    Layer,
    Linear,
    MSELoss,
    MultiHeadAttention,
    NLLLoss,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
)
from minigrad.explaining import explain
from minigrad.explaining.stack import everywhere

rng = np.random.default_rng(0)
X, T = rng.normal(size=(4, 2)), rng.normal(size=(4, 2))
LINEAR = Sequential(Linear(2, 2, rng=0), MSELoss())


class Total(Layer):
    """A cost of anything: sum_i w_i z_i."""

    def forward(self, z):
        return np.sum(np.cos(np.arange(np.size(z))).reshape(np.shape(z)) * z), z

    def backward(self, delta, z):
        return delta * np.cos(np.arange(np.size(z))).reshape(np.shape(z)).astype(z.dtype)


def said_of(cost, blank, function, x=X, t=T) -> tuple[bool, str]:
    verdict = explain(cost, x, *(() if t is None else (t,)), blank=blank).answer(function)
    return bool(verdict), " ".join(str(verdict).split())


# The numbers of an answer.


@pytest.mark.parametrize(
    ("rule", "function", "words"),
    [
        (2, lambda delta, weight: delta @ weight * np.nan, "it gives nan at [0, 0], where dC/dz is "),
        (2, lambda delta, weight: delta @ weight + np.array([0, np.inf]), "it gives inf at [0, 1], where dC/dz is "),
        (1, lambda z: np.full(z.shape, -np.inf), "it gives -inf at [0, 0], where z_next is "),
        (
            3,
            lambda delta, z: {"weight": delta.T @ z, "bias": delta.sum(axis=0) * np.nan},
            "it gives nan at [0], where dC/dbias is ",
        ),
        (
            2,
            lambda delta, weight: (delta @ weight).astype(complex),
            "it must give dC/dz as an array of float64, got ndarray of complex128 and shape (4, 2)",
        ),
        (
            1,
            lambda z: (z @ z.T @ z).astype(object),
            "it must give z_next as an array of float64, got ndarray of object",
        ),
        (1, lambda z: z.astype(str), "it must give z_next as an array of float64, got ndarray of <U"),
        (1, lambda z: z > 0, "it must give z_next as an array of float64, got ndarray of bool"),
    ],
)
def test_answers_of_no_numbers(rule, function, words):
    right, said = said_of(LINEAR, (0, rule), function)
    assert not right
    assert said.startswith("Not an answer yet: rule ")
    assert words in said


def test_an_infinite_cost_may_have_an_infinite_answer():
    cost = Sequential(Identity(), Total())
    assert explain(cost, np.array([[np.inf, 1.0]]), blank=(0, 1)).answer(lambda z: z)


def test_what_overflows_for_huge_numbers_alone_is_right():
    cost = Sequential(Sigmoid(), MSELoss())
    right, said = said_of(cost, (0, 2), lambda delta, z: delta * np.exp(-z) / (1 + np.exp(-z)) ** 2)
    assert right
    assert "WRONG" not in said
    assert "seen with numbers of size 1000" in said
    right, said = said_of(
        cost, (0, 2), lambda delta, z: np.where(z > 2, np.nan, delta * np.exp(-z) / (1 + np.exp(-z)) ** 2)
    )
    assert not right
    assert "it gives nan" in said


class Scaled(Layer):
    """a z + tiny b, of which nothing can be told by numbers."""

    parameter_names = ("a", "b")

    def __init__(self):
        self.a, self.b = np.array(2.0), np.zeros((0,))

    def forward(self, z):
        return self.a * z, z

    def backward(self, delta, z):
        return self.a * delta

    def parameter_gradients(self, delta, z):
        return {"a": np.asarray((delta * z).sum()), "b": np.zeros((0,))}


def test_rule_3_is_confirmed_for_all_parameters_or_not_at_all():
    right, said = said_of(
        Sequential(Scaled(), MSELoss()), (0, 3), lambda delta, z: {"a": np.asarray((delta * z).sum()), "b": np.zeros(0)}
    )
    assert not right
    assert said.startswith("Not confirmed: rule 3, parameter_gradients, of layer 0, Scaled().")
    assert said.endswith("d/db: not checked")
    right, _ = said_of(Sequential(Scaled(), MSELoss()), (0, 3, "a"), lambda delta, z: np.asarray((delta * z).sum()))
    assert right


# Rule 1.


def test_an_answer_for_rule_1_is_handed_copies():
    cost, x = Sequential(Linear(2, 2, rng=0), MSELoss()), X.copy()
    weight = cost[0].weight.copy()

    def writes_parameters(z, weight, bias):
        z_next = z @ weight.T + bias
        weight[...] = 99
        return z_next

    def writes_z(z, weight, bias):
        z_next = z @ weight.T + bias
        z *= 2
        return z_next

    for function in (writes_parameters, writes_z):
        right, said = said_of(cost, (0, 1), function, x)
        assert not right
        assert said.startswith(
            "Not right: rule 1, forward, of layer 0, Linear(2 -> 2). it writes into what it is given"
        )
        assert said.endswith("rules are pure, work on a copy")
    assert np.array_equal(cost[0].weight, weight)
    assert np.array_equal(x, X)


def test_rule_1_of_layers_that_do_not_take_every_z():
    def normalised(z, weight, bias):
        return (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 1e-5) * weight + bias

    assert said_of(Sequential(BatchNorm1d(2), MSELoss()), (0, 1), normalised)[0]
    p, t = np.array([[0.9], [0.7]]), np.array([[1.0], [0.0]])
    exercise = explain(BCELoss(), p, t, blank=("", 1))
    assert exercise.answer(lambda z, target: -(target * np.log(z) + (1 - target) * np.log(1 - z)).mean())
    assert not exercise.answer(lambda: np.float64(BCELoss().forward(p, t)[0]))


def test_rule_1_with_weights_as_an_option():
    log_p, weights = np.log(np.array([[0.5, 0.5], [0.25, 0.75], [0.1, 0.9]])), np.array([1.0, 3.0, 2.0])
    exercise = explain(NLLLoss(), log_p, np.array([0, 1, 1]), weights=weights, blank=("", 1))
    assert exercise.answer(lambda z, target, weights: -(weights * z[np.arange(len(z)), target]).sum() / weights.sum())
    verdict = exercise.answer(lambda z, target, weights: NLLLoss()(z, target, weights) * (1 + (len(z) == 1)))
    assert str(verdict).endswith("seen with a batch of one")


def test_rule_1_of_indices_is_tried_at_others():
    cost = Sequential(Embedding(5, 2, rng=0), Total())
    exercise = explain(cost, np.array([0, 3, 1]), blank=(0, 1))
    assert exercise.answer(lambda z, weight: weight[z])
    verdict = exercise.answer(lambda weight: weight[[0, 3, 1]])
    assert "seen with other numbers" in str(verdict)


def test_rule_1_in_single_precision():
    right, said = said_of(LINEAR, (0, 1), lambda z, weight, bias: (z @ weight.T + bias).astype(np.float32))
    assert not right
    assert "every entry is a float32 number: it is computed in single precision" in said


def test_a_layer_that_takes_one_z_alone():
    class Picky(Identity):
        """z, which must be this one."""

        def forward(self, z):
            if not np.array_equal(z, X):
                raise ValueError("another z")
            return super().forward(z)

    right, said = said_of(Sequential(Picky(), MSELoss()), (0, 1), lambda z: z)
    assert not right
    assert said.endswith("the layer takes no other z that was tried")


# What an answer takes.


def test_what_has_a_default_need_not_be_at_hand():
    assert said_of(LINEAR, (0, 2), lambda delta, weight, k=1: k * delta @ weight)[0]
    assert said_of(LINEAR, (0, 1), lambda z, weight, bias, k=1: k * z @ weight.T + bias)[0]
    assert said_of(LINEAR, (0, 2), lambda *, delta, weight: delta @ weight)[0]


def test_answers_that_take_nothing_by_name():
    right, said = said_of(LINEAR, (0, 1), lambda z, /: z)
    assert not right
    assert "it takes z by place alone, and gets by name what is at hand: z, weight, bias" in said
    said = "answer expects a function, such as lambda delta, z: ..., got {}, which does not say what it takes"
    exercise = explain(LINEAR, X, T, blank=(0, 1))
    with pytest.raises(TypeError) as caught:
        exercise.answer(int)
    assert str(caught.value) == said.format("int")


@pytest.mark.parametrize("rule", [1, 2, 3])
def test_a_parameter_cannot_have_the_name_of_something_else(rule):
    class Apart(Scaled):
        """With a parameter of a name that is taken."""

        parameter_names = ("delta",)

        def __init__(self):
            self.delta = np.array(2.0)

        def forward(self, z):
            return self.delta * z, z

        def backward(self, delta, z):
            return self.delta * delta

        def parameter_gradients(self, delta, z):
            return {"delta": np.asarray((delta * z).sum())}

    with pytest.raises(ValueError, match="has a parameter") as caught:
        explain(Sequential(Apart(), MSELoss()), X, T, blank=(0, rule))
    assert str(caught.value) == (
        "layer 0, Apart(), has a parameter or argument 'delta', by which an answer gets something else: rename it"
    )


# Every layer.


def nodes_of(case):
    generator = np.random.default_rng(3)
    sizes = Sizes(3, 2, 4)
    layer = case.make(sizes, generator)
    z, arguments = case.domain(generator.normal(size=case.z_shape(sizes))), case.arguments(sizes, generator)
    if arguments and np.ndim(layer.forward(z, *arguments)[0]):
        return None
    cost = layer if arguments else Sequential(layer, Total())
    return cost, z, arguments, list(everywhere(explain(cost, z, *arguments)._worked.nodes))


KINDS = {re.split(r"[ ,]", case.name)[0]: case for case in CASES}


@pytest.mark.parametrize("case", KINDS.values(), ids=lambda case: case.name)
def test_every_rule_of_every_layer_can_be_left_blank(case):
    found = nodes_of(case)
    if found is None:
        return
    cost, z, arguments, nodes = found
    node = next((n for n in nodes if not n.insides and n.place not in ("", "1")), nodes[0])
    first = node.z[0] if type(node.z) is tuple else node.z
    refused = {1: "Dropout" in case.name or "drop" in case.name, 2: first.dtype.kind != "f" or node.delta is None}
    refused[3] = node.frozen or not node.parameters
    for rule in (1, 2, 3):
        if refused[rule]:
            continue
        exercise = explain(cost, z, *arguments, blank=(node.place, rule))
        assert "____" in str(exercise)
        assert str(exercise.solution()).startswith("The solution: rule ")


LAYERS = ["Linear", "BatchNorm1d", "LayerNorm", "Softmax", "MSELoss", "RBF", "MaxPool2d"]


@pytest.mark.parametrize("case", [next(c for c in CASES if c.name == name) for name in LAYERS], ids=lambda c: c.name)
def test_the_own_rules_of_a_layer_are_right_answers(case):
    cost, z, arguments, nodes = nodes_of(case)
    node = next(n for n in nodes if n.place in ("", "0", "0.inner") and not n.insides)
    for rule in (1, 2, 3)[: 3 if node.parameters else 2]:
        exercise = explain(cost, z, *arguments, blank=(node.place, rule))
        names = list(exercise._asked.at_hand())
        layer = node.layer

        def own(rule=rule, layer=layer, **held):
            with_held = layer.with_parameters({n: held[n] for n in layer.parameters()})
            if rule == 1:
                return with_held.forward(held["z"], *[held[n] for n in ("target", "weights") if n in held])[0]
            return (with_held.backward if rule == 2 else with_held.parameter_gradients)(held["delta"], held["cache"])

        own.__signature__ = inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
        )
        verdict = exercise.answer(own)
        assert verdict, verdict


def test_own_parameters_of_a_container():
    z, t = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))
    cost = Sequential(MultiHeadAttention(4, 2, rng=0), MSELoss())
    exercise = explain(cost, z, t, blank=(0, 3, "in_proj_weight"))
    node = exercise._asked.node

    def right(delta, z, cache, out_proj_weight):
        heads = (delta @ out_proj_weight).reshape(*z.shape[:2], 2, 2).swapaxes(1, 2)
        back = [part.swapaxes(1, 2).reshape(z.shape) for part in node.layer.attention.backward(heads, cache[1])]
        return np.concatenate([np.einsum("nti,ntj->ij", part, z) for part in back])

    assert exercise.answer(right)
    assert not exercise.answer(lambda **held: held)
    whole = explain(cost, z, t, blank=(0, 3))
    assert "dictionary of in_proj_weight, in_proj_bias," in str(whole.answer(lambda delta: {"in_proj_bias": delta}))
    with pytest.raises(ValueError, match=r"is made of layers, so that rule 3 alone can be left blank, for its own par"):
        explain(cost, z, t, blank=(0, 2))
    nested = Sequential(Residual(Tanh()), MSELoss())
    with pytest.raises(
        ValueError, match=r"^explain finds no layer at place '0' to leave blank: there are 0\.inner, 1$"
    ):
        explain(nested, X, T, blank=(0, 2))


# What is hidden.


def test_equal_numbers_of_another_place_are_shown():
    cost = Sequential(Linear(2, 2, rng=0), ReLU(), Linear(2, 2, rng=1), MSELoss())
    cost[0].weight[...] = 0
    cost[2].weight[...] = 0
    said = [" ".join(line.split()) for line in str(explain(cost, X, T, blank=(0, 3, "weight"))).splitlines()]
    assert said.count("= ____") == 1
    for name in ("W¹ = weight (2, 2)", "W³ = weight (2, 2)"):
        assert said[said.index(name) + 1] == "= [ 0 0 ]"
