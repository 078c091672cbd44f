"""Bad input gets an error that says who, expected, got and what to do, and changes nothing."""

import re

import numpy as np
import pytest

from minigrad import (
    SGD,
    BernoulliNLLLoss,
    FlatParameters,
    Layer,
    Linear,
    LogSoftmax,
    NLLLoss,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
    minibatches,
    minimize_lbfgs,
    value_and_gradients,
)
from minigrad.initializers import normal
from minigrad.layers import Elementwise
from minigrad.testing import check_layer, check_loss, diagnose

X = np.random.default_rng(0).normal(size=(5, 3))
T = np.array([0, 1, 2, 3, 1])


class Ragged(Layer):
    def forward(self, z):
        return [[1.0, 2.0, 3.0], [4.0, 5.0]], None


def with_entry(value):
    """X with one entry spoilt."""
    x = X.copy()
    x[3, 1] = value
    return x


def cost() -> Sequential:
    return Sequential(Linear(3, 4, rng=0), LogSoftmax(), NLLLoss())


def nll(target, log_p=None, weights=None):
    return NLLLoss()(np.full((5, 4), -1.0) if log_p is None else log_p, target, weights)


def bernoulli(target, logit=None):
    return BernoulliNLLLoss()(np.zeros((3, 1)) if logit is None else logit, target)


class Bad(Layer):
    """One wrong thing, chosen by name."""

    parameter_names = ("scale", "shift")

    def __init__(self, fault):
        self.fault = fault
        self.scale, self.shift = np.array(2.0), np.array(1.0)
        if fault == "float parameter":
            self.scale = 2.0
        if fault == "integer parameter":
            self.scale = np.array(2)
        if fault == "missing attribute":
            del self.shift

    def forward(self, z):
        return z if self.fault == "bare return" else (z * self.scale + self.shift, z)

    def backward(self, delta, z):
        return None if self.fault == "no return" else delta * self.scale

    def parameter_gradients(self, delta, z):
        gradients = {"scale": (delta * z).sum(), "shift": delta.sum()}
        if self.fault == "lacking name":
            del gradients["shift"]
        if self.fault == "unknown name":
            gradients["offset"] = delta.sum()
        if self.fault == "no dictionary":
            return list(gradients.values())
        if self.fault == "wrong shape":
            gradients["scale"] = delta * z
        return gradients

    def __repr__(self):
        return "Bad()"


def through(fault):
    """One sweep through a stack with a faulty layer in place 1."""
    return value_and_gradients(Sequential(Linear(3, 4, rng=0), Bad(fault), LogSoftmax(), NLLLoss()), X, T)


class NoRules(Layer):
    parameter_names = ("weight",)
    weight = np.ones(2)


IN_PLACE_0 = "in layer 0 of Sequential(Linear, LogSoftmax, NLLLoss)"
IN_PLACE_1 = "in layer 1 of Sequential(Linear, Bad, LogSoftmax, NLLLoss)"
IN_PLACE_2 = "in layer 2 of Sequential(Linear, LogSoftmax, NLLLoss)"

MESSAGES = [
    # width and number of dimensions
    (
        lambda: Linear(128, 10)(np.ones((32, 64))),
        ValueError,
        "Linear(128 -> 10) expects z of shape (batch, 128), got (32, 64): the last axis holds the features",
    ),
    (
        lambda: Linear(3, 10)(np.ones((3, 64))),
        ValueError,
        "Linear(3 -> 10) expects z of shape (batch, 3), got (3, 64): z.T has that shape",
    ),
    (
        lambda: Linear(3, 10)(np.ones(3)),
        ValueError,
        "Linear(3 -> 10) expects z of shape (batch, 3), got (3,): z[np.newaxis, :] is a batch of one",
    ),
    (
        lambda: Linear(3, 10)(np.array(1.0)),
        ValueError,
        "expects z of shape (batch, 3), got (): the first axis is the batch",
    ),
    (
        lambda: LogSoftmax()(np.ones(3)),
        ValueError,
        "LogSoftmax() expects z of shape (batch, classes), got (3,): z[np.newaxis, :] is a batch of one",
    ),
    (
        lambda: Softmax()(np.ones((3, 0))),
        ValueError,
        "Softmax() expects z of shape (batch, classes), got (3, 0): the last axis holds the classes, one or more",
    ),
    (lambda: nll(T, np.ones(5)), ValueError, "NLLLoss(mean) expects log_p of shape (batch, classes), got (5,)"),
    (
        lambda: bernoulli([0, 1, 0], np.zeros((3, 2))),
        ValueError,
        "BernoulliNLLLoss(mean) expects one logit for each row, of shape (batch, 1), got (3, 2): end the stack with",
    ),
    (
        lambda: Tanh().backward(np.ones((5, 1)), np.ones((5, 3))),
        ValueError,
        "Tanh() expects delta of the shape of its output, (5, 3), got (5, 1)",
    ),
    (lambda: LogSoftmax().backward(1.0, X), ValueError, "expects delta of the shape of its output, (5, 3), got ()"),
    (lambda: Linear(3, 4).backward(np.ones(4), X), ValueError, "expects delta of the shape of its output, (5, 4), got"),
    (
        lambda: Linear(3, 4).parameter_gradients(np.ones((1, 4)), X),
        ValueError,
        "expects delta of the shape of its output, (5, 4), got (1, 4)",
    ),
    (
        lambda: Sequential(Tanh(), Bad("no return")).backpropagate(np.ones((5, 3)), (X, X)),
        ValueError,
        "Tanh() expects delta of the shape of its output, (5, 3), got None: rule 2 of the layer above returned it",
        "in layer 0 of Sequential(Tanh, Bad)\nlayer 1 above it, Bad(), gives that delta by rule 2",
    ),
    # types
    (
        lambda: Sequential(Tanh(), Linear(3, 2)).forward([[1.0, 2.0, 3.0], [4.0, 5.0]]),
        TypeError,
        "Tanh() expects z to be a NumPy array, got list: pass np.asarray(z, dtype=float)",
    ),
    (
        lambda: Sequential(Ragged(), Linear(3, 2)).forward(X),
        TypeError,
        "Linear(3 -> 2) expects z to be a NumPy array, got list: pass np.asarray(z, dtype=float)",
    ),
    (
        lambda: Linear(2, 1)([[1.0, 2.0]]),
        TypeError,
        "Linear(2 -> 1) expects z to be a NumPy array, got list: pass np.asarray(z, dtype=float)",
    ),
    (
        lambda: ReLU()(np.ones((2, 2), np.uint8)),
        TypeError,
        "ReLU() expects z of a floating type, got uint8: pass z.astype(float), or .astype(np.float32)",
    ),
    (
        lambda: Sigmoid()(np.ma.masked_array(X, X > 0)),
        TypeError,
        "Sigmoid() expects z to be a NumPy array, got MaskedArray of float64 and shape (5, 3)",
    ),
    (lambda: Sigmoid()(X.view(np.matrix)), TypeError, "got matrix of float64 and shape (5, 3)"),
    (
        lambda: Linear(4, 3, dtype=int),
        TypeError,
        "Linear expects a floating dtype, got int64: np.float64 or np.float32",
    ),
    (
        lambda: Linear(4, 3, bias=normal(1)),
        TypeError,
        "Linear expects bias to be True or False, got function: see",
    ),
    (lambda: cost().astype(int), TypeError, "expects a floating dtype, got int64"),
    (lambda: nll(np.ma.masked_array(T, T > 2)), TypeError, "expects target without a mask: give masked observations"),
    (lambda: nll(T, weights=np.ma.masked_array(T * 1.0, T > 2)), TypeError, "expects weights without a mask"),
    (lambda: Linear(0, 3), ValueError, "Linear expects in_features to be a positive integer, got 0"),
    (lambda: Linear(3, 2.0), ValueError, "Linear expects out_features to be a positive integer, got 2.0"),
    (
        lambda: Linear(3, 2, weight_initializer=normal),
        ValueError,
        "initialiser normal was called with a shape and a generator and raised",
    ),
    (
        lambda: Linear(3, 2, weight_initializer=lambda shape, rng: rng.normal(size=3)),
        ValueError,
        "was asked for an array of shape (2, 3), got ndarray of float64 and shape (3,)",
    ),
    (
        lambda: Linear(3, 2, bias_initializer=lambda shape, rng: np.full(shape, np.nan)),
        ValueError,
        "expects finite numbers, got nan in the initial array[0] (2 of 2 entries are not finite)",
    ),
    # empty batches where they make no sense
    (
        lambda: NLLLoss()(np.zeros((0, 3)), np.zeros(0, int)),
        ValueError,
        "NLLLoss(mean) expects a batch of some weight, but the batch is empty: reduction 'sum' gives 0 there",
    ),
    (
        lambda: value_and_gradients(cost(), X[:0], T[:0]),
        ValueError,
        "NLLLoss(mean) expects a batch of some weight, but the batch is empty",
    ),
    (lambda: nll(T, weights=np.zeros(5)), ValueError, "expects a batch of some weight, but all weights are 0"),
    # labels
    (
        lambda: nll([0, 1, 4, 2, 3]),
        ValueError,
        "NLLLoss(mean) expects labels 0 .. 3 for 4 classes, got 4 in target[2]: number the classes from 0",
    ),
    (lambda: nll([1, 2, 3, 4, 1]), ValueError, "got 4 in target[3]: target - 1 starts at 0"),
    (lambda: nll(np.array([0, 2**63, 0, 0, 0], np.uint64)), ValueError, "got 9223372036854775808 in target[1]"),
    (lambda: nll([0, -1, 0, 0, 0]), ValueError, "expects labels 0 .. 3 for 4 classes, got -1 in target[1]"),
    (
        lambda: nll(T.astype(float)),
        TypeError,
        "NLLLoss(mean) expects integer class labels, got target of float64: pass target.astype(int)",
    ),
    (lambda: nll(["a"] * 5), TypeError, "got target of <U1: np.unique(target, return_inverse=True)[1] numbers them"),
    (
        lambda: nll(np.eye(4, dtype=int)[T]),
        ValueError,
        "expects target of shape (5,), got (5, 4): if it is one-hot, target.argmax(axis=1) gives the labels",
    ),
    (
        lambda: nll(T[:, np.newaxis]),
        ValueError,
        "expects target of shape (5,), got (5, 1): target.ravel() has that shape",
    ),
    (lambda: nll(T[:4]), ValueError, "expects target of shape (5,), got (4,): one label for each row of the batch"),
    (lambda: nll(None), ValueError, "expects target of shape (5,), got ()"),
    (lambda: bernoulli([-1, 1, 1]), ValueError, "expects labels 0 and 1, got -1 in target[0]: (target + 1) // 2 maps"),
    (lambda: bernoulli([1, 2, 1]), ValueError, "expects labels 0 and 1, got 2 in target[1]: target - 1 maps 1, 2"),
    (lambda: bernoulli([0, 0.5, 1]), ValueError, "got 0.5 in target[1]: LogSoftmax and NLLLoss take more classes"),
    (lambda: bernoulli([0, np.nan, 1]), ValueError, "expects labels 0 and 1, got nan in target[1]"),
    (lambda: bernoulli([[0], [1], [1]]), ValueError, "expects target of shape (3,), got (3, 1): target.ravel()"),
    (lambda: bernoulli(["no", "yes", "no"]), TypeError, "expects labels 0 and 1, got target of <U3"),
    # weights
    (lambda: NLLLoss("average"), ValueError, "NLLLoss expects reduction in ('mean', 'sum', 'none'), got 'average'"),
    (lambda: NLLLoss(class_weights=[1, -2]), ValueError, "expects class_weights of 0 or more, got -2 in class_weights"),
    (lambda: NLLLoss(class_weights=[1, np.inf]), ValueError, "expects finite numbers, got inf in class_weights[1]"),
    (
        lambda: NLLLoss(class_weights=[1, 2])(np.zeros((5, 4)), T),
        ValueError,
        "NLLLoss(mean, class_weights) has 2 class weights, but log_p has 4 classes",
    ),
    (lambda: BernoulliNLLLoss(class_weights=[1, 2, 3])(np.zeros((1, 1)), [0]), ValueError, "expects 2 class weights"),
    (lambda: nll(T, weights=np.ones(4)), ValueError, "expects weights of shape (5,), got (4,)"),
    (lambda: nll(T, weights=[1, 1, -1, 1, 1]), ValueError, "expects weights of 0 or more, got -1 in weights[2]"),
    (lambda: nll(T, weights=[1, 1, np.nan, 1, 1]), ValueError, "expects finite numbers, got nan in weights[2]"),
    (lambda: nll(T, weights=["1"] * 5), TypeError, "expects weights to be real numbers, got list"),
    # stacks
    (
        lambda: cost()(X[:, :2], T),
        ValueError,
        "Linear(3 -> 4) expects z of shape (batch, 3), got (5, 2)",
        IN_PLACE_0,
    ),
    (
        lambda: cost().forward(X),
        TypeError,
        "NLLLoss(mean) expects forward(log_p, target, weights=None), got 1 argument: a target is missing",
        IN_PLACE_2,
    ),
    (
        lambda: cost()(X, T, sample_weight=T),
        TypeError,
        "forward(log_p, target, weights=None), got 3 arguments: got an unexpected keyword argument 'sample_weight'",
        IN_PLACE_2,
    ),
    (
        lambda: cost().parameter_gradients(1.0, cost().forward(X, T)),
        TypeError,
        "Sequential(Linear, LogSoftmax, NLLLoss) expects the cache of its forward, one entry for each of 3 layers",
    ),
    (lambda: cost()(X), TypeError, "got 1 argument: a target is missing", IN_PLACE_2),
    (
        lambda: cost()[:-1].forward(X, T),
        TypeError,
        "LogSoftmax() expects forward(z), got 2 arguments: only a loss, on top of the stack, takes a target",
        "in layer 1 of Sequential(Linear, LogSoftmax)",
    ),
    (lambda: cost()[:-1](X, T), TypeError, "got 2 arguments: only a loss, on top of the stack, takes a target"),
    (
        lambda: Sequential(Linear(3, 4), NLLLoss(), Tanh()).forward(X, T),
        TypeError,
        "expects forward(log_p, target, weights=None), got 1 argument: a layer that takes a target must stand on top",
        "in layer 1 of Sequential(Linear, NLLLoss, Tanh)",
    ),
    (lambda: Sequential()(X, T), TypeError, "Sequential() is empty: it has no loss on top that could take a target"),
    (
        lambda: Sequential(Linear(3, 4), Sequential(Tanh(), Linear(5, 2)))(X),
        ValueError,
        "Linear(5 -> 2) expects z of shape (batch, 5), got (5, 4)",
        "in layer 1 of Sequential(Tanh, Linear)\nlayer 0 below it, Tanh(), gives z of shape (5, 4)\n"
        "in layer 1 of Sequential(Linear, Sequential)",
    ),
    (
        lambda: cost().backward(np.ones(2), cost().forward(X, T)[1]),
        ValueError,
        "NLLLoss(mean) expects delta of the shape of its output, (), got (2,)",
        IN_PLACE_2,
    ),
    (
        lambda: Sequential(Tanh(), Linear(3, 4)).parameter_gradients(X, (X, X)),
        ValueError,
        "Linear(3 -> 4) expects delta of the shape of its output, (5, 4), got (5, 3)",
        "in layer 1 of Sequential(Tanh, Linear)",
    ),
    (
        lambda: Sequential(Linear(3, 4), LogSoftmax),
        TypeError,
        "Sequential expects layers, got the class LogSoftmax as layer 1: make one, LogSoftmax(...)",
    ),
    (
        lambda: Sequential([Linear(3, 4), LogSoftmax()]),
        TypeError,
        "Sequential expects layers, got list as layer 0: unpack it, Sequential(*layers)",
    ),
    (
        lambda: Sequential(Linear(3, 4), np.tanh),
        TypeError,
        "got ufunc as layer 1: a function becomes a layer as a subclass of Layer or Elementwise",
    ),
    # layers of the user's own
    (
        lambda: through("bare return"),
        TypeError,
        "Bad() must return (z_next, cache) from forward, got ndarray of float64 and shape (5, 4)",
        IN_PLACE_1,
    ),
    (
        lambda: through("lacking name"),
        ValueError,
        "Bad() expects one gradient for each of ['scale', 'shift'], got ['scale']: 'shift' is lacking",
        IN_PLACE_1,
    ),
    (
        lambda: through("unknown name"),
        ValueError,
        "got ['scale', 'shift', 'offset']: 'offset' is not in parameter_names",
        IN_PLACE_1,
    ),
    (
        lambda: through("no dictionary"),
        TypeError,
        "Bad() expects gradients as a dictionary {name: array}, got list",
        IN_PLACE_1,
    ),
    (
        lambda: through("wrong shape"),
        ValueError,
        "Bad() expects the gradient of scale to have its shape (), got (5, 4): sum over the axes",
        IN_PLACE_1,
    ),
    (
        lambda: through("float parameter"),
        TypeError,
        "Bad() lists 'scale' in parameter_names, so self.scale must be an array of a floating type, got float",
    ),
    (lambda: through("integer parameter"), TypeError, "got ndarray of int64 and shape ()"),
    (
        lambda: Bad("missing attribute").parameters(),
        TypeError,
        "in parameter_names, and self.shift is not set: set it in __init__, np.array(..., dtype=float)",
    ),
    (lambda: NoRules()(X), NotImplementedError, "NoRules lacks rule 1: forward(self, z) -> (z_next, cache)"),
    (lambda: NoRules().backward(X, X), NotImplementedError, "NoRules lacks rule 2: backward(self, delta, cache)"),
    (
        lambda: NoRules().parameter_gradients(X, X),
        NotImplementedError,
        "NoRules lacks rule 3: parameter_gradients(self, delta, cache) -> {name: gradient} for ('weight',)",
    ),
    (lambda: Elementwise()(X), NotImplementedError, "Elementwise lacks f(self, z) -> z_next"),
    (lambda: Elementwise().backward(X, X), NotImplementedError, "Elementwise lacks df(self, output)"),
    (lambda: Bad("bare return")(X), TypeError, "Bad() must return (z_next, cache) from forward, got ndarray"),
    (lambda: check_layer(Bad("bare return"), X), AssertionError, "Bad() must return (z_next, cache) from forward"),
    (
        lambda: check_layer(Bad("no return"), X),
        AssertionError,
        "rule 2 of Bad() must return dC/dz, an array of a float",
    ),
    (lambda: check_layer(Tanh, X), TypeError, "check_layer expects a layer, got the class Tanh: make one, Tanh(...)"),
    (lambda: diagnose(Tanh, X), TypeError, "diagnose expects a layer, got the class Tanh: make one, Tanh(...)"),
    (lambda: check_layer(Tanh(), "z"), TypeError, "check_layer expects z to be a NumPy array, got str"),
    (
        lambda: check_layer(Tanh(), cases="some"),
        ValueError,
        "check_layer expects cases to be 'all' or 'given', got 'som",
    ),
    (
        lambda: check_loss(Tanh(), X),
        ValueError,
        "check_loss expects Tanh() to give one number, or one for each of the 5 rows",
    ),
    (lambda: check_layer(Tanh(), with_entry(np.nan)), ValueError, "check_layer expects finite numbers, got nan in z[3"),
    (lambda: check_layer(Tanh(), X[:0]), ValueError, "check_layer expects z to hold real numbers, at least one, got"),
    (lambda: check_layer(Tanh(), X + 1j), ValueError, "check_layer expects z to hold real numbers"),
    (lambda: type("S", (Layer,), {"parameter_names": "a"}), TypeError, "S.parameter_names is a string: write ('a',)"),
    (
        lambda: type("E", (Elementwise,), {"keeps": "inputs"}),
        ValueError,
        "E.keeps must be 'output' or 'input', got",
    ),
    (lambda: check_layer(Bad("lacking name"), X), AssertionError, "rule 3 gives none for shift"),
    # where data and parameters enter
    (
        lambda: value_and_gradients(cost(), with_entry(np.nan), T),
        FloatingPointError,
        "the cost is nan: Sequential(Linear, LogSoftmax, NLLLoss) expects finite numbers, got nan in x[3, 1]",
    ),
    (
        lambda: minibatches(with_entry(np.inf), T, batch_size=2),
        ValueError,
        "minibatches expects finite numbers, got inf in x[3, 1] (1 of 15 entries are not finite): clean or impute",
    ),
    (lambda: minibatches(X, np.full(5, np.nan), batch_size=2), ValueError, "got nan in target 0[0]"),
    (lambda: minibatches(X, T[:4], batch_size=2), ValueError, "expects one target for each of 5 rows of x, got 4"),
    (lambda: minibatches(X, T, batch_size=0), ValueError, "expects a positive integer batch_size, got 0"),
    (
        lambda: minibatches(X.tolist(), T, batch_size=1),
        TypeError,
        "minibatches expects x to be a NumPy array",
    ),
    (lambda: minibatches(X, T, batch_size=True), ValueError, "expects a positive integer batch_size, got True"),
    (
        lambda: cost().with_parameters({"0.weight": np.full((4, 3), np.nan)}),
        ValueError,
        "Sequential(Linear, LogSoftmax, NLLLoss) expects finite numbers, got nan in 0.weight[0, 0]",
    ),
    (lambda: cost().with_parameters({"weight": X}), ValueError, "has no parameter 'weight': it has 0.weight, 0.bias"),
    (
        lambda: cost().with_parameters({"0.bias": np.ones((1, 4))}),
        ValueError,
        "expects 0.bias of shape (4,), got (1, 4)",
    ),
    (lambda: cost().with_parameters({"0.bias": [0.0] * 4}), TypeError, "expects 0.bias to be a NumPy array, got list"),
    (
        lambda: value_and_gradients(Sequential(*cost()[:-1], NLLLoss("none")), X, T),
        ValueError,
        "value_and_gradients expects a cost that is one number, got (5,): end the stack with a loss of reduction",
    ),
    (lambda: FlatParameters(Tanh()), ValueError, "FlatParameters expects a layer with parameters, got Tanh()"),
    (lambda: FlatParameters(Sequential(Linear(3, 4), Linear(4, 2, dtype="f4"))), ValueError, "got float32, float64"),
    (lambda: SGD(cost().parameters(), 0.1), TypeError, "SGD expects a layer, got dict: pass the model or the cost"),
    (lambda: SGD(cost(), "0.1"), TypeError, "SGD expects learning_rate to be a number, got str"),
    (lambda: FlatParameters(Linear), TypeError, "FlatParameters expects a layer, got the class Linear: make one"),
    (
        lambda: value_and_gradients(NLLLoss, X, T),
        TypeError,
        "value_and_gradients expects a layer, got the class",
    ),
    (lambda: SGD(cost(), 0), ValueError, "SGD expects learning_rate to be a finite number above 0, got 0"),
    (lambda: SGD(cost(), np.nan), ValueError, "SGD expects learning_rate to be a finite number above 0, got nan"),
    (
        lambda: SGD(cost(), 0.1).step({"0.weight": np.zeros((4, 3))}),
        ValueError,
        "SGD(learning_rate=0.1) expects one gradient for each of ['0.weight', '0.bias'], got ['0.weight']",
    ),
    (
        lambda: FlatParameters(cost()).flatten({"0.weight": np.zeros((4, 3))}),
        ValueError,
        "FlatParameters(16: 0.weight (4, 3), 0.bias (4,)) expects one gradient for each",
    ),
    (lambda: minimize_lbfgs(lambda x: (0.0, x), [1.0]), TypeError, "minimize_lbfgs expects start to be a NumPy array"),
    (
        lambda: minimize_lbfgs(lambda x: (0.0, x), np.eye(2)),
        ValueError,
        "expects start to be a vector, got shape (2, 2)",
    ),
    (
        lambda: minimize_lbfgs(lambda x: 0.0, np.ones(2)),
        TypeError,
        "expects function(x) -> (value, gradient) with a grad",
    ),
    (
        lambda: minimize_lbfgs(lambda x: (x, 0.0), np.ones(2)),
        TypeError,
        "got (ndarray of float64 and shape (2,), float)",
    ),
    (lambda: minimize_lbfgs(lambda x: (0.0, {}), np.ones(2)), TypeError, "theta.flatten(gradients) makes a dictionary"),
    (lambda: minimize_lbfgs(lambda x: (np.nan, x), np.ones(2)), ValueError, "got nan in the value at the start"),
    (lambda: minimize_lbfgs(lambda x: (1.0, x / 0), np.ones(2)), ValueError, "got inf in the gradient at the start[0]"),
    (
        lambda: minimize_lbfgs(lambda x: (0.0, x), np.ones(2), max_iterations=-1),
        ValueError,
        "max_iterations of 0 or more",
    ),
    (
        lambda: minimize_lbfgs(lambda x: (0.0, x), np.array([np.nan])),
        ValueError,
        "minimize_lbfgs expects finite numbers, got nan in start[0]",
    ),
]


@pytest.mark.parametrize("entry", MESSAGES, ids=lambda entry: entry[2][:60])
def test_message(entry):
    call, kind, text, *place = entry
    with np.errstate(all="ignore"), pytest.raises(kind) as caught:
        call()
    said = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert text in said
    assert "array([" not in said, "shapes are told, not arrays"
    if place:
        assert said.endswith(place[0])
    assert not re.search(r"<[a-z_.]+ object at 0x", said)


def test_a_parameter_that_is_not_finite_is_named():
    stack = cost()
    stack[0].bias[2] = np.inf
    with (
        np.errstate(all="ignore"),
        pytest.raises(FloatingPointError, match=r"got inf in 0\.bias\[2\] \(1 of 4 entries"),
    ):
        value_and_gradients(stack, X, T)


def test_an_infinite_cost_of_finite_numbers_is_explained():
    class Log(Elementwise):
        keeps = "input"

        def f(self, z):
            with np.errstate(divide="ignore"):
                return np.log(z)

        def df(self, z):
            return 1 / z

    with pytest.raises(FloatingPointError, match="the cost is inf: x and all parameters are finite"):
        value_and_gradients(Sequential(Log(), NLLLoss()), np.array([[0.0, 1.0]]), [0])


def test_a_refused_step_changes_nothing():
    stack = cost()
    before = {name: array.copy() for name, array in stack.parameters().items()}
    _, gradients = value_and_gradients(stack, X, T)
    bad = {
        "not finite": gradients | {"0.bias": np.array([0, np.nan, 0, 0])},
        "misshapen": gradients | {"0.bias": np.zeros((4, 1))},
        "lacking": {"0.weight": gradients["0.weight"]},
        "complex": gradients | {"0.bias": gradients["0.bias"] + 1j},
        "overflow": gradients | {"0.bias": np.full(4, 1.7e308)},
    }
    for wrong in bad.values():
        with np.errstate(over="ignore"), pytest.raises((TypeError, ValueError, FloatingPointError)):
            SGD(stack, 100).step(wrong)
        assert all(np.array_equal(array, before[name]) for name, array in stack.parameters().items())
    stack[0].bias.flags.writeable = False
    with pytest.raises(TypeError, match=r"SGD expects real parameters to write into, got a read-only array in 0\.bias"):
        SGD(stack, 0.1).step(gradients)
    assert all(np.array_equal(array, before[name]) for name, array in stack.parameters().items())
    stack[0].bias.flags.writeable = True
    with pytest.raises(FloatingPointError, match=r"nan in the gradient of 0\.bias\[1\] .*; no parameter was changed"):
        SGD(stack, 0.1).step(bad["not finite"])
