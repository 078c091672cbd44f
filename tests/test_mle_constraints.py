"""Constraints: what "x1 = x2" says, and what cannot be tested."""

import numpy as np
import pytest

from minigrad import BCEWithLogitsLoss, Linear, LogSoftmax, NLLLoss, Sequential, mle
from minigrad.mle.inference.constraints import described, parse

NAMES = ["x1", "x2", "x10", "2:malic acid", "C(a)[T.b]", "0.weight[1, age]", "a-b", "a", "b", "const", "x 2 y"]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("x1 = x2", "x1 - x2 = 0"),
        ("x1=0", "x1 = 0"),
        ("x10 == 2", "x10 = 2"),
        ("2*x1 + x2 = 3", "2 x1 + x2 = 3"),
        ("x1*2 - x2/4 = -.5e1", "2 x1 - 0.25 x2 = -5"),
        ("x1 = x2 = 0", "x1 - x2 = 0, x2 = 0"),
        ("x1 = x2, x10 = -1e-3", "x1 - x2 = 0, x10 = -0.001"),
        (["x1 = x2", "x10 = 1"], "x1 - x2 = 0, x10 = 1"),
        ("2:malic acid = x1", "-x1 + 2:malic acid = 0"),
        ("2 * 2:malic acid = 1", "2 2:malic acid = 1"),
        ("C(a)[T.b] = 0, 0.weight[1, age] = 2", "C(a)[T.b] = 0, 0.weight[1, age] = 2"),
        ("`a-b` = 1", "a-b = 1"),
        ("a - b = 1", "a - b = 1"),
        ("x 2 y = x2", "-x2 + x 2 y = 0"),
        ("-(x1 - 2*(x2 + 1))*3 = x10", "-3 x1 + 6 x2 - x10 = -6"),
        ("3 = +x1", "-x1 = -3"),
        ("(4 - 2) * x1 = (1 + 1) / 2", "2 x1 = 1"),
        (np.eye(11)[1], "x2 = 0"),
        ((np.eye(11)[:2], [1, 2]), "x1 = 1, x2 = 2"),
        ((np.eye(11)[0], 4), "x1 = 4"),
    ],
)
def test_constraints_are_read(text, meaning):
    matrix, value = parse(text, NAMES)
    assert matrix.shape == (len(value), len(NAMES))
    assert described(matrix, value, NAMES) == meaning


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x3 = 0", r"there is no parameter 'x3', in constraint 'x3 = 0': there are x1, x2"),
        ("malic acid = 0", r"no parameter 'malic acid'.*did you mean 2:malic acid\?"),
        ("`q` = 1", "no parameter 'q'"),
        ("2x1 = 3", r"no parameter '2x1'.*did you mean x1"),
        ("x1y = 0", "no parameter 'x1y'"),
        ("x100 = 0", "no parameter 'x100'"),
        ("x1 < 2", "no parameter '< 2'"),
        ("a-b = 1", "'a-b' in constraint 'a-b = 1' is a name, and a sum of names: write `a-b` if it is the name"),
        ("x1", "no '=' in constraint 'x1': expected such as 'x1 = x2'"),
        ("x1*x2 = 0", "'x1\\*x2 = 0' is not linear in the parameters"),
        ("1/x1 = 2", "not linear"),
        ("x1/0 = 2", "not linear"),
        ("x1 = ", "cannot be read, an end too early"),
        ("x1 x2 = 0", "cannot be read, at 'x2'"),
        ("(x1 = 2", "cannot be read"),
        ("x1 = 1e999", "cannot be read, at '1e999'"),
        ("x1 = x1", "no parameter is left"),
        ("`x1 = 2", "a backtick without its pair"),
        ("", "no '='|cannot be read"),
        (np.eye(3), r"R of shape \(q, 11\).*got \(3, 3\)"),
        ((np.eye(11), [1, 2]), r"r of shape \(q,\), got \(11, 11\) and \(2,\)"),
        (np.full((1, 11), np.nan), r"finite numbers, got nan in R\[0, 0\]"),
    ],
)
def test_what_cannot_be_read_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text, NAMES)


def test_a_number_that_is_a_name_is_asked_about():
    with pytest.raises(ValueError, match="is a number and a name: write `1990`"):
        parse("1990 = 0", ["1990", "x"])
    assert parse("`1990` = 0", ["1990", "x"])[0].tolist() == [[1, 0]]


@pytest.mark.parametrize("given", [None, [[1, 2], [3]], object()])
def test_what_is_no_constraint_at_all(given):
    with pytest.raises(TypeError, match="constraints are text such as 'x1 = x2', or R of shape"):
        parse(given, NAMES)


def fitted(x, y, **options):
    return mle.fit(Sequential(Linear(x.shape[1], 1), BCEWithLogitsLoss()), x, y, **options)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(60, 3))
    return x, (x[:, 0] + rng.logistic(size=60) > 0).astype(float)


@pytest.mark.parametrize("test", ["wald_test", "lr_test", "score_test"])
@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ("x1 = x2, x2 = x3, x1 = x3", "x1 - x3 = 0 follows from x1 - x2 = 0, x2 - x3 = 0: leave it out"),
        ("x1 = x2, x2 = x3, x1 = x3 + 1", "x1 - x3 = 1 contradicts x1 - x2 = 0, x2 - x3 = 0"),
        ("x1 = 1, 2*x1 = 2", "2 x1 = 2 follows from x1 = 1"),
    ],
)
def test_redundant_and_contradictory_constraints_are_refused(data, test, constraints, message):
    with pytest.raises(ValueError, match=message):
        getattr(fitted(*data), test)(constraints)


def test_constraints_that_only_nearly_depend_are_kept(data):
    x, y = data
    result = fitted(x + np.array([1e7, 0, 0]), y)
    assert result.wald_test("x1 = 0, const = 0").df == 2


def test_what_is_not_estimable_is_not_tested(data):
    x, y = data
    result = fitted(np.column_stack([x[:, :2], x[:, 0] - 2 * x[:, 1]]), y, names=["a", "b", "c"])
    with pytest.raises(ValueError, match="a = 0 is not estimable, so that it cannot be tested"):
        result.wald_test("a = 0")
    # a x_a + b x_b + c (x_a - 2 x_b): a + c and b - 2 c are.
    small = fitted(x[:, :2], y, names=["a", "b"])
    for test in ("wald_test", "lr_test", "score_test"):
        found = getattr(result, test)("a + c = 0, b = 2*c")
        assert found.statistic == pytest.approx(getattr(small, test)("a = b = 0").statistic, rel=1e-9)
        assert found.df == 2


def test_the_identification_is_no_hypothesis():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(90, 1)), rng.integers(0, 3, 90)
    cost = Sequential(Linear(1, 3), LogSoftmax(), NLLLoss())
    result = mle.fit(cost, x, y, names=["x"], identification="sum_to_zero")
    with pytest.raises(ValueError, match="follows from the identification, 'sum_to_zero'"):
        result.wald_test("0:x + 1:x + 2:x = 0")
    with pytest.raises(ValueError, match="contradicts the identification"):
        result.wald_test("0:x + 1:x + 2:x = 1")
    reference = mle.fit(cost, x, y, names=["x"])
    for test in ("wald_test", "lr_test", "score_test"):
        one, other = getattr(result, test)("0:x = 1:x, 1:x = 2:x"), getattr(reference, test)("1:x = 2:x = 0")
        assert one.statistic == pytest.approx(other.statistic, rel=1e-10)
