"""The verdict comes before numbers, and is the same whatever the units, the order of rows, and the names."""

import itertools

import numpy as np
import pytest

from minigrad import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HomoscedasticGaussianNLLLoss,
    L2Penalty,
    Linear,
    LogSoftmax,
    NLLLoss,
    Penalized,
    PoissonNLLLoss,
    Sequential,
    mle,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
THREE = np.argmax(X @ RNG.normal(size=(2, 3)) + RNG.gumbel(size=(60, 3)), axis=1)
BINARY = (X[:, 0] + RNG.logistic(size=60) > 0).astype(int)


def sigmoid(x, y, **options):
    return mle.fit(Sequential(Linear(x.shape[1], 1), BCEWithLogitsLoss()), x, y, **options)


def softmax(x, y, classes=3, **options):
    labels = options.pop("labels", None)
    return mle.fit(Sequential(Linear(x.shape[1], classes), LogSoftmax(), NLLLoss()), x, y, classes=labels, **options)


def is_strict(x, y, direction):
    """The margins of a direction {name: value} of a sigmoid: none is negative, and some are positive."""
    d = np.array([direction.get(name, 0.0) for name in ("x1", "x2", "const")[: x.shape[1]]])
    margins = np.where(y == 1, 1, -1) * (x @ d + direction.get("const", 0.0))
    return bool((margins >= 0).all() and (margins > 0).any())


PROBLEMS = {
    "regular": (X, BINARY),
    "complete": (X, (X[:, 0] > 0.1).astype(int)),
    "quasi": (np.column_stack([X[:, 0], np.arange(60) < 7]), np.where(np.arange(60) < 7, 1, BINARY)),
    "one row holds it": (
        np.column_stack([X[:, 0], np.arange(60) < 7]),
        np.where(np.arange(60) < 7, np.arange(60) > 0, BINARY).astype(int),
    ),
    "next to no overlap": (
        np.append(np.arange(10.0), np.arange(9.0 - 1e-7, 18))[:, np.newaxis],
        np.repeat([0, 1], [10, 10]),
    ),
    "touching": (np.append(np.arange(10.0), np.arange(9.0, 19))[:, np.newaxis], np.repeat([0, 1], [10, 10])),
}
STATUS = {
    "regular": ("regular", None),
    "complete": ("separated", "complete"),
    "quasi": ("separated", "quasi"),
    "one row holds it": ("near_separated", None),
    "next to no overlap": ("near_separated", None),
    "touching": ("separated", "quasi"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_verdict_is_the_same_in_all_units_and_orders(name):
    x, y = PROBLEMS[name]
    order = np.random.default_rng(1).permutation(len(x))
    found = [
        sigmoid(x, y),
        sigmoid(x[order], y[order]),
        sigmoid(x * 1e150, y),
        sigmoid(x * 1e-150, y),
        sigmoid(x[:, ::-1], y),
        softmax(x, y, 2),
        softmax(x, 1 - y, 2),
        sigmoid(x, y, weights=np.full(len(x), 3.0), kind="analytic"),
    ]
    assert {(r.verdict.status, r.verdict.kind) for r in found} == {STATUS[name]}
    assert all(r.verdict.check() for r in found)
    if found[0].verdict.exists:
        z = [r.z[0] for r in (found[0], found[1], found[2], found[3], found[5])]
        assert np.allclose(z, z[0], rtol=1e-9)
        assert found[1].verdict.rows == sorted(np.argsort(order)[found[0].verdict.rows].tolist())


@pytest.mark.parametrize("name", PROBLEMS)
def test_copies_of_the_rows_change_nothing_but_that_one_observation_holds_it(name):
    x, y = PROBLEMS[name]
    expected = "regular" if name == "one row holds it" else STATUS[name][0]
    assert sigmoid(np.repeat(x, 2, axis=0), np.repeat(y, 2)).verdict.status == expected
    assert sigmoid(x, y, weights=np.full(len(x), 2)).verdict.status == expected


@pytest.mark.parametrize("name", ["complete", "quasi", "touching"])
def test_a_direction_separates_and_the_rows_named_are_strict(name):
    x, y = PROBLEMS[name]
    verdict = sigmoid(x, y).verdict
    assert is_strict(x, y, verdict.direction)
    d = np.array([verdict.direction.get(f"x{j + 1}", 0.0) for j in range(x.shape[1])])
    margins = x @ d + verdict.direction.get("const", 0.0)
    assert verdict.rows == np.flatnonzero(margins).tolist()
    assert (len(verdict.rows) == len(x)) == (verdict.kind == "complete")


def test_certificates_do_not_hold_for_other_data():
    x, y = PROBLEMS["complete"]
    verdict = sigmoid(x, y).verdict
    question, existence = verdict.certificate.answers[0]
    assert verdict.check()
    question.target = np.where(np.arange(60) == 3, 1 - y, y)
    assert not question.check(existence)
    regular = sigmoid(X, BINARY).verdict
    question, existence = regular.certificate.answers[0]
    question.target = PROBLEMS["complete"][1]
    assert not question.check(existence)


@pytest.mark.parametrize(
    "number",
    ["params", "se", "z", "p", "loglik", "aic", "bic", "cost", "bse", "pvalues", "scores", "information"],
)
def test_of_separated_classes_there_are_no_numbers(number):
    result = sigmoid(*PROBLEMS["complete"])
    with pytest.raises(mle.EstimateError, match=r"there (are|is) no .*separation") as caught:
        getattr(result, number)
    assert caught.value.verdict is result.verdict


def test_nor_what_rests_on_them():
    result = sigmoid(*PROBLEMS["quasi"])
    for ask in (
        result.cov,
        result.ci,
        lambda: result.ci(kind="profile"),
        result.predict,
        result.marginal_effects,
        result.influence,
        result.calibration,
        lambda: result.wald_test("x1 = 0"),
        lambda: result.lr_test("x1 = 0"),
        result.pseudo_r2,
    ):
        with pytest.raises(mle.EstimateError):
            ask()
    text = result.summary()
    assert "std err" not in text
    assert "separat" in text


def test_class_pairs_that_are_told_apart_are_named():
    x = np.concatenate([RNG.normal(size=(40, 2)), RNG.normal(size=(20, 2)) + np.array([20, 0])])
    y = np.append(RNG.integers(0, 2, 40), np.full(20, 2))
    verdict = softmax(x, y, labels=["red", "green", "blue"]).verdict
    assert (verdict.status, verdict.kind) == ("separated", "quasi")
    assert sorted(map(sorted, verdict.class_pairs)) == [["blue", "green"], ["blue", "red"]]
    assert "red from blue" in verdict.message
    assert all(name.split(":")[0] in ("green", "blue") for name in verdict.direction)


def test_poisson_counts_that_are_0_wherever_a_column_is():
    group = np.arange(30) < 10
    counts = np.where(group, 0, np.random.default_rng(0).poisson(3.0, 30)).astype(float)
    result = mle.fit(Sequential(Linear(1, 1), PoissonNLLLoss()), group[:, np.newaxis] * 1.0, counts, names=["empty"])
    assert (result.verdict.status, result.verdict.kind) == ("separated", "quasi")
    assert result.verdict.direction == {"empty": -1.0}
    assert result.verdict.rows == list(range(10))
    assert result.verdict.check()


def test_columns_that_depend_on_each_other_are_named_and_the_rest_is_estimated():
    year = np.arange(60.0) % 25 + 2000
    x = np.column_stack([X[:, 0], year, 2026 - year])
    result = sigmoid(x, BINARY, names=["dose", "year", "years_ago"])
    assert result.verdict.status == "not_identified"
    (vector,) = result.verdict.null_vectors
    assert np.isclose(vector["year"], vector["years_ago"])
    assert np.isclose(vector["const"], -2026 * vector["year"])
    assert result.verdict.estimable == {"dose": True, "year": False, "years_ago": False, "const": False}
    alone = sigmoid(x[:, :2], BINARY, names=["dose", "year"])
    assert np.allclose(result.params[0], alone.params[0], rtol=1e-10)
    assert np.allclose(result.se[0], alone.se[0], rtol=1e-10)
    assert np.isnan(result.params[1:]).all()
    assert np.isnan(result.se[1:]).all()
    assert np.isclose(result.loglik, alone.loglik, rtol=1e-12)
    assert result.k == alone.k
    assert np.allclose(result.predict(), alone.predict(), rtol=1e-9)


def test_the_least_norm_is_the_least_and_its_errors_are_those_of_the_pseudo_inverse():
    x = np.column_stack([X, X[:, 0] + X[:, 1]])
    result = softmax(x, THREE, identification="minimum_norm")
    theta = result.params.reshape(3, 4)
    null = np.array([1.0, 1.0, -1.0, 0.0])
    assert np.allclose(theta @ null, 0, atol=1e-10)
    assert np.allclose(theta.sum(axis=0), 0, atol=1e-10)
    p = result.predict()
    design = np.column_stack([x, np.ones(60)])
    blocks = np.einsum("nj,jk->njk", p, np.eye(3)) - np.einsum("nj,nk->njk", p, p)
    hessian = np.einsum("njk,nd,ne->jdke", blocks, design, design).reshape(12, 12)
    inverse = np.linalg.pinv(hessian, rcond=1e-12)
    assert np.allclose(result.cov(), inverse, atol=1e-9 * np.abs(inverse).max())
    assert np.allclose(result.se, np.sqrt(np.diagonal(inverse)), rtol=1e-8)


def test_standard_errors_map_exactly_between_the_identifications():
    beside = {r: softmax(X, THREE, labels=["a", "b", "c"], reference=r) for r in "abc"}
    centred = softmax(X, THREE, labels=["a", "b", "c"], identification="sum_to_zero")
    theta, cov = centred.params.reshape(3, 3), centred.cov().reshape(3, 3, 3, 3)
    for (i, reference), (j, other) in itertools.permutations(enumerate("abc"), 2):
        result = beside[reference]
        places = [result.at(f"{other}:{column}") for column in ("x1", "x2", "const")]
        assert np.allclose(result.params[places], theta[j] - theta[i], rtol=1e-12)
        of_difference = cov[j, :, j] + cov[i, :, i] - cov[i, :, j] - cov[j, :, i]
        assert np.allclose(result.se[places], np.sqrt(np.diagonal(of_difference)), rtol=1e-12)
    assert np.allclose(theta.sum(axis=0), 0, atol=1e-12)
    assert len({round(r.loglik, 12) for r in (*beside.values(), centred)}) == 1
    assert {r.k for r in (*beside.values(), centred)} == {6}


def test_reference_is_a_class():
    with pytest.raises(ValueError, match="reference to be one of the classes a, b, c, got 'd'"):
        softmax(X, THREE, labels=["a", "b", "c"], reference="d")
    with pytest.raises(ValueError, match="no reference with identification 'sum_to_zero'"):
        softmax(X, THREE, reference=1, identification="sum_to_zero")


def test_a_perfect_fit_is_a_boundary():
    cost = Sequential(Linear(2, 1), HomoscedasticGaussianNLLLoss(1, full=True))
    result = mle.fit(cost, X, X @ [1.0, 2.0])
    assert result.verdict.status == "boundary"
    with pytest.raises(mle.EstimateError, match="perfect"):
        result.params  # noqa: B018


def test_penalised_estimates_exist_for_separated_classes_and_say_what_they_are():
    x, y = PROBLEMS["complete"]
    result = sigmoid(x, y, penalty=1.0)
    assert result.verdict.status == "regular"
    assert "MAP" in result.summary()
    own = Penalized(Sequential(Linear(2, 1), BCEWithLogitsLoss("sum")), L2Penalty(1.0, "*weight"))
    assert np.allclose(mle.fit(own, x, y).params, result.params, rtol=1e-12)
    biased = Penalized(Sequential(Linear(2, 1), BCEWithLogitsLoss("sum")), L2Penalty(1.0, "*bias"))
    unsaved = mle.fit(biased, x, y).verdict
    assert unsaved.status == ("separated" if (x[y == 1, 0].min() > 0) & (x[y == 0, 0].max() < 0) else unsaved.status)
    firth = sigmoid(x, y, penalty="firth")
    assert firth.verdict.status == "regular"
    assert np.isfinite(firth.se).all()


def test_an_l2_penalty_of_the_bias_alone_does_not_hide_a_separation():
    x = np.linspace(-1, 1, 20)[:, np.newaxis]
    y = (x[:, 0] > 0).astype(int)
    cost = Penalized(Sequential(Linear(1, 1), BCEWithLogitsLoss("sum")), L2Penalty(1.0, "*bias"))
    result = mle.fit(cost, x, y)
    assert result.verdict.status == "separated"
    assert result.verdict.direction == {"x1": 1.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identification": "none"}, r"identification in \('reference', 'sum_to_zero', 'minimum_norm'\), got 'none'"),
        ({"cov": "HC9"}, r"cov in \('observed', .*got 'HC9'"),
        ({"penalty": "l2"}, "penalty to be a number or 'firth', got 'l2'"),
        ({"penalty": -1.0}, "penalty to be a finite number above 0, got -1.0"),
        ({"cov": "cluster"}, "groups"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        sigmoid(X, BINARY, **options).se  # noqa: B018


def test_the_cost_is_not_changed_and_its_copy_holds_the_estimate():
    cost = Sequential(Linear(2, 3, rng=0), CrossEntropyLoss())
    before = {name: array.copy() for name, array in cost.parameters().items()}
    result = mle.fit(cost, X, THREE)
    assert all(np.array_equal(array, before[name]) for name, array in cost.parameters().items())
    value = result.cost(X, THREE)
    assert np.isclose(-60 * value, result.loglik, rtol=1e-13)
    with pytest.raises(KeyError, match="no parameter 'x9': there are 1:x1, "):
        result.at("x9")


def test_a_verdict_is_data():
    verdict = sigmoid(*PROBLEMS["quasi"]).verdict
    plain = verdict.to_dict()
    assert plain["status"] == "separated"
    assert plain["direction"] == verdict.direction
    assert str(verdict).startswith("separated: quasi-complete separation")
