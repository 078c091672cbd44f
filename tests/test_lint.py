"""What `lint` finds, in its words; and that it is silent where nothing is wrong."""

import contextlib
import copy
import io
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from lint_cases import (
    IMAGES,
    LABELS,
    NUMBERS,
    ONE_HOT,
    SOUND,
    WRONG,
    First,
    Weighted,
    X,
    dropped,
    linear,
    net,
    start,
)

from minigrad import (
    AdamW,
    BatchNorm1d,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    Branch,
    Concatenate,
    CrossEntropyLoss,
    Dropout,
    Frozen,
    Identity,
    KLDivLoss,
    L2Penalty,
    Layer,
    Linear,
    LogSoftmax,
    MSELoss,
    NLLLoss,
    Penalized,
    PoissonNLLLoss,
    ReLU,
    Residual,
    Sequential,
    Softmax,
    Tanh,
    value_and_gradients,
)
from minigrad.initializers import constant
from minigrad.saving import save_model
from minigrad.watching.linting import Finding, Lint, finding, lint
from minigrad.watching.linting.rules import CODES, RULES

HERE = Path(__file__).parent
TEXTS = (HERE / "lint_texts.txt").read_text().strip().split("\n\n")
EXAMPLES = HERE.parent / "examples"
NAMES = [f"{i}-{case[0]}" for i, case in enumerate(WRONG)]


@pytest.fixture(autouse=True)
def no_net(monkeypatch):
    """What a rule raises is an error here, though it is a finding elsewhere."""
    monkeypatch.setattr(finding, "NET", ())


def without_rounding(text):
    """Of a change by rounding, which differs from machine to machine, not the size."""
    joined = " ".join(text.split())
    return re.sub(r"changes (them )?by (0|\de-1\d)", "changes by #", joined)


@pytest.mark.parametrize(("case", "text"), list(zip(WRONG, TEXTS, strict=True)), ids=NAMES)
def test_what_is_said(case, text):
    code, cost, x, target = case
    found = lint(cost, x, target)
    assert found.codes == (code,)
    assert without_rounding(str(found)) == without_rounding(text)


def test_every_code_has_a_case_and_stands_in_the_docstring():
    assert {case[0] for case in WRONG} == set(CODES)
    assert [code for code in CODES if code != "error"] == list(dict.fromkeys(rule.code for rule in RULES))
    listed = re.findall(r"[a-z]+(?:-[a-z]+)+", lint.__doc__.split("\n\n")[1])
    assert listed == [code for code in CODES if code != "error"]


@pytest.mark.parametrize("name", SOUND)
def test_near_misses_are_sound(name):
    cost, x, target = SOUND[name]
    assert not lint(cost, x, target), name


@pytest.mark.parametrize("name", SOUND)
def test_so_they_are_in_float32_and_after_some_descent(name):
    cost, x, target = SOUND[name]
    cost = cost.astype(np.float32)
    x = tuple(part.astype(np.float32) for part in x) if type(x) is tuple else x.astype(np.float32)
    assert not lint(cost, x, target)
    descend(cost, x, target)
    assert not lint(cost, x, target)


def descend(cost, *batch, steps=5):
    value_and_gradients(cost, *batch)  # it makes arrays whose widths were left out
    adamw = AdamW(cost, 1e-3)
    for _ in range(steps):
        adamw.step(value_and_gradients(cost, *batch)[1])


def example(name, **init):
    with contextlib.redirect_stdout(io.StringIO()):
        return runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="example")


def of_digits():
    with np.load(EXAMPLES / "data" / "digits.npz") as data:
        order = np.random.default_rng(0).permutation(len(data["labels"]))[:150]
        pixels, labels = data["images"].astype(float)[order] / 16, data["labels"][order].astype(int)
    rng = np.random.default_rng(0)
    regression, branches = example("logreg_softmax"), example("branches")
    yield regression["softmax_regression"](), pixels, labels
    yield regression["softmax_regression"]("sum"), 16 * pixels, labels
    yield Penalized(regression["softmax_regression"]("sum"), L2Penalty(1.0, "*.weight")), 16 * pixels, labels
    for chosen in (["whole"], ["rows"], ["columns"], ["whole", "rows", "columns"]):
        model = branches["head"](Branch(*(branches["branch"](name, rng) for name in chosen)), rng)
        yield model >> CrossEntropyLoss(), pixels.reshape(-1, 8, 8), labels
    images = pixels.astype(np.float32)
    convolution = example("digits_convolution")["convolutional_net"](rng)
    yield convolution >> CrossEntropyLoss(), images.reshape(-1, 1, 8, 8), labels
    yield example("digits_transformer")["transformer"](rng), images.reshape(-1, 8, 8), labels


def of_tables():
    flights = np.loadtxt(EXAMPLES / "data" / "challenger.csv", delimiter=",", skiprows=1)
    x, t = flights[:, :1], flights[:, 1].astype(int)
    for given in (x, x - x.mean()):
        yield Sequential(Linear(1, 1, rng=0), BernoulliNLLLoss("sum")), given, t
        yield Sequential(Linear(1, 2, rng=0), LogSoftmax(), NLLLoss("sum")), given, t
    wine = np.loadtxt(EXAMPLES / "data" / "wine.csv", delimiter=",", skiprows=1)
    yield Sequential(Linear(2, 3, rng=0), LogSoftmax(), NLLLoss()), wine[:, 1:], wine[:, 0].astype(int) - 1
    own = example("custom_layer")
    yield own["cost"], own["x"], own["inside"]
    rest = own["cost"][2:]
    yield Sequential(Linear(2, 8, rng=0), own["Swish"](), *rest), own["x"], own["inside"]
    own = example("custom_likelihood")
    one = [Linear(1, 1, rng=0)]
    yield Sequential(*one, own["PoissonNLL"]("sum")), own["southwark"], own["deaths"] / 1000
    yield Sequential(*one, PoissonNLLLoss("sum")), own["southwark"], own["deaths"] / 1000
    yield Sequential(*one, own["GaussianNLL"]()), own["boiling"], own["pressure"]
    yield Sequential(*one, own["ProbitNLL"]("sum")), own["x"], own["t"]
    yield Sequential(*one, own["WeibullNLL"]()), own["marker"], own["weeks"]


@pytest.mark.parametrize("costs", [of_digits, of_tables])
def test_the_examples_are_sound(costs):
    count = 0
    for cost, *batch in costs():
        assert str(lint(cost, *batch)) == "No findings."
        descend(cost, *batch, steps=2)
        assert str(lint(cost, *batch)) == "No findings."
        count += 1
    assert count >= 9


def test_two_more_examples_are_sound_and_a_bias_of_no_use_is_found():
    """Normalisation takes one out, a difference of two codes the other."""
    with np.load(EXAMPLES / "data" / "digits.npz") as data:
        x, labels = data["images"][:200] / 16, data["labels"][:200].astype(int)
    cost = example("resume")["perceptron"]()
    assert not lint(cost, x, labels)
    assert lint(cost.with_replaced(0, Linear(64, 64, rng=1)), x, labels).codes == ("bias-before-normalization",)
    pairs = example("shared_weights")
    rng = np.random.default_rng(0)
    left, right = pairs["encoder"](rng), pairs["encoder"](rng)
    first, second, same = pairs["pairs_of"](labels, 200, rng)
    on_top = [pairs["SquaredDifference"](), Linear(16, 1, rng=rng), BernoulliNLLLoss()]
    for other in (right, left):
        assert not lint(Sequential(pairs["Parallel"](left, other), *on_top), (x[first], x[second]), same)
    biased = left.with_replaced(2, Linear(64, 16, rng=1))
    shared = Sequential(pairs["Parallel"](biased, biased), *on_top)
    assert lint(shared, (x[first], x[second]), same).codes == ("unused-parameters",)


def random_stack(seed):
    """A sound stack for data that it suits, and the data."""
    rng = np.random.default_rng(seed)
    rows, width = int(rng.choice([2, 8, 50, 300])), int(rng.integers(1, 12))
    x = rng.normal(size=(rows, width))
    layers, normalised = [], rng.random() < 0.4
    for _ in range(rng.integers(0, 3)):
        below, width = width, int(rng.integers(6, 30))
        activation = [ReLU(), Tanh(), Softmax(), Identity() >> Tanh()][rng.integers(4)]
        if normalised:
            layers += [Linear(below, width, bias=False, rng=rng), BatchNorm1d(width), activation]
            continue
        block = Residual(Sequential(Linear(width, width, rng=rng), Tanh()))
        layers += [Linear(below, width, rng=rng), activation, *([block] if rng.random() < 0.5 else [Dropout(0.2, rng)])]
    if rng.random() < 0.5:
        on_top = [Linear(width, 3, rng=rng), CrossEntropyLoss()]
        return Sequential(*layers, *on_top), x, rng.integers(0, 3, rows)
    return Sequential(*layers, Linear(width, 2, rng=rng), MSELoss()), x, 10 * rng.normal(size=(rows, 2))


@pytest.mark.parametrize("seed", range(40))
def test_random_stacks_are_sound(seed):
    cost, *batch = random_stack(seed)
    assert str(lint(cost, *batch)) == "No findings."


def test_a_lint_is_a_tuple_of_findings():
    cost = net(ReLU(), Softmax(), NLLLoss())
    found = lint(cost, X, LABELS)
    assert isinstance(found, Lint)
    assert found.codes == ("softmax-before-nll", "activation-before-scores")[: len(found)]
    assert bool(found)
    assert [finding.code for finding in found] == list(found.codes)
    assert isinstance(found[0], Finding)
    assert found[0].where == "layer 4, Softmax(), below layer 5, NLLLoss(mean)"
    assert repr(found) == str(found) == "\n\n".join(map(str, found))
    none = lint(net(CrossEntropyLoss()), X, LABELS)
    assert not none
    assert str(none) == "No findings."
    assert none._repr_html_() == "<p>No findings.</p>"


def test_in_notebooks_findings_are_paragraphs():
    html = lint(Sequential(linear(4, 8), linear(8, 3), CrossEntropyLoss()), X, LABELS)._repr_html_()
    assert html.startswith(
        "<p><b>linear-after-linear</b>: layer 1, Linear(8 -&gt; 3), above layer 0, Linear(4 -&gt; 8)<br>"
    )
    assert html.endswith("take one out.</p>")


def test_codes_can_be_ignored():
    cost = net(Softmax(), NLLLoss())
    assert lint(cost, X, LABELS, ignore=("softmax-before-nll",)) == ()
    assert lint(cost, X, LABELS, ignore=["dead-units"]).codes == ("softmax-before-nll",)
    # An error that was explained is not found again as one that was not.
    assert lint(net(LogSoftmax(), NLLLoss()), X, LABELS + 1, ignore=("labels-shifted",)) == ()
    with pytest.raises(
        ValueError, match=r"lint expects ignore to hold codes of findings, got 'softmax': they are softma"
    ):
        lint(cost, X, LABELS, ignore=("softmax",))
    with pytest.raises(TypeError, match=r"a tuple of codes, got 'dead-units': ignore=\('dead-units',\)"):
        lint(cost, X, LABELS, ignore="dead-units")
    with pytest.raises(TypeError, match="lint expects a layer, got the class Linear"):
        lint(Linear, X, LABELS)


def test_it_looks_into_containers():
    wrong = Sequential(linear(4, 3), Sequential(Tanh(), Sequential(LogSoftmax())))
    cost = Penalized(
        Sequential(Branch(wrong, Identity()), Concatenate(), linear(7, 3), CrossEntropyLoss()), L2Penalty(0.1)
    )
    assert [finding.where for finding in lint(cost, X, LABELS)] == [
        "layer 0.0.1.0, Tanh(), below layer 0.0.1.1.0, LogSoftmax()"
    ]
    inside = Residual(Sequential(linear(4, 4), BatchNorm1d(4), ReLU()))
    cost = Sequential(inside, linear(4, 3), CrossEntropyLoss())
    assert lint(cost, X, LABELS)[0].where == "layer 0.inner.0, Linear(4 -> 4), below layer 0.inner.1, BatchNorm1d(4)"


def test_what_is_frozen_is_as_at_inference():
    below = Sequential(linear(4, 8), BatchNorm1d(8), Dropout(0.5, rng=0), linear(8, 8), BatchNorm1d(8), ReLU())
    above = [linear(8, 3), CrossEntropyLoss()]
    assert set(lint(Sequential(below, *above), X, LABELS).codes) == {
        "bias-before-normalization",
        "dropout-before-normalization",
    }
    assert not lint(Sequential(Frozen(below), *above), X, LABELS)
    assert not lint(Sequential(Frozen(linear(4, 8)), *above), X, LABELS)


def test_it_moves_and_changes_nothing(tmp_path):
    cost = Sequential(
        linear(4, 8), BatchNorm1d(8), Dropout(0.5, rng=0), linear(8, 8), BatchNorm1d(8), Tanh(), linear(8, 3),
        CrossEntropyLoss(),
    )  # fmt: skip
    save_model(cost, tmp_path / "before")
    x, labels = X.copy(), LABELS.copy()
    arrays = {name: id(array) for name, array in cost.parameters().items()}
    np.random.seed(5)  # noqa: NPY002
    held = vars(cost[0]).keys()
    first = lint(cost, x, labels)
    assert np.random.random() == np.random.RandomState(5).random()  # noqa: NPY002
    assert vars(cost[0]).keys() == held
    save_model(cost, tmp_path / "after")
    assert (tmp_path / "before").read_bytes() == (tmp_path / "after").read_bytes()
    assert {name: id(array) for name, array in cost.parameters().items()} == arrays
    assert np.array_equal(x, X)
    assert np.array_equal(labels, LABELS)
    assert str(lint(cost, x, labels)) == str(first)


def test_widths_may_be_left_out_and_stay_so():
    cost = Sequential(Linear(None, 8, rng=0), BatchNorm1d(None), ReLU(), Linear(None, 3, rng=1), CrossEntropyLoss())
    before = copy.deepcopy(cost)
    assert lint(cost, X, LABELS).codes == ("bias-before-normalization",)
    assert repr(cost) == repr(before)
    assert "?" in repr(cost)


ODD = {
    "an empty batch": (X[:0], LABELS[:0]),
    "no target": (X,),
    "a target that is None": (X, None),
    "ragged rows": ([[1.0], [1.0, 2.0]], LABELS),
    "lists": (X.tolist(), LABELS.tolist()),
    "words": (np.full((60, 4), "a"), LABELS),
    "objects": (X.astype(object), LABELS.astype(object)),
    "complex numbers": (X + 0j, LABELS),
    "infinities": (np.where(X > 2, np.inf, X), LABELS),
    "huge numbers": (1e307 * X, LABELS),
    "tiny numbers": (1e-308 * X, LABELS),
    "one row": (X[:1], LABELS[:1]),
    "three axes": (X[:, np.newaxis], LABELS[:, np.newaxis]),
    "half precision": (X.astype(np.float16), LABELS),
    "masks": (np.ma.masked_array(X), LABELS),
    "a number": (1.0, 2),
    "tuples": ((X, X), LABELS),
    "four arguments": (X, LABELS, None, 3),
    "weights of no weight": (X, LABELS, 0 * LABELS),
    "labels too large": (X, LABELS + 7),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("on_top", [(CrossEntropyLoss(),), (Softmax(), NLLLoss("sum")), (MSELoss("none"),)], ids=str)
def test_odd_data_raise_nothing(name, on_top):
    hidden = Sequential(linear(4, 8), BatchNorm1d(8), ReLU(), Dropout(0.5, rng=0))
    found = lint(Sequential(hidden, linear(8, 3), *on_top), *ODD[name])
    assert all(finding.code in CODES for finding in found)


def test_targets_and_weights_may_go_by_name():
    cost = net(LogSoftmax(), NLLLoss())
    weights = np.ones(len(X))
    assert not lint(cost, X, weights=weights, target=LABELS)
    assert lint(cost, X, weights=weights, target=LABELS + 1).codes == ("labels-shifted",)


def test_a_cost_of_several_numbers_is_looked_at_as_far_as_it_goes():
    assert lint(net(Softmax(), NLLLoss("none")), X, LABELS).codes == ("softmax-before-nll",)
    assert not lint(net(CrossEntropyLoss("none")), X, LABELS)


def test_an_error_of_the_weights_is_not_laid_to_the_labels():
    cost = Sequential(linear(4, 3), BCEWithLogitsLoss())
    found = lint(cost, X, np.eye(3)[LABELS], -np.ones(len(X)))
    assert found.codes == ("error",)
    assert "expects weights of 0 or more, got -1.0 in weights[0]" in found[0].what


def test_a_loss_alone():
    assert lint(NLLLoss(), X, LABELS)[0].where == "NLLLoss(mean)"


def test_an_error_of_a_rule_below_is_a_finding():
    class Half(Layer):
        def forward(self, z):
            return z, None

    found = lint(Sequential(linear(4, 3), Half(), CrossEntropyLoss()), X, LABELS)
    assert found.codes == ("error",)
    assert "NotImplementedError: Half lacks rule 2: backward(self, delta, cache) -> dC/dz" in found[0].what


def test_a_loss_of_ones_own_may_pair_rows():
    """Such as a partial likelihood, where each row meets all others whatever the shapes."""

    class Centred(Layer):
        def forward(self, z, t):
            r = z[:, 0] - z.mean() - (t.ravel() - t.mean())
            return np.mean(r * r), r

        def backward(self, delta, r):
            return (2 * delta * (r - r.mean()) / r.size)[:, np.newaxis]

    assert not lint(Sequential(linear(4, 1, bias=False), Centred()), X, NUMBERS[:, 0])


def test_images_are_looked_at_by_channel():
    from minigrad import Conv2d, Flatten

    cost = Sequential(Conv2d(1, 8, 3, rng=0), ReLU(), Flatten(), linear(32, 3), CrossEntropyLoss())
    assert not lint(cost, IMAGES, LABELS)
    cost[0].bias[:7] = -100
    said = "7 of 8 units are 0 for each of 240 values, and do not respond."
    assert [(finding.code, finding.what) for finding in lint(cost, IMAGES, LABELS)] == [("dead-units", said)]


def test_layers_that_hand_on_what_they_are_given_do_not_confuse_it():
    class Swap(Layer):
        def forward(self, pair):
            return (pair[1], pair[0]), None

        def backward(self, delta, cache):
            return (delta[1], delta[0])

    class First(Layer):
        def forward(self, pair):
            return pair[0], None

        def backward(self, delta, cache):
            return delta, 0 * delta

    below = Sequential(Branch(linear(4, 3), Sequential(linear(4, 3), Softmax())), Swap(), Swap(), Swap(), First())
    found = lint(Sequential(below, CrossEntropyLoss()), X, LABELS)
    said = "layer 0.0.1.1, Softmax(), below layer 1, CrossEntropyLoss(mean)"
    assert (found[0].code, found[0].where) == ("softmax-before-cross-entropy", said)
    assert {finding.where for finding in found[1:]} == {"0.0.0.weight, 0.0.0.bias"}


class Passed(Layer):
    """Hands on what it is given, and holds or counts something."""

    def __init__(self, held=None):
        self.held = held

    def forward(self, z):
        if isinstance(self.held, Counter):
            self.held.count += 1
        return z, None

    def backward(self, delta, cache):
        return delta


class Counter:
    """Counts, copies of it too."""

    count = 0

    def __deepcopy__(self, memo):
        return self


def test_what_a_rule_raises_is_a_finding_of_its_own(monkeypatch):
    def look(run):
        yield "layer 0", "Something."
        raise TypeError("len() of unsized object")

    monkeypatch.setattr(finding, "NET", (Exception,))
    monkeypatch.setattr("minigrad.watching.linting.linter.RULES", (RULES[0]._replace(look=look), *RULES))
    found = lint(net(Softmax(), NLLLoss()), X, LABELS)
    assert found.codes == ("error", "softmax-before-nll")
    assert str(found[0]) == (
        "error: the rule softmax-before-nll\n"
        "  TypeError: len() of unsized object. This rule of lint failed on a layer that it does not expect;\n"
        "  the others ran. Training is not concerned."
    )
    monkeypatch.setattr(finding, "NET", ())
    with pytest.raises(TypeError, match="unsized"):
        lint(net(Softmax(), NLLLoss()), X, LABELS)


@pytest.mark.parametrize(
    "second", [np.array(2.0), np.float64(2.0), 2.0, None, "a", [[1.0], [1.0, 2.0]], [2.0]], ids=str
)
def test_the_second_argument_of_a_layer_of_ones_own_may_be_anything(second):
    class Anything(Layer):
        def forward(self, z, option):
            return np.mean(z * z), z

        def backward(self, delta, z):
            return 2 * delta * z / z.size

    assert not lint(Sequential(linear(4, 1), Anything()), X, second)


def test_a_cost_that_cannot_be_copied():
    import threading

    found = lint(net(Passed(threading.Lock()), Softmax(), NLLLoss()), X, LABELS)
    assert str(found) == (
        "error: the cost\n"
        "  lint works on a copy, which cannot be made: TypeError: cannot pickle '_thread.lock' object.\n"
        "  Training is not concerned. Let the layer open such things on use, or write __deepcopy__ for it."
    )


def test_weights_that_meet_all_rows():
    weights = np.linspace(0.5, 2, len(X))
    cost = Sequential(linear(4, 1), Weighted())
    found = lint(cost, X, NUMBERS, weights)
    assert found.codes == ("target-broadcast",)
    assert found[0].what.startswith(
        "z has the shape (60, 1), and argument 2 after it (60,): NumPy pairs each of 60 rows"
    )
    assert found[0].what.endswith("Pass it as (60, 1).")
    assert not lint(cost, X, NUMBERS, weights[:, np.newaxis])


def several_unused(bias):
    """A branch that is cut off, above hidden units, 7 of 8 of which are dead with a bias of -100."""
    hidden = linear(4, 8)
    hidden.bias[1:] = bias
    on_top = [Branch(linear(8, 3), linear(8, 2)), First(), CrossEntropyLoss()]
    return Sequential(hidden, ReLU(), linear(8, 8), Tanh(), *on_top)


def test_what_is_dead_below_hides_nothing_above():
    said = "4.1.weight, 4.1.bias"
    assert [(f.code, f.where) for f in lint(several_unused(0), X, LABELS)] == [("unused-parameters", said)]
    found = [(f.code, f.where) for f in lint(several_unused(-100), X, LABELS)]
    assert found == [("dead-units", "layer 1, ReLU()"), ("unused-parameters", said)]


def test_of_a_layer_that_is_all_dead_that_is_said_alone():
    cost = Sequential(linear(4, 8), Tanh(), linear(8, 8), ReLU(), linear(8, 3), CrossEntropyLoss())
    cost[2].bias[:] = -100
    assert lint(cost, X, LABELS).codes == ("dead-units",)


def test_penalties_and_many_values_hide_nothing():
    alike = start(constant(0.1), constant(0.1))
    idle = several_unused(0)
    for cost in (alike, idle):
        code = lint(cost, X, LABELS).codes
        assert len(code) == 1
        many = cost.with_replaced(len(cost) - 1, CrossEntropyLoss(reduction="none"))
        assert lint(many, X, LABELS).codes == code
        assert lint(Penalized(cost, L2Penalty(0.1)), X, LABELS).codes == code
        assert lint(Penalized(Penalized(cost, L2Penalty(0.1)), L2Penalty(0.1, "*.weight")), X, LABELS).codes == code


def test_a_model_without_a_loss_is_no_cost():
    model = Sequential(linear(4, 8), BatchNorm1d(8))
    assert not lint(model, X)
    assert lint(Sequential(*model, linear(8, 3), CrossEntropyLoss()), X, LABELS)


def deep(*below, layers=12):
    rng = np.random.default_rng(0)
    count = Counter()
    stack = [layer for _ in range(layers) for layer in (*below, Linear(8, 8, rng=rng), BatchNorm1d(8), ReLU())]
    return count, Sequential(linear(4, 8), Passed(count), Tanh(), *stack, linear(8, 3), CrossEntropyLoss())


def test_few_passes_and_one_paragraph_for_many_layers():
    count, cost = deep()
    found = lint(cost, X, LABELS)
    places = ", ".join(str(i) for i in range(6, 39, 3))
    assert found.codes == ("bias-before-normalization",)
    assert found[0].where == f"layer 3, Linear(8 -> 8), below layer 4, BatchNorm1d(8), and likewise layers {places}"
    assert "where all 12 are moved by one standard deviation of z, the cost changes by" in found[0].what
    assert count.count <= 3
    count, cost = deep(Dropout(0.2, rng=0))
    found = lint(cost, X, LABELS)
    assert found.codes == ("bias-before-normalization", "dropout-before-normalization")
    places = ", ".join(str(i) for i in range(7, 48, 4))
    assert found[1].where == f"layer 3, Dropout(0.2), below layer 5, BatchNorm1d(8), and likewise layers {places}"
    assert re.search(r"normalisation is 1\.\d+ to 2\.\d+ times what it is where dropout is off", found[1].what)
    assert count.count <= 4


def test_one_bias_of_many_that_counts():
    """It stands in another place too, and alone is left out."""
    both = linear(8, 8)
    _, cost = deep(layers=3)
    found = lint(Sequential(*cost[:12], both, BatchNorm1d(8), Tanh(), both, ReLU(), *cost[12:]), X, LABELS)
    assert found.codes == ("bias-before-normalization",)
    assert found[0].where.endswith("and likewise layers 6, 9")


def test_dropout_is_blamed_that_stands_next_below():
    below, rest = dropped()[0], dropped()[1:]
    between = [linear(32, 32, bias=False), BatchNorm1d(32), ReLU()]
    found = lint(Sequential(below, *between, *rest), X, LABELS)
    assert [f.where for f in found] == ["layer 0.2, Dropout(0.5), below layer 2, BatchNorm1d(32)"]
    hardly = Sequential(*below[:2], Dropout(1e-3, rng=0))
    found = lint(Sequential(hardly, *between, Dropout(0.5, rng=0), *rest), X, LABELS)
    assert [f.where for f in found] == ["layer 4, Dropout(0.5), below layer 6, BatchNorm1d(8)"]


def test_probabilities_that_are_not_quite_are_shown_with_all_digits():
    case = next(case for case in WRONG if "Scaled" in repr(case[1]))
    assert "e^z of a row sums to 1.002, where" in lint(*case[1:])[0].what


def test_a_divergence_from_logarithms():
    target = np.log(0.1 + 0.7 * ONE_HOT)
    assert not lint(net(LogSoftmax(), KLDivLoss(log_target=True)), X, target)
    assert lint(net(KLDivLoss(log_target=True)), X, target).codes == ("not-log-probabilities",)


def test_ignored_labels_of_any_number_leave_shifted_ones_to_be_seen():
    x, labels = np.tile(X, (4, 1)), np.tile(LABELS, 4)
    is_left_out = np.arange(len(labels)) % 2 == 1
    cost = Sequential(linear(4, 4), CrossEntropyLoss(ignore_index=255))
    assert lint(cost, x, np.where(is_left_out, 255, labels + 1)).codes == ("labels-shifted",)
    assert not lint(cost, x, np.where(is_left_out, 255, labels))
