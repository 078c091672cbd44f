"""The verdict comes before numbers, and is the same whatever the units, the order of rows, and the names."""

import dataclasses
import itertools
import json
import re
from fractions import Fraction

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
LINE = np.linspace(1, 2, 12)
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
    with pytest.raises(mle.EstimateError, match=r"^no .*separation") as caught:
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


def test_the_names_of_statsmodels_are_there_too():
    r = sigmoid(X, BINARY)
    assert r.bse is r.se
    assert (r.llf, r.llnull, r.prsquared) == (r.loglik, r.loglik_null, r.pseudo_r2())
    assert np.array_equal(r.pvalues, r.p)
    assert np.array_equal(r.tvalues, r.z)
    assert (r.nobs, r.df_resid, r.df_model) == (60, 57, 2)
    assert r.llr == pytest.approx(2 * (r.loglik - r.loglik_null), rel=1e-12)
    assert r.llr_pvalue == pytest.approx(np.exp(-r.llr / 2), rel=1e-10)  # the tail of chi-squared(2)
    assert np.array_equal(r.fittedvalues, r.predict())
    assert np.array_equal(r.conf_int(0.1), r.ci(0.9))
    assert np.array_equal(r.cov_params(), r.cov())
    assert str(r.get_margeff()) == str(r.marginal_effects())
    with pytest.raises(ValueError, match="alpha between 0 and 1, got 95"):
        r.conf_int(95)


def test_rows_that_hold_an_estimate_far_out_are_found():
    """Two rows alone tell of a column, and agree: without either the column separates the other."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=30)
    y = np.append(rng.random(30) < 1 / (1 + np.exp(-0.3 * x)), [1, 1]).astype(int)
    x = np.r_[np.c_[x, np.zeros(30)], [[20.0, 1.0], [0.0, -1.0]]]
    verdict = sigmoid(x, y).verdict
    assert verdict.status == "near_separated"
    assert verdict.rows[0] in (30, 31)
    counts = np.r_[np.random.default_rng(1).poisson(2.0, 20), 0, 0, 0, 4]
    group = np.r_[np.zeros(20), np.ones(4)][:, np.newaxis]
    of_counts = mle.fit(Sequential(Linear(1, 1), PoissonNLLLoss()), group, counts)
    assert (of_counts.verdict.status, of_counts.verdict.rows) == ("near_separated", [23])


def test_no_row_that_holds_the_estimate_is_missed_in_small_sets():
    """By leaving out each row in turn."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(30):
        n = int(rng.integers(8, 14))
        x = np.column_stack([rng.normal(size=n), rng.integers(0, 2, n)])
        y = rng.integers(0, 2, n)
        x[:2, 1], y[:2] = [0, 1], [0, 1]
        whole = sigmoid(x, y, penalty="firth").likelihood  # for its rows alone: it exists always
        result = sigmoid(x, y)
        if result.verdict.status not in ("regular", "near_separated"):
            continue
        without = [
            mle.regressions.separation.Question(whole, 0).answer(result.u, (np.arange(n) != i) * 1.0).kind
            for i in range(n)
        ]
        alone = any(kind in ("complete", "quasi") for kind in without)
        held += alone
        assert result.verdict.status == ("near_separated" if alone else "regular")
    assert held > 4


# What a stranger needs to check a certificate: fractions, and the data.


def rank(rows):
    rows, done = [list(row) for row in rows], 0
    for c in range(len(rows[0]) if rows else 0):
        k = next((i for i in range(done, len(rows)) if rows[i][c]), None)
        if k is None:
            continue
        rows[done], rows[k] = rows[k], rows[done]
        for i in range(done + 1, len(rows)):
            by = rows[i][c] / rows[done][c]
            rows[i] = [u - by * v for u, v in zip(rows[i], rows[done], strict=True)]
        done += 1
    return done


def proves(claim, x, names, seen):
    """The claim holds for rows x, of columns `names`, that were `seen` in classes: {(row, class)}."""
    classes, at = claim["classes"], [[*names, "const"].index(name) for name in claim["columns"]]

    def says(n, t, k):
        z = [*map(Fraction, x[n].tolist()), Fraction(1)]
        return [((c == t) - (c == k)) * z[j] for c in range(1, len(classes)) for j in at]

    of = claim.get("multipliers", {"row": [], "label": [], "against": [], "value": []})
    terms = list(zip(of["row"], of["label"], of["against"], map(Fraction, of["value"]), strict=True))
    rows, size = [says(n, t, k) for n, t, k, _ in terms], len(at) * (len(classes) - 1)
    if not all(v > 0 and (n, t) in seen and t != k for n, t, k, v in terms):
        return False
    if any(sum(v * row[c] for (*_, v), row in zip(terms, rows, strict=True)) for c in range(size)):
        return False
    if claim["kind"] == "exists":
        return rank([rows[i] for i in claim["independent"]]) == size
    softmax = claim["likelihood"] == "softmax"
    given = [f"{name}:{c}" if softmax else c for name in classes[1:] for c in claim["columns"]]
    d = [Fraction(claim["direction"].get(name, 0)) for name in given]
    still = []
    for n, t, k in ((n, t, k) for n, t in seen for k in range(len(classes)) if k != t):
        margin = sum(a * b for a, b in zip(says(n, t, k), d, strict=True))
        if claim["kind"] == "complete" or n in claim["strict"][str(k)]:
            if margin <= 0:
                return False
        elif margin:
            return False
        else:
            still.append(says(n, t, k))
    return rank(rows + still) == rank(rows)


def asked(seed):
    """(result, x, seen) of small data, of all kinds."""
    rng = np.random.default_rng(seed)
    classes, rows, width = int(rng.integers(2, 4)), int(rng.integers(6, 14)), int(rng.integers(1, 4))
    x = rng.integers(-3, 4, size=(rows, width)) / (1.0, 10.0)[seed % 2]
    x[:2] = [[-1], [2]]
    x = np.column_stack([x, 3 - x[:, 0]]) if seed % 7 == 0 else x
    if seed % 3 == 0:
        counts = np.clip(np.round(x @ rng.integers(-2, 3, x.shape[1]) + rng.integers(-2, 3, rows)), 0, None)
        counts[0] = 1
        result = mle.fit(Sequential(Linear(x.shape[1], 1), PoissonNLLLoss()), x, counts)
        return result, x, {(n, 0) for n in range(rows)} | {(n, 1) for n in np.flatnonzero(counts).tolist()}
    if seed % 3 == 1:
        classes = 2
    y = (x @ rng.integers(-2, 3, (x.shape[1], classes)) + rng.integers(0, 4, (rows, classes))).argmax(axis=1)
    y[:classes] = range(classes)
    result = sigmoid(x, y) if seed % 3 == 1 else softmax(x, y, classes)
    return result, x, set(enumerate(y.tolist()))


def test_a_stranger_can_check_certificates():
    kinds = set()
    for seed in range(42):
        result, x, seen = asked(seed)
        assert result.verdict.check()
        plain = json.loads(json.dumps(result.verdict.to_dict()))
        (claim,) = plain["certificate"]["claims"]
        names = result.data.names
        assert proves(claim, x, names, seen), seed
        assert claim == json.loads(json.dumps(result.to_dict()))["verdict"]["certificate"]["claims"][0]
        kinds.add((plain["status"], claim["kind"]))
        if claim["kind"] == "exists":
            few = {name: part[1:] for name, part in claim["multipliers"].items()}
            assert not proves({**claim, "multipliers": few, "independent": []}, x, names, seen)
            assert not proves({**claim, "independent": claim["independent"][1:]}, x, names, seen)
        else:
            assert {name: float(Fraction(v)) for name, v in claim["direction"].items()} == plain["direction"]
            back = {name: f"-{v}".replace("--", "") for name, v in claim["direction"].items()}
            assert not proves({**claim, "direction": back}, x, names, seen)
            n, t = next((n, t) for n, t in sorted(seen) if n in plain["rows"])
            other = (seen - {(n, t)}) | {(n, 1 - t if t < 2 else 0)}
            assert claim["likelihood"] == "poisson" or not proves(claim, x, names, other)
    assert kinds >= {("separated", "complete"), ("separated", "quasi"), ("regular", "exists")}
    assert kinds >= {("not_identified", "exists"), ("near_separated", "exists")}


def test_a_verdict_that_says_something_else_than_its_certificate_is_refused():
    for name, (x, y) in PROBLEMS.items():
        for verdict in (sigmoid(x, y).verdict, softmax(x, y, 2).verdict):
            assert verdict.check()
            back = {column: -value for column, value in verdict.direction.items()}
            for changed in (
                {"direction": back or {"x1": 1.0}},
                {"direction": {**verdict.direction, "x9": 1.0}},
                {"rows": [len(x)]},
                {"kind": "quasi" if verdict.kind == "complete" else "complete"},
                {"kind": None if verdict.kind else "quasi"},
                {"status": "regular" if STATUS[name][0] != "regular" else "separated"},
                {"status": "boundary"},
                {"class_pairs": [("0", "2")]},
                {"null_vectors": [{"x1": 1.0}]},
                {"estimable": {"x1": False}},
            ):
                assert not dataclasses.replace(verdict, **changed).check(), changed
            if verdict.status == "separated":
                assert not dataclasses.replace(verdict, rows=verdict.rows[1:]).check()
    x = np.column_stack([X, X[:, 0] - X[:, 1]])
    verdict = sigmoid(x, BINARY).verdict
    assert (verdict.status, verdict.check()) == ("not_identified", True)
    for changed in (
        {"status": "regular"},
        {"null_vectors": []},
        {"null_vectors": [{"x1": 1.0}]},
        {"estimable": dict.fromkeys(verdict.estimable, True)},
    ):
        assert not dataclasses.replace(verdict, **changed).check()


def test_the_direction_in_words_is_the_one_that_was_proven():
    x = np.array([[0.0, 2005], [1, 2004], [3, 2008], [2, 2001], [-1, 2003], [-2, 2010]])
    y = np.array([1, 0, 1, 0, 0, 1])
    verdict = sigmoid(x, y, names=["dose", "year"]).verdict
    assert "along year - 2004.3, by all rows. What to do" in verdict.message
    assert verdict.direction == {"year": 10.0, "const": -20043.0}
    whole = np.array([[-1.0, -2, -1], [0, 1, 1], [2, 1, 2], [1, 0, -1], [-2, -2, -2], [1, 2, 1], [0, 0, -2], [3, 1, 1]])
    verdict = sigmoid(whole, (whole @ [-1, -2, 5] > 0).astype(int)).verdict
    told = verdict.message.split("for ever along ")[1].split(", by ")[0]
    columns = {f"x{j + 1}": whole[:, j] for j in range(3)}
    printed = eval(re.sub(r"(\d) x", r"\1 * x", told), {}, columns)  # as a reader would
    assert verdict.rows == np.flatnonzero(printed).tolist()
    assert ((printed > 0) == (whole @ [-1, -2, 5] > 0)).all()
    tiny = np.append(LINE, LINE[:1] + 1e-13)[:, np.newaxis]
    verdict = sigmoid(tiny, (tiny[:, 0] > LINE[0]).astype(int)).verdict
    assert "The least margin of a row is only" in verdict.message
    assert "exact are the fractions of verdict.to_dict()['certificate']" in verdict.message
    assert is_strict(tiny, (tiny[:, 0] > LINE[0]).astype(int), verdict.direction)


def test_what_is_not_proven_of_many_parameters_is_said():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3600, 70))
    x[:, 0] = np.arange(3600) == 17
    verdict = softmax(x, rng.integers(0, 4, 3600), 4).verdict
    assert (verdict.status, verdict.kind, verdict.check()) == ("separated", "quasi", True)
    assert "That there is no maximum is proven; that no other rows can be strict is not: 213 para" in verdict.message
    claim = verdict.to_dict()["certificate"]["claims"][0]
    assert "213 parameters are too many" in claim["not_proven"]
    assert "multipliers" not in claim


def test_certificates_of_many_rows_are_small():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 5))
    y = (x[:, 0] + rng.logistic(size=20_000) > 0).astype(int)
    plain = sigmoid(x, y).verdict.to_dict()
    (claim,) = plain["certificate"]["claims"]
    assert len(claim["multipliers"]["row"]) <= 100
    assert len(json.dumps(plain)) < 20_000
    assert proves(claim, x, ["x1", "x2", "x3", "x4", "x5"], set(enumerate(y.tolist())))
