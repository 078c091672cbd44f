"""The exact solutions are solutions: recomputed, held against closed forms, their formulas against differences."""

import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from exact_problems import DATA, PROBLEMS, SOLUTIONS, solution

ROWS = {
    "logit": ([0.75], [0.0, 1.0]),
    "softmax": ([0.5, -1.25], [0.0, 1.0, 2.0]),
    "poisson": ([0.5], [0.0, 3.0]),
    "probit": ([-0.75], [0.0, 1.0]),
    "gaussian": ([0.5, -0.25], [1.5]),
    "weibull": ([0.5, 0.25], [2.5]),
}


@pytest.fixture(scope="module")
def fits():
    pytest.importorskip("mpmath", reason="the solutions are recomputed with mpmath")
    import exact_fits

    return exact_fits


def test_every_problem_has_its_file():
    assert {path.stem for path in SOLUTIONS.glob("*.json")} == set(PROBLEMS)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_files_are_what_is_computed(fits, name):
    """To all digits but the last, which may differ between versions of mpmath."""

    def agree(one, other):
        if isinstance(one, list):
            assert len(one) == len(other)
            for part, same in zip(one, other, strict=True):
                agree(part, same)
        else:
            assert abs(fits.mpf(one) - fits.mpf(other)) <= abs(fits.mpf(one)) * fits.mpf("2e-24")

    held, found = json.loads((SOLUTIONS / f"{name}.json").read_text()), fits.written(PROBLEMS[name])
    assert held.keys() == found.keys()
    for key in ("likelihood", "condition", "condition_opg"):
        assert held.pop(key) == found.pop(key)
    with fits.mp.workdps(fits.DIGITS):
        for key, numbers in found.items():
            agree(held[key], numbers)


@pytest.mark.parametrize("likelihood", ROWS)
def test_the_derivatives_of_a_row_are_those_of_its_likelihood(fits, likelihood):
    """By central differences in 120 digits, with an error of 1e-60 or so."""
    row, (start, targets) = getattr(fits, f"{likelihood}_row"), ROWS[likelihood]
    with fits.mp.workdps(120):
        h, eta = fits.mpf("1e-30"), [fits.mpf(a) for a in start]

        def moved(function, unit):
            def along(sign):
                return function([a + sign * h * (i == unit) for i, a in enumerate(eta)])

            return (along(1) - along(-1)) / (2 * h)

        for t in targets:
            _, gradient, observed, _ = row(eta, fits.mpf(t))
            for i in range(len(eta)):
                assert abs(moved(lambda a, t=t: row(a, fits.mpf(t))[0], i) - gradient[i]) < 1e-50
                for j in range(len(eta)):
                    assert abs(moved(lambda a, t=t, i=i: row(a, fits.mpf(t))[1][i], j) + observed[i][j]) < 1e-50


@pytest.mark.parametrize("likelihood", ROWS)
def test_likelihoods_are_of_probability_one_and_information_is_the_mean(fits, likelihood):
    """Sums or integrals over t of e^l are 1, of e^l (-Hessian) and of e^l g g' both the expected information."""
    row, (start, _) = getattr(fits, f"{likelihood}_row"), ROWS[likelihood]
    with fits.mp.workdps(25):
        mp, eta = fits.mp, [fits.mpf(a) for a in start]

        def mean(function):
            def weighted(t):
                value, gradient, observed, _ = row(eta, t)
                return mp.exp(value) * function(gradient, observed)

            if likelihood == "gaussian":
                return mp.quad(weighted, mp.linspace(-20, 20, 9))
            if likelihood == "weibull":
                return mp.quad(lambda s: mp.exp(s) * weighted(mp.exp(s)), mp.linspace(-50, 6, 15))
            counts = {"softmax": 3, "poisson": 60}.get(likelihood, 2)
            return mp.fsum(weighted(mp.mpf(t)) for t in range(counts))

        expected = row(eta, fits.mpf(1))[3]
        assert abs(mean(lambda gradient, observed: 1) - 1) < 1e-15
        for i in range(len(eta)):
            for j in range(i + 1):
                assert abs(mean(lambda g, observed, i=i, j=j: observed[i][j]) - expected[i][j]) < 1e-15
                assert abs(mean(lambda g, observed, i=i, j=j: g[i] * g[j]) - expected[i][j]) < 1e-15


def test_counts_are_rows_written_out(fits):
    problem = replace(PROBLEMS["beetles_logit"], weights=None)
    counts = PROBLEMS["beetles_logit"].weights.astype(int)
    long = fits.fit(replace(problem, x=np.repeat(problem.x, counts, axis=0), target=np.repeat(problem.target, counts)))
    short = fits.fit(PROBLEMS["beetles_logit"])
    for i in range(2):
        assert abs(long.parameters[i] - short.parameters[i]) < 1e-35
        for j in range(2):
            assert abs(long.covariance[i, j] - short.covariance[i, j]) < 1e-35
            assert abs(long.meat[i, j] - short.meat[i, j]) < 1e-30


def test_the_gaussian_is_least_squares_in_fractions():
    """Normal equations solved as rational numbers, without mpmath; the variance is RSS / n."""
    problem, exact = PROBLEMS["gaussian"], solution("gaussian")
    design = [[Fraction(float(entry)) for entry in line] for line in problem.design()]
    t = [Fraction(float(entry)) for entry in problem.target]
    columns = list(zip(*design, strict=True))
    system = [[sum(a * b for a, b in zip(one, other, strict=True)) for other in [*columns, t]] for one in columns]
    for i in range(3):  # Gauss and Jordan
        system[i] = [entry / system[i][i] for entry in system[i]]
        for j in range(3):
            if j != i:
                system[j] = [a - system[j][i] * b for a, b in zip(system[j], system[i], strict=True)]
    b = [line[3] for line in system]
    residuals = [y - sum(x * c for x, c in zip(line, b, strict=True)) for line, y in zip(design, t, strict=True)]
    variance = sum(r * r for r in residuals) / len(t)
    np.testing.assert_allclose(exact["parameters"], [*map(float, b), math.log(variance)], rtol=1e-15)
    loglik = -len(t) / 2 * (math.log(2 * math.pi * variance) + 1)
    assert exact["loglik"] == pytest.approx(loglik, rel=1e-15)
    assert exact["standard_errors"][3] == pytest.approx(math.sqrt(2 / len(t)), rel=1e-15)


@pytest.mark.parametrize("width", [1e-3, 1e-6, 1e-9])
def test_on_the_cliff_the_two_groups_have_their_own_frequencies(width):
    exact = solution(f"cliff_{width:g}")
    np.testing.assert_allclose(exact["parameters"], [math.log(6) / (2 * width), math.log(2 / 3) / 2], rtol=1e-13)
    assert exact["loglik"] == pytest.approx(math.log(27 / 256 * 4 / 27), rel=1e-13)
    variance = (1 / 3 + 1 + 1 / 2 + 1) / 4  # (1/a + 1/b + 1/c + 1/d) of the table of counts
    assert exact["covariance"][0, 0] == pytest.approx(variance / width**2, rel=1e-13)


def test_the_slope_of_touching_classes_grows_with_the_logarithm_of_the_overlap():
    slopes = [solution(f"overlap_{overlap:g}")["parameters"][0] for overlap in (1e-3, 1e-6, 1e-9)]
    # The nearest rows that pull are 1/4 away: e^(-slope / 4) is about the overlap.
    np.testing.assert_allclose(np.diff(slopes), 4 * math.log(1000), rtol=0.01)


def test_files_hold_numbers_of_25_digits():
    for name in PROBLEMS:
        held = json.loads((SOLUTIONS / f"{name}.json").read_text())
        for number in [*held["parameters"], *held["standard_errors"], held["loglik"]]:
            assert len(number.split("e")[0].replace("-", "").replace(".", "").lstrip("0")) in (24, 25), number


@pytest.mark.parametrize("name", ["beetles_probit", "leukaemia"])
def test_the_example_of_custom_likelihoods_asserts_these_solutions(name):
    example = (DATA.parent / "custom_likelihood.py").read_text()
    held = json.loads((SOLUTIONS / f"{name}.json").read_text())
    for number in [*held["parameters"], *held["standard_errors"]]:
        assert number[:20] in example, number
