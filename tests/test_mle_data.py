"""Data: what enters `mle.fit` is taken as it is meant, or refused by the names of its columns and rows."""

import datetime
import decimal
import fractions
import subprocess
import sys
import warnings

import numpy as np
import pytest

from minigrad import (
    BCELoss,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    ElementwiseLoss,
    Embedding,
    Flatten,
    GaussianNLLLoss,
    HingeLoss,
    HomoscedasticGaussianNLLLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    L2Penalty,
    Layer,
    Linear,
    LogSoftmax,
    MSELoss,
    MultiMarginLoss,
    NLLLoss,
    Penalized,
    PoissonNLLLoss,
    QuantileLoss,
    Sequential,
    Sigmoid,
    SmoothL1Loss,
    Softmax,
    Tanh,
    mle,
)
from minigrad.mle.entry.data import data_of, new_inputs, new_target
from minigrad.mle.entry.heads import built
from minigrad.mle.entry.observations import groups_of
from minigrad.mle.inference.expressions import differences

N = 12
X = np.random.default_rng(0).normal(size=(N, 2))
with warnings.catch_warnings():
    warnings.simplefilter("ignore", PendingDeprecationWarning)
    MATRIX = np.asmatrix(X)
THREE = np.arange(N) % 3
TWO = np.arange(N) % 2


def softmax(classes=3, features=2):
    return Sequential(Linear(features, classes, rng=0), LogSoftmax(), NLLLoss())


def logit(features=2, loss=None):
    return Sequential(Linear(features, 1, rng=0), loss or BernoulliNLLLoss())


def fractional(outputs=1):
    return Sequential(Linear(2, outputs, rng=0), BCEWithLogitsLoss())


def poisson(outputs=1, features=2):
    return Sequential(Linear(features, outputs, rng=0), PoissonNLLLoss())


class Frame:
    """What a DataFrame has, and no more: columns by name."""

    def __init__(self, **columns):
        self.held = columns

    columns = property(lambda self: list(self.held))

    def __getitem__(self, name):
        return self.held[name]


class Labelled:
    """A series whose rows have names."""

    def __init__(self, values, index, name=None):
        self.values, self.index, self.name = np.asarray(values), np.asarray(index), name

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


class ARow(Layer):
    """A custom layer with a custom loss on top."""

    parameter_names = ("b",)

    def __init__(self):
        self.b = np.ones(1)

    def forward(self, z, target):
        return float(((self.b * z - target) ** 2).sum()), z


def spoiled(value, row=4, column=1):
    x = X.copy()
    x[row, column] = value
    return x


# What is taken, and as what.


def test_plain_arrays_are_taken_as_they_are():
    data = data_of(softmax(), X, THREE)
    assert data.x is X or data.x.base is X
    assert data.names == ["x1", "x2"]
    assert not data.has_names
    assert data.classes == data.labels == ["0", "1", "2"]
    assert data.values == [0, 1, 2]
    assert data.target.tolist() == THREE.tolist()
    assert data.target.dtype.kind == "i"
    assert (data.count, data.kind, data.weights, data.offset, data.rows, data.y_name) == (
        N, "frequency", None, None, None, "y",
    )  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        X.astype(np.float32).tolist(),
        X.astype(np.float32),
        np.asfortranarray(X.astype(np.float32)),
        X.astype(np.float32).astype(object),
        Frame(x1=X[:, 0].astype(np.float32), x2=list(X[:, 1].astype(np.float32))),
        {"x1": X[:, 0].astype(np.float32), "x2": X[:, 1].astype(np.float32)},
    ],
    ids=["lists", "float32", "fortran", "objects", "frame", "dictionary"],
)
def test_numbers_of_any_kind_become_float64(given):
    data = data_of(poisson(), given, THREE)
    assert data.x.dtype == np.float64
    assert data.names == ["x1", "x2"]
    assert np.array_equal(data.x, X.astype(np.float32).astype(float))


def test_whole_numbers_and_bools_become_float64():
    data = data_of(poisson(features=3), Frame(a=THREE, b=TWO.astype(bool), c=THREE.astype(np.uint8) * 100), THREE)
    assert np.array_equal(data.x, np.column_stack([THREE, TWO, 100 * THREE]))
    assert data.x.dtype == np.float64
    assert data.names == ["a", "b", "c"]
    assert data.has_names


def test_python_numbers_in_object_columns():
    mixed = [fractions.Fraction(1, 2), decimal.Decimal("0.1"), 3, 2.5, True, np.int8(4)] * 2
    assert data_of(poisson(features=1), np.array(mixed, dtype=object), THREE).x[:6, 0].tolist() == [
        0.5,
        0.1,
        3,
        2.5,
        1,
        4,
    ]


def test_one_column_may_have_one_axis():
    assert data_of(poisson(features=1), X[:, 0], THREE).x.shape == (N, 1)
    assert data_of(poisson(features=None), X[:, 0], THREE).x.shape == (N, 1)
    assert data_of(poisson(features=1), Labelled(X[:, 0], range(N), "temp"), THREE).names == ["temp"]


@pytest.mark.parametrize(
    ("y", "classes", "values", "labels"),
    [
        (THREE, None, [0, 1, 2], ["0", "1", "2"]),
        (THREE.astype(float), None, [0, 1, 2], ["0", "1", "2"]),
        (THREE[:, np.newaxis], None, [0, 1, 2], ["0", "1", "2"]),
        (THREE, ["a", "b", "c"], [0, 1, 2], ["a", "b", "c"]),
        (THREE + 1, [1, 2, 3], [1, 2, 3], ["1", "2", "3"]),
        (THREE + 1, range(1, 4), [1, 2, 3], ["1", "2", "3"]),
        (THREE * 10.0, [0, 10, 20], [0, 10, 20], ["0", "10", "20"]),
        (np.array(["u", "v", "w"])[THREE], None, ["u", "v", "w"], ["u", "v", "w"]),
        (np.array(["u", "v", "w"], dtype=object)[THREE], None, ["u", "v", "w"], ["u", "v", "w"]),
        (["u", "v", "w"] * 4, ["u", "v", "w"], ["u", "v", "w"], ["u", "v", "w"]),
        (np.array([0, 1, 2], dtype=object)[THREE], None, [0, 1, 2], ["0", "1", "2"]),
    ],
)  # fmt: skip
def test_labels_become_places_in_the_list_of_classes(y, classes, values, labels):
    data = data_of(softmax(), X, y, classes=classes)
    assert data.target.tolist() == THREE.tolist()
    assert data.values == values
    assert data.labels == data.classes == labels


def test_classes_say_the_order():
    data = data_of(softmax(), X, np.array(["u", "v", "w"])[THREE], classes=["w", "u", "v"])
    assert data.target.tolist() == ((THREE + 1) % 3).tolist()
    assert data.classes == ["w", "u", "v"]


@pytest.mark.parametrize(
    ("y", "classes", "labels"),
    [
        (TWO, None, ["0", "1"]),
        (TWO.astype(float)[:, np.newaxis], None, ["0", "1"]),
        (TWO.astype(bool), None, ["False", "True"]),
        (TWO + 1, [1, 2], ["1", "2"]),
        (2 * TWO - 1, [-1, 1], ["-1", "1"]),
        (TWO, ["no", "yes"], ["no", "yes"]),
        (np.array(["no", "yes"])[TWO], None, ["no", "yes"]),
        (np.array([False, True], dtype=object)[TWO], None, ["False", "True"]),
    ],
)
@pytest.mark.parametrize("cost", [logit, fractional])
def test_two_classes_become_0_and_1(cost, y, classes, labels):
    data = data_of(cost(), X, y, classes=classes)
    assert data.target.ravel().tolist() == TWO.tolist()
    assert data.labels == labels
    assert data.target.shape == ((N,) if cost is logit else (N, 1)), "as the loss compares it"
    assert data.classes is None, "one output has no classes of its own"
    assert np.isfinite(cost()(X, data.target))


def test_fractions_where_the_loss_takes_them():
    y = np.linspace(0, 1, N)
    assert data_of(fractional(), X, y).target[:, 0].tolist() == y.tolist()


def test_several_outputs_are_named_by_the_columns_of_y():
    y = Frame(a=TWO, b=THREE > 0)
    assert data_of(fractional(2), X, y).classes == ["a", "b"]
    assert data_of(fractional(2), X, y).values is None
    assert data_of(fractional(), X, TWO).values == [0, 1]
    assert data_of(poisson(2), X, Frame(a=TWO, b=THREE)).target.tolist() == np.column_stack([TWO, THREE]).tolist()
    assert data_of(poisson(2), X, np.column_stack([TWO, THREE]), classes=["u", "v"]).classes == ["u", "v"]


@pytest.mark.parametrize(
    "cost",
    [
        poisson(),
        Sequential(Linear(2, 4), Tanh(), Linear(4, 1), PoissonNLLLoss()),
        Sequential(Linear(None, 1), PoissonNLLLoss()),
        Sequential(Linear(2, 1), HomoscedasticGaussianNLLLoss(1)),
        Penalized(poisson(), L2Penalty(1.0)),
    ],
)
def test_one_output_has_one_column_of_targets(cost):
    assert data_of(cost, X, THREE).target.shape == (N, 1)
    assert np.isfinite(built(cost, X)(X, data_of(cost, X, THREE).target))


def test_other_inputs_pass_as_they_are():
    images = np.random.default_rng(0).normal(size=(N, 4, 4))
    data = data_of(Sequential(Flatten(), Linear(16, 3), CrossEntropyLoss()), images, THREE)
    assert data.x is images
    assert data.names is None
    assert data.classes == ["0", "1", "2"]
    assert data_of(Sequential(Embedding(3, 2), Linear(2, 3), CrossEntropyLoss()), THREE, THREE).x.dtype == THREE.dtype
    parts = data_of(ARow(), (X, THREE), X[:, 0]).x
    assert parts[0] is X
    assert parts[1] is THREE
    assert data_of(ARow(), X[:, 0], THREE).x.shape == (N,), "a custom layer says itself what it takes"
    assert data_of(ARow(), X, np.arange(N)).target.dtype.kind == "i"
    assert data_of(ARow(), X, X[:, 0]).names == ["x1", "x2"]
    assert data_of(ARow(), THREE[:, np.newaxis], X[:, 0]).names is None, "whole numbers may be indices"
    assert data_of(ARow(), Frame(a=X[:, 0], b=X[:, 1]), THREE).names == ["a", "b"]


def test_widths_left_out_are_built_in_a_copy():
    cost = Sequential(Linear(None, 3, rng=0), CrossEntropyLoss())
    assert built(cost, X)[0].weight.shape == (3, 2)
    with pytest.raises(ValueError, match="no arrays yet"):
        cost.parameters()
    made = softmax()
    assert built(made, X) is made


def test_weights_by_what_they_stand_for():
    w = np.arange(1.0, N + 1)
    frequency, sampling, analytic = (
        data_of(poisson(), X, THREE, weights=w, kind=kind) for kind in ("frequency", "sampling", "analytic")
    )
    assert frequency.weights.tolist() == sampling.weights.tolist() == w.tolist()
    assert (frequency.count, sampling.count, analytic.count) == (w.sum(), N, N)
    assert np.allclose(analytic.weights, w * N / w.sum(), rtol=1e-15)
    assert data_of(poisson(), X, THREE, weights=w[:, np.newaxis] / 3).count == pytest.approx(w.sum() / 3)
    huge = data_of(poisson(), X, THREE, weights=np.full(N, 1e308), kind="analytic")
    assert huge.weights.tolist() == [1.0] * N


def test_offsets():
    z = np.arange(N)
    assert data_of(poisson(), X, THREE, offset=z).offset.tolist() == z[:, np.newaxis].tolist()
    assert data_of(softmax(), X, THREE, offset=np.outer(z, [0, 1, 2])).offset.shape == (N, 3)


def test_groups_are_numbered():
    assert groups_of(np.array(["b", "a", "b"]), 3)[0].tolist() == [1, 0, 1]
    codes, count = groups_of(np.array(["b", ("a", 1), "b"], dtype=object), 3)
    assert codes.tolist() == [0, 1, 0]
    assert count == 2


def test_nothing_that_is_passed_is_changed():
    x, y, w, z = X.copy(), THREE + 1, np.arange(1.0, N + 1), np.ones((N, 3)).cumsum(axis=1)
    before = [array.copy() for array in (x, y, w, z)]
    cost = softmax()
    parameters = {name: array.copy() for name, array in cost.parameters().items()}
    data_of(cost, x, y, classes=[1, 2, 3], weights=w, kind="analytic", offset=z)
    assert all(np.array_equal(a, b) for a, b in zip((x, y, w, z), before, strict=True))
    assert all(np.array_equal(parameters[name], array) for name, array in cost.parameters().items())


def test_penalised_estimates_may_do_without_a_class():
    y = np.zeros(N, int)
    assert data_of(logit(), X, y, penalized=True).target.tolist() == y.tolist()
    assert data_of(softmax(), X, y, penalized=True).classes == ["0", "1", "2"]
    assert data_of(Penalized(softmax(), L2Penalty(1.0)), X, y).classes == ["0", "1", "2"]


# What is refused, and what is said.

REFUSED = {
    "nan in X": (
        poisson(),
        spoiled(np.nan),
        THREE,
        {},
        r"finite numbers, got nan in row 4, column 'x2' of X \(1 of 24",
    ),
    "inf in X": (poisson(), spoiled(-np.inf), THREE, {"names": ["a", "b"]}, "got -inf in row 4, column 'b' of X"),
    "nan in float32": (poisson(), spoiled(np.nan).astype(np.float32), THREE, {}, "got nan in row 4, column 'x2'"),
    "nan in images": (
        Sequential(Flatten(), Linear(2, 1), PoissonNLLLoss()),
        spoiled(np.nan)[:, :, np.newaxis],
        THREE,
        {},
        r"got nan in X\[4, 1, 0\]",
    ),
    "nan in a tuple": (ARow(), (X, spoiled(np.nan)), THREE, {}, r"got nan in row 4, column 1 of X\[1\]"),
    "nan in y": (poisson(), X, [1.0, np.nan] * 6, {}, r"got nan in row 1 of y \(6 of 12 entries are not finite\)"),
    "nan in labels": (softmax(), X, np.where(THREE == 1, np.nan, THREE), {}, "got nan in row 1 of y"),
    "None in labels": (softmax(), X, ["u", None, "w"] * 4, {}, "a label in each row, got none in row 1 of y"),
    "nan in weights": (poisson(), X, THREE, {"weights": [1.0, np.nan] * 6}, "got nan in row 1 of weights"),
    "nan in offset": (poisson(), X, THREE, {"offset": [1.0, np.nan] * 6}, "got nan in row 1, column 0 of offset"),
    "text in a column": (
        poisson(),
        Frame(a=X[:, 0], sex=["m", "f"] * 6),
        THREE,
        {},
        "column 'sex' of X, got text, such as 'm' in row 0",
    ),
    "text in an array": (poisson(), [[1.0, "x"]] * N, THREE, {}, "got text, such as 'x' in row 0, column 'x2' of X"),
    "text in objects": (
        poisson(),
        np.array([[1.0, "x"]] * N, object),
        THREE,
        {},
        "numbers, got 'x' in row 0, column 'x2'",
    ),
    "dates": (
        poisson(),
        Frame(a=X[:, 0], day=np.arange(N).astype("M8[D]")),
        THREE,
        {},
        r"column 'day' of X, got dates.*min",
    ),
    "dates as objects": (
        poisson(),
        Frame(a=X[:, 0], b=[datetime.date(2000, 1, 1)] * N),
        THREE,
        {},
        "got datetime.date",
    ),
    "spans": (poisson(), np.arange(2 * N).astype("m8[D]").reshape(N, 2), THREE, {}, "spans of time: divide"),
    "complex": (poisson(), X + 1j, THREE, {}, "numbers in X, got complex numbers: take .real"),
    "records": (poisson(), np.zeros(N, [("a", float), ("b", float)]), THREE, {}, "got records: np.column_stack"),
    "masked": (poisson(), np.ma.array(X), THREE, {}, "X without a mask"),
    "masked y": (poisson(), X, np.ma.array(THREE), {}, "y without a mask"),
    "matrix": (poisson(), MATRIX, THREE, {}, "got np.matrix"),
    "ragged": (poisson(), [[1.0, 2.0], [1.0]] * 6, THREE, {}, "of which NumPy says"),
    "no X": (poisson(), None, THREE, {}, "X as an array, a table or a list, got None"),
    "no y": (poisson(), X, None, {}, "y as an array, a table or a list, got None"),
    "a number for y": (poisson(), X, 3.0, {}, "y of shape"),
    "long integers": (
        poisson(),
        Frame(a=X[:, 0], id=2**60 + np.arange(N)),
        THREE,
        {},
        r"got 1152921504606846977 in row 1 of column 'id'",
    ),
    "longer integers": (poisson(), [[0, 10**400 + n] for n in range(N)], THREE, {}, "more than 53 bits"),
    "twice a name": (poisson(), X, THREE, {"names": ["a", "a"]}, "names that differ, got 'a' twice"),
    "one name": (poisson(), X, THREE, {"names": ["a"]}, r"a name for each column of X, of shape \(12, 2\), got 1"),
    "names as text": (poisson(), X, THREE, {"names": "ab"}, "names as a list of strings"),
    "names as numbers": (poisson(), X, THREE, {"names": [1, 2]}, "names as a list of strings"),
    "names beside names": (
        poisson(),
        Frame(a=X[:, 0], b=X[:, 1]),
        THREE,
        {"names": ["a", "c"]},
        "no names for X whose columns have",
    ),
    "const as a name": (poisson(), X, THREE, {"names": ["const", "a"]}, "no column of the name 'const'"),
    "names that clash": (
        softmax(),
        X,
        ["a", "a:b", "c"] * 4,
        {"names": ["b:d", "d"]},
        "differ as class:column, got 'a:b:d' twice",
    ),
    "columns of two lengths": (
        poisson(),
        Frame(a=X[:, 0], b=X[:3, 1]),
        THREE,
        {},
        "columns of one length, got 12 rows in 'a'",
    ),
    "a constant column": (
        poisson(),
        Frame(a=X[:, 0], one=np.full(N, 7)),
        THREE,
        {},
        r"got 7 in every row of column 'one': leave it out, the bias",
    ),
    "a column of zeros": (
        Sequential(Linear(2, 1, bias=False), PoissonNLLLoss()),
        X * [1, 0],
        THREE,
        {},
        "got 0 in every row of column 'x2'",
    ),
    "too many columns": (
        poisson(),
        np.column_stack([X, X]),
        THREE,
        {},
        r"X of 2 columns for Linear\(2 -> 1\), got 4, x1, x2, x3, x4",
    ),
    "one axis for two columns": (
        poisson(),
        X[:, 0],
        THREE,
        {},
        r"of shape \(rows, 2\).*X\[:, np.newaxis\] is one column",
    ),
    "three axes": (poisson(), X[:, :, np.newaxis], THREE, {"names": ["a", "b"]}, "a name for each column"),
    "no rows": (poisson(), X[:0], THREE[:0], {}, "at least one row of X"),
    "no rows of y": (poisson(), X, [], {}, "at least one row of y"),
    "rows missing in y": (poisson(), X, THREE[:-1], {}, "got 12 rows of X and 11 of y"),
    "parts of other lengths": (ARow(), (X, X[:3]), THREE, {}, "rows alike"),
    "labels from 1": (
        softmax(),
        X,
        THREE + 1,
        {},
        r"labels 0, 1, 2, got 3 in row 2 of y: y - 1, or classes=\[1, 2, 3\]",
    ),
    "labels by tens": (softmax(), X, THREE * 10, {}, r"got 10 in row 1 of y: classes=\[0, 10, 20\]"),
    "labels below 0": (softmax(), X, THREE - 1, {}, r"got -1 in row 0 of y: classes=\[-1, 0, 1\]"),
    "labels that are ignored": (softmax(), X, np.where(np.arange(N) == 5, -100, THREE), {}, "ignored label -100"),
    "more labels than outputs": (softmax(2), X, THREE, {}, r"got 2 in row 2 of y: labels up to 2 need 3 outputs"),
    "more classes than outputs": (softmax(2), X, ["u", "v", "w"] * 4, {}, r"tells apart, 2, got 3, u, v, w"),
    "fewer classes than outputs": (
        softmax(),
        X,
        ["u", "v"] * 6,
        {},
        r"tells apart, 3, got 2, u, v: end it in Linear\(..., 2\)",
    ),
    "a label that is no class": (
        softmax(),
        X,
        ["u", "v", "x"] * 4,
        {"classes": ["u", "v", "w"]},
        "the classes u, v, w, got 'x' in row 2",
    ),
    "classes as text": (softmax(), X, THREE, {"classes": "abc"}, "classes as a list"),
    "classes twice": (softmax(), X, THREE, {"classes": ["a", "b", "a"]}, "each of classes once, got 'a' again"),
    "classes that read alike": (
        softmax(),
        X,
        np.array(["1", 1, 2] * 4, object),
        {"classes": ["1", 1, 2]},
        "names of their own, got 1, 1, 2",
    ),
    "labels of two types": (softmax(), X, np.array(["a", 1, 2] * 4, object), {}, "labels of one type in y"),
    "measurements as labels": (softmax(), X, THREE + 0.5, {}, "expects labels, got 0.5 in row 0 of y"),
    "dates as labels": (softmax(), X, THREE.astype("M8[D]"), {}, "labels in y, got an array of datetime64"),
    "one-hot labels": (softmax(), X, np.eye(3)[THREE], {}, r"y.argmax\(axis=1\)"),
    "an empty class": (
        softmax(),
        X,
        THREE % 2,
        {"classes": ["a", "b", "c"]},
        r"rows of each class, got none of class 'c'.*classes=\[0, 1\]",
    ),
    "one class": (softmax(), X, 0 * THREE, {}, "y to vary, got class '0' in every row"),
    "binary from 1": (logit(), X, TWO + 1, {}, r"labels 0 and 1, got 2 in row 1 of y: y - 1, or classes=\[1, 2\]"),
    "binary signs": (fractional(), X, 2 * TWO - 1, {}, r"got -1 in row 0 of y: \(y \+ 1\) / 2, or classes=\[-1, 1\]"),
    "three classes of one output": (
        logit(),
        X,
        THREE,
        {},
        r"got 2 in row 2 of y: a stack that ends in Linear\(..., K\)",
    ),
    "three names of one output": (logit(), X, ["u", "v", "w"] * 4, {}, "tells apart, 2, got 3"),
    "fractions of labels": (logit(), X, THREE / 2, {}, "got 0.5 in row 1 of y: BCEWithLogitsLoss takes fractions"),
    "two columns for one output": (
        poisson(),
        X,
        np.column_stack([TWO, THREE]),
        {},
        r"y of shape \(N, 1\), a column for each output, got \(12, 2\)",
    ),
    "two labels for one output": (logit(), X, np.column_stack([TWO, TWO]), {}, r"y of shape \(N, 1\)"),
    "classes of counts": (poisson(), X, THREE, {"classes": ["a", "b"]}, "no classes for counts, which have none"),
    "fractions above 1": (
        fractional(),
        X,
        THREE * 0.75,
        {},
        "labels 0 and 1, or fractions between them, got 1.5 in row 2",
    ),
    "binary constant": (logit(), X, 0 * TWO + 1, {}, "y to vary, got 1 in every row"),
    "one named class": (logit(), X, TWO * 0, {"classes": ["no", "yes"]}, "y to vary, got class 'no' in every row"),
    "an output constant": (fractional(2), X, Frame(a=TWO, b=0 * TWO), {}, "got 0 in every row of column 'b'"),
    "names of outputs": (
        poisson(2),
        X,
        np.column_stack([TWO, TWO]),
        {"classes": ["a"]},
        "a name for each of 2 outputs, got 1, a",
    ),
    "negative counts": (poisson(), X, THREE - 1, {}, "counts 0, 1, 2, ..., got -1 in row 0 of y"),
    "fractional counts": (poisson(), X, THREE / 2, {}, r"got 0.5 in row 1 of y: a rate is a count with offset=np.log"),
    "no counts": (poisson(), X, 0 * THREE, {}, "y to vary, got 0 in every row: its rate"),
    "constant measurements": (
        Sequential(Linear(2, 1), HomoscedasticGaussianNLLLoss(1)),
        X,
        np.full(N, 2.5),
        {},
        "got 2.5 in every row: its variance",
    ),
    "weight 0": (
        poisson(),
        X,
        THREE,
        {"weights": np.arange(N)},
        r"weights above 0, got 0 in row 0 of weights \(1 of 12 rows\): a row that does",
    ),
    "weights below 0": (
        poisson(),
        X,
        THREE,
        {"weights": np.arange(N) - 1.5},
        r"got -1.5 in row 0 of weights \(2 of 12 rows\)",
    ),
    "weights of other rows": (poisson(), X, THREE, {"weights": [1.0]}, "got 12 rows of X and 1 of weights"),
    "weights of columns": (poisson(), X, THREE, {"weights": np.ones((N, 2))}, r"weights of shape \(12,\)"),
    "one weight": (poisson(), X, THREE, {"weights": 2.0}, r"weights of shape \(12,\).*got one number"),
    "weights without an end": (poisson(), X, THREE, {"weights": np.full(N, 1e308)}, "weights with a finite sum"),
    "another kind": (
        poisson(),
        X,
        THREE,
        {"kind": "probability"},
        "kind to be one of 'frequency', 'sampling', 'analytic'",
    ),
    "a kind of nothing": (poisson(), X, THREE, {"kind": "sampling"}, "weights with kind='sampling'"),
    "offset of a softmax": (
        softmax(),
        X,
        THREE,
        {"offset": np.ones(N)},
        r"offset of shape \(12, 3\), a column for each class",
    ),
    "offset of other columns": (
        poisson(2),
        X,
        np.column_stack([TWO, TWO]),
        {"offset": np.ones((N, 3))},
        r"offset of shape \(12, 2\), got \(12, 3\)",
    ),
    "offset of other rows": (poisson(), X, THREE, {"offset": np.ones(3)}, "got 12 rows of X and 3 of offset"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_said_by_name(case):
    cost, x, y, options, message = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=message) as raised:
        data_of(cost, x, y, **options)
    assert str(raised.value).startswith("fit expects ")


LOSSES = {
    MSELoss(): r"HomoscedasticGaussianNLLLoss\(2, 'sum', full=True\)",
    HuberLoss(): r"HomoscedasticGaussianNLLLoss\(2,",
    SmoothL1Loss(): r"HomoscedasticGaussianNLLLoss\(2,",
    L1Loss(): r"\|z - t\| / b \+ log\(2 b\)",
    QuantileLoss(): "asymmetric Laplace",
    HingeLoss(): "BernoulliNLLLoss",
    MultiMarginLoss(): "NLLLoss",
    KLDivLoss(): "CrossEntropyLoss",
    BCEWithLogitsLoss(pos_weight=[2.0]): "without pos_weight.*weights= of fit",
    BCEWithLogitsLoss(weight=[2.0]): "without weight,",
    CrossEntropyLoss(class_weights=[1.0, 2.0]): "without class_weights",
    CrossEntropyLoss(label_smoothing=0.1): "without label_smoothing",
    NLLLoss(): r"NLLLoss on Linear: .*put LogSoftmax\(\) between",
    BCELoss(): "BCELoss on Linear",
    Tanh(): r"got Tanh\(\) on top: put a loss on it",
}


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_what_is_no_log_likelihood_is_refused(loss):
    with pytest.raises(ValueError, match=LOSSES[loss]):
        data_of(Sequential(Linear(2, 2), loss), X, TWO)


@pytest.mark.parametrize(
    ("layer", "loss"),
    [
        (Softmax(), CrossEntropyLoss()),
        (Softmax(), NLLLoss()),
        (Sigmoid(), BCEWithLogitsLoss()),
        (Sigmoid(), BernoulliNLLLoss()),
    ],
)
def test_a_transformation_too_many_is_refused(layer, loss):
    with pytest.raises(ValueError, match=rf"{type(loss).__name__} on {type(layer).__name__}"):
        data_of(Penalized(Sequential(Linear(2, 2), Sequential(layer, loss)), L2Penalty(1.0)), X, TWO)


def test_a_variance_of_two_heads_takes_one_column():
    class Two(Layer):
        def forward(self, z):
            return (z[:, :1], np.exp(z[:, 1:])), None

    assert data_of(Sequential(Linear(2, 2), Two(), GaussianNLLLoss()), X, X[:, 0]).target.shape == (N, 1)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.zeros(3), "groups to be two or more, got 1"),
        ([1.0, np.nan, 2.0], "a group for each row, got none in row 1 of groups"),
        (["a", None, "b"], "a group for each row, got none in row 1 of groups"),
        ([1, 2], "got 3 rows of X and 2 of groups"),
        (np.ones((3, 2)), r"groups of shape \(3,\)"),
    ],
)
def test_groups_are_looked_at(groups, message):
    with pytest.raises(ValueError, match=message):
        groups_of(groups, 3)


# Names of rows.


def test_rows_are_named_and_in_one_order():
    index = [f"s{n}" for n in range(N)]
    data = data_of(poisson(features=1), Labelled(X[:, 0], index, "a"), Labelled(THREE, index, "count"))
    assert data.y_name == "count"
    assert data.row(3) == "row 3 (s3)"
    with pytest.raises(ValueError, match=r"got nan in row 4 \(s4\), column 'a' of X"):
        data_of(poisson(features=1), Labelled(spoiled(np.nan)[:, 1], index, "a"), THREE)
    with pytest.raises(ValueError, match=r"weights above 0, got 0 in row 0 \(s0\) of weights"):
        data_of(poisson(features=1), Labelled(X[:, 0], index), THREE, weights=np.arange(N))
    for other in ("y", "weights", "offset"):
        turned = Labelled(THREE + 1, index[::-1])
        given = (turned, {}) if other == "y" else (THREE, {other: turned})
        with pytest.raises(ValueError, match=rf"got row 0 as s0 in X and as s11 in {other}: {other}.loc\[X.index\]"):
            data_of(poisson(features=1), Labelled(X[:, 0], index), given[0], **given[1])
    with pytest.raises(ValueError, match="in one order"):
        groups_of(Labelled(THREE, index[::-1]), N, np.asarray(index))
    with pytest.raises(ValueError, match="rows of y and weights in one order, got row 0 as s0 in y"):
        data_of(poisson(features=1), X[:, 0], Labelled(THREE, index), weights=Labelled(THREE + 1, index[::-1]))


def test_rows_that_are_numbered_are_compared_too():
    """The same numbers in another order, or from another origin, are other rows, whatever kind of index counts them."""
    pandas = pytest.importorskip("pandas")
    frame, y = pandas.DataFrame(X, columns=["a", "b"]), pandas.Series(TWO)
    turned = pandas.Series(TWO + 1.0).sample(frac=1, random_state=0)
    first = turned.index[0]
    assert first != 0
    for options in ({"weights": turned}, {"offset": turned}, {"groups": turned}):
        (what,) = options
        with pytest.raises(
            ValueError, match=rf"X and {what} in one order, got row 0 as 0 in X and as {first} in {what}"
        ):
            mle.fit(logit(), frame, y, **options)
        with pytest.raises(ValueError, match=rf"y and {what} in one order" if what != "groups" else "in one order"):
            mle.fit(logit(), X, y, **options)
    with pytest.raises(ValueError, match=r"got row 0 as 0 in X and as \d+ in y: y.loc\[X.index\], or y.to_numpy\(\)"):
        mle.fit(logit(), frame, y.sample(frac=1, random_state=0))
    with pytest.raises(ValueError, match="got row 0 as 5 in X and as 0 in y"):
        mle.fit(logit(), frame.iloc[5:], y.iloc[:-5])
    columns = {"a": frame["a"], "b": frame["b"].sample(frac=1, random_state=0)}
    with pytest.raises(ValueError, match=r"rows of X\['a'\] and X\['b'\] in one order.*pandas.DataFrame\(X\)"):
        mle.fit(logit(), columns, y)
    with pytest.raises(ValueError, match=r"rows of X\[0\] and X\[1\] in one order"):
        data_of(ARow(), (frame, turned), X[:, 0])
    drawn = frame.sample(frac=0.9, random_state=1), y.sample(frac=0.9, random_state=1)
    assert data_of(logit(), *drawn).x.tolist() == X[drawn[0].index].tolist()
    assert data_of(logit(), frame, y.to_numpy(), weights=turned.to_list()).rows is frame.index
    gaps = [*range(N - 1), np.nan]  # a missing name is the same as another
    assert data_of(poisson(features=1), Labelled(X[:, 0], gaps), Labelled(THREE, gaps)).row(3) == "row 3 (3.0)"
    with pytest.raises(ValueError, match=r"got row 11 as nan in X and as 11\.0 in y"):
        data_of(poisson(features=1), Labelled(X[:, 0], gaps), Labelled(THREE, [*range(N - 1), 11.0]))


def test_groups_are_looked_at_by_fit():
    """Before anything is fitted, not where standard errors are asked for."""
    for groups, message in (
        ([1, 2], "got 12 rows of X and 2 of groups"),
        (np.where(np.arange(N) == 4, np.nan, TWO), "a group for each row, got none in row 4 of groups"),
        (np.array([*["2000-01-01"] * 3, "NaT", *["2001-01-01"] * 8], dtype="M8[D]"), "got none in row 3 of groups"),
        (np.zeros(N), "groups to be two or more, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            mle.fit(logit(), X, TWO, groups=groups)
    with pytest.raises(TypeError, match="groups as an array, a table or a list, got str"):
        mle.fit(logit(), X, TWO, groups="a")
    with pytest.raises(ValueError, match="with cov='cluster' and no other, got cov='cluster' without groups"):
        mle.fit(logit(), X, TWO, cov="cluster")
    with pytest.raises(ValueError, match="with cov='cluster' and no other, got cov='HC0' with groups"):
        mle.fit(logit(), X, TWO, cov="HC0", groups=THREE)
    named, column = np.array(list("abc"))[THREE], {"person": [(0, int(k)) for k in THREE]}
    assert mle.fit(poisson(), X, THREE, groups=named).groups.tolist() == THREE.tolist()
    assert groups_of(Frame(person=np.array(THREE)), N)[0].tolist() == THREE.tolist()
    with pytest.raises(ValueError, match=r"groups of shape \(12,\)"):
        groups_of(column, N)


def test_two_classes_under_a_sigmoid_have_the_first_as_reference():
    text = np.where(TWO, "yes", "no")
    plain = mle.fit(logit(), X, text, reference="no")
    for y, options, fix in (
        (text, {}, r"those of yes beside no, and classes=\['yes', 'no'\] swaps them"),
        (TWO, {"classes": ["no", "yes"]}, r"1 - y and classes=\['yes', 'no'\] swaps them"),
    ):
        with pytest.raises(ValueError, match="reference to be a class of a softmax, got 'yes': .*" + fix):
            mle.fit(logit(), X, y, reference="yes", **options)
    with pytest.raises(ValueError, match=r"those of 1 beside 0, and classes=\[1, 0\] swaps them"):
        mle.fit(logit(), X, TWO, reference=1)
    for y, classes in ((text, ["yes", "no"]), (1 - TWO, ["yes", "no"]), (TWO, [1, 0])):  # what the messages say
        swapped = mle.fit(logit(), X, y, classes=classes)
        np.testing.assert_allclose(swapped.params, -plain.params, rtol=1e-10)
    assert swapped.data.labels == ["1", "0"]
    with pytest.raises(ValueError, match="reference to be a class of a softmax, got 0: leave it out"):
        mle.fit(poisson(), X, THREE, reference=0)
    deep = Sequential(Linear(2, 2, rng=0), Tanh(), Linear(2, 1, rng=0), BernoulliNLLLoss())
    for cost in (logit(), deep):
        with pytest.raises(ValueError, match="'sum_to_zero' of the classes of a softmax, got it for a stack without"):
            mle.fit(cost, X, TWO, identification="sum_to_zero")


class OwnLogit(ElementwiseLoss):
    """log(1 + e^z) - t z."""

    def f(self, z, t):
        return np.log(1 + np.exp(z)) - t * z

    def df(self, z, t):
        return 1 / (1 + np.exp(-z)) - t


def test_text_for_a_loss_of_ones_own_is_coded_by_classes():
    text = np.where(TWO, "yes", "no")[:, np.newaxis]
    own = Sequential(Linear(2, 1, rng=0), OwnLogit())
    data = data_of(own, X, text, classes=["no", "yes"])
    assert data.target.tolist() == TWO[:, np.newaxis].tolist()
    assert data.values == ["no", "yes"]
    assert new_target(data, text[:3]).tolist() == TWO[:3, np.newaxis].tolist()
    assert data_of(own, X, text.astype(object), classes=["yes", "no"]).target[0] == 1
    for classes in (None, ["no"]):
        with pytest.raises(TypeError, match=r"text such as 'no': classes=\[...\], two or more in order, codes them"):
            data_of(own, X, text, classes=classes)
    with pytest.raises(ValueError, match="the classes no, maybe, got 'yes' in row 1 of y"):
        data_of(own, X, text, classes=["no", "maybe"])
    assert data_of(own, X, TWO * 0.5).target.tolist() == (TWO * 0.5).tolist()


def test_masked_arrays_are_not_loaded():
    """NumPy loads numpy.ma, tens of milliseconds, where it is first named; nobody who has no mask needs it."""
    code = (
        "import sys, numpy as np; from minigrad import *; from minigrad.mle import fit;"
        "fit(Sequential(Linear(1, 1), BernoulliNLLLoss()), [0.0, 1, 2, 3], [0, 1, 0, 1]).se;"
        "sys.exit('numpy.ma' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_products_in_constraints_need_a_sign():
    with pytest.raises(ValueError, match=r"constraint '2 age = 0' cannot be read, at 'age': write 2\*age"):
        differences("2 age = 0", ["age", "const"])
    with pytest.raises(ValueError, match=r"at 'age': expected such as 'x1 = x2'"):
        differences("const age = 0", ["age", "const"])


# New rows.


def test_new_rows_by_name_and_by_place():
    data = data_of(poisson(), Frame(a=X[:, 0], b=X[:, 1]), THREE)
    assert np.array_equal(new_inputs(data, Frame(b=X[:3, 1], other=["?"] * 3, a=X[:3, 0])), X[:3])
    assert np.array_equal(new_inputs(data, X[:3]), X[:3])
    assert new_inputs(data, {"b": 2, "a": [1.0]}).tolist() == [[1.0, 2.0]]
    one = data_of(poisson(features=1), X[:, 0], THREE)
    assert new_inputs(one, [1, 2]).tolist() == [[1.0], [2.0]]
    images = data_of(Sequential(Flatten(), Linear(2, 1), PoissonNLLLoss()), X[:, :, np.newaxis], THREE)
    assert new_inputs(images, X[:2, :, np.newaxis]).shape == (2, 2, 1)
    indices = data_of(Sequential(Embedding(3, 2), Linear(2, 3), CrossEntropyLoss()), THREE, THREE)
    assert new_inputs(indices, [0, 1]).dtype.kind == "i"
    parts = new_inputs(data_of(ARow(), (X, THREE), X[:, 0]), (X[:2], THREE[:2]))
    assert [part.shape for part in parts] == [(2, 2), (2,)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Frame(a=X[:, 0], c=X[:, 1]), "predict expects the columns that were fitted, a, b, got a, c: 'b' is missing"),
        (X[0], r"of shape \(rows, 2\), columns a, b, got \(2,\); one row is X\[np.newaxis\]"),
        (X[:, :1], r"got \(12, 1\)"),
        (spoiled(np.nan), "predict expects finite numbers, got nan in row 4, column 'b' of X"),
        (Frame(a=X[:, 0], b=["?"] * N), "column 'b' of X, got text, such as .* in row 0"),
    ],
)
def test_new_rows_are_looked_at(given, message):
    with pytest.raises((TypeError, ValueError), match=message):
        new_inputs(data_of(poisson(), Frame(a=X[:, 0], b=X[:, 1]), THREE), given)


def test_new_tuples_have_the_parts_fitted():
    with pytest.raises(ValueError, match="as it was fitted, got a tuple of 3"):
        new_inputs(data_of(ARow(), (X, THREE), X[:, 0]), (X, X, X))
    with pytest.raises(ValueError, match="rows alike"):
        new_inputs(data_of(ARow(), (X, THREE), X[:, 0]), (X, THREE[:2]))


def test_new_targets_are_coded_by_the_classes_fitted():
    data = data_of(softmax(), X, np.array(["u", "v", "w"])[THREE], classes=["w", "u", "v"])
    assert new_target(data, ["u", "w"]).tolist() == new_target(data, {"kind": ["u", "w"]}).tolist() == [1, 0]
    with pytest.raises(ValueError, match="calibration expects y to hold the classes w, u, v, got 'x' in row 1"):
        new_target(data, ["u", "x"])
    assert new_target(data_of(fractional(), X, TWO), [1, 0, 0.5]).tolist() == [[1], [0], [0.5]]
    assert new_target(data_of(logit(), X, np.array(["no", "yes"])[TWO]), ["yes", "no"]).tolist() == [1, 0]
    assert new_target(data_of(poisson(2), X, np.column_stack([TWO, TWO])), [[3, 4]]).tolist() == [[3, 4]]
    assert new_target(data_of(poisson(2), X, np.column_stack([TWO, TWO])), Frame(a=[3], b=[4])).tolist() == [[3, 4]]
    with pytest.raises(ValueError, match=r"y of shape \(N, 2\), got \(2,\)"):
        new_target(data_of(poisson(2), X, np.column_stack([TWO, TWO])), [3, 4])
    with pytest.raises(ValueError, match="got nan in row 0 of y"):
        new_target(data_of(poisson(), X, THREE), [np.nan])


# The libraries that have tables.


def test_pandas():
    pandas = pytest.importorskip("pandas")
    index = [f"s{n}" for n in range(N)]
    frame = pandas.DataFrame({"a": X[:, 0], "b": THREE}, index=index)
    y = pandas.Series(pandas.Categorical.from_codes(THREE, ["low", "mid", "high"]), index=index, name="level")
    data = data_of(softmax(), frame, y, weights=pandas.Series(np.ones(N), index=index))
    assert data.names == ["a", "b"]
    assert data.classes == ["low", "mid", "high"]
    assert data.y_name == "level"
    assert data.target.tolist() == THREE.tolist()
    assert data.row(2) == "row 2 (s2)"
    assert np.array_equal(new_inputs(data, frame[["b", "a"]].head(3)), frame.to_numpy()[:3])
    strings = pandas.Series(np.array(["u", "v", "w"])[THREE], index=index)
    assert data_of(softmax(), frame, strings).classes == ["u", "v", "w"]
    assert data_of(softmax(), frame.reset_index(drop=True), strings.tolist()).row(2) == "row 2", "rows that only count"
    assert data_of(softmax(), frame, y.to_frame()).classes == ["low", "mid", "high"]
    whole = pandas.DataFrame({1: X[:, 0], 2: pandas.array(THREE, dtype="Int64")})
    assert data_of(poisson(), whole, THREE).names == ["1", "2"]
    refused = [
        (frame.assign(b=pandas.array([1, None] * 6, dtype="Int64")), y, r"got nan in row 1 \(s1\), column 'b' of X"),
        (frame.assign(b=strings), y, r"'u' in row 0 \(s0\) of column 'b' of X"),
        (frame.assign(b=y), y, "column 'b' of X, got categories: .*get_dummies"),
        (frame.assign(b=pandas.date_range("2000", periods=N)), y, "column 'b' of X, got dates"),
        (frame.assign(b=7), y, "got 7 in every row of column 'b'"),
        (frame.sort_values("a"), y, r"in one order.*y.loc\[X.index\]"),
        (pandas.concat([frame[["a"]], frame[["a"]]], axis=1), y, "a name of its own, got 'a' 2 times"),
        (frame, y.where(THREE > 0), r"a label in each row, got none in row 0 \(s0\) of y"),
        (frame, y.cat.add_categories("none"), "tells apart, 3, got 4, low, mid, high, none"),
        (frame[[]], y, "X to have columns, got none"),
    ]
    for x, target, message in refused:
        with pytest.raises((TypeError, ValueError), match=message):
            data_of(softmax(), x, target)


def test_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": X[:, 0], "b": THREE})
    assert data_of(poisson(), frame, polars.Series("count", THREE)).y_name == "count"
    with pytest.raises(ValueError, match="got nan in row 1, column 'b'"):
        data_of(poisson(), frame.with_columns(b=polars.Series([1, None] * 6)), THREE)


def test_sparse_matrices_are_to_be_dense():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"X to be dense, got csr_array: X.toarray\(\)"):
        data_of(poisson(), sparse.csr_array(X), THREE)
