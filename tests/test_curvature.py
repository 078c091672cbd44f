"""Products of the Hessian with vectors: the formula, complex steps and differences are one map."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import (
    ELU,
    BatchNorm1d,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    Dropout,
    L1Penalty,
    L2Penalty,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MSELoss,
    NLLLoss,
    Penalized,
    PoissonNLLLoss,
    ReLU,
    Residual,
    Sequential,
    Softplus,
    Tanh,
    fusions,
    kernels,
    value_and_gradients,
)
from minigrad.derivatives import (
    AsymmetryWarning,
    NotAnalyticWarning,
    curvature,
    fisher_matrix,
    gauss_newton_matrix,
    gauss_newton_product,
    jacobian_vector_product,
    unit_rows,
)
from minigrad.derivatives.analytic import is_ours, is_trusted
from minigrad.derivatives.curvature import Curvature, curvature_at, hessian, hessian_vector_product
from minigrad.derivatives.gauss_newton import AtInput
from minigrad.derivatives.likelihoods import LIKELIHOODS, SCALES, scale_and_target, scale_of
from minigrad.derivatives.regression import LinearUnits, linear_units, units_of
from minigrad.derivatives.squares import coupled_squares
from minigrad.initializers import uniform
from minigrad.testing import check_layer

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


UNITS = [1e-150, 1e150, 1.0, 1e-3]


@pytest.mark.parametrize("start", ["drawn", "zero", "hidden zero"])
def test_columns_and_parameters_of_any_size_in_one_vector(start):
    """A change of units theta' = theta / u turns H into u H u, whatever the units."""
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    plain = Sequential(Linear(4, 3, rng=0), Tanh(), Linear(3, 3, rng=1), CrossEntropyLoss("sum"))
    if start != "drawn":
        plain[0].weight[...] = plain[0].bias[...] = 0.0
    if start == "zero":
        plain[2].weight[...] = plain[2].bias[...] = 0.0
    h = Curvature(plain, x, (target,)).raw()
    other = plain.with_parameters({"0.weight": plain[0].weight / UNITS})
    units = np.append(np.tile(UNITS, 3), np.ones(15))
    moved = Curvature(other, x * UNITS, (target,))
    near = {"rtol": 1e-10, "atol": 1e-13 * np.abs(h).max()}
    np.testing.assert_allclose(moved.matrix() / units[:, None] / units, h, **near)
    v = rng.normal(size=len(h))
    np.testing.assert_allclose(moved.product(v / units) / units, h @ v, rtol=1e-9, atol=1e-12 * np.abs(h).max())


def test_the_whole_hessian_is_as_pytorch_has_it():
    torch = pytest.importorskip("torch")
    cost = network()
    arrays = cost.parameters()
    sizes = [array.size for array in arrays.values()]

    def value(theta):
        w1, b1, w2, b2 = (part.reshape(a.shape) for part, a in zip(theta.split(sizes), arrays.values(), strict=True))
        logits = torch.tanh(torch.tensor(X) @ w1.T + b1) @ w2.T + b2
        return torch.nn.functional.cross_entropy(logits, torch.tensor(T))

    theta = torch.tensor(np.concatenate([np.ravel(array) for array in arrays.values()]))
    expected = torch.autograd.functional.hessian(value, theta).numpy()
    np.testing.assert_allclose(hessian(cost, X, T), expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_digits_of_differences_are_there(size):
    cost, other = network(), network(RealTanh)
    units = np.ones(26)
    units[:12] = size
    x = X * size
    exact = curvature_at(cost.with_parameters({"0.weight": cost[0].weight / size}), x, T)
    near = curvature_at(other.with_parameters({"0.weight": other[0].weight / size}), x, T)
    point = np.abs(near.point) + (near.point == 0)
    h, found = exact.matrix(), near.matrix()
    for column, other_column in zip(h.T, found.T, strict=True):
        error = np.abs((column - other_column) * point).max() / np.abs(column * point).max()
        assert error <= min(10.0**-near.digits, 2e-11)  # without extrapolation it would be 1e-10
    assert near.digits >= 7
    assert exact.digits >= 12
    assert near.asymmetry < 1e-7
    assert near.error > 0 == exact.error


def test_digits_say_where_the_parts_of_a_logit_cancel():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2))
    cost = Sequential(Linear(2, 1, rng=0), Tanh(), BernoulliNLLLoss("sum"))
    large = cost.with_parameters({"0.bias": cost[0].bias - 1e8 * cost[0].weight.sum()})
    assert curvature_at(cost, x, rng.integers(0, 2, 30)).digits >= 13
    assert 4 <= curvature_at(large, x + 1e8, rng.integers(0, 2, 30)).digits <= 9
    linear = Sequential(cost[0], BernoulliNLLLoss("sum"))
    far = Sequential(large[0], BernoulliNLLLoss("sum"))
    assert curvature_at(linear, x, rng.integers(0, 2, 30)).digits >= 14
    assert 4 <= curvature_at(far, x + 1e8, rng.integers(0, 2, 30)).digits <= 8


@pytest.mark.parametrize("size", [1.0, 10.0, 40.0])
@pytest.mark.parametrize("classes", [1, 3, 8])
def test_the_formula_has_its_digits_where_probabilities_have_run_out(size, classes):
    """Against 60 digits: with every row certain, 1 - p of a double has none left."""
    mpmath = pytest.importorskip("mpmath")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 2))
    head = (BernoulliNLLLoss("sum"),) if classes == 1 else (LogSoftmax(), NLLLoss("sum"))
    cost = Sequential(Linear(2, classes, rng=1), *head)
    cost[0].weight[...] *= size
    cost[0].bias[...] = size * (1 + np.arange(classes))
    units = curvature_at(cost, x, np.zeros(6, int))
    found = units.matrix()
    with mpmath.workdps(60):
        h = mpmath.zeros(3 * classes)
        weight, bias = cost[0].weight, cost[0].bias
        for row in x:
            z = [
                mpmath.mpf(b) + sum(mpmath.mpf(w) * mpmath.mpf(v) for w, v in zip(of, row, strict=True))
                for of, b in zip(weight, bias, strict=True)
            ]
            if classes == 1:
                y = 1 / (1 + mpmath.exp(-z[0]))
                curved = [[y * (1 - y)]]
            else:
                total = sum(map(mpmath.exp, z))
                p = [mpmath.exp(a) / total for a in z]
                curved = [[(p[i] if i == j else 0) - p[i] * p[j] for j in range(classes)] for i in range(classes)]
            design = [*map(mpmath.mpf, row), mpmath.mpf(1)]
            place = [[2 * k, 2 * k + 1, 2 * classes + k] for k in range(classes)]
            for i in range(classes):
                for j in range(classes):
                    for a in range(3):
                        for b in range(3):
                            h[place[i][a], place[j][b]] += curved[i][j] * design[a] * design[b]
        exact = np.array([[float(h[i, j]) for j in range(h.cols)] for i in range(h.rows)])
    np.testing.assert_allclose(units.diagonal(), np.diagonal(exact), rtol=1e-12)
    scale = np.sqrt(np.diagonal(exact))
    error = np.abs((found - exact) / scale[:, None] / scale)
    assert error.max() <= 10.0**-units.digits
    assert units.digits >= 12
    v = rng.normal(size=len(exact)) / scale
    assert np.abs((units.product(v) - exact @ v) / scale).max() <= 1e-12 * np.abs(exact @ v / scale).max()
    np.testing.assert_array_equal(found, found.T)
    # By class-major blocks, for which there must be more rows.  Each unit by itself, however small: of one that is all
    # but certain nothing is lost.
    of_many = hessian_vector_product(cost, v, np.tile(x, (20, 1)), np.zeros(120, int))
    error = np.abs(of_many / 20 - exact @ v)
    assert (error <= 1e-11 * np.abs(exact) @ np.abs(v)).all()


@pytest.mark.parametrize("classes", [2, 6, 7, 9])
@pytest.mark.parametrize("features", [3, 130])
def test_both_ways_to_sum_squares_are_one(classes, features):
    rng = np.random.default_rng(0)
    x, p = rng.normal(size=(600, features)), rng.random((600, classes))
    p /= p.sum(axis=1, keepdims=True)
    scale = rng.random((600, 1))
    found = coupled_squares([(slice(0, 500), x[:500]), (slice(500, 600), x[500:])], p, scale)
    curved = scale[:, :, None] * (p[:, :, None] * np.eye(classes) - p[:, :, None] * p[:, None, :])
    pairs = curved.transpose(1, 2, 0).reshape(classes * classes, -1)
    for a in range(min(features, 4)):
        expected = (pairs @ (x[:, a, None] * x)).reshape(classes, classes, features)
        np.testing.assert_allclose(found[:, a].transpose(0, 1, 2), expected, atol=1e-11)


WEIGHTS = np.array([1.0, 0.0, 3.0, 0.5, 0.0, 0.0, 2.0, 1.0, 1.0])


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("kind", ["network", "linear", "differences"])
def test_chunks_have_the_curvature_of_all_rows(kind, reduction):
    rng = np.random.default_rng(0)
    hidden = {
        "network": (Tanh(), Linear(4, 2, rng=rng)),
        "linear": (),
        "differences": (RealTanh(), Linear(4, 2, rng=rng)),
    }
    stack = Sequential(Linear(3, 4, rng=rng), *hidden[kind], LogSoftmax(), NLLLoss(reduction))
    cost = Penalized(stack, L2Penalty(0.3, "*.weight"))
    whole = curvature_at(cost, X, T, WEIGHTS)
    parts = curvature_at(cost, X, T, WEIGHTS, chunk_size=2)
    assert (parts.method, parts.size) == (whole.method, whole.size)
    h = whole.matrix()
    near = {"atol": (1e-8 if kind == "differences" else 1e-13) * np.abs(h).max()}
    np.testing.assert_allclose(parts.matrix(), h, **near)
    np.testing.assert_allclose(hessian(cost, X, T, WEIGHTS, chunk_size=4), h, **near)
    v = rng.normal(size=len(h))
    np.testing.assert_allclose(hessian_vector_product(cost, v, X, T, WEIGHTS, chunk_size=2), h @ v, **near)
    np.testing.assert_allclose(parts.diagonal(), np.diagonal(h), **near)
    assert parts.trace() == pytest.approx(np.trace(h), rel=1e-6)
    assert parts.asymmetry <= 1e-6
    assert kind == "linear" or (parts.error > 0) == (kind == "differences")
    assert parts.digits >= (6 if kind == "differences" else 12)


def test_chunks_take_constant_memory_and_maps_of_files(tmp_path):
    import tracemalloc

    rng = np.random.default_rng(0)
    mapped = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", shape=(40_000, 8))
    mapped[:] = rng.normal(size=mapped.shape)
    x, labels = np.load(tmp_path / "x.npy", mmap_mode="r"), rng.integers(0, 3, len(mapped))
    for hidden in ((), (Tanh(), Linear(3, 3, rng=rng))):
        cost = Sequential(Linear(8, 3, rng=rng), *hidden, LogSoftmax(), NLLLoss())
        tracemalloc.start()
        product = hessian_vector_product(cost, np.ones(27 + 12 * bool(hidden)), x, labels, chunk_size=500)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 500_000  # the data are 2 560 000
        expected = hessian_vector_product(cost, np.ones(product.size), np.array(x), labels)
        np.testing.assert_allclose(product, expected, atol=1e-13)


def test_chunks_refuse_rows_that_depend_on_one_another():
    cost = Sequential(Linear(3, 4, rng=0), BatchNorm1d(4), Linear(4, 2, rng=1), LogSoftmax(), NLLLoss())
    with pytest.raises(ValueError, match="in which no row depends on another, got BatchNorm1d"):
        hessian(cost, X, T, chunk_size=3)
    with pytest.raises(ValueError, match="expects chunk_size to be a positive integer"):
        hessian(cost, X, T, chunk_size=0)


class MeanForSum(Linear):
    def parameter_gradients(self, delta, z):
        gradients = super().parameter_gradients(delta, z)
        return gradients | {"weight": gradients["weight"] / len(z)}


class Steeper(Tanh):
    def backward(self, delta, cache):
        return super().backward(delta, cache) * 1.00001


def stack(first, between):
    rng = np.random.default_rng(0)
    return Sequential(first(3, 4, rng=rng), between(), Linear(4, 2, rng=rng), LogSoftmax(), NLLLoss())


@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize(
    ("first", "between", "pair"),
    [
        (MeanForSum, Tanh, r"by 0\.weight\[\d, \d\] and 2\.(weight\[\d, \d\]|bias\[\d\]) it is"),
        (Linear, Steeper, r"by 0\.\w+\[.*\] and 2\.\w+\[.*\] it is"),
    ],
    ids=["rule 3", "rule 2"],
)
def test_a_wrong_rule_shows_in_the_asymmetry(first, between, pair, chunk_size):
    cost = stack(first, between)
    curvature = curvature_at(cost, X, T, chunk_size=chunk_size)
    with pytest.warns(AsymmetryWarning, match=pair) as warned:
        curvature.matrix()
    assert "minigrad.testing.check_layer(cost, x, ...) finds the layer at fault" in str(warned[0].message)
    assert warned[0].filename == __file__
    assert curvature.asymmetry > 1e-6


def test_what_the_warning_says_finds_the_layer_does():
    with pytest.raises(AssertionError, match="mean_for_sum"):
        check_layer(stack(MeanForSum, Tanh), X, T)


def test_a_wrong_rule_shows_in_differences_too():
    class Both(MeanForSum):
        complex_safe = False

    with pytest.warns(AsymmetryWarning, match="is not symmetric"):
        hessian(stack(Both, Tanh), X, T)


@pytest.mark.parametrize(
    "between",
    [(Tanh(),), (BatchNorm1d(4), Tanh()), (LayerNorm(4), Tanh()), (RealTanh(),), (BatchNorm1d(4), RealTanh())],
    ids=lambda between: " ".join(type(layer).__name__ for layer in between),
)
def test_right_rules_are_symmetric_also_where_a_bias_does_nothing(between, recwarn):
    cost = Sequential(Linear(3, 4, rng=0), *between, Linear(4, 2, rng=1), LogSoftmax(), NLLLoss())
    curvature = curvature_at(cost, X, T)
    curvature.matrix()
    assert not recwarn
    assert curvature.asymmetry < (1e-12 if cost.complex_safe else 1e-6)


def test_a_layer_that_is_another_function_at_each_call_has_no_step():
    class Counting(Layer):
        def __init__(self):
            self.calls = [0]

        def forward(self, z):
            self.calls[0] += 1
            return z * self.calls[0], self.calls[0]

        def backward(self, delta, calls):
            return delta * calls

    cost = Sequential(Linear(3, 2, rng=0), Counting(), LogSoftmax(), NLLLoss())
    curvature = curvature_at(cost, X, T)
    curvature.product(np.ones(8))
    with pytest.raises(FloatingPointError, match="no complex step along this direction leaves"):
        curvature.product(np.ones(8))


class Absolute(Layer):
    """|z| z, which is analytic nowhere, and does not say so."""

    def forward(self, z):
        return np.abs(z) * z, z

    def backward(self, delta, z):
        return 2 * np.abs(z) * delta


class RealPart(Layer):
    def forward(self, z):
        return np.sin(z.real), z

    def backward(self, delta, z):
        return delta * np.cos(z.real)


class RealPartOfRule2(Tanh):
    def backward(self, delta, cache):
        return super().backward(delta, cache).real


class RealNumber(Layer):
    """exp(a) z by a function of real numbers alone."""

    parameter_names = ("a",)

    def __init__(self):
        self.a = np.array(0.3)

    def forward(self, z):
        return math.exp(self.a) * z, z

    def backward(self, delta, z):
        return math.exp(self.a) * delta

    def parameter_gradients(self, delta, z):
        return {"a": np.asarray((delta * z).sum() * math.exp(self.a))}


def declared(kind):
    return type(kind.__name__, (kind,), {"complex_safe": False})


USES = {
    "matrix": lambda c: hessian(c, X, T),
    "matrix in chunks": lambda c: hessian(c, X, T, chunk_size=4),
    "product": lambda c: hessian_vector_product(c, np.arange(size_of(c)), X, T),
    "product in chunks": lambda c: hessian_vector_product(c, np.arange(size_of(c)), X, T, chunk_size=4),
    "diagonal": lambda c: curvature_at(c, X, T).diagonal(),
    "trace": lambda c: np.array(curvature_at(c, X, T).trace()),
    "estimate": lambda c: curvature_at(c, X, T).diagonal_estimate(3, rng=0).value,
    "Jacobian": lambda c: jacobian_vector_product(c[:-1], np.arange(size_of(c)), X),
    "Gauss-Newton": lambda c: gauss_newton_matrix(c, X, T),
    "Fisher": lambda c: fisher_matrix(c, X, T),
}


def size_of(cost):
    return sum(array.size for array in cost.parameters().values())


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("between", [Absolute, RealPart, RealPartOfRule2, RealNumber])
def test_a_layer_that_is_not_analytic_and_does_not_say_so_is_found_out(between, use):
    if between is RealPartOfRule2 and use in ("Jacobian", "Gauss-Newton", "Fisher"):
        return  # which take rule 2 of real numbers alone
    with pytest.warns(NotAnalyticWarning, match=r"set complex_safe = False in that layer") as warned:
        found = USES[use](stack(Linear, between))
    assert len(warned) == 1
    assert warned[0].filename == __file__
    expected = USES[use](stack(Linear, declared(between)))  # by differences
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_a_loss_and_a_penalty_that_are_not_analytic_are_found_out():
    class Modulus(MSELoss):
        def f(self, z, t):
            return np.abs(z - t) ** 3

        def df(self, z, t):
            return 3 * np.abs(z - t) * (z - t)

    target = np.random.default_rng(0).normal(size=(9, 2))
    exact = np.array([np.abs(X @ w - t) for w, t in zip(Linear(3, 2, rng=0).weight, target.T, strict=True)])
    cost = Sequential(Linear(3, 2, bias=False, rng=0), Modulus("sum"))
    for use in (hessian, gauss_newton_matrix):
        with pytest.warns(NotAnalyticWarning, match="is not the derivative that differences have"):
            h = use(cost, X, target)
        for k in range(2):
            block = 6 * (X.T * exact[k]) @ X
            np.testing.assert_allclose(h[3 * k : 3 * k + 3, 3 * k : 3 * k + 3], block, rtol=1e-7)


def test_digits_are_those_of_the_differences_that_are_taken():
    curvature = curvature_at(stack(Linear, Absolute), X, T)
    assert curvature.method == "complex step"
    with pytest.warns(NotAnalyticWarning, match="a complex step through the rules"):
        digits = curvature.digits
    assert curvature.method == "central differences"
    assert 7 <= digits < 14
    assert curvature.error > 0
    parts = curvature_at(stack(Linear, Absolute), X, T, chunk_size=4)
    with pytest.warns(NotAnalyticWarning, match="a complex step through the rules"):
        digits = parts.digits
    assert 6 <= digits < 14
    assert parts.method == "central differences"


def test_what_takes_no_complex_numbers_says_why():
    with pytest.warns(NotAnalyticWarning, match=r"its rules take no complex numbers \(.*not 'complex'\)"):
        curvature_at(stack(Linear, RealNumber), X, T).product(np.ones(27))


@pytest.mark.parametrize("between", [ELU, ReLU, LeakyReLU, Softplus])
@pytest.mark.parametrize("kind", ["on the kink", "zero", "steep", "flat"])
def test_analytic_layers_raise_no_alarm_even_on_a_kink(between, kind, recwarn):
    cost, x = stack(Linear, between), X.copy()
    if kind == "on the kink":
        x[::2], cost[0].bias[...] = 0.0, 0.0
    elif kind == "zero":
        for array in cost.parameters().values():
            array[...] = 0.0
    else:
        cost[0].weight[...] *= {"steep": 1e4, "flat": 1e-9}[kind]
    for use in ("product", "matrix", "Jacobian", "Gauss-Newton"):
        USES[use](cost) if use != "product" else hessian_vector_product(cost, np.ones(size_of(cost)), x, T)
    curvature_at(cost, x, T).diagonal()
    assert not [each for each in recwarn if issubclass(each.category, NotAnalyticWarning)]


class Times(Layer):
    parameter_names = ("a", "b")

    def __init__(self, a):
        self.a, self.b = np.array(a), np.array(1.0)

    def forward(self, z):
        return self.a * self.b * z, z

    def backward(self, delta, z):
        return delta * self.a * self.b

    def parameter_gradients(self, delta, z):
        return {"a": np.asarray((delta * self.b * z).sum()), "b": np.asarray((delta * self.a * z).sum())}


@pytest.mark.parametrize("chunk_size", [None, 1])
@pytest.mark.parametrize("scale", [1e-100, 1e-110, 1e-120, 1e-135, 1e-150])
def test_parameters_so_small_that_imaginary_parts_underflow(scale, chunk_size, recwarn):
    """C = sum (a b z - t)^2, at b = 1, z = (1, 2), t = (a, 0)."""
    z, target = np.array([[1.0], [2.0]]), np.array([[scale], [0.0]])
    curvature = curvature_at(Sequential(Times(scale), MSELoss("sum")), z, target, chunk_size=chunk_size)
    h = curvature.matrix() / np.array([[1, scale], [scale, scale * scale]])
    np.testing.assert_allclose(h, [[10.0, 18.0], [18.0, 10.0]], rtol=1e-11)
    assert curvature.digits >= 11
    assert not recwarn


def test_digits_do_not_count_what_has_underflowed():
    z, target = np.array([[1.0], [2.0]]), np.array([[1e-158], [0.0]])
    curvature = curvature_at(Sequential(Times(1e-158), MSELoss("sum")), z, target)
    h = curvature.matrix() / np.array([[1, 1e-158], [1e-158, 1e-316]])
    wrong = np.abs(h / np.array([[10.0, 18.0], [18.0, 10.0]]) - 1).max()
    assert curvature.digits <= max(0, -np.log10(wrong + 1e-14))


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
    for product in (hessian_vector_product, gauss_newton_product):
        with pytest.raises(
            TypeError, match=r"expects a vector of real numbers, got ndarray of complex128.*real and of"
        ):
            product(cost, np.full(26, 1j), X, T)
    with pytest.raises(TypeError, match="jacobian_vector_product expects a vector of real numbers"):
        jacobian_vector_product(cost, {name: 1j * array for name, array in cost.parameters().items()}, X, T)
    with pytest.raises(ValueError, match=r"'0\.bias' is lacking"):
        hessian_vector_product(cost, {"0.weight": np.ones((4, 3))}, X, T)
    with pytest.raises(TypeError, match="expects a layer, got list"):
        hessian([], X, T)
    with pytest.raises(ValueError, match="expects a cost with parameters"):
        curvature_at(NLLLoss(), X, T)


HEADS = {
    "softmax": ((LogSoftmax(), NLLLoss("mean", [1.0, 2.0, 0.5])), lambda rng, n, k: rng.integers(0, 3, n)),
    "labels": ((CrossEntropyLoss("sum"),), lambda rng, n, k: rng.integers(0, k, n)),
    "ignored": ((CrossEntropyLoss("mean"),), lambda rng, n, k: np.where(rng.random(n) < 0.3, -100, k - 1)),
    "smooth": (
        (CrossEntropyLoss("sum", [1.0, 2.0, 0.5], label_smoothing=0.2),),
        lambda rng, n, k: rng.integers(0, k, n),
    ),
    "binary": ((BCEWithLogitsLoss("mean"),), lambda rng, n, k: rng.random((n, k))),
    "weighed": ((BCEWithLogitsLoss("sum", weight=np.array(2.0)),), lambda rng, n, k: rng.random((n, k))),
    "squares": ((MSELoss("mean"),), lambda rng, n, k: rng.normal(size=(n, k))),
    "counts": ((PoissonNLLLoss("sum"),), lambda rng, n, k: rng.poisson(2.0, (n, k))),
}


@pytest.mark.parametrize("rows", [0, 1, 96, 97, 900])
@pytest.mark.parametrize("kind", HEADS)
def test_one_product_of_any_number_of_rows_is_by_the_rules(kind, rows, monkeypatch):
    """Rows in several blocks, few and many units, both orders of x, weights of rows or none, a bias or none."""
    monkeypatch.setattr(unit_rows, "BLOCK", 2**14)  # 384 rows
    head, target_of = HEADS[kind]
    mean = head[-1].reduction == "mean"
    for classes, has_bias, order, weighted in ((3, True, "C", True), (3, False, "F", False), (17, True, "C", False)):
        if (kind in ("softmax", "smooth") and classes == 17) or (mean and rows == 0):
            continue
        rng = np.random.default_rng(rows + classes)
        x = np.asarray(rng.normal(size=(rows, 4)), order=order)
        target = target_of(rng, rows, classes)
        if kind == "ignored" and rows:
            target[0] = 0
        arguments = (target, rng.random(rows) + 0.1) if weighted else (target,)
        stack = Sequential(Linear(4, classes, bias=has_bias, rng=rng), *head)
        cost = Penalized(stack, L2Penalty(0.3, "*" if rows > 96 else "*.weight")) if has_bias else stack
        v = rng.normal(size=size_of(cost))
        x.flags.writeable = v.flags.writeable = False
        found = hessian_vector_product(cost, v, x, *arguments)
        expected = Curvature(cost, x, arguments).product(v)
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12 * np.abs(expected).max(initial=0))
        np.testing.assert_allclose(
            linear_units(cost, x, *arguments).product(v), found, rtol=1e-11, atol=1e-13 * np.abs(found).max(initial=0)
        )
        single = cost.astype(np.float32)
        of_single = hessian_vector_product(single, v, x.astype(np.float32), *arguments)
        assert of_single.dtype == np.float64
        np.testing.assert_allclose(of_single, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max(initial=0))


@given(regressions())
def test_what_the_loss_says_of_its_scale_is_what_two_looks_at_it_tell(problem):
    cost, x, arguments, _ = problem
    units = units_of(cost, x, *arguments)
    scale, target = scale_and_target(
        Sequential(*units._head), units.mean, (len(x), len(units.linear.weight)), arguments
    )
    np.testing.assert_allclose(units.scale + 0 * scale, scale, rtol=1e-12)
    assert len(units.scale) == len(x)
    np.testing.assert_array_equal(units.target, target)


@pytest.mark.parametrize("head", [(LogSoftmax(), NLLLoss("none")), (CrossEntropyLoss("none"),), (MSELoss("none"),)])
def test_one_product_refuses_what_the_loss_refuses(head):
    cost, v = Sequential(Linear(3, 2, rng=0), *head), np.ones(8)
    target = T if len(head) == 2 or type(head[0]) is CrossEntropyLoss else np.ones((9, 2))
    with pytest.raises(ValueError, match="expects delta of the shape of its output"):
        hessian_vector_product(cost, v, X, target)
    own = Sequential(Linear(3, 2, rng=0), LogSoftmax(), NLLLoss())
    with pytest.raises(ValueError, match=r"NLLLoss\(mean\) expects labels 0 \.\. 1") as caught:
        hessian_vector_product(own, v, X, T + 1)
    assert caught.value.__notes__ == ["in layer 1 of Sequential(LogSoftmax, NLLLoss)"]
    with pytest.raises(ValueError, match="expects weights of 0 or more, got -1"):
        hessian_vector_product(own, v, X, T, -np.ones(9))
    for loss, target, match in (
        (BCEWithLogitsLoss(), np.full((9, 2), 2.0), "expects target from 0 to 1, got 2"),
        (MSELoss(), np.full((9, 2), np.nan), "expects finite numbers, got nan"),
        (MSELoss(), np.ones(9), r"expects target of shape \(9, 2\), got \(9,\)"),
        (PoissonNLLLoss(), -np.ones((9, 2)), "counts are not negative"),
    ):
        with pytest.raises(ValueError, match=match):
            hessian_vector_product(Sequential(Linear(3, 2, rng=0), loss), v, X, target)


@pytest.mark.parametrize("rows", [9, 120])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_all_classes_share_changes_nothing(rows, dtype):
    """Logits of 1e4 and more beside those of the rest, and a direction of which little is not shared."""
    rng = np.random.default_rng(0)
    x, labels = np.round(rng.normal(size=(rows, 3)), 2).astype(dtype), rng.integers(0, 4, rows)
    cost = Sequential(Linear(3, 4, rng=rng), LogSoftmax(), NLLLoss("sum")).astype(dtype)
    v = 1e-6 * rng.normal(size=16)
    expected = hessian_vector_product(cost, v, x, labels)
    near = {"rtol": 1e-3 if dtype is np.float32 else 1e-9, "atol": 1e-6 * np.abs(expected).max()}
    shared = np.concatenate([np.tile(rng.normal(size=3), 4), np.ones(4)])
    np.testing.assert_allclose(hessian_vector_product(cost, v + shared, x, labels), expected, **near)
    for shift in (-16384.0, 16384.0):
        moved = cost.with_parameters({"0.bias": np.zeros(4, dtype) + shift, "0.weight": 0 * cost[0].weight})
        flat = cost.with_parameters({"0.bias": np.zeros(4, dtype), "0.weight": 0 * cost[0].weight})
        products = [hessian_vector_product(each, v, x, labels) for each in (moved, flat)]
        np.testing.assert_allclose(*products, rtol=1e-6)


def test_one_product_keeps_nothing_of_all_rows():
    import tracemalloc

    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(100_000, 16)), rng.integers(0, 8, 100_000)
    cost = Sequential(Linear(16, 8, rng=rng), LogSoftmax(), NLLLoss())
    v = rng.normal(size=136)
    hessian_vector_product(cost, v, x, labels)
    tracemalloc.start()
    product = hessian_vector_product(cost, v, x, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_500_000  # the probabilities alone are 6 400 000
    np.testing.assert_allclose(product, linear_units(cost, x, labels).product(v), atol=1e-14)


def test_the_buffers_of_numpy_are_as_before():
    units = units_of(Sequential(Linear(3, 2, rng=0), LogSoftmax(), NLLLoss()), X, T)
    with np.errstate():  # which restores them in the end
        np.setbufsize(8192)
        units.product(X, np.ones(8))
        assert np.getbufsize() == 8192
        with pytest.raises(ValueError, match=r"matmul|not aligned"):
            units.product(X[:, :2], np.ones(8))
        assert np.getbufsize() == 8192


def with_an_attribute(layer, **attributes):
    vars(layer).update(attributes)
    return layer


class Smaller(L2Penalty):
    pass


@pytest.mark.parametrize(
    ("cost", "ours"),
    [
        (network(), True),
        (Penalized(network(), L2Penalty(0.1)), True),
        (Sequential(Linear(3, 4, weight_initializer=uniform(1.0)), LayerNorm(4), ELU(), Linear(4, 1), MSELoss()), True),
        (network(RealTanh), False),
        (Penalized(network(), Smaller(0.1)), False),
        (Sequential(with_an_attribute(Linear(3, 2), forward=lambda z: (z, z)), MSELoss()), False),
        (Sequential(with_an_attribute(Linear(3, 2), rules=[{"f": np.abs}]), MSELoss()), False),
        (Sequential(Residual(Sequential(Linear(3, 3), RealTanh())), MSELoss()), False),
        (AtInput(Sequential(RealTanh(), MSELoss()), X), False),
    ],
)
def test_only_what_is_minigrads_own_throughout_is_trusted(cost, ours):
    assert is_ours(cost) is ours


def odd_square(self, z):
    return z * np.abs(z), z


def odd_square_backward(self, delta, z):
    return 2 * delta * np.abs(z)


def warned_product(cost):
    v = np.linspace(-1, 1, size_of(cost))
    with pytest.warns(NotAnalyticWarning, match="not analytic"):
        found = hessian_vector_product(cost, v, X, T)
    by_differences = Curvature(cost, X, (T,))
    by_differences.use_differences()
    np.testing.assert_allclose(found, by_differences.product(v), rtol=1e-6, atol=1e-7 * np.abs(found).max())


def test_a_class_that_was_given_other_rules_is_not_trusted(monkeypatch):
    assert is_ours(network())
    monkeypatch.setattr(Tanh, "forward", odd_square)
    monkeypatch.setattr(Tanh, "backward", odd_square_backward)
    assert not is_ours(network())
    warned_product(network())
    monkeypatch.undo()
    assert is_ours(network())
    monkeypatch.setattr(Tanh, "f", np.tanh)
    assert not is_ours(network())


def test_a_rule_that_bears_the_name_of_another_is_not_trusted():
    top = with_an_attribute(
        Tanh(),
        forward=functools.wraps(Tanh.forward)(functools.partial(odd_square, None)),
        backward=functools.wraps(Tanh.backward)(lambda delta, z: odd_square_backward(None, delta, z)),
    )
    assert top.backward.__module__ == Tanh.backward.__module__
    only = with_an_attribute(Tanh(), backward=top.backward)
    assert not is_ours(only)
    warned_product(Sequential(Linear(3, 4, rng=0), top, Linear(4, 2, rng=1), LogSoftmax(), NLLLoss()))


def compiled_here(source):
    """The function f of `source`, as if it stood in a file of minigrad."""
    names = {"np": np, "__name__": "minigrad.kernels"}
    exec(compile(source, kernels.__file__, "exec"), names)
    return names["f"]


def test_what_a_function_holds_is_looked_at_too():
    around = compiled_here("def f(g):\n    def h(z):\n        return g(z)\n    return h")
    own, other = around(kernels.sigmoid), around(lambda z: np.abs(z))
    assert [is_ours(each) for each in (own, other, [own, other], [own, [own, {"rule": other}]])] == [
        True,
        False,
        False,
        False,
    ]
    assert is_ours(compiled_here("def f(z, g=1.0, *, h=None):\n    return z"))
    assert is_ours(compiled_here("def g():\n    def h():\n        return later\n    return h\n    later = 1\nf = g()"))
    by_default = compiled_here("def f(z, g=None):\n    return z")
    by_default.__defaults__ = (lambda z: z,)
    assert not is_ours(by_default)
    by_name = compiled_here("def f(z, *, g=None):\n    return z")
    by_name.__kwdefaults__ = {"g": np.abs}
    assert not is_ours(by_name)


def test_nothing_is_taken_for_another_that_is_gone():
    around = compiled_here("def f(g):\n    def h(z):\n        return g(z)\n    return h")
    seen = {}
    for i in range(200):  # what was looked at stays, so that no later one has its place in memory
        assert is_ours(around(around(kernels.sigmoid)), seen)
        assert not is_ours(around(around(lambda z, i=i: z)), seen)


@pytest.fixture
def own_fusion(monkeypatch):
    """A fusion of minigrad's layers, not analytic, and entered in a table of its own."""
    entries = dict(fusions.FUSIONS)

    @fusions.fuses(Linear, Tanh)
    class LinearTanh(fusions.Fusion):
        def forward(self, z):
            y = np.tanh(self.layers[0](z))
            return y, (z, y)

        def backward(self, delta, cache):
            return self.layers[0].backward(delta * (1 - np.abs(cache[1]) ** 2), cache[0])

        def parameter_gradients(self, delta, cache):
            return self.named(self.layers[0].parameter_gradients(delta * (1 - np.abs(cache[1]) ** 2), cache[0]))

    yield LinearTanh
    fusions.table._table.clear()
    fusions.table._table.update(entries)
    fusions.table._plans.clear()


def test_fusions_that_are_run_are_looked_at_too(own_fusion):
    cost = network()
    assert is_ours(cost)
    assert not is_trusted(cost)
    warned_product(cost)
    with pytest.warns(NotAnalyticWarning, match="not analytic"):
        hessian(cost, X, T)
    with fusions.off():
        assert is_trusted(cost)


def test_the_fusions_of_minigrad_are_trusted():
    cost = Sequential(Linear(3, 4), ReLU(), Linear(4, 2), LogSoftmax(), NLLLoss())
    assert fusions.plan(cost) is not None
    assert is_trusted(cost)
    assert is_trusted(Penalized(cost, L2Penalty(0.1)))


@pytest.mark.parametrize("one", ["product", "curvature"])
@pytest.mark.parametrize("rows", [20, 300])
@pytest.mark.parametrize("classes", [2, 3, 20])
def test_along_what_all_classes_share_there_is_no_curvature(one, rows, classes):
    """Exactly 0, wherever x lies and all classes are as likely, or one of them is certain."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(rows, 3)), rng.integers(0, classes, rows)
    v = np.concatenate([np.tile(rng.normal(size=3), classes), np.full(classes, 0.7)])
    for offset, scale in ((0.0, 1.0), (0.0, 0.0), (0.0, 100.0), (1e3, 1e-3), (1e6, 1e-6), (1e8, 1e-8)):
        cost = Sequential(Linear(3, classes, rng=0), LogSoftmax(), NLLLoss("mean"))
        cost[0].weight[...] *= scale
        near = x + offset
        at = curvature_at(cost, near, labels) if one == "curvature" else None
        found = hessian_vector_product(cost, v, near, labels) if at is None else at.product(v)
        np.testing.assert_array_equal(found, 0.0)
        small = np.zeros(4 * classes)
        small[-classes:] = np.arange(classes)
        large = small + np.repeat([0.0, 2.0**45], [3 * classes, classes])
        one_and_other = [
            hessian_vector_product(cost, each, near, labels) if at is None else at.product(each)
            for each in (small, large)
        ]
        np.testing.assert_allclose(*one_and_other, rtol=1e-12, atol=1e-14 * np.abs(one_and_other[0]).max())


def test_a_huge_change_of_an_unlikely_class_spoils_no_other():
    """Not the change of some one class is taken off all: beside that of a class of no weight, all others are 0."""
    cost = Sequential(Linear(1, 3, rng=0), LogSoftmax(), NLLLoss("sum"))
    cost[0].weight[...], cost[0].bias[...] = 0.0, [-200.0, 0.0, 0.0]
    for rows in (1, 200):
        x, labels = np.zeros((rows, 1)), np.ones(rows, int)
        found = hessian_vector_product(cost, np.array([0.0, 0.0, 0.0, 1e30, 1.0, 2.0]), x, labels)
        np.testing.assert_allclose(found[4:], [-rows / 4, rows / 4], rtol=1e-12)


@pytest.mark.parametrize("rows", [20, 200])
def test_sums_that_have_a_place_only_as_means_have_it(rows):
    cost = Sequential(Linear(5, 1, rng=0, bias=False), MSELoss())
    x, target = np.full((rows, 5), 2e153), np.zeros((rows, 1))
    expected = np.full(5, 2 * 5 * 4e306)  # 2/N sum_n x_n (x_n . 1)
    np.testing.assert_allclose(hessian_vector_product(cost, np.ones(5), x, target), expected, rtol=1e-12)


def test_where_nothing_is_finite_a_product_says_what_is_not(recwarn):
    cost = Sequential(Linear(3, 2, rng=0), LogSoftmax(), NLLLoss())
    v = np.ones(8)
    for bad in (np.nan, np.inf):
        x = X.copy()
        x[3, 2] = bad
        for ask in (lambda x=x: hessian_vector_product(cost, v, x, T), lambda x=x: curvature_at(cost, x, T).product(v)):
            with pytest.raises(FloatingPointError, match=rf"the cost is nan: .* got {bad} in x\[3, 2\]"):
                ask()
        with pytest.raises(FloatingPointError, match=rf"got {bad} in x\[3, 2\]"):
            curvature_at(Sequential(Linear(3, 2, rng=0), MSELoss()), x, np.ones((9, 2))).product(v)
    squares = Sequential(Linear(3, 1, rng=0, bias=False), MSELoss("sum"))
    squares[0].weight[...] = 0
    with pytest.raises(FloatingPointError, match="not finite, though the cost is: numbers of x, even of rows without"):
        hessian_vector_product(squares, np.ones(3), X * 1e160, np.zeros((9, 1)))
    counts = Sequential(Linear(3, 2, rng=0), PoissonNLLLoss("sum"))
    counts[0].bias[...] = 800.0
    turned = cost.astype(complex)
    turned[0].weight[0, 0] += 1j
    for ask in (hessian_vector_product, lambda cost, v, *data: curvature_at(cost, *data).product(v)):
        with pytest.raises(FloatingPointError, match=r"the cost is inf: .* a layer overflowed"):
            ask(counts, v, X, np.ones((9, 2)))
        with pytest.raises(ValueError, match=r"Linear\(3 -> 2\) expects z of shape \(batch, 3\), got \(9, 2\)"):
            ask(cost, v, X[:, :2], T)
        with pytest.raises(TypeError, match="expects real parameters, got complex ones in Sequential"):
            ask(turned, v, X, T)
        np.testing.assert_allclose(
            ask(cost.astype(complex), v + X[0, 0], X, T), ask(cost, v + X[0, 0], X, T), atol=1e-15
        )
    with pytest.raises(ValueError, match=r"got inf in vector\[0\]"):
        hessian_vector_product(cost, np.full(8, np.finfo(np.longdouble).max), X, T)
    assert not recwarn.list


def target_of(loss, rng, n, k):
    if isinstance(loss, BernoulliNLLLoss | NLLLoss):
        return rng.integers(0, k if type(loss) is not BernoulliNLLLoss else 2, n)
    return rng.poisson(2.0, (n, k)) if type(loss) is PoissonNLLLoss else rng.random((n, k))


BY_ROW = (NLLLoss, BernoulliNLLLoss)  # with one weight for each row


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        (kind, of)
        for kind in SCALES
        for of in ("none", "rows", "entries")
        if of != "entries" or not issubclass(kind, BY_ROW)
    ],
)
def test_the_scale_of_a_loss_is_that_of_its_derivative(kind, reduction, weights):
    rng, n = np.random.default_rng(0), 7
    k = 1 if kind is BernoulliNLLLoss else 3
    loss, mean = kind(reduction), LIKELIHOODS[(LogSoftmax, kind) if kind is NLLLoss else (kind,)]
    head = Sequential(*([LogSoftmax()] if kind is NLLLoss else []), loss)
    target = target_of(loss, rng, n, k)
    of_weights = {"none": (), "rows": (rng.random(n),), "entries": (rng.random((n, k)),)}[weights]
    found = scale_of(list(head), mean, (n, k), (target, *of_weights))
    expected, _ = scale_and_target(head, mean, (n, k), (target, *of_weights))
    np.testing.assert_allclose(np.broadcast_to(found, expected.shape), expected, rtol=1e-12)


def test_a_product_of_trusted_layers_takes_two_evaluations(monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(1)
        return value_and_gradients(*arguments)

    monkeypatch.setattr(curvature, "value_and_gradients", counted)
    hessian_vector_product(network(), np.ones(26), X, T)
    assert len(calls) == 2
    calls.clear()
    hessian_vector_product(network(type("Own", (Tanh,), {})), np.ones(26), X, T)
    assert len(calls) == 4
