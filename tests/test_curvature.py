"""Products of the Hessian with vectors: the formula, complex steps and differences are one map."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import (
    BatchNorm1d,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    Dropout,
    L1Penalty,
    L2Penalty,
    Linear,
    LogSoftmax,
    MSELoss,
    NLLLoss,
    Penalized,
    PoissonNLLLoss,
    Sequential,
    Tanh,
)
from minigrad.derivatives.curvature import Curvature, curvature_at, hessian, hessian_vector_product
from minigrad.derivatives.regression import LinearUnits, linear_units, units_of

REDUCTIONS = st.sampled_from(["mean", "sum"])


@st.composite
def regressions(draw):
    """(cost, x, target, weights or nothing) of linear units under every likelihood that has a formula."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows, features, classes = draw(st.integers(2, 9)), draw(st.integers(1, 4)), draw(st.integers(2, 5))
    kind = draw(st.sampled_from(["softmax", "labels", "smooth", "probabilities", "bernoulli", "binary", "squares"]))
    reduction, has_bias = draw(REDUCTIONS), draw(st.booleans())
    class_weights = rng.random(classes) + 0.1 if draw(st.booleans()) else None
    labels = rng.integers(0, classes, rows)
    outputs = 1 if kind == "bernoulli" else classes
    head, target = {
        "softmax": ((LogSoftmax(), NLLLoss(reduction, class_weights)), labels),
        "labels": ((CrossEntropyLoss(reduction, class_weights),), labels),
        "smooth": ((CrossEntropyLoss(reduction, class_weights, label_smoothing=0.2),), labels),
        "probabilities": ((CrossEntropyLoss(reduction, class_weights),), rng.random((rows, classes))),
        "bernoulli": ((BernoulliNLLLoss(reduction),), labels > classes // 2),
        "binary": ((BCEWithLogitsLoss(reduction, pos_weight=rng.random(classes)),), rng.random((rows, classes))),
        "squares": ((MSELoss(reduction),), rng.random((rows, classes))),
    }[kind]
    cost = Sequential(Linear(features, outputs, bias=has_bias, rng=rng), *head)
    if draw(st.booleans()):
        cost = Penalized(cost, L2Penalty(0.7, "*.weight"))
        if has_bias and draw(st.booleans()):
            cost = Penalized(cost, L2Penalty(0.3))
    x = 3 * rng.normal(size=(rows, features))
    weights = (rng.random(rows) + 0.1,) if draw(st.booleans()) else ()
    return cost, x, (target, *weights), rng


@given(regressions())
def test_the_formula_is_the_complex_step(problem):
    cost, x, arguments, rng = problem
    units, rules = curvature_at(cost, x, *arguments), Curvature(cost, x, arguments)
    assert isinstance(units, LinearUnits)
    assert (units.method, rules.method) == ("analytic", "complex step")
    h = rules.matrix()
    near = {"rtol": 1e-11, "atol": 1e-13 * np.abs(h).max()}
    np.testing.assert_allclose(units.matrix(), h, **near)
    np.testing.assert_allclose(units.diagonal(), np.diagonal(h), **near)
    np.testing.assert_allclose(rules.diagonal(), np.diagonal(h), **near)
    v = rng.normal(size=len(h))
    np.testing.assert_allclose(units.product(v), h @ v, rtol=1e-10, atol=1e-12 * np.abs(h).max())
    null = units.null_space()
    assert np.abs(h @ null).max(initial=0) <= 1e-13 * np.abs(h).max()
    np.testing.assert_allclose(null.T @ null, np.eye(null.shape[1]), atol=1e-14)


@given(regressions())
def test_blocks_are_those_of_the_hessian_and_solved_near_enough(problem):
    cost, x, arguments, rng = problem
    units = units_of(cost, x, *arguments).at(x)
    width = len(units.ridge)
    h = units.matrix()
    order = units._flat(np.arange(len(h)).reshape(-1, width))
    by_unit = np.empty_like(h)
    by_unit[np.ix_(order, order)] = h
    for k, block in enumerate(units.blocks()):
        place = slice(k * width, (k + 1) * width)
        np.testing.assert_allclose(block, by_unit[place, place], rtol=1e-11, atol=1e-13 * np.abs(h).max())
    v = rng.normal(size=len(h))
    damping = float(np.abs(h).max())
    solved = units.solve_blocks(damping)(v)
    rows = [(b + damping * np.eye(width)) @ s for b, s in zip(units.blocks(), units._by_unit(solved), strict=True)]
    np.testing.assert_allclose(units._flat(np.array(rows)), v, atol=0.3 * np.abs(v).max())  # rows of little weight lack
    assert v @ solved > 0


@given(regressions(), st.integers(0, 100))
def test_in_other_variables_it_is_the_same_hessian(problem, seed):
    cost, x, arguments, rng = problem
    rng = np.random.default_rng(seed)
    fixed = units_of(cost, x, *arguments)
    has_bias = fixed.linear.bias is not None
    features = x.shape[1]
    centre = rng.normal(size=features) if has_bias else np.zeros(features)
    spread = np.exp(rng.normal(size=features))
    units = fixed.at(x, centre, spread)
    change = np.diag(np.append(1 / spread, 1.0))
    change[-1, :-1] = -centre / spread
    change = change if has_bias else change[:-1, :-1]
    whole = np.zeros_like(units.matrix())
    for i in range(len(whole)):
        unit = units._by_unit(np.eye(len(whole))[i])
        whole[:, i] = units._flat(unit @ change.T)
    h = fixed.at(x).matrix()
    expected = whole.T @ h @ whole
    np.testing.assert_allclose(units.matrix(), expected, rtol=1e-9, atol=1e-11 * np.abs(expected).max())
    v = rng.normal(size=len(h))
    np.testing.assert_allclose(units.product(v), expected @ v, rtol=1e-9, atol=1e-10 * np.abs(expected).max())


def test_probabilities_that_have_run_out_leave_no_curvature_and_no_nan():
    cost = Sequential(Linear(2, 3, rng=0), LogSoftmax(), NLLLoss())
    cost[0].weight[...] *= 1e5
    x = np.random.default_rng(0).normal(size=(7, 2))
    units = curvature_at(cost, x, np.zeros(7, int))
    assert np.isfinite(units.matrix()).all()
    assert np.isfinite(units.solve_blocks()(np.ones(9))).all()


def network(top=Tanh):
    rng = np.random.default_rng(0)
    return Sequential(Linear(3, 4, rng=rng), top(), Linear(4, 2, rng=rng), LogSoftmax(), NLLLoss())


X = np.random.default_rng(1).normal(size=(9, 3))
T = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1])


def test_a_network_is_as_pytorch_has_it():
    torch = pytest.importorskip("torch")
    cost = network()
    arrays = cost.parameters()
    v = {name: np.random.default_rng(2).normal(size=array.shape) for name, array in arrays.items()}
    theta = [torch.tensor(array, requires_grad=True) for array in arrays.values()]

    def value(w1, b1, w2, b2):
        logits = torch.tanh(torch.tensor(X) @ w1.T + b1) @ w2.T + b2
        return torch.nn.functional.cross_entropy(logits, torch.tensor(T))

    _, expected = torch.autograd.functional.hvp(value, tuple(theta), tuple(map(torch.tensor, v.values())))
    found = hessian_vector_product(cost, v, X, T)
    assert list(found) == list(arrays)
    for array, other in zip(found.values(), expected, strict=True):
        np.testing.assert_allclose(array, other.numpy(), rtol=1e-12, atol=1e-15)


def test_a_vector_and_a_dictionary_are_the_same():
    cost = network()
    v = np.random.default_rng(2).normal(size=26)
    named = Curvature(cost, X, (T,))
    by_name = hessian_vector_product(
        cost,
        {"0.weight": v[:12].reshape(4, 3), "0.bias": v[12:16], "2.weight": v[16:24].reshape(2, 4), "2.bias": v[24:]},
        X,
        T,
    )
    flat = hessian_vector_product(cost, v, X, T)
    np.testing.assert_array_equal(flat, np.concatenate([np.ravel(array) for array in by_name.values()]))
    np.testing.assert_array_equal(flat, named.product(v))


def test_the_size_of_the_vector_does_not_matter():
    cost = network()
    v = np.random.default_rng(2).normal(size=26)
    expected = hessian_vector_product(cost, v, X, T)
    for size in (1e-150, 1e-12, 1e12, 1e150):
        np.testing.assert_allclose(hessian_vector_product(cost, size * v, X, T), size * expected, rtol=1e-13)
    np.testing.assert_array_equal(hessian_vector_product(cost, 0 * v, X, T), 0 * v)


def test_parameters_of_any_size_and_single_precision_lose_nothing():
    for scale in (1e-12, 1e12):
        cost = Sequential(Linear(3, 4, rng=0), Tanh(), Linear(4, 2, rng=1), MSELoss("sum"))
        other = cost.with_parameters({"0.weight": cost[0].weight * scale})
        target = np.zeros((9, 2))
        v = np.random.default_rng(2).normal(size=26)
        moved = np.concatenate([v[:12] * scale, v[12:]])
        ours, theirs = (
            hessian_vector_product(cost, v, X, target),
            hessian_vector_product(other, moved, X / scale, target),
        )
        np.testing.assert_allclose(theirs, np.concatenate([ours[:12] / scale, ours[12:]]), rtol=1e-10)
    single = network().astype(np.float32)
    product = hessian_vector_product(single, v, X.astype(np.float32), T)
    double = hessian_vector_product(single.astype(np.float64), v, X.astype(np.float32).astype(float), T)
    np.testing.assert_allclose(product, double, rtol=1e-12)


def test_nothing_of_the_cost_is_changed():
    cost = Sequential(Linear(3, 4, rng=0), BatchNorm1d(4), Tanh(), Linear(4, 2, rng=1), LogSoftmax(), NLLLoss())
    before = {name: np.copy(array) for name, array in (cost.parameters() | cost.state()).items()}
    h = hessian(cost, X, T)
    np.testing.assert_array_equal(h, h.T)
    for name, array in (cost.parameters() | cost.state()).items():
        np.testing.assert_array_equal(array, before[name])


class RealTanh(Tanh):
    complex_safe = False


def test_where_a_layer_is_not_analytic_differences_serve_and_say_so():
    cost, other = network(), network(RealTanh)
    exact, near = curvature_at(cost, X, T), curvature_at(other, X, T)
    assert (exact.method, near.method) == ("complex step", "central differences")
    error = np.abs(near.matrix() - exact.matrix()).max()
    assert 0 < error < 1e-9
    scaled = other.with_parameters({"0.weight": other[0].weight * 1e6})
    exact = curvature_at(cost.with_parameters({"0.weight": cost[0].weight * 1e6}), X / 1e6, T).matrix()
    assert np.isfinite(exact).all()
    assert np.isfinite(curvature_at(scaled, X / 1e6, T).matrix()).all()


@pytest.mark.parametrize(
    "cost",
    [
        network(),
        Penalized(Sequential(Linear(3, 2, rng=0), LogSoftmax(), NLLLoss()), L1Penalty(0.1)),
    ],
    ids=["hidden layer", "L1"],
)
def test_what_has_no_formula_goes_by_the_rules(cost):
    assert linear_units(cost, X, T) is None
    assert isinstance(curvature_at(cost, X, T), Curvature)
    assert linear_units(Sequential(Linear(3, 2), LogSoftmax(), NLLLoss()), X[:, None], T[:, None]) is None


@pytest.mark.parametrize("pattern", ["*.weight", "0.0.bias", "*"])
def test_a_stack_within_a_stack_is_a_regression_too(pattern):
    linear = Linear(3, 2, rng=0)
    flat = Sequential(linear, LogSoftmax(), NLLLoss())
    nested = Penalized(Sequential(Sequential(linear), Sequential(LogSoftmax(), NLLLoss())), L2Penalty(0.3, pattern))
    assert linear_units(nested, X, T) is not None
    expected = Curvature(nested, X, (T,)).matrix()
    np.testing.assert_allclose(linear_units(nested, X, T).matrix(), expected, atol=1e-12)
    assert np.abs(expected - curvature_at(flat, X, T).matrix()).max() > 0.1  # the penalty is in it


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_counts_have_the_formula_where_their_rate_is_an_exponential(reduction, full):
    rng = np.random.default_rng(0)
    counts, weights = rng.poisson(2.0, size=(9, 2)).astype(float), rng.random(9)
    cost = Sequential(Linear(3, 2, rng=0), PoissonNLLLoss(reduction, full=full))
    units = linear_units(cost, X, counts, weights)
    np.testing.assert_allclose(units.matrix(), Curvature(cost, X, (counts, weights)).matrix(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(units.units.target, counts, atol=1e-12)
    rate = Sequential(Linear(3, 2, rng=0), PoissonNLLLoss(reduction, log_input=False))
    assert linear_units(rate, X, counts) is None


@pytest.mark.parametrize("scale", [1e-300, 1e280, 1e304])
def test_products_with_vectors_of_any_size(scale):
    cost = network()
    v = np.random.default_rng(0).normal(size=sum(array.size for array in cost.parameters().values()))
    small = hessian_vector_product(cost, v, X, T)
    np.testing.assert_allclose(hessian_vector_product(cost, v * scale, X, T) / scale, small, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("exact", [False, True])
def test_the_preconditioner_is_positive_definite_even_of_singular_blocks(exact):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    x = np.column_stack([x, x[:, 0] * (1 + 1e-9), np.full(40, 0.1), 1e-9 * rng.normal(size=40)])
    cost = Sequential(Linear(5, 1, rng=0), BernoulliNLLLoss("sum"))
    apply = linear_units(cost, x, rng.integers(0, 2, 40)).solve_blocks(exact=exact)
    for v in rng.normal(size=(50, 6)):
        assert v @ apply(v) > 0


def test_dropout_is_refused():
    cost = Sequential(Linear(3, 4), Dropout(), Linear(4, 2), LogSoftmax(), NLLLoss())
    with pytest.raises(ValueError, match=r"draws from its generator '1\.rng' at every call: leave out .* Dropout"):
        hessian_vector_product(cost, np.ones(26), X, T)


def test_messages():
    cost = network()
    with pytest.raises(ValueError, match=r"expects a vector of shape \(26,\), one number for each parameter"):
        hessian_vector_product(cost, np.ones(25), X, T)
    with pytest.raises(ValueError, match=r"got nan in vector\[0\]"):
        hessian_vector_product(cost, np.full(26, np.nan), X, T)
    with pytest.raises(ValueError, match=r"'0\.bias' is lacking"):
        hessian_vector_product(cost, {"0.weight": np.ones((4, 3))}, X, T)
    with pytest.raises(TypeError, match="expects a layer, got list"):
        hessian([], X, T)
    with pytest.raises(ValueError, match="expects a cost with parameters"):
        curvature_at(NLLLoss(), X, T)
