"""Summary: what a result says of itself, as text, HTML and plain values, is what it is."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from minigrad import (
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    HomoscedasticGaussianNLLLoss,
    L2Penalty,
    Linear,
    LogSoftmax,
    NLLLoss,
    Penalized,
    PoissonNLLLoss,
    Sequential,
)
from minigrad.mle import fit
from minigrad.mle.report.report import report
from minigrad.mle.report.summary import as_json
from minigrad.mle.tables import number, probability

RNG = np.random.default_rng(3)
N = 60
X = np.column_stack([RNG.normal(size=N), RNG.integers(0, 2, N), RNG.gamma(2.0, size=N)])
NAMES = ["age", "treated", "dose"]
THREE = RNG.integers(0, 3, N)
YES = (X[:, 0] + RNG.logistic(size=N) > 0).astype(int)
COUNTS = RNG.poisson(np.exp(0.3 * X[:, 0]))


def logit(x=X, y=YES, names=NAMES, **options):
    return fit(Sequential(Linear(x.shape[1], 1, rng=0), BernoulliNLLLoss()), x, y, names=names, **options)


def softmax(x=X, y=THREE, **options):
    cost = Sequential(Linear(x.shape[1], 3, rng=0), LogSoftmax(), NLLLoss())
    return fit(cost, x, y, names=NAMES, classes=["a", "b", "c"], **options)


def poisson(x=X, y=COUNTS, names=NAMES, **options):
    return fit(Sequential(Linear(x.shape[1], 1, rng=0), PoissonNLLLoss()), x, y, names=names, **options)


def collinear():
    return logit(np.column_stack([X[:, 0], X[:, 1], 1 - X[:, 1]]), names=["age", "treated", "control"])


def separated():
    return logit(X, (X[:, 0] > 0).astype(int))


def table(successes):
    """100 rows with x = 0, half of them successes, and 100 with x = 1."""
    x = np.repeat([0.0, 1.0], 100)[:, np.newaxis]
    return logit(x, np.concatenate([np.arange(100) < 50, np.arange(100) < successes]).astype(int), ["treated"])


KINDS = {
    "logit": logit,
    "softmax": softmax,
    "sum to zero": lambda: softmax(identification="sum_to_zero"),
    "poisson": poisson,
    "collinear": collinear,
    "separated": separated,
    "penalised": lambda: logit(penalty=1.0),
    "firth": lambda: logit(penalty="firth"),
    "firth, separated": lambda: logit(X, (X[:, 0] > 0).astype(int), penalty="firth"),
    "robust": lambda: poisson(cov="HC1"),
    "clusters": lambda: poisson(groups=np.arange(N) % 25),
    "sampling": lambda: poisson(weights=np.arange(1.0, N + 1), kind="sampling"),
    "frequency": lambda: poisson(weights=np.arange(1.0, N + 1)),
    "past the peak": lambda: table(99),
}


def header_of(text):
    """{name: value} of the lines between the second and the third double rule."""
    lines = text.split("\n")
    rules = [i for i, line in enumerate(lines) if line and set(line) == {"="}]
    return dict(
        re.findall(r"(\S[^:]*):\s+(\S+(?: \S+)*)", "\n".join(lines[rules[1] + 1 : rules[2]]).replace("   ", "\n"))
    )


def header_lines(text):
    lines = text.split("\n")
    rules = [i for i, line in enumerate(lines) if line and set(line) == {"="}]
    return lines[rules[1] + 1 : rules[2]]


def rows_of(text):
    """The cells of the table of parameters: a list for each line of six numbers."""
    number_at_end = r"\s+(-?\d[\d.e+-]*|< 1e-300)"
    lines = (re.fullmatch(r"(.*?)" + number_at_end * 6, line) for line in text.split("\n"))
    return [(line[1], *line.groups()[1:]) for line in lines if line]


@pytest.mark.parametrize(("p", "text"), [(0.5, "0.500"), (4.488e-4, "0.000449"), (0, "< 1e-300"), (1e-20, "1.00e-20")])
def test_probabilities_are_of_one_style(p, text):
    assert probability(p) == text


def test_no_probability_of_a_marginal_effect_is_zero():
    x, y = np.repeat([[0.0], [1.0]], 300, axis=0), np.append(np.arange(300) % 10 == 0, np.arange(300) % 10 > 0)
    strong = logit(x, y.astype(int), ["treated"])
    effects = strong.marginal_effects()
    assert effects.p[0] < 1e-20
    assert probability(effects.p[0]) in effects.summary().split()


@pytest.mark.parametrize("kind", KINDS)
def test_it_repeats_and_says_the_verdict_first(kind):
    text = KINDS[kind]().summary()
    assert text == KINDS[kind]().summary(), "no dates, no times, no order of a hash"
    lines = text.split("\n")
    assert lines[0].strip().endswith("Results")
    assert set(lines[1]) == {"="}
    assert lines[2].startswith("Verdict: ")
    assert max(map(len, lines)) <= 78


@pytest.mark.parametrize(
    "kind", ["logit", "softmax", "sum to zero", "poisson", "firth", "robust", "clusters", "sampling"]
)
@pytest.mark.parametrize("level", [0.95, 0.8])
def test_the_numbers_are_those_of_the_result(kind, level):
    result = KINDS[kind]()
    found = rows_of(result.summary(level))
    wanted = np.column_stack([result.params, result.se, result.z, result.p, result.ci(level)])
    assert len(found) == len(result.names) == len(wanted)
    for (label, *cells), name, values in zip(found, result.names, wanted, strict=True):
        assert name == label.rstrip(" *") or name.endswith(":" + label.rstrip(" *"))
        for cell, value in zip(cells, values, strict=True):
            assert float(cell) == pytest.approx(value, rel=6e-3, abs=6e-4 if abs(value) > 0.1 else 0.0)
    assert f"{(1 - level) / 2:.3g}" in result.summary(level)


def test_the_header_is_that_of_the_result():
    result = logit()
    wanted = {
        "Dep. Variable": "y",
        "Model": "Logit",
        "Method": "MLE",
        "converged": "True",
        "Covariance Type": "observed",
        "No. Observations": "60",
        "Df Residuals": "56",
        "Df Model": "3",
        "Pseudo R-squ.": f"{1 - result.loglik / result.loglik_null:.4f}",
        "Log-Likelihood": f"{result.loglik:.5g}",
        "LL-Null": f"{result.loglik_null:.5g}",
        "LLR p-value": f"{result.lr_test('age = 0, treated = 0, dose = 0').p:.4g}",
        "AIC": f"{result.aic:.5g}",
        "Digits": str(int(result.digits)),
    }
    found = header_of(result.summary())
    assert {name: found[name] for name in wanted} == wanted


def test_names_and_numbers_are_those_of_statsmodels():
    api = pytest.importorskip("statsmodels.api")
    peers = {
        "logit": api.Logit(YES, np.column_stack([X, np.ones(N)])),
        "poisson": api.Poisson(COUNTS, np.column_stack([X, np.ones(N)])),
        "softmax": api.MNLogit(THREE, np.column_stack([X, np.ones(N)])),
    }
    for kind, peer in peers.items():
        text = str(peer.fit(disp=False, method="newton", maxiter=100, tol=1e-14).summary())
        mine, theirs = KINDS[kind]().summary(), header_of("=\n" + text)
        assert set(theirs) - {"Date", "Time"} <= set(header_of(mine)), "all that is known by heart, but the clock"
        for name in ("No. Observations", "Df Residuals", "Df Model", "Log-Likelihood", "LL-Null", "LLR p-value"):
            assert float(header_of(mine)[name]) == pytest.approx(float(theirs[name]), rel=2e-4), name
        assert float(header_of(mine)["Pseudo R-squ."]) == pytest.approx(float(theirs["Pseudo R-squ."]), abs=2e-4)
        pairs = list(zip(rows_of(mine), rows_of(text), strict=True))
        assert len(pairs) == (8 if kind == "softmax" else 4)
        for (_, *ours), (_, *others) in pairs:
            assert [float(a) for a in ours] == pytest.approx([float(b) for b in others], rel=1e-3, abs=6e-4)


def test_softmax_has_a_block_for_each_class():
    lines = softmax().summary().split("\n")
    assert [line.split()[0] for line in lines if re.match("y=", line)] == ["y=b", "y=c"]
    assert "Coefficients are those of log odds beside class a." in lines
    assert "Coefficients are those of log odds beside class c." in softmax(reference="c").summary()
    whole = softmax(identification="sum_to_zero").summary()
    assert len(re.findall("^y=[abc]", whole, re.MULTILINE)) == 3
    assert "Coefficients sum to zero over the classes." in whole
    assert "of least norm" in softmax(identification="minimum_norm").summary()


def test_no_number_stands_for_an_estimate_that_does_not_exist():
    result = separated()
    text = result.summary()
    assert result.verdict.status == "separated"
    assert rows_of(text) == []
    for word in ("coef", "std err", "Log-Likelihood", "AIC", "converged"):
        assert word not in text
    assert re.search(r"^Direction: +.*age \+", text, re.MULTILINE)
    assert re.search(rf"^Strict rows: +{N} of {N}: 0, 1, 2,", text, re.MULTILINE)
    assert "firth" in text
    assert "penalty=1.0" in text.replace("\n", " ")
    plain_values = result.to_dict()
    assert plain_values["parameters"] == []
    assert plain_values["verdict"]["direction"] == result.verdict.direction
    assert "Log-Likelihood" not in plain_values["header"]
    assert "coef" not in result._repr_html_()


def test_separated_classes_are_named_by_pairs():
    y = np.where(X[:, 1] == 1, 2, RNG.integers(0, 2, N))
    text = softmax(X, y).summary()
    assert re.search(r"^Told apart: +a from c, b from c$", text, re.MULTILINE)
    x = np.column_stack([np.arange(N), np.arange(N) ** 2.0])
    four = fit(Sequential(Linear(2, 4, rng=0), LogSoftmax(), NLLLoss()), x, np.arange(N) // 15)
    assert re.search(r"^Told apart: +every class from every other$", four.summary(), re.MULTILINE)


def test_rules_stand_where_they_do_in_statsmodels():
    lines = softmax().summary().split("\n")
    kinds = "".join(line[0] if line and set(line) in ({"="}, {"-"}) else "." for line in lines)
    assert kinds == ".=.=" + "." * 8 + "=.-" + "...." + "-.-" + "...." + "=."


def test_many_combinations_of_columns_are_all_listed():
    groups = np.eye(6)[np.arange(N) % 6]
    x = np.column_stack([groups[:, :5], 1 - groups[:, :5], X[:, 0]])
    result = logit(x, YES, [*(f"is {j}" for j in range(5)), *(f"is not {j}" for j in range(5)), "age"])
    text = result.summary()
    assert len(result.verdict.null_vectors) == 5
    assert len(re.findall(r"^On every row: +is \d \+ is not \d - 1 = 0", text, re.MULTILINE)) == 5
    assert "On every row" not in collinear().summary()


def test_long_lists_say_how_many_are_left():
    x = RNG.normal(size=(40, 45))
    result = logit(x, np.arange(40) % 2, None)
    text = " ".join(result.summary().split())
    assert result.verdict.status == "separated"
    assert f"and {len(result.verdict.direction) - 10} smaller" in text
    assert "40 of 40: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..." in text


def test_rows_are_named():
    class Named:
        index = np.array([f"s{n}" for n in range(N)])
        name = "outcome"

        def __array__(self, dtype=None, copy=None):
            return (X[:, 0] > 0).astype(int)

    text = logit(X, Named()).summary()
    assert re.search(r"0 \(s0\), 1 \(s1\)", text)
    assert "Dep. Variable:" in text
    assert "outcome" in text


def test_what_is_not_estimable_has_no_number():
    result = collinear()
    text = result.summary()
    assert len(re.findall("not estimable$", text, re.MULTILINE)) == 3
    assert [row[0].strip() for row in rows_of(text)] == ["age"]
    assert "treated + control - 1 = 0" in text
    rows = {row["name"]: row for row in result.to_dict()["parameters"]}
    assert rows["treated"] | {"class": None} == {
        "name": "treated", "class": None, "column": "treated", "estimable": False, "estimate": None, "se": None,
        "z": None, "p": None, "ci": [None, None], "hauck_donner": False,
    }  # fmt: skip
    assert rows["age"]["estimate"] == result.params[0]


NOTES = {
    "penalised": ["MAP, not maximum likelihood: penalised by L2Penalty(1, '*weight')", "Standard errors are Laplace's"],
    "firth": ["Firth's penalised likelihood", "those of the information at the estimate"],
    "robust": ["the sandwich HC1"],
    "clusters": ["the sandwich of clusters"],
    "sampling": ["the sandwich HC0", "sampling: rows were drawn with probabilities in proportion to 1 / w_n"],
    "frequency": ["frequency: row n stands for w_n observations"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_notes_say_what_kind_of_estimate_it_is(kind):
    text = " ".join(KINDS[kind]().summary().split())
    for own, notes in NOTES.items():
        for note in notes:
            expected = own == kind or (own == "firth" and kind.startswith("firth"))
            assert (note in text) == expected, note


def test_what_is_no_likelihood_has_no_criteria():
    for kind in ("penalised", "firth", "sampling"):
        header = report(KINDS[kind](), 0.95).header
        assert header["AIC"] is None
        assert header["LLR p-value"] is None
        assert re.search(r"AIC: +-$", KINDS[kind]().summary(), re.MULTILINE)


def test_a_penalised_cost_says_its_own_penalty():
    cost = Penalized(Sequential(Linear(3, 1, rng=0), BernoulliNLLLoss()), L2Penalty(0.5, "0.*"))
    text = " ".join(fit(cost, X, YES, names=NAMES).summary().split())
    assert "penalised by L2Penalty(0.5, '0.*')" in text
    assert re.search("Method: +MAP", text)


def test_wald_statistics_past_their_peak_are_flagged():
    near, far = table(90), table(99)
    assert "*" not in near.summary()
    text = " ".join(far.summary().split())
    assert "treated *" in text
    assert "Hauck-Donner" in text
    p = far.lr_test("treated = 0").p
    assert f"treated p = {p:.4g}" in text
    assert [row["hauck_donner"] for row in far.to_dict()["parameters"]] == [True, False]
    x, y = far.data.x, far.data.target
    drawn = logit(x, y, ["treated"], weights=np.ones(200), kind="sampling").summary()
    assert "Hauck-Donner" in drawn
    assert "Likelihood ratio" not in drawn
    assert [row["hauck_donner"] for row in near.to_dict()["parameters"]] == [False, False]


def test_the_classes_of_y_are_named():
    result = logit(y=np.array(["no", "yes"])[YES])
    assert "The probability is that of y = yes, not no." in result.summary()
    assert "The probability" not in logit().summary()
    several = fit(Sequential(Linear(3, 2, rng=0), PoissonNLLLoss()), X, {"colds": COUNTS, "falls": THREE}, names=NAMES)
    assert re.findall("^y=(.*?) +coef", several.summary(), re.MULTILINE) == ["colds", "falls"]


def test_fractions_are_said_to_be_no_likelihood():
    cost = Sequential(Linear(3, 1, rng=0), BCEWithLogitsLoss())
    assert "y holds fractions" in fit(cost, X, THREE / 2, names=NAMES).summary()
    assert "fractions" not in fit(cost, X, YES, names=NAMES).summary()


def test_stacks_are_summed_up_too():
    y = X[:, 0] - 2 * X[:, 2] + RNG.normal(size=N)
    result = fit(Sequential(Linear(3, 1, rng=0), HomoscedasticGaussianNLLLoss(1, full=True)), X, y, names=NAMES)
    text = result.summary()
    assert text.split("\n")[0].strip() == "Linear > HomoscedasticGaussianNLLLoss Results"
    assert len(rows_of(text)) == len(result.names) == 5
    json.dumps(result.to_dict(), allow_nan=False)


def test_long_names_are_kept():
    long = [f"a column of a rather long name, number {j}" for j in range(3)]
    text = logit(names=long).summary()
    for name in long:
        assert re.search(rf"\n{name}\n {{20,}}-?[0-9.]+ ", text)  # on a line of its own, above its numbers
    assert max(map(len, text.split("\n"))) <= 100
    assert len(set(map(len, [line for line in text.split("\n") if set(line) in ({"="}, {"-"})]))) == 1


def test_long_values_of_the_header_keep_to_their_columns():
    cost = Sequential(Linear(3, 1, rng=0), HomoscedasticGaussianNLLLoss(1, "sum", full=True))
    y = {"a name of y that is longer than its column": COUNTS[:, np.newaxis]}
    lines = fit(cost, X, y).summary().split("\n")
    assert "Dep. Variable: a name of y that is longer than its column" in lines
    model = next(line for line in lines if line.startswith("Model:"))
    assert re.fullmatch(r"Model: Linear > Homoscedastic.*\.\.\.   Df Residuals: +[0-9]+", model)
    assert all(len(line) <= 78 for line in lines)


def test_columns_of_any_size_keep_their_digits():
    result = logit(X * [1e150, 1, 1e-150])
    assert result.verdict.status == "regular"
    cells = rows_of(result.summary())
    assert float(cells[0][1]) == pytest.approx(result.params[0], rel=1e-3)
    assert float(cells[2][2]) == pytest.approx(result.se[2], rel=1e-2)
    json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (1.23456, 4, "1.2346"),
        (-0.02, 3, "-0.0200"),
        (0.000123456, 3, "0.000123"),
        (1.5e-9, 3, "1.50e-09"),
        (-1234567.0, 3, "-1.23e+06"),
        (0.0, 3, "0.000"),
        (float("nan"), 3, "-"),
        (float("inf"), 3, "inf"),
    ],
)
def test_numbers_keep_as_many_digits_as_places(value, places, text):
    assert number(value, places) == text
    assert len(text) <= 10


@pytest.mark.parametrize("kind", KINDS)
def test_plain_values_are_those_of_json(kind):
    result = KINDS[kind]()
    values = result.to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["verdict"]["status"] == result.verdict.status
    assert values["verdict"]["message"] == result.verdict.message
    assert [row["name"] for row in values["parameters"]] == (result.names if result.verdict.exists else [])
    for row, estimate in zip(values["parameters"], result.params if values["parameters"] else [], strict=True):
        assert row["estimate"] == estimate or (row["estimate"] is None and np.isnan(estimate))
    text = " ".join(result.summary().split())
    assert all(" ".join(note.split()) in text for note in values["notes"])
    assert all(name + ":" in text for name in values["header"])


def test_infinities_and_arrays_as_plain_values():
    given = {"a": [float("inf"), -np.inf, np.nan, np.float32(0.5)], 3: (np.int64(4), True, None, "x", np.bool(False))}
    assert as_json(given) == {"a": ["inf", "-inf", None, 0.5], "3": [4, True, None, "x", False]}


@pytest.mark.parametrize(
    ("level", "message"), [(1.0, "less than 1"), (95, "less than 1"), (0, "above 0"), ("x", "a number")]
)
def test_levels_are_looked_at(level, message):
    with pytest.raises((TypeError, ValueError), match=message):
        logit().summary(level)


class Page(HTMLParser):
    """The text of the cells, and that every tag is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.cells, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        assert tag in {"div", "strong", "table", "tbody", "tr", "th", "td", "p", "em"}, tag
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if {"td", "th"} & set(self.open):
            self.cells.append(data)


def parsed(html):
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == []
    return page


@pytest.mark.parametrize("kind", KINDS)
def test_html_says_what_the_text_says(kind):
    result = KINDS[kind]()
    page = parsed(result._repr_html_())
    blocks = [block for block, _ in report(result, 0.95).blocks if block is not None]
    assert [cell for cell in page.cells if cell.startswith("y = ")] == [f"y = {block}" for block in blocks]
    said = " ".join("".join(page.text).split())
    assert " ".join(result.verdict.message.split()) in said
    for label, *cells in rows_of(result.summary()):
        row = page.cells.index(label)
        assert any(
            page.cells[i : i + 7] == [label, *cells] for i in range(row, len(page.cells)) if page.cells[i] == label
        )
    for note in report(result, 0.95).notes:
        assert note in said


def test_html_escapes_names():
    names = ["<b>bold</b>", "a & b", '"quoted"']
    html = fit(Sequential(Linear(3, 1, rng=0), BernoulliNLLLoss()), X, {"<i>y": YES}, names=names)._repr_html_()
    page = parsed(html)
    assert set(names) <= set(page.cells)
    assert "<i>y" in page.cells
    assert "<b>" not in html
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
