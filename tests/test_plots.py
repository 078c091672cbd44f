"""Plots with matplotlib: what they draw is what there is, and all of it can be read, on light and dark pages."""

import builtins
import io
from functools import cache

import numpy as np
import pytest
from browser import CHROMIUM, findings, measure

from minigrad import (
    Adam,
    BCELoss,
    BCEWithLogitsLoss,
    Conv2d,
    CrossEntropyLoss,
    Flatten,
    Frozen,
    HardSigmoid,
    Identity,
    L1Penalty,
    L2Penalty,
    Layer,
    Linear,
    LogSoftmax,
    MSELoss,
    NLLLoss,
    Penalized,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    fit,
    mle,
)
from minigrad.pictures import (
    coefficient_plot,
    decision_regions,
    histograms,
    reliability_curve,
    training_curves,
    weight_images,
)
from minigrad.pictures.canvas import apart
from minigrad.watching.trace import trace

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 2))
SIDE = (X @ [1.5, -1.0] + 0.3 + RNG.logistic(size=120) > 0).astype(int)
THREE = (X @ RNG.normal(size=(2, 3)) * 2 + RNG.gumbel(size=(120, 3))).argmax(axis=1)
COLUMNS = ["height in metres", "weight in kilograms"]
ODD = np.where(X[5] == X, [np.nan, np.inf], X)
CLASSES = ["red", "green", "blue"]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def sigmoid() -> Sequential:
    model = Sequential(Linear(2, 1, rng=0), Sigmoid())
    model[0].weight[:], model[0].bias[:] = [[1.5, -1.0]], 0.3
    return model


class Squashed(Layer):
    """A sigmoid of one's own."""

    def forward(self, z):
        return 0.5 + 0.5 * np.tanh(0.5 * z), None


@cache
def of_two():
    return mle.fit(Sequential(Linear(2, 1), BCEWithLogitsLoss()), X, SIDE, names=COLUMNS)


@cache
def of_three():
    cost = Sequential(Linear(2, 3), LogSoftmax(), NLLLoss())
    return mle.fit(cost, X, np.array(CLASSES)[THREE], names=COLUMNS, classes=CLASSES)


def deep() -> Sequential:
    hidden = [f for i in range(2) for f in (Linear(2 if i == 0 else 6, 6, rng=i), ReLU())]
    return Sequential(*hidden, Linear(6, 3, rng=9), CrossEntropyLoss())


HISTORY = {
    "cost": 2.0 * 0.8 ** np.arange(20) + 0.3,
    "validation_cost": 2.0 * 0.8 ** np.arange(20) + 0.31 + 0.002 * np.arange(20),
    "learning_rate": 0.1 * 0.9 ** np.arange(20),
}

PLOTS = {
    "training curves": lambda **o: training_curves(HISTORY, **o),
    "training alone": lambda **o: training_curves({"cost": [2.0]}, **o),
    "histograms": lambda **o: histograms(trace(deep(), X, THREE), **o),
    "histograms of many scales": lambda **o: histograms(trace(deep()[:3], X * [1, 1e5]), **o),
    "histograms of odd numbers": lambda **o: histograms(trace(deep(), ODD, THREE), **o),
    "histograms of large numbers": lambda **o: histograms(trace(deep()[:3], X * [1, 1e300]), **o),
    "regions far out": lambda **o: decision_regions(Linear(2, 2, rng=0), X + np.array([1e6, 5e5]), SIDE, **o),
    "regions of large numbers": lambda **o: decision_regions(Linear(2, 2, rng=0), 2e5 * X + 4e5, SIDE, **o),
    "images with NaN": lambda **o: weight_images(np.where(np.eye(6, 64) > 0, np.nan, 1.0), (8, 8), **o),
    "odd costs": lambda **o: training_curves({"cost": [2.0, np.nan, 1e300]}, **o),
    "half spaces": lambda **o: decision_regions(sigmoid(), X, SIDE, **o),
    "three regions": lambda **o: decision_regions(of_three(), X, np.array(CLASSES)[THREE], **o),
    "images": lambda **o: weight_images(RNG.normal(size=(6, 64)), (8, 8), **o),
    "one image": lambda **o: weight_images(RNG.normal(size=(1, 12)), (3, 4), ["a class of a long name"], **o),
    "reliability": lambda **o: reliability_curve(of_three(), **o),
    "reliability of one": lambda **o: reliability_curve(of_two(), **o),
    "coefficients": lambda **o: coefficient_plot(of_three(), **o),
    "one coefficient": lambda **o: coefficient_plot(of_two(), names=[COLUMNS[0]], kind="profile", **o),
}

IN_THE_DARK = ("training curves", "half spaces", "images", "coefficients")

# In a browser.


def as_svg(ax) -> str:
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        ax.figure.savefig(file, format="svg")
    plt.close(ax.figure)
    return file.getvalue()


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    drawn = {f"{name}, light": as_svg(make(theme="light")) for name, make in PLOTS.items()}
    drawn |= {f"{name}, dark": as_svg(PLOTS[name](theme="dark")) for name in IN_THE_DARK}
    _, ax = plt.subplots()
    training_curves(HISTORY, ax=ax)
    ax.text(1, 0.5, "planted, and far too long for what is left", fontsize=16)
    ax.set_ylabel("cost", color="#aaaaaa")
    ax.text(0, 1.02, "planted over the title", transform=ax.transAxes)
    drawn["planted"] = as_svg(ax)
    return measure(drawn, tmp_path_factory.mktemp("browser"))["as_it_is"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_plot_is_legible(measured, theme):
    found = {name: findings(of) for name, of in measured.items() if name.endswith(theme)}
    assert len(found) == len(PLOTS if theme == "light" else IN_THE_DARK)
    assert {name: each for name, each in found.items() if each} == {}
    assert all(len(of["texts"]) > 3 for of in measured.values())


def test_planted_faults_are_found(measured):
    found = findings(measured["planted"])
    assert any("'cost' has contrast 2.3" in each for each in found)
    assert any("overlaps 'planted over the title'" in each for each in found)


# On which axes, in which colours.


@pytest.mark.parametrize("name", PLOTS)
def test_axes_that_are_given_are_used_and_returned(name):
    figure, (ax, other) = plt.subplots(1, 2)
    assert PLOTS[name](ax=ax) is ax
    assert figure.axes[:2] == [ax, other]
    assert not other.has_data()


def test_the_theme_is_that_of_the_background():
    assert training_curves(HISTORY).figure.get_facecolor() == (1, 1, 1, 1)
    with plt.style.context("dark_background"):
        dark = training_curves(HISTORY)
    figure, ax = plt.subplots(facecolor="#202020")
    given = training_curves(HISTORY, ax=ax)
    for each in (dark, given, training_curves(HISTORY, theme="dark")):
        assert max(each.figure.get_facecolor()[:3]) < 0.2
        assert min(matplotlib.colors.to_rgb(each.yaxis.label.get_color())) > 0.8
    assert matplotlib.colors.to_hex(figure.get_facecolor()) == "#202020"


@pytest.mark.parametrize("plot", [training_curves, histograms, decision_regions, weight_images, coefficient_plot])
def test_themes_axes_and_matplotlib_are_required(plot, monkeypatch):
    name = next(own for own, make in PLOTS.items() if plot.__name__ in make.__code__.co_names)
    with pytest.raises(ValueError, match=rf"^{plot.__name__} expects theme in \('light', 'dark', None\), got 'blue'$"):
        PLOTS[name](theme="blue")
    figure = plt.figure()
    with pytest.raises(
        TypeError, match=rf"^{plot.__name__} expects ax to be matplotlib's axes, got Figure: plt.subplots"
    ):
        PLOTS[name](ax=figure)
    real = builtins.__import__

    def without(module, *rest, **options):
        if module.startswith("matplotlib"):
            raise ImportError(module)
        return real(module, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=rf"^{plot.__name__} needs matplotlib: pip install 'minigrad\[plot\]'$"):
        PLOTS[name]()


def test_labels_are_moved_apart_as_little_as_need_be():
    assert apart([0.2, 0.8], 0.1) == [0.2, 0.8]
    np.testing.assert_allclose(apart([0.5, 0.5, 0.9], 0.2), [0.4, 0.6, 0.9])
    np.testing.assert_allclose(apart([0.99, 1.0], 0.1), [0.9, 1.0])
    heights = RNG.uniform(size=8)
    moved = np.array(apart(list(heights), 0.1))
    assert np.diff(np.sort(moved)).min() > 0.1 - 1e-12
    assert (np.argsort(moved) == np.argsort(heights)).all()


# Training curves.


def test_the_curves_are_the_history():
    ax = training_curves(HISTORY)
    for line, name in zip(ax.lines, ("cost", "validation_cost"), strict=False):
        np.testing.assert_array_equal(line.get_xydata(), np.column_stack([np.arange(1, 21), HISTORY[name]]))
    assert ax.lines[0].get_linestyle() != ax.lines[1].get_linestyle()
    assert {"training", "validation"} <= {text.get_text() for text in ax.texts}
    best = int(np.argmin(HISTORY["validation_cost"])) + 1
    said = f"Ring and dotted line: the best epoch, {best}, with validation cost"
    assert any(text.get_text().startswith(said) for text in ax.texts)
    np.testing.assert_array_equal(ax.lines[-1].get_xydata(), [[best, HISTORY["validation_cost"][best - 1]]])
    (lower,) = ax.child_axes
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), HISTORY["learning_rate"])
    assert ax.get_title(loc="left") == "Training and validation cost, 20 epochs"


def test_the_curves_of_a_run():
    cost = Sequential(Linear(2, 3, rng=0), CrossEntropyLoss())
    history = fit(
        cost,
        (X[:80], THREE[:80]),
        optimizer=Adam(cost, 0.3),
        epochs=12,
        rng=0,
        validation=(X[80:], THREE[80:]),
        early_stopping=2,
        progress=False,
    )
    ax = training_curves(history)
    assert not ax.child_axes, "the learning rate does not vary"
    assert ax.get_xlabel() == "epoch"
    assert ax.lines[-1].get_xdata() == [history.best_epoch]


def test_costs_of_many_sizes_are_logarithmic_and_gaps_are_left_out():
    assert training_curves({"cost": [100.0, 1.0, 0.01]}).get_yscale() == "log"
    assert training_curves({"cost": [100.0, 1.0, -0.01]}).get_yscale() == "linear"
    ax = training_curves({"cost": [2.0, np.nan, 1.0], "validation_cost": [np.nan] * 3})
    assert [text.get_text() for text in ax.texts] == ["training"]


@pytest.mark.parametrize(
    ("history", "got"), [({}, "an empty one"), ({"cost": []}, "cost"), ({"cost": [np.nan]}, "cost"), ({"a": [1]}, "a")]
)
def test_histories_without_a_cost(history, got):
    message = rf"^training_curves expects a history with a finite cost of an epoch or more, as fit returns, got {got}$"
    with pytest.raises(ValueError, match=message):
        training_curves(history)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ([2.0, 1.0], r"expects what fit returns, or a mapping, got list: \{'cost': \[2\.0, 1\.0\]\}"),
        (
            {"cost": np.ones((2, 2))},
            "expects cost to be a list of numbers, one for each epoch, got ndarray of float64 and",
        ),
        ({"cost": ["a"]}, "expects cost to be a list of numbers, one for each epoch, got list"),
        (
            {"cost": [2.0, 1.0], "validation_cost": [1.0]},
            "expects a number for each epoch, got 2 of cost, 1 of validation_cost: NaN where there is none",
        ),
    ],
)
def test_what_training_curves_expects(history, message):
    with pytest.raises((TypeError, ValueError), match=f"^training_curves {message}"):
        training_curves(history)


def test_odd_costs_are_said():
    ax = training_curves({"cost": [2.0, np.nan, 1e300, -1e308]})
    assert ax.get_title(loc="left") == "Cost in training, 4 epochs, 1 of 4 not finite, drawn up to 1e+100"
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [2.0, np.nan, 1e100, -1e100])
    assert training_curves({"cost": [1e300, 1.0, 1e-300]}).get_yscale() == "log"


# Histograms.


def test_each_histogram_is_that_of_its_layer():
    found = trace(deep(), X, THREE)
    left, right = histograms(found).child_axes
    for ax, arrays in ((left, [one.z for one in found.layers]), (right, [np.abs(one.delta) for one in found.layers])):
        assert len(ax.patches) == len(arrays)
        for i, (patch, array) in enumerate(zip(ax.patches, arrays, strict=True)):
            values, edges, base = patch.get_data()
            shown = array[array != 0] if ax is right else array
            counts = np.histogram(np.clip(shown, edges[0], edges[-1]), edges)[0]
            assert base == i
            np.testing.assert_allclose((values - i) / (values - i).max(), counts / counts.max())
    assert [label.get_text() for label in left.get_yticklabels()][:3] == ["0 Linear  z¹", "1 ReLU  z²", "2 Linear  z³"]
    zeros = (found.layers[1].delta == 0).mean(), (found.layers[-1].delta == 0).mean()
    assert zeros[1] == 0
    assert [text.get_text() for text in right.texts if text.xy[1] == 1] == (
        [f"{zeros[0]:.0%} are 0"] if zeros[0] else []
    )


def test_histograms_without_deltas_and_of_many_scales():
    (left,) = histograms(trace(deep()[:3], X * [1, 1e5])).child_axes
    assert left.get_xscale() == "linear"
    wide = Sequential(Linear(2, 4, rng=0), Tanh(), Linear(4, 1, rng=1))
    (left,) = histograms(trace(wide, X * 1e4)).child_axes
    assert left.get_xscale() == "asinh"


def test_what_histograms_expect():
    with pytest.raises(
        TypeError, match=r"^histograms expects a Trace, got Sequential: histograms\(trace\(cost, x, targ"
    ):
        histograms(deep())
    with pytest.raises(ValueError, match=r"^histograms expects a trace that kept arrays of numbers, got none: trace\("):
        histograms(trace(deep(), X, THREE, keep=False))


def test_histograms_of_what_is_not_finite_draw_the_rest():
    found = trace(deep(), ODD, THREE)
    left, right = histograms(found).child_axes
    rest = ODD[np.isfinite(ODD)]
    values, edges, _ = left.patches[0].get_data()
    counts = np.histogram(np.clip(rest, edges[0], edges[-1]), edges)[0]
    np.testing.assert_allclose(values / values.max(), counts / counts.max())
    assert left.get_yticklabels()[0].get_text() == "0 Linear  z¹\n2 of 240 not finite"
    lost = (~np.isfinite(found.layers[0].delta)).sum()
    assert [text.get_text() for text in right.texts if text.xy[1] == 0] == [f"{lost} of 240 not finite"]
    with pytest.raises(
        ValueError,
        match=r"^histograms expects finite numbers, got 720 of 720 not finite in z: find_nonfinite\(cost, x, ",
    ):
        histograms(trace(Sequential(Linear(2, 2, rng=0), Tanh(), Tanh()), X * np.nan))


def test_numbers_beyond_the_scale_are_said():
    (left,) = histograms(trace(deep()[:3], X * 1e300)).child_axes
    assert left.get_xlabel() == "entries of z, those beyond 1e+100 there"
    assert max(np.abs(left.get_xlim())) < 1e102


# Decision regions.


def border(ax) -> np.ndarray:
    """The points of the lines between regions."""
    lines = [each for each in ax.collections if hasattr(each, "levels") and not each.filled]
    return np.concatenate([path.vertices for each in lines for path in each.get_paths()])


@pytest.mark.parametrize(
    "model",
    [
        sigmoid(),
        sigmoid()[0],
        Sequential(*sigmoid(), BCELoss()),
        Sequential(sigmoid()[0], Squashed(), BCELoss()),
        Sequential(sigmoid()[0], BCEWithLogitsLoss()),
        Penalized(Sequential(sigmoid()[0], BCEWithLogitsLoss()), L2Penalty(0.1)),
    ],
    ids=lambda model: type(model).__name__,
)
def test_the_border_of_a_half_space_is_where_the_unit_is_0(model):
    ax = decision_regions(model, X, SIDE)
    points = border(ax)
    assert len(points) > 50
    np.testing.assert_allclose(points @ [1.5, -1.0] + 0.3, 0, atol=1e-6)
    right = ((X @ [1.5, -1.0] + 0.3 > 0) == SIDE).sum()
    assert ax.get_title(loc="left") == f"Decision regions, {right} of 120 rows right"
    (said,) = [text.get_text() for text in ax.texts if "w·x" in text.get_text()]
    assert said == "Arrow: into w·x + b > 0 with w = (1.5, \u22121), b = 0.3"
    (arrow,) = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
    ax.figure.draw_without_rendering()
    start = ax.transData.transform(arrow.xy)
    end = start + np.array(arrow.xyann) * ax.figure.dpi / 72
    np.testing.assert_allclose(np.array(arrow.xy) @ [1.5, -1.0] + 0.3, 0, atol=1e-6)
    assert ax.transData.inverted().transform(end) @ [1.5, -1.0] + 0.3 > 0.05


def test_the_half_space_of_a_fit():
    result = of_two()
    ax = decision_regions(result, X, SIDE)
    w, b = result.params[:2], result.params[2]
    np.testing.assert_allclose(border(ax) @ w + b, 0, atol=1e-6)
    assert any(text.get_text().startswith("Arrow: into w·x + b > 0") for text in ax.texts)
    assert (ax.get_xlabel(), ax.get_ylabel()) == tuple(COLUMNS)


def test_several_classes_have_their_rows_markers_and_names():
    result = of_three()
    ax = decision_regions(result, X, np.array(CLASSES)[THREE])
    rows = [each for each in ax.collections if each.get_label() in CLASSES]
    markers = []
    for k, each in enumerate(rows):
        np.testing.assert_array_equal(each.get_offsets(), X[k == THREE])
        markers.append(each.get_paths()[0].vertices.tobytes())
    assert len(set(markers)) == 3
    said = result.predict(X).argmax(axis=1)
    (rings,) = [each for each in ax.collections if each.get_label() == "ring: said wrong"]
    np.testing.assert_array_equal(rings.get_offsets(), X[said != THREE])
    for name in ("class red", "class green", "class blue"):
        (text,) = [text for text in ax.texts if text.get_text() == name]
        there = result.predict(np.array([text.get_position()]))[0]
        assert f"class {CLASSES[there.argmax()]}" == name
    hatches = [each.hatches for each in ax.collections if getattr(each, "hatches", [None]) != [None]]
    assert {tuple(each) for each in hatches} - {(None,)} == {("",), ("///",), ("...",)}


def test_the_legend_has_the_classes_that_are_there():
    ax = decision_regions(Linear(2, 3, rng=0), X[:1], np.array([1]))
    said = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [each for each in said if not each.startswith("ring")] == ["1"]


def test_curved_borders_have_no_half_space():
    model = Sequential(Linear(2, 8, rng=0), Tanh(), Linear(8, 1, rng=1), BCEWithLogitsLoss())
    assert not any("w·x" in text.get_text() for text in decision_regions(model, X, SIDE).texts)


def rows_right(model, x, target) -> str:
    return decision_regions(model, x, target).get_title(loc="left").split(", ")[1]


def test_a_sigmoid_on_top_is_found_in_any_stack():
    """A probability of 0.4 is a small one, and as a logit would be a large one."""
    model = sigmoid()
    whole = decision_regions(model, X, SIDE)
    for other in (Sequential(model), Sequential(Sequential(model), Identity()), Sequential(model, BCELoss())):
        np.testing.assert_allclose(border(decision_regions(other, X, SIDE)), border(whole))
    nested = Sequential(Sequential(model[0], Sequential(BCEWithLogitsLoss())))
    np.testing.assert_allclose(border(decision_regions(nested, X, SIDE)), border(whole))


def test_large_scores_are_told_apart():
    model = Linear(2, 3, rng=0)
    said = (X @ model.weight.T).argmax(axis=1)
    model.weight *= 1e6
    model.bias[:] = 1e9
    assert rows_right(model, X, said) == "120 of 120 rows right"
    model.bias[:] = 0
    assert rows_right(Sequential(model, LogSoftmax()), X, said) == "120 of 120 rows right"


def test_the_arrow_stands_in_the_half_space():
    """Its foot is on the border, and its head on the side where w.x + b > 0."""
    for sign in (1, -1):
        model = sigmoid()
        model[0].weight *= sign
        model[0].bias *= sign
        ax = decision_regions(model, X, SIDE if sign > 0 else 1 - SIDE)
        (arrow,) = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
        at, away = np.array(arrow.xy), np.array(arrow.get_position())
        ax.figure.draw_without_rendering()
        inverse = ax.transData.inverted()
        tip = inverse.transform(ax.transData.transform(at) + away)
        assert model[0](tip[np.newaxis])[0, 0] > 0
        assert arrow.arrowprops["arrowstyle"] == "<|-", "the head is at the place of the text, away from the point"


def test_a_model_that_says_one_class_everywhere():
    model = sigmoid()[:1]
    model[0].bias[:] = 100.0
    ax = decision_regions(model, X, np.ones(120))
    assert ax.get_title(loc="left") == "Decision regions, 120 of 120 rows right"
    assert [text.get_text() for text in ax.texts if text.get_text().startswith("class")] == ["class 1"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: decision_regions(sigmoid(), X[:, :1], SIDE),
            ValueError,
            r"finite x of shape \(N, 2\), got \(120, 1\): ch",
        ),
        (
            lambda: decision_regions(sigmoid(), np.where(X[5] == X, np.nan, X), SIDE),
            ValueError,
            r"expects finite x, got 2 of 240 not finite, the first in row 5: keep x\[np.isfinite\(x\).all\(axis=1\)\]",
        ),
        (
            lambda: decision_regions(Linear, X, SIDE),
            TypeError,
            "expects a stack of layers, or what mle.fit found, got the cl",
        ),
        (
            lambda: decision_regions(sigmoid(), X, SIDE[:5]),
            ValueError,
            r"a target of shape \(120,\), one class for each row, got",
        ),
        (
            lambda: decision_regions(sigmoid(), X, THREE),
            ValueError,
            "expects two classes for a model of one output, got 3",
        ),
        (
            lambda: decision_regions(sigmoid(), X, SIDE.astype(str)),
            TypeError,
            "expects numbers as classes, got ndarray of",
        ),
        (
            lambda: decision_regions(Linear(2, 3, rng=0), X, THREE + 1),
            ValueError,
            r"expects classes 0 to 2, got 3 in row \d+",
        ),
        (
            lambda: decision_regions(Sequential(Linear(2, 1), MSELoss()), X, SIDE),
            ValueError,
            r"expects a classifier, a cost that ends in BCELoss, BCEWithLogitsLoss, BernoulliNLLLoss or HingeLoss for "
            r"outputs of shape \(1,\), got MSELoss\(mean\): pass the model below the loss, whose outputs",
        ),
        (
            lambda: decision_regions(Sequential(Linear(2, 3), MSELoss()), X, THREE),
            ValueError,
            r"CrossEntropyLoss, NLLLoss or MultiMarginLoss for outputs of shape \(3,\), got MSELoss\(mean\)",
        ),
        (lambda: decision_regions(Linear(2, 11, rng=0), X, THREE), ValueError, "expects 10 classes or fewer, got 11"),
        (
            lambda: decision_regions(mle.fit(Sequential(Linear(2, 1), BCEWithLogitsLoss()), X, X[:, 0] > 0), X, SIDE),
            mle.EstimateError,
            "no decision_regions: ",
        ),
    ],
)
def test_what_decision_regions_expects(call, error, message):
    with pytest.raises(error, match=message):
        call()


# Weights as images.


def test_images_are_the_weights_on_one_even_scale():
    weight = RNG.normal(size=(10, 64))
    panels = [each for each in weight_images(weight, (8, 8)).child_axes if each.images]
    for k, panel in enumerate(panels):
        np.testing.assert_array_equal(panel.images[0].get_array(), weight[k].reshape(8, 8))
        assert panel.images[0].get_clim() == (-np.abs(weight).max(), np.abs(weight).max())
        assert panel.get_title() == str(k)
        dots = panel.collections[0].get_offsets().astype(int)
        marked = np.zeros((8, 8), bool)
        marked[dots[:, 1], dots[:, 0]] = True
        np.testing.assert_array_equal(marked, weight[k].reshape(8, 8) < -0.05 * np.abs(weight).max())
    assert len(panels) == 10


def test_images_of_a_layer_and_of_a_stack(monkeypatch):
    layer = Linear(12, 3, rng=0)
    for source in (layer, Sequential(layer, LogSoftmax()), layer.weight.reshape(3, 3, 4)):
        panels = [each for each in weight_images(source, (3, 4), CLASSES).child_axes if each.images]
        np.testing.assert_array_equal(panels[2].images[0].get_array(), layer.weight[2].reshape(3, 4))
        assert [panel.get_title() for panel in panels] == CLASSES
    monkeypatch.setattr("minigrad.pictures.images.MOST", 6)
    many = weight_images(RNG.normal(size=(7, 4)), (2, 2))
    assert len([each for each in many.child_axes if each.images]) == 6
    assert many.get_title(loc="left") == "Weights as images of 2 by 2, 7 outputs, the first 6"


@pytest.mark.parametrize(
    ("weight", "shape", "classes", "message"),
    [
        (
            Linear(12, 3),
            (8, 8),
            None,
            r"expects a weight of shape \(K, 64\) or \(K, 8, 8\), got weight \(3, 12\), bias \(3,\)",
        ),
        (
            ReLU(),
            (8, 8),
            None,
            r"expects a weight of shape \(K, 64\) or \(K, 8, 8\), got no parameters: pass the shape",
        ),
        (
            np.ones((3, 5)),
            (2, 2),
            None,
            r"expects a weight of shape \(K, 4\) or \(K, 2, 2\), got \(3, 5\): pass the shape",
        ),
        (np.ones((3, 4)), 4, None, r"expects the shape of an image, such as \(8, 8\), got 4"),
        (np.ones((3, 4)), (2, 2), ["a"], "expects a name for each of 3 outputs, got 1 classes"),
        ([[1.0]], (1, 1), None, "expects a layer or an array, got list"),
        (np.full((2, 4), np.nan), (2, 2), None, "expects finite weights, got 8 of 8 not finite: find_nonfinite says"),
    ],
)
def test_what_weight_images_expects(weight, shape, classes, message):
    with pytest.raises((TypeError, ValueError), match=f"^weight_images {message}"):
        weight_images(weight, shape, classes)


def test_images_of_a_convolution_and_of_what_is_not_finite():
    layer = Conv2d(1, 4, 3, rng=0)
    panels = [each for each in weight_images(layer, (3, 3)).child_axes if each.images]
    np.testing.assert_array_equal(panels[2].images[0].get_array(), layer.weight[2, 0])
    weight = np.arange(8.0).reshape(2, 4)
    weight[0, 1], weight[1, 2] = np.nan, -np.inf
    ax = weight_images(weight, (2, 2))
    panels = [each for each in ax.child_axes if each.images]
    assert [panel.collections[1].get_offsets().tolist() for panel in panels] == [[[1, 0]], [[0, 1]]]
    assert all(panel.collections[0].get_offsets().size == 0 for panel in panels), (
        "0 is no dot, nor is what is not finite"
    )
    assert panels[0].images[0].get_clim() == (-7, 7)
    for shape in ([2, 2], (np.int64(2), 2)):
        assert weight_images(weight, shape).get_title(loc="left") == ax.get_title(loc="left")
    tall = weight_images(np.ones((2, 64)), (64, 1))
    assert max(tall.figure.get_size_inches()) < 12
    assert [text.get_text() for text in ax.texts] == ["\N{MULTIPLICATION SIGN}: 2 of 8 not finite"]


# Reliability.


def test_reliability_is_that_of_the_calibration():
    found = of_three().calibration(level=0.9)
    assert found.to_dict()["level"] == 0.9
    ax = reliability_curve(found)
    for container, each in zip(ax.containers, found.curves, strict=True):
        np.testing.assert_array_equal(container[0].get_xydata(), np.column_stack([each.predicted, each.observed]))
        (bars,) = container[2]
        np.testing.assert_allclose([s[:, 1] for s in bars.get_segments()], np.column_stack([each.lower, each.upper]))
    assert len({(c[0].get_marker(), c[0].get_linestyle()) for c in ax.containers}) == 3
    assert any("the rows fitted; bars: 90 % intervals" in text.get_text() for text in ax.texts)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == CLASSES


def test_the_rows_of_a_calibration_are_said():
    result = of_two()
    assert ", the rows fitted; " in reliability_curve(result).texts[-1].get_text()
    assert ", new rows; " in reliability_curve(result.calibration(X[:60], SIDE[:60])).texts[-1].get_text()


def test_of_a_result_and_of_some_classes():
    result = of_three()
    one = reliability_curve(result, classes=["green"])
    assert len(one.containers) == 1
    assert one.get_title(loc="left") == "Reliability of green"
    five = (X @ RNG.normal(size=(2, 5)) + RNG.gumbel(size=(120, 5))).argmax(axis=1)
    many = mle.fit(Sequential(Linear(2, 5), LogSoftmax(), NLLLoss()), X, five)
    top = reliability_curve(many)
    assert top.get_title(loc="left") == "Reliability of the most probable class"
    np.testing.assert_array_equal(top.containers[0][0].get_xdata(), many.calibration().top.predicted)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: reliability_curve(sigmoid()),
            r"expects what result.calibration\(\) gives, or a result, got Sequential",
        ),
        (lambda: reliability_curve(of_three(), classes=["pink"]), "expects classes among red, green, blue, got 'pink'"),
        (lambda: reliability_curve(of_three(), classes=[]), "expects classes among red, green, blue, got none"),
    ],
)
def test_what_reliability_expects(call, message):
    with pytest.raises((TypeError, ValueError), match=f"^reliability_curve {message}"):
        call()


# Coefficients.


def drawn(ax) -> dict[str, tuple[float, float, float]]:
    """{name: (start, estimate, end)} as drawn."""
    names = {tick: label.get_text() for tick, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)}
    found = {}
    for tick, name in names.items():
        at = [line.get_xydata() for line in ax.lines if (line.get_ydata() == tick).all()]
        span = next(points for points in at if len(points) == 2)
        found[name] = (float(span[0, 0]), float(at[-1][0, 0]), float(span[1, 0]))
    return found


@pytest.mark.parametrize(("kind", "level"), [("wald", 0.95), ("profile", 0.8)])
def test_coefficients_are_those_of_the_result(kind, level):
    result = of_two()
    found = drawn(coefficient_plot(result, kind=kind, level=level))
    assert list(found) == result.names
    np.testing.assert_array_equal([each[1] for each in found.values()], result.params)
    np.testing.assert_array_equal([each[::2] for each in found.values()], result.ci(level, kind))


def test_coefficients_are_sorted_or_chosen_and_0_is_marked():
    result = of_three()
    ax = coefficient_plot(result, sort=True)
    order = [text.get_text() for _, text in sorted(zip(-ax.get_yticks(), ax.get_yticklabels(), strict=True))]
    assert order == [result.names[i] for i in np.argsort(-result.params)]
    assert list(ax.lines[0].get_xdata()) == [0, 0]
    chosen = coefficient_plot(result, names=result.names[2:4])
    assert set(drawn(chosen)) == set(result.names[2:4])
    assert chosen.get_title(loc="left") == "Estimates with 95 % Wald intervals"


def test_what_holds_0_is_open():
    result = of_three()
    ax = coefficient_plot(result)
    points = {float(line.get_xdata()[0]): line for line in ax.lines if line.get_marker() == "o"}
    for estimate, (start, end) in zip(result.params, result.ci(), strict=True):
        is_open = points[estimate].get_markerfacecolor() != points[estimate].get_markeredgecolor()
        assert is_open == (start <= 0 <= end)


def test_what_is_not_estimable_is_said():
    twice = np.column_stack([X, X[:, 0] * 2])
    result = mle.fit(Sequential(Linear(3, 1), BCEWithLogitsLoss()), twice, SIDE, names=["a", "b", "twice a"])
    said = [text.get_text() for text in coefficient_plot(result).texts]
    assert said.count("not estimable") == (~result.estimable).sum() == 2


def test_where_no_estimate_exists_the_verdict_says_why():
    separated = mle.fit(Sequential(Linear(2, 1), BCEWithLogitsLoss()), X, X[:, 0] > 0)
    with pytest.raises(mle.EstimateError) as caught:
        coefficient_plot(separated)
    assert str(caught.value) == f"no coefficient plot: {separated.verdict.message}"


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"penalty": 1.0}, "wald", "Method: MAP; filled"),
        ({"penalty": "firth"}, "wald", "Method: Firth; filled"),
        ({"cov": "HC1"}, "wald", "Covariance Type: HC1; filled"),
        ({"cov": "HC1"}, "profile", "filled"),
        ({}, "wald", "filled"),
    ],
)
def test_how_it_was_fitted_is_said(options, kind, said):
    result = mle.fit(Sequential(Linear(2, 1), BCEWithLogitsLoss()), X, SIDE, **options)
    subtitle = coefficient_plot(result, kind=kind).texts[-1].get_text()
    assert subtitle == f"{said}: the interval leaves out 0; open: it holds 0"


def test_what_coefficients_expect():
    with pytest.raises(TypeError, match=r"^coefficient_plot expects a list of names, got 'ab': \['ab'\]$"):
        coefficient_plot(of_two(), names="ab")
    with pytest.raises(TypeError, match=r"^coefficient_plot expects what mle\.fit found, got Sequential$"):
        coefficient_plot(sigmoid())
    with pytest.raises(ValueError, match=r"^coefficient_plot expects the names of a parameter or more, got none$"):
        coefficient_plot(of_two(), names=[])
    with pytest.raises(KeyError, match="there is no parameter 'width': there are"):
        coefficient_plot(of_two(), names=["width"])


def test_regions_are_those_of_the_probabilities_whatever_stands_around_the_sigmoid():
    whole = rows_right(sigmoid(), X, SIDE)
    cost = Sequential(*sigmoid(), BCELoss())
    for model in (
        Frozen(sigmoid()),
        Sequential(*sigmoid(), Flatten()),
        Penalized(Penalized(cost, L2Penalty(0.1)), L1Penalty(0.1)),
        Sequential(Penalized(cost, L2Penalty(0.1))),
    ):
        assert rows_right(model, X, SIDE) == whole, model
    hard = Sequential(sigmoid()[0], HardSigmoid())
    assert rows_right(hard, X, SIDE) == whole


@pytest.mark.parametrize("offset", [0.0, 1e7, 1e9])
def test_the_border_is_said_far_from_the_origin(offset):
    model = sigmoid()
    bias = model[0].bias - model[0].weight[0, 0] * offset
    moved = Sequential(model[0].with_parameters({"bias": bias}), Sigmoid())
    ax = decision_regions(moved, X + np.array([offset, 0.0]), SIDE)
    (said,) = [text.get_text() for text in ax.texts if "w·x" in text.get_text()]
    assert "w = (1.5, \N{MINUS SIGN}1)" in said
