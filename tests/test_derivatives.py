"""Jacobians, Gauss-Newton and Fisher products, estimates: against formulas, expectations and other libraries."""

import copy
import pickle

import numpy as np
import pytest

import minigrad.derivatives as derivatives
import minigrad.derivatives.likelihoods as likelihoods
from minigrad import (
    BCELoss,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    GaussianNLLLoss,
    HomoscedasticGaussianNLLLoss,
    HuberLoss,
    L2Penalty,
    Layer,
    Linear,
    LogSoftmax,
    MSELoss,
    NLLLoss,
    Parallel,
    Penalized,
    PoissonNLLLoss,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
    hessian,
    value_and_gradients,
)
from minigrad.derivatives import (
    fisher_at,
    fisher_matrix,
    fisher_product,
    gauss_newton_at,
    gauss_newton_matrix,
    gauss_newton_product,
    gradient,
    jacobian_vector_product,
    scores_at,
)
from minigrad.derivatives.symmetric import Symmetric

RNG = np.random.default_rng(0)
N = 7
X, LABELS = RNG.normal(size=(N, 4)), RNG.integers(0, 3, N)


class RealTanh(Tanh):
    complex_safe = False


class Exp(Layer):
    def forward(self, z):
        z_next = np.exp(z)
        return z_next, z_next

    def backward(self, delta, z_next):
        return delta * z_next


def network(outputs, top=Tanh, seed=3):
    rng = np.random.default_rng(seed)
    return Linear(4, 3, rng=rng), top(), Linear(3, outputs, rng=rng)


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


def jacobian(model, x):
    """By central differences of the output, in steps whose error is about 1e-10."""
    arrays = model.parameters()
    theta, h, columns = flat(arrays.values()), 1e-5, []
    ends = np.cumsum([array.size for array in arrays.values()])[:-1]

    def output(theta):
        parts = np.split(theta, ends)
        named = {name: part.reshape(arrays[name].shape) for name, part in zip(arrays, parts, strict=True)}
        z = model.with_parameters(named).forward(x)[0]
        return flat(z) if isinstance(z, tuple) else z.ravel()

    for unit in np.eye(len(theta)):
        columns.append((output(theta + h * unit) - output(theta - h * unit)) / (2 * h))
    return np.array(columns).T


def test_gradient_is_what_value_and_gradients_has():
    cost = Sequential(*network(3), CrossEntropyLoss())
    for name, array in gradient(cost, X, LABELS).items():
        np.testing.assert_array_equal(array, value_and_gradients(cost, X, LABELS)[1][name])
    with pytest.raises(TypeError, match="gradient expects a layer, got list"):
        gradient([], X)


MODELS = {
    "network": (Sequential(*network(3)), X),
    "images": (Sequential(Conv2d(1, 2, 3, rng=0), Tanh()), RNG.normal(size=(N, 1, 5, 5))),
    "two outputs": (Parallel(Linear(4, 2, rng=1), Sequential(*network(1))), (X, X)),
}


@pytest.mark.parametrize("name", MODELS)
def test_jacobian_products_of_outputs_of_any_shape(name):
    model, x = MODELS[name]
    j = jacobian(model, x)
    v = np.random.default_rng(1).normal(size=j.shape[1])
    product = jacobian_vector_product(model, v, x)
    z = model.forward(x)[0]
    if isinstance(z, tuple):
        assert [part.shape for part in product] == [part.shape for part in z]
        product = flat(product)
    else:
        assert product.shape == z.shape
    np.testing.assert_allclose(np.ravel(product), j @ v, atol=1e-8)
    arrays, ends = model.parameters(), np.cumsum([array.size for array in model.parameters().values()])[:-1]
    named = {name: part.reshape(arrays[name].shape) for name, part in zip(arrays, np.split(v, ends), strict=True)}
    again = jacobian_vector_product(model, named, x)
    np.testing.assert_array_equal(flat(again) if isinstance(again, tuple) else again.ravel(), product.ravel())


def test_a_jacobian_by_differences_where_a_layer_is_not_analytic():
    v = np.random.default_rng(1).normal(size=27)
    exact = jacobian_vector_product(Sequential(*network(3)), v, X)
    near = jacobian_vector_product(Sequential(*network(3, RealTanh)), v, X)
    assert 0 < np.abs(near - exact).max() < 1e-10


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_jacobians_do_not_mind_the_units_of_the_columns(scale):
    model = Sequential(Linear(4, 3, rng=0), Tanh())
    units = np.array([scale, 1 / scale, 1.0, 1e-3])
    other = model.with_parameters({"0.weight": model[0].weight / units})
    v = np.random.default_rng(1).normal(size=(3, 5))
    expected = jacobian_vector_product(model, np.append(v[:, :4], v[:, 4]), X)
    moved = np.append(v[:, :4] / units, v[:, 4])
    np.testing.assert_allclose(jacobian_vector_product(other, moved, X * units), expected, rtol=1e-11, atol=1e-13)
    zero = other.with_parameters({"0.weight": np.zeros((3, 4)), "0.bias": np.zeros(3)})
    linear = X @ v[:, :4].T + v[:, 4]
    np.testing.assert_allclose(jacobian_vector_product(zero, moved, X * units), linear, rtol=1e-11, atol=1e-13)


def softmax_hessian(p):
    """That of all rows by all logits."""
    h = np.zeros((p.size, p.size))
    for n, row in enumerate(p):
        place = slice(n * len(row), (n + 1) * len(row))
        h[place, place] = np.diag(row) - np.outer(row, row)
    return h


@pytest.mark.parametrize("head", [(LogSoftmax(), NLLLoss("mean")), (CrossEntropyLoss("mean"),)], ids=["two", "one"])
def test_of_a_softmax_both_are_the_textbook_formula(head):
    model = Sequential(*network(3))
    p = np.exp(LogSoftmax()(model(X)))
    j = jacobian(model, X)
    expected = j.T @ softmax_hessian(p) @ j / N
    cost = Sequential(model, *head)
    for matrix in (gauss_newton_matrix(cost, X, LABELS), fisher_matrix(cost, X, LABELS)):
        np.testing.assert_allclose(matrix, expected, atol=1e-9)
    v = np.random.default_rng(1).normal(size=len(expected))
    np.testing.assert_allclose(gauss_newton_product(cost, v, X, LABELS), expected @ v, atol=1e-8)
    np.testing.assert_allclose(fisher_product(cost, v, X, LABELS), expected @ v, atol=1e-8)
    assert np.abs(expected - hessian(cost, X, LABELS)).max() > 1e-3  # it is not the Hessian


def test_linear_units_have_one_curvature_by_all_names():
    cost = Penalized(Sequential(Linear(4, 3, rng=0), LogSoftmax(), NLLLoss()), L2Penalty(0.3))
    h = hessian(cost, X, LABELS)
    np.testing.assert_array_equal(gauss_newton_matrix(cost, X, LABELS), h)
    np.testing.assert_allclose(fisher_matrix(cost, X, LABELS), h - 0.3 * np.eye(15), atol=1e-14)
    deep = Penalized(Sequential(*network(3), CrossEntropyLoss()), L2Penalty(0.3))
    difference = gauss_newton_matrix(deep, X, LABELS) - gauss_newton_matrix(deep.cost, X, LABELS)
    np.testing.assert_allclose(difference, 0.3 * np.eye(27), atol=1e-14)
    np.testing.assert_array_equal(fisher_matrix(deep, X, LABELS), fisher_matrix(deep.cost, X, LABELS))


def gauss(mean, deviation, count=30):
    """Nodes and weights of the expectation over a normal distribution of each entry, all entries alike."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return [(mean + deviation * node, weight) for node, weight in zip(nodes, weights / weights.sum(), strict=True)]


W = np.array([1.0, 2.0, 0.0, 0.5, 1.0, 3.0, 1.0])


def counts(rate, most=60):
    terms = [np.exp(-rate)]
    for t in range(1, most):
        terms.append(terms[-1] * rate / t)
    return [(np.full(rate.shape, float(t)), p) for t, p in enumerate(terms)]


# (cost, [(target, probability of each row)]) for one output, so that rows have few outcomes.
def outcomes():
    one = Sequential(*network(1))
    three = Sequential(*network(3))
    p3 = np.exp(LogSoftmax()(three(X)))
    y = 1 / (1 + np.exp(-one(X)[:, 0]))
    binary = [(np.zeros((N, 1)), 1 - y), (np.ones((N, 1)), y)]
    noise = HomoscedasticGaussianNLLLoss(1, "sum")
    noise.log_variance[:] = -0.7
    both = Sequential(*network(2), Exp())
    m, v = both(X)[:, :1], both(X)[:, 1:]

    class Split(Layer):
        def forward(self, z):
            return (z[:, :1], z[:, 1:]), None

        def backward(self, delta, _):
            return np.concatenate(delta, axis=1)

    return {
        "nll": (Sequential(three, LogSoftmax(), NLLLoss("sum")), [(np.full(N, k), p3[:, k]) for k in range(3)]),
        "cross-entropy": (Sequential(three, CrossEntropyLoss("sum")), [(np.full(N, k), p3[:, k]) for k in range(3)]),
        "bernoulli": (Sequential(one, BernoulliNLLLoss("sum")), [(np.zeros(N, int), 1 - y), (np.ones(N, int), y)]),
        "logits": (Sequential(one, BCEWithLogitsLoss("sum")), binary),
        "probabilities": (Sequential(one, Sigmoid(), BCELoss("sum")), binary),
        "poisson": (Sequential(one, PoissonNLLLoss("sum")), [(t, p[:, 0]) for t, p in counts(np.exp(one(X)))]),
        "poisson of the rate": (
            Sequential(one, Exp(), PoissonNLLLoss("sum", log_input=False, eps=0.0)),
            [(t, p[:, 0]) for t, p in counts(np.exp(one(X)))],
        ),
        "squares": (Sequential(one, MSELoss("sum")), gauss(one(X), 0.5**0.5)),
        "a trained variance": (Sequential(one, noise), gauss(one(X), np.exp(-0.35))),
        "mean and variance": (Sequential(both, Split(), GaussianNLLLoss("sum")), gauss(m, v**0.5)),
    }


OUTCOMES = outcomes()


@pytest.mark.parametrize("weights", [None, W], ids=["", "weighted"])
@pytest.mark.parametrize("name", OUTCOMES)
def test_fisher_is_the_expected_outer_product_of_the_scores(name, weights):
    cost, targets = OUTCOMES[name]
    expected = 0.0
    for target, p in targets:
        s = scores_at(cost, X, target).array()
        of_row = p * (np.ones(N) if weights is None else weights)
        expected = expected + (s * of_row[:, None]).T @ s
    target = targets[0][0]
    arguments = (target,) if weights is None else (target, weights)
    found = fisher_matrix(cost, X, *arguments)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9 * np.abs(expected).max())
    v = np.random.default_rng(1).normal(size=len(found))
    np.testing.assert_allclose(
        fisher_product(cost, v, X, *arguments), found @ v, rtol=1e-10, atol=1e-12 * np.abs(found).max()
    )


def test_gauss_newton_is_of_the_own_parameters_of_the_loss_too():
    cost = OUTCOMES["a trained variance"][0]
    target = RNG.normal(size=(N, 1))
    j = jacobian(cost[:-1], X)
    r, e = cost[:-1](X) - target, np.exp(0.7)
    h = np.zeros((N + 1, N + 1))
    h[:N, :N] = np.eye(N) * e
    h[:N, N] = h[N, :N] = -r[:, 0] * e
    h[N, N] = (r * r * e / 2).sum()
    whole = np.zeros((N + 1, j.shape[1] + 1))
    whole[:N, :-1], whole[N, -1] = j, 1.0
    np.testing.assert_allclose(gauss_newton_matrix(cost, X, target), whole.T @ h @ whole, atol=1e-7)


def test_a_custom_loss_may_say_its_expected_curvature():
    class Exponential(Layer):
        """t e^z - z: the negative log-likelihood of waiting times t of rate e^z."""

        def forward(self, z, target):
            return np.sum(target * np.exp(z) - z), (z, target)

        def backward(self, delta, cache):
            z, target = cache
            return delta * (target * np.exp(z) - 1)

    class Informed(Exponential):
        def expected_curvature(self, z, u, target):
            return u  # E[t] = e^-z

    t = RNG.random((N, 1))
    with pytest.raises(ValueError, match=r"known likelihood, got Exponential\(\): write a method expected_curvature"):
        fisher_matrix(Sequential(*network(1), Exponential()), X, t)
    cost = Sequential(*network(1), Informed())
    j = jacobian(cost[:-1], X)
    np.testing.assert_allclose(fisher_matrix(cost, X, t), j.T @ j, atol=1e-8)
    h = np.diag((t * np.exp(cost[:-1](X))).ravel())
    np.testing.assert_allclose(gauss_newton_matrix(cost, X, t), j.T @ h @ j, atol=1e-8)


def test_gauss_newton_where_a_layer_is_not_analytic():
    exact = gauss_newton_matrix(Sequential(*network(3), CrossEntropyLoss()), X, LABELS)
    at = gauss_newton_at(Sequential(*network(3, RealTanh), CrossEntropyLoss()), X, LABELS)
    assert at.method == "central differences"
    np.testing.assert_allclose(at.matrix(), exact, atol=1e-9)


def test_a_vector_by_names_gives_names():
    cost = Sequential(*network(3), CrossEntropyLoss())
    v = {name: np.ones(array.shape) for name, array in cost.parameters().items()}
    flat_product = fisher_product(cost, np.ones(27), X, LABELS)
    np.testing.assert_array_equal(flat(fisher_product(cost, v, X, LABELS).values()), flat_product)


class Known(Symmetric):
    def __init__(self, matrix):
        self.whole, self.size = matrix, len(matrix)

    def product(self, vector):
        return self.whole @ vector


def test_estimates_of_trace_and_diagonal_with_their_errors():
    a = np.random.default_rng(0).normal(size=(30, 30))
    known = Known(a @ a.T)
    np.testing.assert_allclose(known.matrix(), a @ a.T, rtol=1e-13)
    np.testing.assert_array_equal(known.diagonal(), np.diagonal(a @ a.T))
    assert known.trace() == pytest.approx(np.trace(a @ a.T))
    trace = known.trace_estimate(2000, rng=1)
    assert abs(trace.value - known.trace()) < 4 * trace.standard_error
    # Var v^T H v = 2 sum over i != j of H_ij^2, for random signs.
    off = known.whole - np.diag(np.diagonal(known.whole))
    assert trace.standard_error == pytest.approx((2 * (off**2).sum() / 2000) ** 0.5, rel=0.1)
    diagonal = known.diagonal_estimate(2000, rng=1)
    assert (np.abs(diagonal.value - known.diagonal()) < 5 * diagonal.standard_error).all()
    np.testing.assert_allclose(diagonal.standard_error, ((off**2).sum(axis=1) / 2000) ** 0.5, rtol=0.2)
    assert trace.samples == 2000
    exact = Known(np.diag([1.0, 2.0, 3.0])).diagonal_estimate(2, rng=0)
    np.testing.assert_array_equal(exact.value, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="expects 2 samples or more, for a standard error, got 1"):
        known.trace_estimate(1)
    fisher = fisher_at(Sequential(*network(3), CrossEntropyLoss()), X, LABELS)
    estimate = fisher.trace_estimate(200, rng=0)
    assert abs(estimate.value - fisher.trace()) < 4 * estimate.standard_error


def test_messages():
    cost = Sequential(*network(3), CrossEntropyLoss())
    with pytest.raises(ValueError, match=r"gauss_newton_product expects a vector of shape \(27,\)"):
        gauss_newton_product(cost, np.ones(3), X, LABELS)
    with pytest.raises(ValueError, match=r"jacobian_vector_product expects .*, got nan in vector"):
        jacobian_vector_product(cost[:-1], np.full(27, np.nan), X)
    with pytest.raises(ValueError, match="expects a cost with parameters"):
        jacobian_vector_product(Tanh(), np.ones(0), X)
    with pytest.raises(ValueError, match="draws from its generator"):
        jacobian_vector_product(Sequential(Linear(4, 2), Dropout()), np.ones(10), X)
    with pytest.raises(ValueError, match=r"expects LogSoftmax below .*, which is linear in its input"):
        gauss_newton_matrix(Sequential(*network(3), NLLLoss()), X, LABELS)
    with pytest.raises(ValueError, match=r"known likelihood, got HuberLoss"):
        fisher_matrix(Sequential(*network(3), HuberLoss()), X, np.ones((N, 3)))
    for loss in (CrossEntropyLoss(label_smoothing=0.1), CrossEntropyLoss(class_weights=[1, 2, 3])):
        with pytest.raises(ValueError, match=r"with (label_smoothing|class_weights) is none: leave it out"):
            fisher_matrix(Sequential(Linear(4, 3), loss), X, LABELS)
    with pytest.raises(ValueError, match="with pos_weight is none"):
        fisher_product(
            Sequential(Linear(4, 3), BCEWithLogitsLoss(pos_weight=[1, 2, 3])), np.ones(15), X, np.ones((N, 3))
        )
    with pytest.raises(ValueError, match="a stack that ends in a loss, got one that ends in Residual"):
        gauss_newton_matrix(Sequential(Linear(4, 3), Residual(Flatten())), X)
    with pytest.raises(AttributeError, match=r"module 'minigrad\.derivatives' has no attribute 'nothing'"):
        derivatives.nothing  # noqa: B018


def test_what_is_loaded_later_is_found():
    for names in derivatives.LATER.values():
        for name in names:
            assert getattr(derivatives, name).__doc__
            assert name in dir(derivatives)


@pytest.mark.parametrize("name", ["SOFTMAX", "SIGMOID", "EXPONENTIAL", "IDENTITY"])
def test_means_are_one_object_after_pickles_and_copies(name):
    mean = getattr(likelihoods, name)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps({"mean": mean}, protocol))["mean"] is mean
    assert copy.deepcopy([mean])[0] is mean
    assert copy.copy(mean) is mean
    z = np.array([[-1.0, 0.5, 2.0]])
    p = {"SOFTMAX": np.exp(z) / np.exp(z).sum(), "SIGMOID": 1 / (1 + np.exp(-z)), "EXPONENTIAL": np.exp(z)}
    np.testing.assert_allclose(mean.of(z), p.get(name, z), rtol=1e-14)


def test_another_mean_is_pickled_as_it_is():
    mean = likelihoods.Mean(np.exp, False, np.ones_like)
    other = pickle.loads(pickle.dumps(mean))
    assert type(other) is likelihoods.Mean
    assert other == mean
    assert copy.deepcopy(mean) == mean
