"""The strategies draw what they say, and layer_test finds, shrinks and writes down what is wrong."""

import re
import time

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import minigrad.layers
from minigrad import (
    BernoulliNLLLoss,
    Bilinear,
    Embedding,
    Layer,
    LearnedPositionalEncoding,
    Linear,
    LogSoftmax,
    NLLLoss,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from minigrad.layers import Elementwise
from minigrad.testing import exploration as module_of_layer_test
from minigrad.testing.check import diagnose
from minigrad.testing.discovery import NotCheckedError, described, is_abstract, layers_of, make
from minigrad.testing.exploration import failure_class, layer_test, layers_in
from minigrad.testing.report import Finding, GradientContractError
from minigrad.testing.strategies import (
    deltas,
    indices,
    inputs,
    parameters,
    probabilities,
    reals,
    stacks,
    targets,
)

BUILT_IN = [Tanh(), ReLU(), Sigmoid(), Softmax(), LogSoftmax(), NLLLoss(), BernoulliNLLLoss(), Linear(3, 2, rng=0)]


class Square(Elementwise):
    keeps = "input"

    def f(self, z):
        return z * z

    def df(self, z):
        return 2 * z


class WrongAtThree(Square):
    """Random numbers do not hit it."""

    def df(self, z):
        return np.where(z == 3.0, 5.0, 2 * z)


class Doubled(Square):
    def df(self, z):
        return 4 * z


class Scale(Layer):
    parameter_names = ("a",)

    def __init__(self, features, start=1.0):
        self.a = np.full(features, start)

    def forward(self, z):
        return self.a * z, z

    def backward(self, delta, z):
        return delta * self.a

    def parameter_gradients(self, delta, z):
        return {"a": (delta * z).mean(axis=0)}  # mean for sum: right for a batch of one


class Wavy(Square):
    """Wrong by a factor at one number, by the sign at another."""

    def df(self, z):
        return np.where(z == 3.0, 5.0, np.where(z == -30.0, 60.0, 2 * z))


class Table(Layer):
    """Rows of a table, by their index."""

    parameter_names = ("rows",)

    def __init__(self):
        self.rows = np.arange(8.0).reshape(4, 2)

    def forward(self, z):
        return self.rows[z], z

    def backward(self, delta, z):
        return np.zeros(z.shape)

    def parameter_gradients(self, delta, z):
        rows = np.zeros((4, 2), delta.dtype)
        np.add.at(rows, z, delta)
        return {"rows": rows}


class Sleepy(Square):
    def df(self, z):
        if (z == 3.0).any():
            time.sleep(60)
        return 2 * z


class Root(Elementwise):
    def f(self, z):
        return np.sqrt(z)

    def df(self, y):
        return 0.5 / y


# The strategies.

SEARCH = settings(max_examples=3000, database=None, phases=[Phase.generate])


@given(reals("batch", 4, "time"), indices(3, "batch"), reals("time", "time"))
def test_a_name_stands_for_one_number_throughout(z, target, square):
    rows, four, time_ = z.shape
    assert 1 <= rows <= 3
    assert four == 4
    assert 1 <= time_ <= 5
    assert target.shape == (rows,)
    assert square.shape == (time_, time_)


@pytest.mark.parametrize(
    "wanted",
    [
        lambda z: (z == 0).any() and (z == 1e3).any(),
        lambda z: z.size > 3 and len(np.unique(z)) == 2,
        lambda z: not z.flags.c_contiguous and z.flags.f_contiguous,
        lambda z: z.strides[0] < 0,
        lambda z: z.strides[-1] == 16 and z.shape[-1] > 1,
        lambda z: len(z) == 3 and z.shape[1] == 5,
    ],
    ids=["special", "tied", "Fortran", "reversed", "strided", "largest"],
)
def test_reals_are_of_the_kinds_that_find_bugs(wanted):
    assert wanted(find(reals("batch", "features"), wanted, settings=SEARCH))


@pytest.mark.parametrize(("above", "below"), [(0, None), (None, 0), (0, 1), (-1e-3, 1e-3), (1e4, None), (None, -50)])
def test_reals_keep_inside_their_bounds(above, below):
    @given(reals(3, above=above, below=below))
    def inside(z):
        assert above is None or (z > above).all()
        assert below is None or (z < below).all()

    inside()


@given(probabilities("batch", 3), targets("classes", "batch", classes=4), targets("binary", 2), indices(1))
def test_targets_are_what_they_are_called(p, labels, binary, only):
    np.testing.assert_allclose(p.sum(axis=-1), 1)
    assert (p > 0).all()
    assert labels.dtype.kind == "i"
    assert set(labels.tolist()) <= {0, 1, 2, 3}
    assert set(binary.tolist()) <= {0, 1}
    assert only == 0


def test_deltas_do_not_shrink_to_zeros():
    smallest = find(deltas((2, 3)), lambda delta: True)
    assert smallest.shape == (2, 3)
    assert (smallest != 0).all()
    assert len(np.unique(np.abs(smallest))) == 6
    assert (smallest != smallest.astype(np.float32)).all(), "full mantissa"
    assert isinstance(find(deltas(()), lambda delta: True), float)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reals(2.5), "expects a shape of whole numbers and names, got 2.5"),
        (lambda: reals(True), "got True"),
        (lambda: reals(3, above=1, below=1), "expects above < below"),
        (lambda: indices(0, 3), "expects k of 1 or more"),
        (lambda: probabilities(), "one axis or more"),
        (lambda: targets("labels", 3), "expects a kind in"),
    ],
)
def test_a_wrong_call_is_told(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("layer", [*BUILT_IN, Root()], ids=repr)
def test_inputs_are_taken(layer):
    @settings(max_examples=20)
    @given(parameters(layer).flatmap(lambda drawn: st.tuples(st.just(drawn), inputs(drawn))))
    def taken(example):
        drawn, values = example
        z_next, _ = drawn.forward(*values)
        assert np.isfinite(z_next).all()

    taken()


def test_parameters_are_drawn_and_the_layer_stays():
    layer = Scale(2)
    negative = find(parameters(layer), lambda drawn: (drawn.a < 0).any())
    assert (negative.a < 0).any()
    assert find(parameters(layer), lambda drawn: (drawn.a == 1).all()) is layer
    assert (layer.a == 1).all()
    number = Scale(())
    assert type(find(parameters(number), lambda drawn: drawn.a != 1).a) is np.ndarray


def test_stacks_obey_the_rules():
    @settings(max_examples=40)
    @given(stacks() | stacks(loss=True), st.integers(0, 9))
    def obeys(example, rng):
        stack, *values = example
        assert isinstance(stack, Sequential)
        z_next, cache = stack.forward(*values)
        dz, gradients = stack.backpropagate(np.ones(np.shape(z_next))[()], cache)
        assert dz.shape == values[0].shape
        assert list(gradients) == list(stack.parameters())
        findings = [f for f in diagnose(stack, *values, rng=rng, cases="given").findings if f.rule in (2, 3)]
        assert not findings

    obeys()


def test_stacks_are_of_all_kinds():
    find(stacks(), lambda e: len({id(layer) for layer in e[0]}) < len(e[0]), settings=SEARCH)
    find(stacks(), lambda e: any(isinstance(layer, Sequential) for layer in e[0]), settings=SEARCH)
    find(stacks(loss=True), lambda e: isinstance(e[0][-1], BernoulliNLLLoss), settings=SEARCH)
    find(stacks(loss=True), lambda e: isinstance(e[0][-1], NLLLoss) and e[0][-1].reduction == "none", settings=SEARCH)


# layer_test.

test_square = layer_test(Square(), ("batch", 3), examples=20)
test_square_by_itself = layer_test(Square, examples=20)
test_square_of_an_array = layer_test(Square, np.ones((2, 3)), examples=20)
test_root = layer_test(Root, ("batch", 2), examples=20)
test_root_of_positive_numbers = layer_test(lambda: Root(), reals("batch", 2, above=0), examples=20)
test_loss = layer_test(NLLLoss("sum"), ("batch", 3), indices(3, "batch"), examples=20)
test_of_indices = layer_test(Table(), indices(4, "batch"), examples=20)
test_of_given_indices = layer_test(Table(), np.array([0, 1, 1]), examples=20)
test_linear = layer_test(Linear(3, 2, rng=0), ("batch", "time", 3), examples=20)


def failure(test) -> tuple[GradientContractError, str]:
    """The error of a test that must fail, and the regression test at the end of its message."""
    with pytest.raises(GradientContractError) as caught:
        test()
    return caught.value, str(caught.value).partition("A regression test to paste:\n\n")[2]


def run(code: str) -> None:
    """Run a regression test."""
    space: dict = {}
    exec(code, space)
    functions = [value for name, value in space.items() if name.startswith("test_regression")]
    assert len(functions) == 1
    functions[0]()


@pytest.mark.parametrize(
    ("test", "lines"),
    [
        (
            layer_test(WrongAtThree(), ("batch", 1), examples=500),
            ["layer = WrongAtThree()  # as made in", "np.array([[3.0]])"],
        ),
        (
            layer_test(lambda: Scale(1, start=2.0), ("batch", 1)),
            ["layer = Scale(1, start=2.0)", 'parameters({"a": np.'],
        ),
        (layer_test(Doubled, np.ones((1, 2))), ["layer = Doubled()  # as made in", "import check_layer"]),
        (layer_test(Doubled, reals("batch", 1)), ["def test_regression_doubled():", "import numpy as np"]),
    ],
    ids=["at one number", "mean for sum", "array", "strategy"],
)
def test_a_failure_ends_with_a_regression_test(test, lines):
    error, code = failure(test)
    assert not error.diagnosis.ok
    assert all(line in code for line in lines), code
    assert code.count("\n") < 15
    with pytest.raises(GradientContractError) as again:
        run(code)
    assert {f.array for f in again.value.diagnosis.findings} & {f.array for f in error.diagnosis.findings}


def test_it_shrinks():
    _, code = failure(layer_test(WrongAtThree(), ("batch", "features"), examples=500))
    assert "check_layer(layer, np.array([[3.0]]), rng=0" in code
    _, code = failure(layer_test(Scale(1), ("batch", 1)))
    assert re.search(r"check_layer\(layer, np.array\(\[\[[^\[]*\], \[[^\[]*\]\]\)", code), "two rows"


@pytest.mark.parametrize("kind", ["C", "Fortran", "strided", "reversed"])
@pytest.mark.parametrize("dtype", [float, np.float32, int])
def test_arrays_are_written_as_they_are(kind, dtype):
    from minigrad.testing.strategies import LAYOUTS

    array = LAYOUTS[kind](np.arange(6).reshape(2, 3).astype(dtype))
    found = eval(module_of_layer_test._code(array), {"np": np})
    assert np.array_equal(found, array)
    assert found.dtype == array.dtype
    assert found.strides == array.strides


def test_causes_do_not_mix():
    """Which of the two bugs is found first does not matter; it must not shrink into the other."""
    error, code = failure(layer_test(Wavy(), (1, 1), examples=500))
    (finding,) = error.diagnosis.findings
    assert ("[[-30.0]]" in code) == (finding.cause == "sign"), error
    assert ("[[3.0]]" in code) == (finding.cause != "sign"), error


def test_a_class_of_errors_for_each_cause():
    sign, factor = (Finding(2, cause, "") for cause in ("sign", "factor"))
    assert failure_class((sign,)) is failure_class((sign, factor))
    assert failure_class((sign,)) is not failure_class((factor,))
    assert failure_class((sign,)) is not failure_class((Finding(3, "sign", ""),))
    assert issubclass(failure_class((sign,)), GradientContractError)


def test_a_hang_is_tried_once():
    recipe = described(Sleepy())
    begin = time.monotonic()
    with pytest.raises(GradientContractError, match="hangs"):
        module_of_layer_test.examine(Sleepy(), recipe, (1, 1), patience=0.2, examples=500)
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layer_test(3), "expects a layer, or a function that makes one, got int"),
        (lambda: layer_test(Tanh, None, 1), "expects z where further arguments are given"),
    ],
)
def test_layer_test_says_what_it_takes(call, message):
    with pytest.raises(TypeError, match=message):
        call()


# Discovery.


class Base(Layer):
    """Abstract: its rule 1 calls a method that is to be written."""

    def forward(self, z):
        return self.value(z), z

    def value(self, z):
        raise NotImplementedError


class Needy(Square):
    def __init__(self, table):
        self.table = table["numbers"]


class Attention(Square):
    def __init__(self, dim, heads, dropout: float, inner, *, rng):
        if dim % heads or not isinstance(inner, Layer) or not 0 < dropout < 1:
            raise ValueError("heads must divide dim")
        self.rng = np.random.default_rng(rng)
        self.dim, self.inner = dim, inner


def test_abstract_classes_are_known():
    assert all(is_abstract(cls) for cls in (Layer, Elementwise, Base))
    assert not any(is_abstract(cls) for cls in (Square, Scale, Sequential, NLLLoss))


def test_the_layers_of_the_package_are_found_and_made():
    found = layers_of("minigrad.layers")
    names = [name.rpartition(".")[2] for name in found.classes]
    public = {name for name in minigrad.layers.__all__ if isinstance(getattr(minigrad.layers, name), type)}
    assert sorted(names) == sorted(public - {"Elementwise", "LazyLayer"} | {"BatchNormAtInference"})
    assert not found.broken
    for cls in found.classes.values():
        layer, recipe = make(cls)
        assert type(layer) is cls
        assert type(recipe.make()) is cls


def test_arguments_are_tried():
    assert make(Linear)[1].code == "Linear(3, 2, rng=0)"
    layer, recipe = make(Attention)
    assert layer.dim == 4
    assert recipe.code == "Attention(4, 2, 0.5, Linear(3, 3, rng=0), rng=0)"
    with pytest.raises(NotCheckedError, match=r"not checked: no arguments .* Pass make={'Needy'"):
        make(Needy)
    assert make(Needy, lambda: Needy({"numbers": 1}))[0].table == 1
    with pytest.raises(NotCheckedError, match=r"made Tanh\(\), no Needy"):
        make(Needy, Tanh)


test_layers_of_the_package = layers_in("minigrad.layers.softmax", examples=20, shapes={"Softmax": ("batch", "classes")})


@pytest.mark.parametrize("option", ["make", "skip", "shapes"])
def test_names_that_are_no_layers_are_told(option):
    with pytest.raises(ValueError, match=f"{option} names Tangent, but the layers are"):
        layers_in("minigrad.layers", **{option: {"Tangent": "?"}})


def test_an_empty_package_is_told():
    with pytest.raises(ValueError, match=r"found no layer in minigrad\.typing"):
        layers_in("minigrad.typing")


@pytest.mark.parametrize(
    "layer", [Bilinear(3, 2, 4, rng=0), Embedding(5, 3, rng=0), LearnedPositionalEncoding(4, rng=0)], ids=repr
)
def test_layers_of_pairs_of_indices_and_of_widths_left_out_are_explored(layer):
    layer_test(layer, examples=10)()


def test_a_wrong_rule_of_a_layer_of_pairs_is_found_by_exploration():
    class Half(Bilinear):
        def backward(self, delta, cache):
            first, second = super().backward(delta, cache)
            return first, second / 2

    with pytest.raises(GradientContractError, match=r"rule 2, backward, d/dz\[1\]"):
        layer_test(Half(3, 2, 4, rng=0), examples=5)()
