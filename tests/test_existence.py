"""Existence: every answer against exact enumeration, and what must not change it."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.existence import Columns, Existence, Multipliers, Table, existence, null_space
from minigrad.existence.claim import least_margin
from minigrad.existence.exact import echelon, null_basis, solve, whole
from minigrad.existence.faces import partition

RNG = np.random.default_rng(0)
LINE = np.linspace(-2, 2, 40)[:, np.newaxis]
RIGHT = (LINE[:, 0] > 0).astype(int)


# The oracle: extreme rays of the cone, by enumeration in fractions.


def reduced(rows):
    """Row echelon form with pivots of 1, and their columns."""
    rows, pivots = [[Fraction(v) for v in row] for row in rows], []
    for c in range(len(rows[0]) if rows else 0):
        r = len(pivots)
        k = next((i for i in range(r, len(rows)) if rows[i][c]), None)
        if k is None:
            continue
        rows[r], rows[k] = rows[k], rows[r]
        rows[r] = [v / rows[r][c] for v in rows[r]]
        for i, row in enumerate(rows):
            if i != r and row[c]:
                rows[i] = [a - row[c] * b for a, b in zip(row, rows[r], strict=True)]
        pivots.append(c)
    return rows[: len(pivots)], pivots


def seen(target, likelihood, weights=None):
    """(row, class) of each observation."""
    pairs = []
    for n, t in enumerate(np.asarray(target).tolist()):
        if weights is not None and weights[n] == 0:
            continue
        if likelihood == "softmax":
            pairs.append((n, t))
        elif likelihood == "sigmoid":
            pairs += [(n, 0)] * (t < 1) + [(n, 1)] * (t > 0)
        else:
            pairs += [(n, 0)] + [(n, 1)] * (t > 0)
    return pairs


def strict_pairs(x, pairs, classes, bias=True, free=None):
    """(kind, the (row, class) that some direction makes strict)."""
    z = np.column_stack([x, np.ones(len(x))]) if bias else x
    z = z if free is None else z[:, np.asarray(free)]
    names = [(n, t, k) for n, t in pairs for k in range(classes) if k != t]
    rows = []
    for n, t, k in names:
        row = np.zeros((classes, z.shape[1]), dtype=object)
        row[t] += [Fraction(float(v)) for v in z[n]]
        row[k] -= [Fraction(float(v)) for v in z[n]]
        rows.append(row.ravel().tolist())
    _, pivots = reduced(rows)
    rows = [[row[c] for c in pivots] for row in rows]  # the cone has a vertex in these columns
    strict = set()
    if pivots:
        for some in combinations(sorted({tuple(row) for row in rows if any(row)}), len(pivots) - 1):
            form, at = reduced(some)
            if len(at) < len(pivots) - 1:
                continue
            (left,) = set(range(len(pivots))) - set(at)
            ray = [Fraction(0)] * len(pivots)
            ray[left] = Fraction(1)
            for row, c in zip(form, at, strict=True):
                ray[c] = -row[left]
            margins = [sum(a * b for a, b in zip(row, ray, strict=True)) for row in rows]
            for sign in (1, -1):
                if all(sign * m >= 0 for m in margins):
                    strict |= {name for name, m in zip(names, margins, strict=True) if m}
    kind = "exists" if not strict else "complete" if len(strict) == len(names) else "quasi"
    return kind, {(n, k) for n, _, k in strict}


def agrees(x, target, *, likelihood="softmax", classes=2, weights=None, **options):
    kind, pairs = strict_pairs(x, seen(target, likelihood, weights), classes, **options)
    options |= {"weights": weights} | ({"classes": classes} if likelihood == "softmax" else {})
    found = existence(x, target, likelihood=likelihood, **options)
    assert found.kind == kind
    assert {(int(n), int(k)) for n, k in zip(*found.strict_pairs.nonzero(), strict=True)} == pairs
    np.testing.assert_array_equal(found.strict, found.strict_pairs.any(axis=1))
    assert found.check(x, target, **options)
    return found


@settings(max_examples=150)
@given(st.integers(0, 10**9))
def test_it_agrees_with_exact_enumeration(seed):
    rng = np.random.default_rng(seed)
    likelihood = ("softmax", "sigmoid", "poisson")[seed % 3]
    classes = int(rng.integers(2, 4)) if likelihood == "softmax" else 2
    rows, features = int(rng.integers(1, 8 if classes == 2 else 6)), int(rng.integers(1, 4 if classes == 2 else 3))
    x = rng.integers(-2, 3, size=(rows, features)).astype(float)
    if rng.random() < 0.5:
        x = (x > 0) * rng.choice([1.0, 0.1])
    bias = bool(rng.random() < 0.7)
    weights = (rng.random(rows) < 0.8) * 0.5 if rng.random() < 0.3 else None
    free = rng.random(features + bias) < 0.7 if rng.random() < 0.3 else None
    if likelihood == "softmax":
        target = rng.integers(0, classes, rows)
    elif likelihood == "sigmoid":
        target = rng.choice([0.0, 1.0, 0.3], p=[0.45, 0.45, 0.1], size=rows)
    else:
        target = rng.poisson(0.4, rows).astype(float)
    agrees(x, target, likelihood=likelihood, classes=classes, weights=weights, bias=bias, free=free)


def test_numbers_at_the_end_of_the_range():
    tiny = np.array([[1.0], [np.nextafter(-2, -3)], [5e-324], [2.0]])
    agrees(tiny, np.array([0, 1, 0, 0]), likelihood="poisson", bias=False)
    both = np.array([[5e-324, 2.0], [-1, -2], [-1, -5e-324], [-2, 0], [1, 0], [-5e-324, 5e-324], [1, -1]])
    agrees(both, np.array([1.0, 1, 0, 0, 0, 1, 1]), likelihood="sigmoid", bias=False)
    agrees(1e150 * both, np.array([1, 1, 0, 0, 0, 1, 1]))


@settings(max_examples=200)
@given(st.integers(0, 10**9))
def test_the_partition_of_rows_proves_itself(seed):
    rng = np.random.default_rng(seed)
    width = int(rng.integers(1, 5))
    rows = rng.integers(-2, 3, size=(int(rng.integers(1, 12)), width))
    rows[rng.random(rows.shape) < 0.3] = 0
    rows = rows.tolist()
    guess = rng.random(len(rows)) * (rng.random(len(rows)) < 0.5)
    direction, multipliers, _ = partition(rows, guess)
    assert all(value > 0 for value in multipliers.values())
    assert all(sum(v * rows[i][c] for i, v in multipliers.items()) == 0 for c in range(width))
    margins = [0] * len(rows) if direction is None else [np.dot(row, direction) for row in rows]
    assert min(margins) >= 0
    assert direction is None or any(margins)
    fixed = null_basis([rows[i] for i in multipliers], width)
    for row, margin in zip(rows, margins, strict=True):
        assert margin > 0 or not any(np.dot(row, v) for v in fixed)


@pytest.mark.parametrize("seed", range(40))
def test_it_agrees_with_linear_programming(seed):
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(seed)
    classes, features = int(rng.integers(2, 5)), int(rng.integers(1, 6))
    x = rng.normal(size=(int(rng.integers(5, 90)), features))
    x = (x, np.round(x), (x > 1) * 1.0)[seed % 3]
    noise = rng.choice([0.0, 0.3, 1.0, 3.0]) * rng.normal(size=(len(x), classes))
    target = (x @ rng.normal(size=(features, classes)) + noise).argmax(axis=1)
    z = np.column_stack([x, np.ones(len(x))])
    names = [(n, t, k) for n, t in enumerate(target) for k in range(classes) if k != t]
    rows = np.array([np.kron(np.eye(classes)[t] - np.eye(classes)[k], z[n])[z.shape[1] :] for n, t, k in names])
    m, p = rows.shape
    best = optimize.linprog(
        np.append(np.zeros(p), -np.ones(m)),
        A_ub=np.hstack([-rows, np.eye(m)]),
        b_ub=np.zeros(m),
        bounds=[(-1e6, 1e6)] * p + [(0, 1)] * m,
    )
    strict = {(n, k) for (n, _, k), slack in zip(names, best.x[p:], strict=True) if slack > 0.5}
    found = existence(x, target, classes=classes)
    assert found.kind == ("exists" if not strict else "complete" if len(strict) == m else "quasi")
    assert {(int(n), int(k)) for n, k in zip(*found.strict_pairs.nonzero(), strict=True)} == strict
    assert found.check(x, target, classes=classes)


@pytest.mark.parametrize("overlap", [1.0, 1e-3, 1e-9, 1e-12, 1e-16, 1e-200, 5e-324])
def test_an_overlap_however_small_is_told_from_touching_and_from_a_gap(overlap):
    target = np.append(RIGHT, [1, 0])
    for sign, kind in ((1, "exists"), (0, "quasi"), (-1, "complete")):
        x = np.vstack([LINE, [[0.0]], [[sign * overlap]]])
        for found, t in ((existence(x, target), target), (existence(x, target, likelihood="sigmoid"), target)):
            assert found.kind == kind
            assert found.check(x, t)


@pytest.mark.parametrize("scale", [1.0, 1e150, 1e-150, 3.0])
def test_one_unit_in_the_last_place(scale):
    target = np.append(RIGHT, [1, 0])
    for last, kind in ((np.nextafter(5, 6), "exists"), (5.0, "quasi"), (np.nextafter(5, 4), "complete")):
        x = scale * np.vstack([LINE + 5, [[5.0]], [[last]]])
        if np.sign(x[-1, 0] - x[-2, 0]) != np.sign(last - 5):
            continue  # the scale has rounded it away
        assert existence(x, target).kind == kind
        three = np.where(x[:, 0] > 6.5 * scale, 2, target)
        found = existence(x, three)
        assert found.kind == ("quasi" if kind == "exists" else kind)
        assert (
            found.class_pairs
            == {
                "exists": [(0, 2), (1, 2)],
                "quasi": [(0, 2), (1, 2)],
                "complete": [(0, 1), (0, 2), (1, 2)],
            }[kind]
        )
        assert found.check(x, three)


def examples():
    """One of each kind, of three classes."""
    rng = np.random.default_rng(3)
    x = np.column_stack([rng.normal(size=(80, 2)), np.arange(80) % 11 == 3])
    scores = x[:, :2] @ rng.normal(size=(2, 3))
    noisy = (scores + rng.gumbel(size=(80, 3))).argmax(axis=1)
    dummy = np.where(x[:, 2] == 1, 1, noisy)
    return {"exists": (x, noisy), "quasi": (x, dummy), "complete": (x, scores.argmax(axis=1))}


@pytest.mark.parametrize("kind", ["exists", "quasi", "complete"])
def test_nothing_that_says_the_same_changes_the_answer(kind):
    x, target = examples()[kind]
    plain = existence(x, target, classes=3)
    assert plain.kind == kind
    order = RNG.permutation(len(x))
    shuffled = existence(x[order], target[order], classes=3)
    np.testing.assert_array_equal(shuffled.strict_pairs, plain.strict_pairs[order])
    for scales in ([1e150, 1e-150, 1e70], [1e-150, 7.0, 1e150], [-1.0, 0.1, 1e-300]):
        scaled = existence(x * scales, target, classes=3)
        np.testing.assert_array_equal(scaled.strict_pairs, plain.strict_pairs)
        assert scaled.check(x * scales, target, classes=3)
    names = np.array([2, 0, 1])
    renamed = existence(x, names[target], classes=3)
    np.testing.assert_array_equal(renamed.strict_pairs[:, names], plain.strict_pairs)
    twice = existence(np.vstack([x, x[::-1]]), np.append(target, target[::-1]), classes=3)
    np.testing.assert_array_equal(twice.strict_pairs, np.vstack([plain.strict_pairs, plain.strict_pairs[::-1]]))
    weighted = existence(np.vstack([x, x]), np.append(target, (target + 1) % 3), weights=np.repeat([1e-12, 0], 80))
    np.testing.assert_array_equal(weighted.strict_pairs[:80], plain.strict_pairs)
    assert not weighted.strict[80:].any()
    for start in (RNG.normal(size=(3, 4)), 1e300 * RNG.normal(size=(3, 4)), np.full((3, 4), np.nan)):
        np.testing.assert_array_equal(existence(x, target, start=start).strict_pairs, plain.strict_pairs)
    shares = np.eye(3)[target]
    np.testing.assert_array_equal(existence(x, shares).strict_pairs, plain.strict_pairs)
    single = existence(x.astype(np.float32), target)
    assert single.check(x.astype(np.float32), target)


def test_a_dummy_is_its_own_direction():
    x, target = examples()["quasi"]
    found = existence(x, target, classes=3)
    np.testing.assert_array_equal(found.direction[:, :2], 0)
    np.testing.assert_array_equal(found.direction[:, 2], [0, 1, 0])
    np.testing.assert_array_equal(found.strict, x[:, 2] == 1)
    assert found.class_pairs == []
    counts = np.where(x[:, 2] == 1, 0, RNG.poisson(2.0, 80))
    found = existence(x, counts, likelihood="poisson")
    assert found.kind == "quasi"
    np.testing.assert_array_equal(found.direction, [[0, 0, -1, 0]])
    np.testing.assert_array_equal(found.strict, x[:, 2] == 1)


def test_a_class_of_no_rows_goes_away():
    x, target = examples()["exists"]
    found = existence(x, target, classes=4)
    assert found.kind == "quasi"
    assert found.strict_pairs[:, 3].all()
    assert not found.strict_pairs[:, :3].any()
    np.testing.assert_array_equal(found.direction, [[0, 0, 0, 0]] * 3 + [[0, 0, 0, -1]])


def test_shares_and_penalties_hold_a_maximum():
    target = RIGHT.astype(float)
    assert existence(LINE, target, likelihood="sigmoid").kind == "complete"
    assert existence(LINE, 0.9 * target + 0.05, likelihood="sigmoid").kind == "exists"
    one = target.copy()
    one[20] = 0.999  # the first on the right
    assert existence(LINE, one, likelihood="sigmoid").kind == "quasi"
    assert existence(LINE, target, likelihood="sigmoid", free=[False, True]).kind == "exists"
    assert existence(LINE, target, likelihood="sigmoid", free=[True, False]).kind == "complete"
    assert existence(LINE + 5, target, likelihood="sigmoid", free=[True, False]).kind == "exists"
    assert existence(LINE, target, likelihood="sigmoid", free=[False, False]).kind == "exists"


def test_a_certificate_that_does_not_fit_is_refused():
    data = examples()
    found = {kind: existence(x, t, classes=3) for kind, (x, t) in data.items()}
    for kind, (x, t) in data.items():
        for other, answer in found.items():
            assert answer.check(x, t, classes=3) == (kind == other)

    def changed(name, **fields):
        answer = Existence(**{**vars(found[name]), **fields})
        x, t = data[name]
        return answer.check(x, t, classes=3)

    assert changed("exists")
    multipliers = found["exists"].multipliers
    assert not changed("exists", multipliers=multipliers._replace(value=-multipliers.value))
    assert not changed("exists", multipliers=multipliers._replace(value=multipliers.value**3))
    assert not changed("exists", multipliers=multipliers._replace(label=multipliers.against))
    some = type(multipliers)(*(part[:3] for part in multipliers))
    assert not changed("exists", multipliers=some)
    for kind in ("quasi", "complete"):
        assert changed(kind)
        assert not changed(kind, exact_direction=-found[kind].exact_direction)
        assert not changed(kind, exact_direction=0 * found[kind].exact_direction)
        assert not changed(kind, strict_pairs=~found[kind].strict_pairs)
    assert not changed("quasi", kind="complete")
    assert not changed("quasi", multipliers=some)
    assert not changed("quasi", multipliers=None)
    assert not changed("exists", kind="undecided")
    names = Multipliers(np.array([0, 39]), np.array([0, 1]), np.array([1, 0]), np.array([1, 1], dtype=object))
    bias_alone = existence(LINE, RIGHT, free=[False, True])
    opposite = Existence(**{**vars(bias_alone), "multipliers": names._replace(value=-names.value)})
    simple = Existence(**{**vars(bias_alone), "multipliers": names})
    assert [each.check(LINE, RIGHT, free=[False, True]) for each in (bias_alone, simple, opposite)] == [
        True,
        True,
        False,
    ]
    x, t = np.vstack([LINE, LINE[::-1] / 3, LINE[:1]]), np.concatenate([RIGHT, RIGHT, [1]])
    answer = existence(x, t)
    pair = Existence(**{**vars(answer), "multipliers": names._replace(row=np.array([0, 80]))})
    assert (answer.kind, answer.check(x, t), pair.check(x, t)) == ("exists", True, False)


def told_by(direction, x, target):
    """U_t - U_k of all rows and classes, in fractions, along floating-point numbers."""
    design = [[*map(Fraction, row), Fraction(1)] for row in x.tolist()]
    units = [[Fraction(float(v)) for v in unit] for unit in direction]
    u = [[sum(a * b for a, b in zip(row, unit, strict=True)) for unit in units] for row in design]
    return np.array([[row[t] - v for v in row] for row, t in zip(u, target.tolist(), strict=True)], dtype=object)


def test_the_printed_direction_of_whole_data_is_one():
    rng = np.random.default_rng(0)
    for trial in range(150):
        x = rng.integers(-3, 4, size=(int(rng.integers(3, 25)), int(rng.integers(1, 5)))).astype(float)
        classes = 2 + trial % 2
        scores = x @ rng.integers(-2, 3, size=(x.shape[1], classes)) + rng.integers(0, 2, size=(len(x), classes))
        target = scores.argmax(axis=1)
        found = existence(x, target, classes=classes)
        if found.kind == "exists":
            continue
        margins = told_by(found.direction, x, target)
        np.testing.assert_array_equal(margins > 0, found.strict_pairs)
        assert (margins >= 0).all()
        assert least_margin(found.direction, x, found.strict_pairs) >= 1e-9


@pytest.mark.parametrize("gap", [1e-6, 1e-8, 1e-10, 1e-12, 1e-15])
def test_the_direction_of_a_tiny_gap_is_one_in_numbers(gap):
    rng = np.random.default_rng(1)
    for _ in range(6):
        x, w = rng.normal(size=(20, 2)), rng.normal(size=2)
        x[1] = x[0] + gap * w
        target = (x @ w > (x[0] + x[1]) @ w / 2).astype(int)
        found = existence(x, target)
        assert found.kind == "complete"
        assert (told_by(found.direction, x, target) > 0).sum() == 20
        margin = least_margin(found.direction, x, found.strict_pairs)
        assert margin > 0.01 * gap - 1e-15


def test_short_numbers_are_not_taken_for_a_margin_that_rounding_hides():
    x = np.array([[0.0], [1 - 1e-12], [1.9], [3.0]])  # x - 1 is the shortest
    found = existence(x, np.array([0, 0, 1, 1]))
    assert found.kind == "complete"
    assert least_margin(found.direction, x, found.strict_pairs) > 1e-3


def test_null_vectors_that_the_data_do_not_have_are_refused():
    x = np.column_stack([LINE, 2 * LINE])
    found = existence(x, RIGHT)
    other = Existence(**{**vars(found), "null": found.null._replace(vectors=found.null.vectors[::-1])})
    assert (found.check(x, RIGHT), other.check(x, RIGHT)) == (True, False)


def test_an_answer_that_says_something_else_than_its_proof_is_refused():
    data = examples()
    found = {kind: existence(x, t, classes=3) for kind, (x, t) in data.items()}

    def check(name, x=None, t=None, **fields):
        own_x, own_t = data[name]
        answer = Existence(**{**vars(found[name]), **fields})
        return answer.check(own_x if x is None else x, own_t if t is None else t, classes=3)

    for kind, answer in found.items():
        x, t = data[kind]
        assert check(kind)
        for other in ("exists", "complete", "quasi", "undecided", "nonsense"):
            assert check(kind, kind=other) == (other == kind)
        assert not check(kind, class_pairs=[(0, 2)])
        assert not check(kind, strict=~answer.strict)
        assert not check(kind, likelihood="probit")
        assert not check(kind, null=null_space(np.column_stack([x, x])))
        for other_x, other_t in ((x[:-1], t[:-1]), (x[:5], t[:5]), (x[:, :2], t), (np.column_stack([x, x]), t)):
            assert not check(kind, other_x, other_t)
    multipliers = found["exists"].multipliers
    assert not check("exists", direction=np.ones((3, 4)))
    for field, part in (
        ("row", multipliers.row + 80),
        ("row", -1 - multipliers.row),
        ("row", multipliers.row[:-1]),
        ("against", multipliers.against + 3),
        ("value", multipliers.value * np.nan),
        ("value", multipliers.value * np.inf),
    ):
        assert not check("exists", multipliers=multipliers._replace(**{field: part}))
    for kind in ("complete", "quasi"):
        direction, exact = found[kind].direction, found[kind].exact_direction
        assert not check(kind, direction=-direction)
        assert not check(kind, direction=None)
        assert not check(kind, exact_direction=None)
        assert not check(kind, exact_direction=exact[:, 1:])
        assert not check(kind, exact_direction=exact.astype(float))


def test_what_is_not_proven_is_said():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3600, 70))
    x[:, 0] = np.arange(3600) == 17
    found = existence(x, rng.integers(0, 4, 3600))
    assert "that no other rows can be strict is not proven: 213 parameters are too many to tell" in str(found)


def test_many_rows_are_looked_at_in_parts():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 4))
    scores = x @ rng.normal(size=4)
    mixed = (scores + rng.logistic(size=20_000) > 0).astype(int)
    found = existence(x, mixed)
    assert found.kind == "exists"
    assert len(found.multipliers.row) < 3000
    assert found.check(x, mixed)
    far = np.abs(scores) > 1e-4
    assert existence(x[far], (scores > 0).astype(int)[far]).kind == "complete"
    x[:, 3] = np.arange(20_000) == 777
    found = existence(x, mixed)
    assert found.kind == "quasi"
    assert np.flatnonzero(found.strict).tolist() == [777]
    x[:, 3] = np.isin(np.arange(20_000), [777, 778])
    mixed[777:779] = [0, 1]
    assert existence(x, mixed).kind == "exists"


def test_rows_that_were_not_looked_at_may_be_strict_along_another_direction():
    rng = np.random.default_rng(1)
    x, target = rng.normal(size=(20_001, 3)), rng.integers(0, 2, 20_001)
    x[:, 1:] = 0.0
    x[[503, 777, 881, 1003], 1:] = [[0, -1], [1, 0], [0, 1], [1, -1]]  # the first three are the extremes
    target[[503, 777, 881, 1003]] = [0, 1, 1, 1]
    found = existence(x, target)
    assert np.flatnonzero(found.strict).tolist() == [503, 777, 881, 1003]
    assert found.check(x, target)


def test_many_parameters():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 70))
    target = (x @ rng.normal(size=(70, 4)) + 10 * rng.gumbel(size=(600, 4))).argmax(axis=1)
    plenty, classes = np.vstack([x, rng.normal(size=(3000, 70))]), np.append(target, rng.integers(0, 4, 3000))
    found = existence(plenty, classes)
    assert (found.kind, found.check(plenty, classes)) == ("exists", True)
    separated = (x @ rng.normal(size=(70, 4))).argmax(axis=1)
    found = existence(x, separated)
    assert (found.kind, found.check(x, separated)) == ("complete", True)
    plenty[:, 0] = np.arange(3600) == 17
    found = existence(plenty, classes)
    assert (found.kind, found.check(plenty, classes)) == ("quasi", True)
    assert np.flatnonzero(found.strict).tolist() == [17]
    assert "too many to tell" in found.message


# What is not identified.


YEAR = 2000.0 + RNG.integers(0, 20, 60)
A, B = RNG.normal(size=(2, 60))


@pytest.mark.parametrize(
    ("columns", "vectors"),
    [
        ([YEAR, 2026 - YEAR, A], [[1, 1, 0, -2026]]),
        ([A, B, 0.1 * A + 0.2 * B], [[-1, -2, 10, 0]]),
        ([A, A, np.zeros(60), np.full(60, 7.0)], [[-1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, -7]]),
        (list(np.eye(3)[RNG.integers(0, 3, 60)].T), [[1, 1, 1, -1]]),
        ([A, A * (1 + 1e-12 * B)], []),
        ([A, B, A * B], []),
        ([YEAR, YEAR**2, YEAR**3], []),
    ],
)
def test_columns_that_are_sums_of_others(columns, vectors):
    x = np.column_stack(columns)
    found = null_space(x)
    np.testing.assert_array_equal(found.vectors.T, np.reshape(vectors, (len(vectors), len(columns) + 1)))
    assert found.rank == len(columns) + 1 - len(vectors)
    assert found.columns == [np.flatnonzero(v).tolist() for v in vectors]
    target = (A + RNG.logistic(size=60) > 0).astype(int)
    answer = existence(x, target)
    assert answer.kind == existence(x[:, found.kept[:-1]], target).kind
    assert answer.check(x, target)
    scaled = null_space(x * 10.0 ** np.arange(-150, -150 + 100 * len(columns), 100))
    assert scaled.rank == found.rank
    assert [set(v) for v in scaled.columns] == [set(v) for v in found.columns]


def test_a_standardised_copy_is_a_copy():
    for seed in range(20):
        a = np.random.default_rng(seed).normal(size=200) * 10.0 ** (seed - 10) + seed
        assert null_space(np.column_stack([a, (a - a.mean()) / a.std()])).rank == 2
        assert null_space(np.column_stack([a, a + 1e-12 * np.abs(a).max() * RNG.normal(size=200)])).rank == 3


def test_many_rows_one_of_which_tells_columns_apart():
    x = RNG.normal(size=(30_000, 3))
    x[:, 2] = x[:, 0] - x[:, 1]
    assert null_space(x).rank == 3
    x[12_345, 2] += 1e-9
    assert null_space(x).rank == 4
    assert null_space(x, weights=np.arange(30_000) != 12_345).rank == 3
    assert null_space(x, free=np.array([True, False, True, False])).rank == 2
    assert null_space(x, bias=False).vectors.shape == (3, 0)


def test_elimination_is_exact():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a = rng.normal(size=(4, 4)) * 10.0 ** rng.integers(-20, 20, size=(4, 4))
        rows, exponent = whole(a)
        assert [[Fraction(v) * Fraction(2) ** exponent for v in row] for row in rows] == [
            [Fraction(v) for v in row] for row in a.tolist()
        ]
        numerators, denominator = solve(rows, [1, 2, 3, 4])
        for row, right in zip(rows, (1, 2, 3, 4), strict=True):
            assert sum(u * v for u, v in zip(row, numerators, strict=True)) == right * denominator
        rows[3] = [a + b for a, b in zip(rows[0], rows[1], strict=True)]
        assert len(echelon(rows)[1]) == 3
        (vector,) = null_basis(rows, 4)
        assert all(sum(u * v for u, v in zip(row, vector, strict=True)) == 0 for row in rows)
        assert solve(rows, [1, 2, 3, 4]) is None


def test_what_it_says():
    x, target = examples()["complete"]
    text = str(existence(x, target))
    assert text.startswith("The likelihood has no maximum (complete separation)")
    assert "by 80 of 80 rows; classes 0 and 1, 0 and 2, 1 and 2 are told apart altogether." in text
    assert str(existence(*examples()["exists"])) == "The likelihood has a maximum."
    assert existence(*examples()["exists"]).exists
    both = np.column_stack([LINE, LINE])
    assert "1 column is a sum of others: not identified." in str(existence(both, RIGHT))


def test_messages():
    for x, target, options, message in (
        (LINE.tolist(), RIGHT, {}, r"expects x of shape \(N, D\), real, got list"),
        (LINE, RIGHT[:5], {}, "expects a target for each of 40 rows"),
        (LINE, RIGHT - 1, {}, "expects labels 0 to 1, got -1 to 0"),
        (LINE, RIGHT, {"classes": 1}, "expects labels 0 to 0, got 0 to 1"),
        (LINE, RIGHT * 1.0, {}, r"expects labels \(N,\) of integers, or shares"),
        (LINE, -np.eye(2)[RIGHT], {}, "expects shares of 0 or more, got -1"),
        (LINE, RIGHT * 2, {"likelihood": "sigmoid"}, "expects targets between 0 and 1, got 0 to 2"),
        (LINE, -RIGHT, {"likelihood": "poisson"}, "expects targets of 0 or more, got -1 to 0"),
        (LINE, np.eye(2)[RIGHT], {"likelihood": "sigmoid"}, "expects a target of one unit"),
        (LINE, RIGHT, {"likelihood": "probit"}, "expects likelihood to be one of softmax, sigmoid, poisson"),
        (LINE, RIGHT, {"weights": -np.ones(40)}, "expects weights of 0 or more, got -1"),
        (LINE, RIGHT, {"weights": np.ones(3)}, r"expects weights of shape \(40,\)"),
        (LINE, RIGHT, {"free": [True]}, "expects free to be True or False for each column and the bias"),
        (LINE, RIGHT, {"start": np.ones(3)}, r"expects start of shape \(2, 2\), got \(3,\)"),
        (LINE * np.nan, RIGHT, {}, r"got nan in x\[0, 0\]"),
    ):
        with pytest.raises(ValueError, match=message):
            existence(x, target, **options)


def test_what_is_known_of_columns_changes_no_answer():
    rng = np.random.default_rng(5)
    x = np.column_stack([rng.normal(size=(9000, 2)), np.ones(9000)])
    x[:, 2] = x[:, 0] + x[:, 1]
    t = (x[:, 0] + rng.logistic(size=9000) > 0).astype(int)
    columns = Columns.of(Table(x, True))
    for target in (t, (x[:, 0] > 0.1).astype(int)):
        alone = existence(x, target, likelihood="sigmoid")
        told = existence(x, target, likelihood="sigmoid", columns=columns)
        assert alone.kind == told.kind
        assert told.check(x, target)
        np.testing.assert_array_equal(alone.null.vectors, told.null.vectors)
    # Of other rows, or other data, they say nothing.
    few = np.ones(9000)
    few[100:] = 0
    assert existence(x, t, likelihood="sigmoid", weights=few, columns=columns).check(x, t, weights=few)
    assert existence(x[:, :2], t, likelihood="sigmoid", columns=columns).null.vectors.shape == (3, 0)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_ends_of_columns_are_found_with_their_rows(order):
    x = np.asarray(np.random.default_rng(6).normal(size=(10_000, 7)), order=order)
    table = Table(x, True)
    np.testing.assert_array_equal(table.lowest, x.min(axis=0))
    np.testing.assert_array_equal(table.highest, x.max(axis=0))
    np.testing.assert_array_equal(table.extremes, np.concatenate([x.argmin(axis=0), x.argmax(axis=0)]))


def test_a_start_that_is_far_off_is_left():
    """Offsets put the maximum far from 0, which says nothing of separation."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(40, 2))
    t = (x[:, 0] + rng.logistic(size=40) > 0).astype(int)
    for start in ([[1e6, -1e7, 1e5]], [[-1e12, 0, 0]]):
        found = existence(x, t, likelihood="sigmoid", start=start)
        assert found.exists
        assert found.check(x, t)
