"""Shapes: what layers declare is what they give; what does not fit is told in the same words before and at run time."""

import abc
import copy
import math
import pickle
import warnings
from threading import Lock

import numpy as np
import pytest
from case import HeldFixed, OfIndices, OneArray, Sizes
from table import CASES

import minigrad
from minigrad import (
    Add,
    Branch,
    Concatenate,
    Container,
    Dropout,
    Elementwise,
    Flatten,
    Frozen,
    L2Penalty,
    Layer,
    LazyLayer,
    Linear,
    LogSoftmax,
    NLLLoss,
    Parallel,
    Penalized,
    ReLU,
    Residual,
    Sequential,
    Tanh,
    value_and_gradients,
)
from minigrad.checks import ShapeError
from minigrad.fusions import Fusion
from minigrad.layers import (
    GRU,
    LSTM,
    RBF,
    RNN,
    BatchNorm1d,
    BatchNorm2d,
    Bias,
    Bilinear,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Embedding,
    GroupNorm,
    LayerNorm,
    LearnedPositionalEncoding,
    Pad,
    Polynomial,
    PReLU,
    Reshape,
    RMSNorm,
    Scale,
    Slice,
    Transpose,
)
from minigrad.shapes import CLAIMS, N, is_shape, shapes_of

# The law, for every case of the table.


def made(case, sizes, seed=0):
    """(layer, z, what comes after z) of a case, without what turns it into a layer of one floating array."""
    rng = np.random.default_rng(seed)
    layer = case.make(sizes, rng)
    z = case.domain(rng.normal(size=case.z_shape(sizes)))
    arguments = case.arguments(sizes, rng)
    while isinstance(layer, OneArray | OfIndices | HeldFixed):
        if isinstance(layer, OneArray):
            z = layer.cut(z, layer.shapes)
        if isinstance(layer, OfIndices):
            z, *arguments = arguments
        layer = layer.inner
    return layer, z, arguments


def map_arrays(function, z):
    return tuple(map_arrays(function, part) for part in z) if type(z) is tuple else function(z)


def map_shapes(function, shapes):
    return function(shapes) if is_shape(shapes) else tuple(map_shapes(function, part) for part in shapes)


def of_batch(size, shapes):
    """The same shapes with another size of the batch."""
    return map_shapes(lambda shape: (size, *shape[1:]) if shape else (), shapes)


@pytest.fixture
def nothing_runs(monkeypatch):
    """No layer finds its shape by running."""

    def runs(layer, shapes):
        raise AssertionError(f"{layer!r} does not declare its output shape")

    monkeypatch.setattr("minigrad.layer.shape_by_running", runs)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_declared_shape_is_that_of_the_output(case, nothing_runs):
    rng = np.random.default_rng(len(case.name))
    batches = [max(n, case.least_rows) for n in (0, 1, 3)]
    for n, dtype in zip(batches, (np.float64, np.float32, np.float64), strict=True):
        layer, z, arguments = made(case, Sizes(n, *map(int, rng.integers(1, 6, 2))), n)
        if dtype == np.float32 and not isinstance(layer, Embedding):
            layer, z = layer.astype(dtype), map_arrays(lambda part: part.astype(np.float32), z)
        declared = layer.output_shape(shapes_of(z))
        assert declared == shapes_of(layer.forward(z, *arguments)[0])
        assert declared == shapes_of(layer(z, *arguments))
        assert all(type(size) is int for part in parts_of(declared) for size in part)
        named = layer.output_shape(of_batch(N, shapes_of(z)))
        assert named == of_batch(N, declared)
        assert repr(named) == repr(of_batch(N, declared))


def parts_of(shapes):
    return [shapes] if is_shape(shapes) else [part for parts in map(parts_of, shapes) for part in parts]


def misfits(shapes):
    """Shapes near `shapes`: an axis more, an axis less, a width off by one or none, a tuple for an array and back."""
    if not is_shape(shapes):
        yield shapes[0]
        yield shapes[:-1]
        yield (*shapes, shapes[-1])
        for i, part in enumerate(shapes):
            yield from ((*shapes[:i], wrong, *shapes[i + 1 :]) for wrong in misfits(part))
        return
    yield ()
    yield (shapes, shapes)
    yield (*shapes, 1)
    for i in range(1, len(shapes)):
        yield (*shapes[:i], 2, *shapes[i:])
        yield (*shapes[:i], *shapes[i + 1 :])
        for size in {0, shapes[i] - 1, shapes[i] + 1}:
            yield (*shapes[:i], size, *shapes[i + 1 :])


def said_of(call):
    """The type and the text of the error that a call raises; None where it raises none."""
    try:
        call()
    except Exception as error:
        return type(error), str(error)
    return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_does_not_fit_is_told_in_the_words_of_rule_1(case, nothing_runs):
    layer, z, arguments = made(case, Sizes(3, 2, 4))
    layer = layer.plain if isinstance(layer, Fusion) else layer  # which is run where a fusion raises
    dtype = int if isinstance(layer, Embedding) else float
    for shapes in misfits(shapes_of(z)):
        wrong = map_shapes(lambda shape: np.full(shape, 0.5).astype(dtype), shapes)
        declared = said_of(lambda shapes=shapes: layer.output_shape(shapes))
        run = said_of(lambda wrong=wrong: layer.forward(wrong, *arguments))
        if declared is None and run is not None and arguments:  # the shape is right, but not for this target or mask
            assert any(word in run[1] for word in ("target", "weights", "mask")), (shapes, run)
        else:
            assert declared == run, shapes
        assert said_of(lambda wrong=wrong: layer(wrong, *arguments)) == run, shapes
        assert run is None or run[0] in (ShapeError, TypeError, ValueError), run
        assert run is None or " expects " in run[1] or " leaves nothing of " in run[1], run


def test_every_layer_declares_its_output_shape():
    rooms = (minigrad.layers, minigrad.losses, minigrad.containers, minigrad.fusions)
    public = [getattr(room, name) for room in rooms for name in room.__all__]
    classes = {thing for thing in public if isinstance(thing, type) and issubclass(thing, Layer)}
    assert len(classes) > 70
    bases = {Container, LazyLayer, minigrad.Loss}
    assert [c.__name__ for c in classes - bases if c.output_shape is Layer.output_shape] == []


# Widths that are left out.

LAZY = [
    (lambda: Linear(None, 2), (3, 4)),
    (lambda: PReLU(None), (3, 4, 2)),
    (lambda: Scale(None), (3, 2, 4)),
    (lambda: Bias(None), (3, 4)),
    (lambda: RBF(None, 2), (3, 4)),
    (lambda: Bilinear(None, None, 2), ((3, 4), (3, 5))),
    (lambda: Bilinear(4, None, 2), ((3, 4), (3, 5))),
    (lambda: LearnedPositionalEncoding(5, None), (3, 4, 2)),
    (lambda: Conv1d(None, 2, 3), (3, 4, 6)),
    (lambda: Conv2d(None, 2, 3), (3, 4, 6, 5)),
    (lambda: ConvTranspose2d(None, 2, 3), (3, 4, 6, 5)),
    (lambda: LayerNorm(None), (3, 4)),
    (lambda: RMSNorm(None), (3, 4)),
    (lambda: GroupNorm(2, None), (3, 4, 5)),
    (lambda: BatchNorm1d(None), (3, 4)),
    (lambda: BatchNorm2d(None), (3, 4, 6, 5)),
    (lambda: RNN(None, 2), (3, 4, 5)),
    (lambda: GRU(None, 2), (3, 4, 5)),
    (lambda: LSTM(None, 2, last=True), (3, 4, 5)),
]


@pytest.mark.parametrize(("make", "shapes"), LAZY, ids=lambda value: repr(value()) if callable(value) else None)
def test_a_width_left_out_is_left_out_still(make, shapes, nothing_runs):
    layer = make()
    declared = layer.output_shape(shapes)
    with pytest.raises(ValueError, match="has no arrays yet"):
        layer.parameters()
    z = map_shapes(np.ones, shapes)
    assert declared == shapes_of(layer.forward(z)[0])
    for wrong in misfits(shapes):
        z = map_shapes(np.ones, wrong)
        layer = make()
        declared = said_of(lambda layer=layer, wrong=wrong: layer.output_shape(wrong))
        assert declared == said_of(lambda layer=layer, z=z: layer.forward(z)), wrong


def test_all_layers_whose_width_may_be_left_out_are_looked_at():
    rooms = (minigrad.layers, minigrad.losses)
    public = [getattr(room, name) for room in rooms for name in room.__all__]
    lazy = {thing for thing in public if isinstance(thing, type) and issubclass(thing, LazyLayer)} - {LazyLayer}
    assert lazy == {type(make()) for make, _ in LAZY}


# check: the shapes of a whole stack, and what is said of the first layer that does not fit.


def classifier() -> Sequential:
    return Sequential(Flatten(), Linear(784, 128, rng=0), ReLU(), Linear(64, 10, rng=1), LogSoftmax(), NLLLoss())


def told(call):
    """The type of an error, its text and its notes."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the type is what is returned
        call()
    return type(caught.value), str(caught.value), getattr(caught.value, "__notes__", [])


def test_check_shows_the_first_mismatch_with_both_layers_and_what_would_fit():
    kind, text, notes = told(lambda: classifier().check((1, 28, 28)))
    assert issubclass(kind, ValueError)
    assert text == (
        "Linear(64 -> 10) expects z of shape (batch, 64), got (N, 128): "
        "the last axis holds the features, and Linear(128, 10) takes 128"
    )
    assert notes == [
        "in layer 3 of Sequential(Flatten, Linear, ReLU, Linear, LogSoftmax, NLLLoss)",
        "layer 2 below it, ReLU(), gives z of shape (N, 128)",
    ]


def test_at_run_time_the_same_words():
    before = told(lambda: classifier().check((1, 28, 28)))
    images, labels = np.zeros((5, 1, 28, 28)), np.zeros(5, int)
    for call in (classifier().forward, classifier()):
        kind, text, notes = told(lambda call=call: call(images, labels))
        assert (kind, text, notes) == (
            before[0],
            before[1].replace("(N,", "(5,"),
            [note.replace("(N,", "(5,") for note in before[2]],
        )


def test_a_fused_cost_speaks_as_its_layers_do():
    cost, labels = Sequential(LogSoftmax(), NLLLoss()), np.zeros(3, int)
    assert told(lambda: value_and_gradients(cost, np.zeros(3), labels)) == told(lambda: cost.output_shape((3,)))
    cost = Sequential(Linear(4, 3), ReLU(), *cost)
    assert told(lambda: value_and_gradients(cost, np.zeros((3, 2)), labels)) == told(lambda: cost.output_shape((3, 2)))


def test_check_gives_the_shape_of_the_output():
    right = classifier().with_replaced(3, Linear(128, 10, rng=1))
    assert right[:-1].check((1, 28, 28)) == (N, 10)
    assert str(right[:-1].check((1, 28, 28))) == "(N, 10)"
    assert right.check((1, 28, 28)) == ()
    assert right.with_replaced(5, NLLLoss("none")).check((1, 28, 28)) == (N,)
    towers = Sequential(Parallel(Linear(3, 4), Linear(2, 5)), Concatenate())
    assert towers.check(((3,), (2,))) == (N, 9)
    assert towers[:1].check(((3,), (2,))) == ((N, 4), (N, 5))
    assert Sequential(Embedding(9, 4), Flatten(), Linear(12, 2)).check((3,)) == (N, 2)
    assert Linear(3, 2).check(np.ones((7, 3))) == (7, 2)
    assert Linear(3, 2).check((np.int64(5), 3)) == (N, 5, 2)


NESTED = [
    (
        lambda: Sequential(Linear(3, 4), Residual(Sequential(Tanh(), Branch(Linear(4, 4), Linear(5, 4)), Add()))),
        (3,),
        "Linear(5 -> 4) expects z of shape (batch, 5), got (N, 4): "
        "the last axis holds the features, and Linear(4, 4) takes 4",
        [
            "in layer 1 of Branch(Linear, Linear)",
            "in layer 1 of Sequential(Tanh, Branch, Add)",
            "layer 0 below it, Tanh(), gives z of shape (N, 4)",
            "in layer inner of Residual(Sequential)",
            "in layer 1 of Sequential(Linear, Residual)",
        ],
    ),
    (
        lambda: Sequential(Linear(3, 4), Sequential(Frozen(Linear(5, 2)), Tanh())),
        (3,),
        "Linear(5 -> 2) expects z of shape (batch, 5), got (N, 4): "
        "the last axis holds the features, and Linear(4, 2) takes 4",
        [
            "in layer inner of Frozen(Linear)",
            "in layer 0 of Sequential(Frozen, Tanh)",
            "in layer 1 of Sequential(Linear, Sequential)",
            "layer 0 below it, Linear(3 -> 4), gives z of shape (N, 4)",
        ],
    ),
    (
        lambda: Sequential(Parallel(Linear(3, 4), Linear(2, 5)), Add()),
        ((3,), (2,)),
        "Add() expects arrays of one shape, got (N, 4) in z[0] and (N, 5) in z[1]: "
        "bring the branches to one width, or take Concatenate",
        [
            "in layer 1 of Sequential(Parallel, Add)",
            "layer 0 below it, Parallel(Linear, Linear), gives z of shape ((N, 4), (N, 5))",
        ],
    ),
    (
        lambda: Sequential(Linear(3, 4), Add()),
        (3,),
        "Add() expects z to be a tuple of arrays, got one array of shape (N, 4): pass (a, b, ...)",
        ["in layer 1 of Sequential(Linear, Add)", "layer 0 below it, Linear(3 -> 4), gives z of shape (N, 4)"],
    ),
    (
        lambda: Sequential(Branch(Tanh(), Tanh()), Linear(3, 2)),
        (3,),
        "Linear(3 -> 2) expects z to be one array, got a tuple of 2: Add or Concatenate joins them",
        [
            "in layer 1 of Sequential(Branch, Linear)",
            "layer 0 below it, Branch(Tanh, Tanh), gives z of shape ((N, 3), (N, 3))",
        ],
    ),
    (
        lambda: Residual(Linear(3, 4)),
        (3,),
        "Residual(Linear) expects its layer to keep the shape of z, (N, 3), got (N, 4): "
        "f + Linear(...) projects the shortcut to another width",
        [],
    ),
]


@pytest.mark.parametrize(("make", "row", "text", "notes"), NESTED, ids=[text[:40] for _, _, text, _ in NESTED])
def test_check_finds_its_way_through_containers(make, row, text, notes):
    kind, said, noted = told(lambda: make().check(row))
    assert issubclass(kind, ValueError | TypeError)
    assert (said, noted) == (text, notes)
    z = map_shapes(lambda shape: np.ones((6, *shape)), row)
    for call in (make().forward, make()):
        at_run_time = [text.replace("(N,", "(6,") for text in (said, *noted)]
        assert told(lambda call=call: call(z)) == (kind, at_run_time[0], at_run_time[1:])


MISFITS = [
    (lambda: Tanh(), ((3,), (4,)), "Tanh() expects z to be one array, got a tuple of 2: Add or Concatenate joins them"),
    (lambda: Linear(3, 2), (), "Linear(3 -> 2) expects z of shape (batch, 3), got (N,): z[np.newaxis, :] is a batch"),
    (lambda: Linear(2, 5), (7,), "expects z of shape (batch, 2), got (N, 7): the last axis holds the features, and "),
    (lambda: LogSoftmax(), (), "LogSoftmax() expects z of shape (batch, classes), got (N,): z[np.newaxis, :] is a ba"),
    (lambda: PReLU(3), (4, 2), "PReLU(3) expects z of shape (batch, 3, ...), got (N, 4, 2): axis 1 holds the channels"),
    (lambda: Scale((3, 1, 1)), (2, 5, 5), "expects z of shape (batch, ..., 3, 1, 1), got (N, 2, 5, 5): the last axes"),
    (
        lambda: Bias(None),
        (),
        "Bias(?) expects z of shape (batch, ..., features), got (N,): the first axis is the batch",
    ),
    (
        lambda: RBF(3, 4),
        (2,),
        "RBF(3 -> 4) expects z of shape (batch, 3), got (N, 2): the last axis holds the features",
    ),
    (
        lambda: Polynomial(),
        (),
        "Polynomial(2) expects z of shape (batch, features), got (N,): z[np.newaxis, :] is a ba",
    ),
    (
        lambda: Bilinear(3, 4, 2),
        ((3,), (5,)),
        "shapes (batch, 3) and (batch, 4), got (N, 3) and (N, 5): all axes agree",
    ),
    (lambda: Bilinear(3, 4, 2), (3,), "expects z to be a tuple of 2 arrays, got one array of shape (N, 3): pass (a, b"),
    (lambda: Flatten(2, 1), (4, 5), "start_axis to stand before end_axis, got axes 2 and 1 of z of shape (N, 4, 5)"),
    (lambda: Flatten(), (), "Flatten() expects z with an axis 1 beside the batch, got shape (N,)"),
    (lambda: Reshape(5, 2), (12,), "Reshape(5, 2) expects 10 numbers in each row, got 12 in z of shape (N, 12)"),
    (lambda: Reshape(5, -1), (12,), "Reshape(5, -1) expects a multiple of 5 numbers in each row, got 12 in z of shape"),
    (lambda: Transpose(1, 3), (4, 5), "Transpose(1, 3) expects z with an axis 3 beside the batch, got shape (N, 4, 5)"),
    (lambda: Slice(9, None), (9,), "Slice(9, None, axis=-1) leaves nothing of axis 1 of z of shape (N, 9): start lies"),
    (lambda: Pad(((1, 1), (1, 1))), (12,), "expects z with 2 axes after the batch, or more, got shape (N, 12): one"),
    (
        lambda: LearnedPositionalEncoding(5, 4),
        (6, 4),
        "of at most 5 steps, got 6 in z of shape (N, 6, 4): raise max_len",
    ),
    (
        lambda: LearnedPositionalEncoding(5, 4),
        (5, 3),
        "expects z of shape (batch, time, 4), got (N, 5, 3): the last axi",
    ),
    (
        lambda: minigrad.PositionalEncoding(),
        (5,),
        "expects z of shape (batch, time, features), got (N, 5): z[np.newaxi",
    ),
    (lambda: Embedding(9, 4), ((3,), (4,)), "Embedding(9 -> 4) expects z to be one array, got a tuple of 2"),
]


@pytest.mark.parametrize(("make", "row", "text"), MISFITS, ids=[text[:40] for _, _, text in MISFITS])
def test_what_would_fit_is_said_before_there_is_data(make, row, text):
    assert text in told(lambda: make().check(row))[1]


ROWS = [
    (784, TypeError, "or a batch, got 784: (784,) is a row of 784 numbers"),
    ([784], TypeError, "or a batch, got [784]: a tuple of positive integers"),
    ("784", TypeError, "expects the shape of one row, such as (784,) or (1, 28, 28), or a batch, got str"),
    (None, TypeError, "or a batch, got None: a tuple of positive integers"),
    ((784.0,), TypeError, "or a batch, got (784.0,): a tuple of positive integers"),
    (((3,), 784), TypeError, "or a batch, got ((3,), 784): a tuple of positive integers"),
    ((0,), ValueError, "Linear(784 -> 2) expects a shape of positive sizes, got (0,): leave the batch out"),
    ((-1, 784), ValueError, "expects a shape of positive sizes, got (-1, 784): leave the batch out"),
    ((True,), ValueError, "expects a shape of positive sizes, got (True,)"),
    (((784,), (0,)), ValueError, "expects a shape of positive sizes, got (0,)"),
]


@pytest.mark.parametrize(("row", "kind", "text"), ROWS, ids=[str(row) for row, _, _ in ROWS])
def test_what_is_no_shape_of_a_row_is_told(row, kind, text):
    found, said, _ = told(lambda: Linear(784, 2).check(row))
    assert found is kind
    assert text in said


# Layers of the user's own, whose shapes are found by running rule 1 on zeros.


class Halved(Layer):
    """Every second number, with statistics, a generator and a parameter, in float32."""

    parameter_names = ("scale",)
    state_names = ("total", "rng")

    def __init__(self):
        self.scale = np.array(2.0, np.float32)
        self.total, self.rng = np.zeros((), np.float32), np.random.default_rng(3)

    def forward(self, z):
        assert z.dtype == np.float32
        self.total += z.sum() + 1
        return z[..., ::2] * self.scale + self.rng.normal(size=z[..., ::2].shape).astype(z.dtype), z


class Inverse(Elementwise):
    """Undefined at 0."""

    def f(self, z):
        return np.log(z) / z - np.sqrt(-1 - z)

    def df(self, z_next):
        return z_next


class Around(Container):
    """A user's container, which declares nothing either."""

    def __init__(self, inner):
        self.inner = inner

    def children(self):
        return [("inner", self.inner)]

    def forward(self, z):
        with self.within("inner"):
            return self.inner.forward(z)


class Ratio(Layer):
    """1 / z, which declares nothing."""

    def forward(self, z):
        return 1 / z + np.log(z), z


def test_a_layer_that_declares_nothing_is_run_on_a_copy():
    layer = Halved()
    before = copy.deepcopy(layer)
    assert layer.check((4, 7)) == (N, 4, 4)
    assert str(Sequential(layer, Flatten()).check((4, 7))) == "(N, 16)"
    assert layer.output_shape((9, 7)) == (9, 4)
    assert layer.total == before.total
    assert layer.rng.bit_generator.state == before.rng.bit_generator.state
    model = Around(Sequential(Dropout(0.5, rng=5), Linear(3, 2, rng=0)))
    state = copy.deepcopy(model.state()["inner.0.rng"].bit_generator.state)
    assert model.check((3,)) == (N, 2)
    assert model.state()["inner.0.rng"].bit_generator.state == state


def test_running_builds_nothing():
    model = Sequential(Around(Linear(None, 5)), Tanh(), Linear(None, 2))
    assert model.check((3,)) == (N, 2)
    with pytest.raises(ValueError, match=r"Linear\(\? -> 5\) has no arrays yet"):
        model[0].parameters()
    with pytest.raises(ValueError, match=r"Linear\(\? -> 2\) has no arrays yet"):
        model[2].parameters()
    assert model[0].inner.in_features is None


def test_running_on_zeros_warns_of_nothing():
    assert Sequential(Ratio(), Inverse(), Linear(3, 2)).check((3,)) == (N, 2)


def test_an_elementwise_layer_keeps_the_shape_unrun():
    class Raises(Elementwise):
        def f(self, z):
            raise AssertionError("it is run")

    assert Raises().check((3, 4)) == (N, 3, 4)
    assert Raises().multiply_adds((2, 3)) == 0


def test_a_users_layer_that_does_not_fit_is_placed():
    model = Sequential(Linear(3, 1), Around(Linear(4, 2)), Tanh())
    kind, text, notes = told(lambda: model.check((3,)))
    assert kind is ShapeError
    assert "Linear(4 -> 2) expects z of shape (batch, 4), got (N, 1): " in text
    assert notes == [
        "in layer inner of Around(Linear)",
        "in layer 1 of Sequential(Linear, Around, Tanh)",
        "layer 0 below it, Linear(3 -> 1), gives z of shape (N, 1)",
    ]


# Of what numbers a user's layer is run on, and what is said where it refuses them all.


class Log(Layer):
    """Refuses zeros."""

    def forward(self, z):
        if (z.real <= 0).any():
            raise ValueError(f"Log expects positive numbers, got {z.min():g}")
        return np.log(z), z


class Table(Layer):
    """Rows of an array, by integers."""

    def __init__(self):
        self.rows = np.ones((7, 4))

    def forward(self, z):
        return self.rows[z], z


class Angle(Layer):
    """Refuses zeros, ones and integers."""

    def forward(self, z):
        raise ValueError(f"Angle expects 0 < z < 1, got {z.flat[0]:g}")


class Dense(Layer):
    """z W, which declares nothing."""

    def __init__(self):
        self.weight = np.ones((3, 2))

    def forward(self, z):
        if z.shape[1] != 3:
            raise ValueError(f"Dense takes 3 columns, got {z.shape}")
        return z @ self.weight, z


class Steps(Layer):
    """All steps of all sequences as rows."""

    def forward(self, z):
        return z.reshape(-1, z.shape[-1]), z.shape


class Squares(Layer):
    """z^T z, whose shape the batch does not change; the batch as the last axis beside it."""

    def forward(self, z):
        return z.T @ z, z


class Turned(Layer):
    """z^T."""

    def forward(self, z):
        return z.T, None


class Warns(Layer):
    """A mean of no number, and a word on it."""

    def forward(self, z):
        warnings.warn("zeros", stacklevel=1)
        return np.nanmean(z[..., np.newaxis] * np.nan, axis=-1), z


class Opened(Layer):
    """Holds what cannot be copied."""

    def __init__(self):
        self.lock = Lock()

    def forward(self, z):
        return z, None


def test_a_layer_that_refuses_zeros_is_run_on_ones_or_integers():
    assert Sequential(Log(), Linear(3, 2)).check((3,)) == (N, 2)
    assert Sequential(Table(), Flatten(), Linear(12, 2)).check((3,)) == (N, 2)
    assert Squares().check((3,)) == (3, 3)
    assert Branch(Log(), Squares()).check((2,)) == ((N, 2), (2, 2))
    assert Sequential(Warns(), Linear(3, 2)).check((3,)) == (N, 2)


UNKNOWN = [
    (
        lambda: Sequential(Tanh(), Layer()),
        (3,),
        NotImplementedError,
        "Layer() does not say its output shape, and rule 1 raised NotImplementedError: Layer lacks rule 1: "
        "forward(self, z) -> (z_next, cache) on zeros of shape (N, 3): write output_shape(self, shape)",
        ["in layer 1 of Sequential(Tanh, Layer)"],
    ),
    (
        lambda: Sequential(Tanh(), Angle()),
        (3,),
        NotImplementedError,
        "Angle() does not say its output shape, and rule 1 raised ValueError: Angle expects 0 < z < 1, got 0 "
        "on zeros of shape (N, 3): write output_shape(self, shape)",
        ["in layer 1 of Sequential(Tanh, Angle)"],
    ),
    (
        lambda: Sequential(Tanh(), Dense()),
        (7,),
        ShapeError,
        "Dense() does not say its output shape, and rule 1 raised ValueError: Dense takes 3 columns, got (N, 7) "
        "on zeros of shape (N, 7): write output_shape(self, shape)",
        ["in layer 1 of Sequential(Tanh, Dense)", "layer 0 below it, Tanh(), gives z of shape (N, 7)"],
    ),
    (
        lambda: Sequential(Tanh(), Around(Linear(4, 2))),
        (3,),
        ShapeError,
        "Linear(4 -> 2) expects z of shape (batch, 4), got (N, 3): "
        "the last axis holds the features, and Linear(3, 2) takes 3",
        [
            "in layer inner of Around(Linear)",
            "in layer 1 of Sequential(Tanh, Around)",
            "layer 0 below it, Tanh(), gives z of shape (N, 3)",
        ],
    ),
    (
        lambda: Sequential(Tanh(), Steps()),
        (10, 3),
        NotImplementedError,
        "Steps() gives shape (20, 3) for 2 rows and (30, 3) for 3, where N is the first axis or none: "
        "write output_shape(self, shape)",
        ["in layer 1 of Sequential(Tanh, Steps)"],
    ),
    (
        lambda: Turned(),
        (3,),
        NotImplementedError,
        "Turned() gives shape (3, 2) for 2 rows and (3, 3) for 3, where N is the first axis or none: "
        "write output_shape(self, shape)",
        [],
    ),
    (
        lambda: Opened(),
        (3,),
        NotImplementedError,
        "Opened() does not say its output shape, and cannot be copied to be run on zeros "
        "(TypeError: cannot pickle '_thread.lock' object): write output_shape(self, shape)",
        [],
    ),
]


@pytest.mark.parametrize(("make", "row", "kind", "text", "notes"), UNKNOWN, ids=[text[:30] for *_, text, _ in UNKNOWN])
def test_what_is_said_where_running_gives_no_shape(make, row, kind, text, notes):
    assert told(lambda: make().check(row)) == (kind, text, notes)


def test_a_refusal_of_data_does_not_blame_the_shape_nor_run_the_layer_again():
    runs = []

    class Counted(Log):
        def forward(self, z):
            runs.append(z)
            return super().forward(z)

    model = Sequential(Tanh(), Counted())
    kind, text, notes = told(lambda: model.forward(np.zeros((4, 3))))
    assert (kind, text) == (ValueError, "Log expects positive numbers, got 0")
    assert notes == ["in layer 1 of Sequential(Tanh, Counted)"]
    assert len(runs) == 1


# Layers of which the shape is not known.


class Squared(minigrad.Loss):
    """A user's loss, whose terms it says nothing of."""

    def forward(self, z, target, weights=None):
        terms = (z - target) ** 2
        scale = self.scale(terms, weights)
        return self.reduce(terms, scale), (z, target, scale)


class Masked(Layer):
    """Takes more than z."""

    def forward(self, z, mask):
        return z * mask, mask


class Handing(Around):
    """A user's container, which hands on what comes after z."""

    def forward(self, z, *arguments):
        return self.inner.forward(z, *arguments)


def test_what_is_not_known_is_none():
    assert Masked().check((3,)) is None
    assert Squared("none").check((3,)) is None
    assert Squared().check((3,)) == ()
    assert Sequential(Linear(3, 1), Squared("none")).check((3,)) is None
    assert Handing(Sequential(Linear(3, 2), LogSoftmax(), NLLLoss())).check((3,)) is None
    assert Handing(Sequential(Linear(3, 2), Tanh())).check((3,)) == (N, 2)
    assert Branch(Tanh(), Masked()).check((3,)) is None
    assert Parallel(Masked(), Tanh()).check(((3,), (3,))) is None
    assert Residual(Masked()).check((3,)) is None
    assert Frozen(Masked()).check((3,)) is None
    assert Penalized(Sequential(Linear(3, 1), Squared("none")), L2Penalty(0.1)).check((3,)) is None
    assert Penalized(Sequential(Linear(3, 1), Masked()), L2Penalty(0.1)).check((3,)) is None


def test_a_layer_below_the_top_of_no_known_shape_is_named():
    model = Sequential(Tanh(), Sequential(Tanh(), Masked()), Linear(3, 2))
    kind, text, notes = told(lambda: model.check((3,)))
    assert kind is NotImplementedError
    assert text == (
        "Sequential(Tanh, Sequential, Linear): layer 1, Sequential(Tanh, Masked), does not say its output shape: "
        "write output_shape(self, shape)"
    )
    assert notes == []


def test_a_frozen_layer_has_the_shape_that_it_has_at_inference():
    class Doubled(Layer):
        def output_shape(self, shape):
            return (*shape[:-1], 2 * shape[-1])

        def at_inference(self):
            return Tanh()

    assert Doubled().check((3,)) == (N, 6)
    assert Frozen(Doubled()).check((3,)) == (N, 3)


# A class that writes a rule anew takes over nothing that was said of the old one.


class Twice(Linear):
    def forward(self, z):
        y, cache = super().forward(z)
        return np.concatenate([y, y], axis=1), cache


class First:
    def forward(self, z):
        return z[:, :1], z


class Mixed(First, Linear):
    """Its rule 1 comes from a class that is no layer."""


class Cubed(Tanh):
    def f(self, z):
        return z**3


class Other(minigrad.MSELoss):
    def f(self, z, target):
        return z - target


def test_a_rule_written_anew_takes_back_what_was_said():
    assert Twice(3, 2).check((3,)) == (N, 4)
    assert Sequential(Twice(3, 2), Linear(4, 1)).check((3,)) == (N, 1)
    assert Twice.multiply_adds is None
    assert Twice.formulas is None
    assert Cubed.formulas == Elementwise.formulas
    assert Cubed().check((3,)) == (N, 3)
    assert Other("mean").formulas is None
    assert Mixed(3, 2).check((3,)) == (N, 1)


def test_what_is_said_with_the_rule_stays():
    class Said(Twice):
        formulas = Linear.formulas

        def output_shape(self, shape):
            return (shape[0], 4)

        def multiply_adds(self, shape):
            return 6 * shape[0]

        def forward(self, z):
            return super().forward(z)

    class Named(Linear):
        def __repr__(self):
            return "Named"

    class Back(Linear):
        def backward(self, delta, cache):
            return super().backward(delta, cache)

    assert Said(3, 2).check((3,)) == (N, 4)
    assert Said(3, 2).multiply_adds((5, 3)) == 30
    assert Said.formulas is Linear.formulas
    assert (Named.output_shape, Named.multiply_adds) == (Linear.output_shape, Linear.multiply_adds)
    assert Named.formulas is Linear.formulas
    assert (Back.output_shape, Back.multiply_adds) == (Linear.output_shape, Linear.multiply_adds)
    assert Back.formulas is None


def test_no_class_of_minigrad_loses_what_was_said_of_it():
    def below(kind):
        return {kind}.union(*map(below, kind.__subclasses__()))

    ours = {kind for kind in below(Layer) - {Layer} if kind.__module__.startswith("minigrad.")}
    assert len(ours) > 90
    for kind in ours:
        lost = {name for name, said in vars(kind).items() if name in CLAIMS and said is getattr(Layer, name, None)}
        assert not lost, kind


# N is no number.


def test_nothing_is_calculated_with_n():
    for call in (
        lambda: N + 1,
        lambda: 1 + N,
        lambda: N - 1,
        lambda: 2 * N,
        lambda: N * 2,
        lambda: N // 2,
        lambda: N / 2,
        lambda: N % 2,
        lambda: 7 % N,
        lambda: N**2,
        lambda: divmod(N, 2),
        lambda: -N,
        lambda: int(N),
        lambda: float(N),
        lambda: math.prod((N, 3)),
        lambda: sum((N, 3)),
    ):
        assert told(call)[:2] == (TypeError, "the size of the batch is not known: keep shape[0] as it is")


def test_n_is_one():
    shape = Linear(3, 2).check((3,))
    for copied in (copy.copy(shape), copy.deepcopy(shape), pickle.loads(pickle.dumps(shape))):
        assert copied == shape
        assert copied[0] is N
    assert pickle.loads(pickle.dumps(N, 0)) is N


def test_multiply_adds_of_what_does_not_fit_are_told_in_the_same_words():
    for layer, shape in (
        (Conv2d(1, 2, 3), (4, 1, 8)),
        (Conv2d(1, 2, 3), (4, 1, 2, 8)),
        (ConvTranspose2d(1, 2, 3), (4, 2, 8, 8)),
    ):
        said = said_of(lambda layer=layer, shape=shape: layer.multiply_adds(shape))
        assert said is not None
        assert said == said_of(lambda layer=layer, shape=shape: layer.output_shape(shape))


# Down: a rule 2 that gives a delta of a wrong shape.


class Drops(Tanh):
    """Rule 2 loses the last column."""

    def backward(self, delta, y):
        return super().backward(delta, y)[:, :-1]


DOWNWARDS = [
    (
        lambda: Sequential(Linear(3, 4), Drops(), Linear(4, 2)),
        "Linear(3 -> 4) expects delta of the shape of its output, (5, 4), got (5, 3): "
        "rule 2 of the layer above returned it, or the caller passed it",
        ["in layer 0 of Sequential(Linear, Drops, Linear)", "layer 1 above it, Drops(), gives that delta by rule 2"],
    ),
    (
        lambda: Sequential(Linear(3, 4), Sequential(Tanh(), Drops()), Linear(4, 2)),
        "Tanh() expects delta of the shape of its output, (5, 4), got (5, 3): "
        "rule 2 of the layer above returned it, or the caller passed it",
        [
            "in layer 0 of Sequential(Tanh, Drops)",
            "layer 1 above it, Drops(), gives that delta by rule 2",
            "in layer 1 of Sequential(Linear, Sequential, Linear)",
        ],
    ),
    (
        lambda: Sequential(Linear(3, 4), Sequential(Drops()), Linear(4, 2)),
        "Linear(3 -> 4) expects delta of the shape of its output, (5, 4), got (5, 3): "
        "rule 2 of the layer above returned it, or the caller passed it",
        [
            "in layer 0 of Sequential(Linear, Sequential, Linear)",
            "layer 1 above it, Sequential(Drops), gives that delta by rule 2",
        ],
    ),
]


@pytest.mark.parametrize(("make", "text", "notes"), DOWNWARDS, ids=["plain", "inside", "around"])
def test_a_delta_that_does_not_fit_names_the_layer_above(make, text, notes):
    model = make()
    _, cache = model.forward(np.ones((5, 3)))
    for rule in ("backward", "parameter_gradients", "backpropagate"):
        kind, said, noted = told(lambda rule=rule: getattr(model, rule)(np.ones((5, 2)), cache))
        assert kind is ShapeError
        assert (said, noted) == (text, notes)


def test_a_delta_from_the_caller_names_no_layer():
    model = Sequential(Linear(3, 4), Linear(4, 2))
    _, cache = model.forward(np.ones((5, 3)))
    for rule in ("backward", "parameter_gradients", "backpropagate"):
        kind, said, noted = told(lambda rule=rule: getattr(model, rule)(np.ones((5, 3)), cache))
        assert kind is ShapeError
        assert said.startswith("Linear(4 -> 2) expects delta of the shape of its output, (5, 2), got (5, 3)")
        assert noted == ["in layer 1 of Sequential(Linear, Linear)"]


def test_what_an_abstract_base_or_a_mixin_declares_holds():
    class Pairwise(Layer, abc.ABC):
        @abc.abstractmethod
        def forward(self, z): ...

        def output_shape(self, shape):
            return (shape[0], shape[0])

    class Gram(Pairwise):
        def forward(self, z):
            return z @ z.T, z

    class Says:
        def output_shape(self, shape):
            return (shape[0], shape[0])

    class Mixed(Says, Linear):
        def forward(self, z):
            return z @ z.T, z

    class Anew(Gram):
        def forward(self, z):
            return z[:, :1], z

    assert Gram().check((3,)) == Mixed(3, 2).check((3,)) == (N, N)
    assert Anew().check((3,)) == (N, 1)


def test_the_size_of_a_batch_is_no_number():
    assert [N != 2, N == 2, 2 != N, 2 == N] == [True, False, True, False]  # noqa: SIM300
