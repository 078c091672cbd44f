"""First-order rules: their formulas, PyTorch's numbers, and nothing done by halves."""

import copy
import json
import math
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad.optim.groups
import minigrad.optim.optimizer
from minigrad import FlatParameters, Layer, Linear, Sequential, Tanh
from minigrad.optim.adagrad import Adagrad
from minigrad.optim.adam import Adam, AdamW
from minigrad.optim.groups import BLOCK, SMALL
from minigrad.optim.lion import Lion
from minigrad.optim.one_cycle import OneCycleLR
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.plateau import ReduceLROnPlateau
from minigrad.optim.rmsprop import RMSprop
from minigrad.optim.schedules import ExponentialLR, Schedule, StepLR
from minigrad.optim.sgd import SGD

RULES = [SGD, Adam, AdamW, RMSprop, Adagrad, Lion]


class Arrays(Layer):
    """Parameters of any shapes and no rules: gradients are made up."""

    def __init__(self, **arrays):
        self.parameter_names = tuple(arrays)
        for name, array in arrays.items():
            setattr(self, name, np.array(array))


def layer_of(shapes, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return Arrays(**{name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()})


def gradients_of(shapes, rng, scale=1.0):
    """Of many sizes, some 0, some in Fortran order."""
    gradients = {}
    for name, shape in shapes.items():
        g = scale * rng.normal(size=shape) * 10.0 ** rng.integers(-3, 3, size=shape)
        g = np.asarray(g * (rng.random(shape) < 0.9))
        gradients[name] = np.array(g, order="F" if rng.random() < 0.5 else "C")
    return gradients


def values(layer):
    return {name: array.copy() for name, array in layer.parameters().items()}


def everything(optimizer):
    vectors, record = optimizer.state()
    return {**values(optimizer.cost), **vectors, "record": json.dumps(record)}


def assert_same(after, before):
    assert after.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)


# The formulas once more, one number after the other.


def one_number(rule, s, theta, gs):
    """What becomes of one number by the gradients `gs`, as the papers write it."""
    m = v = a = b = largest = 0.0
    if rule is Adagrad:
        v = s["initial_accumulator_value"]
    rate, decay = s["learning_rate"], s["weight_decay"]
    for t, g in enumerate(gs, start=1):
        if s["decoupled"]:
            theta -= rate * decay * theta
        else:
            g = g + decay * theta
        if rule is SGD:
            if s["momentum"]:
                b = g if t == 1 else s["momentum"] * b + (1 - s["dampening"]) * g
                g = g + s["momentum"] * b if s["nesterov"] else b
            theta -= rate * g
        elif rule in (Adam, AdamW):
            beta_1, beta_2 = s["betas"]
            m = beta_1 * m + (1 - beta_1) * g
            v = beta_2 * v + (1 - beta_2) * g**2
            largest = max(largest, v)
            second = largest if s["amsgrad"] else v
            theta -= rate * (m / (1 - beta_1**t)) / (math.sqrt(second / (1 - beta_2**t)) + s["eps"])
        elif rule is RMSprop:
            v = s["alpha"] * v + (1 - s["alpha"]) * g**2
            a = s["alpha"] * a + (1 - s["alpha"]) * g
            step = g / (math.sqrt(max(v - a**2, 0.0) if s["centered"] else v) + s["eps"])
            b = s["momentum"] * b + step
            theta -= rate * b
        elif rule is Adagrad:
            v += g**2
            theta -= rate / (1 + (t - 1) * s["lr_decay"]) * g / (math.sqrt(v) + s["eps"])
        elif rule is Lion:
            beta_1, beta_2 = s["betas"]
            ahead = beta_1 * m + (1 - beta_1) * g
            theta -= rate * (ahead > 0) - rate * (ahead < 0)
            m = beta_2 * m + (1 - beta_2) * g
    return theta


fractions = st.sampled_from([0.0, 0.5, 0.9, 0.99])
OWN = {
    SGD: st.one_of(
        st.fixed_dictionaries({"momentum": fractions, "dampening": st.sampled_from([0.0, 0.3])}),
        st.just({"momentum": 0.9, "nesterov": True}),
    ),
    Adam: st.fixed_dictionaries(
        {"betas": st.tuples(fractions, fractions), "eps": st.sampled_from([1e-8, 1e-3]), "amsgrad": st.booleans()}
    ),
    RMSprop: st.fixed_dictionaries(
        # centred and without an eps that matters, rounding of v - a^2 decides
        {
            "alpha": st.sampled_from([0.5, 0.99]),
            "eps": st.sampled_from([1e-4, 1e-2]),
            "momentum": fractions,
            "centered": st.booleans(),
        }
    ),
    Adagrad: st.fixed_dictionaries(
        {
            "lr_decay": st.sampled_from([0.0, 0.1]),
            "initial_accumulator_value": st.sampled_from([0.0, 0.5]),
            "eps": st.sampled_from([1e-10, 1e-2]),
        }
    ),
    Lion: st.fixed_dictionaries({"betas": st.tuples(fractions, fractions)}),
}
OWN[AdamW] = OWN[Adam]
COMMON = st.fixed_dictionaries(
    {"learning_rate": st.sampled_from([1e-3, 0.1]), "weight_decay": st.sampled_from([0.0, 0.01, 0.3])}
)
SHAPES = {"a.weight": (3, 4), "a.bias": (4,), "b.weight": (2, 3, 2), "scale": (), "none": (0, 3)}


class Named(Arrays):
    """With dots in the names, as a stack has them."""

    def __init__(self, shapes, seed=0, dtype=np.float64):
        rng = np.random.default_rng(seed)
        self.arrays = {name: np.asarray(rng.normal(size=shape), dtype) for name, shape in shapes.items()}
        self.parts = [Arrays(p=array) for array in self.arrays.values()]
        for part, array in zip(self.parts, self.arrays.values(), strict=True):
            part.p = array

    def parameters(self):
        return {name: part.p for name, part in zip(self.arrays, self.parts, strict=True)}

    def parameter_places(self):
        return [(name, part, "p") for name, part in zip(self.arrays, self.parts, strict=True)]


@pytest.mark.parametrize("rule", RULES)
@given(data=st.data())
def test_a_rule_is_its_formula(rule, data):
    own = data.draw(OWN[rule])
    common = data.draw(COMMON)
    decoupled = {"decoupled": data.draw(st.booleans())} if data.draw(st.booleans()) else {}
    group = data.draw(st.one_of(st.none(), COMMON))
    groups = {} if group is None else {"*.bias": group}
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    layer = Named(SHAPES)
    before = values(layer)
    optimizer = rule(layer, **common, **own, **decoupled, groups=groups)
    steps = [gradients_of(SHAPES, rng) for _ in range(12)]
    for gradients in steps:
        optimizer.step(gradients)
    for name, array in layer.parameters().items():
        s = optimizer.settings | (group if group and name.endswith(".bias") else {})
        assert s["decoupled"] is decoupled.get("decoupled", rule in (AdamW, Lion))
        for place in np.ndindex(array.shape):
            gs = [float(gradients[name][place]) for gradients in steps]
            expected = one_number(rule, s, float(before[name][place]), gs)
            assert array[place] == pytest.approx(expected, rel=1e-9, abs=1e-9), (name, place)


TORCH_OWN = {rule: OWN[rule] for rule in (SGD, Adam, AdamW, RMSprop, Adagrad)}


@pytest.mark.parametrize("rule", TORCH_OWN)
@settings(max_examples=15)
@given(data=st.data())
def test_a_rule_is_pytorchs_step_for_step(rule, data):
    torch = pytest.importorskip("torch")
    own, common = data.draw(OWN[rule]), data.draw(COMMON)
    group = data.draw(st.one_of(st.none(), COMMON))
    clip = data.draw(st.sampled_from([{}, {"clip_norm": 3.0}, {"clip_value": 0.7}]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    layer = Named(SHAPES)
    optimizer = rule(layer, **common, **own, **clip, groups={} if group is None else {"*.bias": group})
    theirs = {name: torch.tensor(array, requires_grad=True) for name, array in values(layer).items()}
    of_groups = {True: dict(common), False: dict(common)}
    of_groups[True].update(group or {})
    stacks = [
        {
            "params": [tensor for name, tensor in theirs.items() if name.endswith(".bias") is biased],
            **{("lr" if name == "learning_rate" else name): value for name, value in settings.items()},
        }
        for biased, settings in of_groups.items()
    ]
    other = getattr(torch.optim, rule.__name__)(stacks, **own)
    for _ in range(60):
        gradients = gradients_of(SHAPES, rng)
        optimizer.step(gradients)
        for name, tensor in theirs.items():
            tensor.grad = torch.tensor(np.ascontiguousarray(gradients[name]).reshape(tensor.shape))
        if "clip_norm" in clip:
            norm = torch.nn.utils.clip_grad_norm_(theirs.values(), 3.0)
            assert optimizer.gradient_norm == pytest.approx(float(norm), rel=1e-12)
        if "clip_value" in clip:
            torch.nn.utils.clip_grad_value_(theirs.values(), 0.7)
        other.step()
        for name, array in layer.parameters().items():
            np.testing.assert_allclose(array, theirs[name].detach().numpy(), rtol=1e-10, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("rule", [SGD, Adam, AdamW, RMSprop, Adagrad])
def test_large_parameters_are_pytorchs_too(rule):
    """Blocks, a buffer of small ones, and a group that cuts in between."""
    torch = pytest.importorskip("torch")
    shapes = {
        "wide": (BLOCK // 1000 + 70, 1001),
        "0": (3, 4),
        "1": (SMALL - 20,),
        "2": (30,),
        "3": (5,),
        "4": (2 * SMALL,),
        "5": (),
    }
    layer = Named(shapes)
    own = {SGD: {"momentum": 0.9}, RMSprop: {"momentum": 0.9, "centered": True, "eps": 1e-3}}.get(rule, {})
    optimizer = rule(layer, 0.01, **own, weight_decay=0.1, clip_norm=50.0, groups={"3": {"learning_rate": 0.5}})
    theirs = {name: torch.tensor(array, requires_grad=True) for name, array in values(layer).items()}
    rest = [tensor for name, tensor in theirs.items() if name != "3"]
    other = getattr(torch.optim, rule.__name__)(
        [{"params": rest}, {"params": [theirs["3"]], "lr": 0.5}], lr=0.01, weight_decay=0.1, **own
    )
    rng = np.random.default_rng(0)
    for _ in range(5):
        gradients = {name: np.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}
        gradients["wide"] = np.asfortranarray(gradients["wide"])
        kept = copy.deepcopy(gradients)
        optimizer.step(gradients)
        assert_same(gradients, kept)
        for name, tensor in theirs.items():
            tensor.grad = torch.tensor(np.ascontiguousarray(gradients[name]).reshape(tensor.shape))
        torch.nn.utils.clip_grad_norm_(theirs.values(), 50.0)
        other.step()
    for name, array in layer.parameters().items():
        np.testing.assert_allclose(array, theirs[name].detach().numpy(), rtol=1e-10, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("dtype", "digits"), [(np.float32, 2e-5), (np.float16, 2e-2), (np.longdouble, 1e-12)])
def test_other_floating_types_follow_float64(rule, dtype, digits):
    shapes = {"weight": (5, 4), "bias": (4,)}
    layer, exact = layer_of(shapes, dtype), layer_of(shapes)
    for name, array in exact.parameters().items():
        array[...] = getattr(layer, name)
    optimizer, reference = (rule(which, 0.01, weight_decay=0.1) for which in (layer, exact))
    rng = np.random.default_rng(3)
    for _ in range(10):
        gradients = {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
        optimizer.step(gradients)
        reference.step({name: g.astype(float) for name, g in gradients.items()})
    for name, array in layer.parameters().items():
        assert array.dtype == dtype
        np.testing.assert_allclose(array.astype(float), getattr(exact, name), rtol=digits, atol=digits)


def test_gradients_of_another_floating_type_are_taken():
    for rule in RULES:
        one, other = layer_of({"w": (4, 3)}, np.float32), layer_of({"w": (4, 3)}, np.float32)
        g = np.random.default_rng(0).normal(size=(4, 3))
        rule(one, 0.1).step({"w": g})
        rule(other, 0.1).step({"w": g.astype(np.float32)})
        np.testing.assert_allclose(one.w, other.w, rtol=1e-5)
        assert one.w.dtype == np.float32


def test_a_shared_parameter_moves_once():
    a = Linear(3, 3, rng=0)
    shared = Sequential(a, Tanh(), a)
    before = a.weight.copy()
    SGD(shared, 0.5).step({"0.weight": np.ones((3, 3)), "0.bias": np.zeros(3)})
    np.testing.assert_array_equal(a.weight, before - 0.5)


# All or nothing.

BAD = {
    "nan": (
        lambda g: np.where(np.arange(6).reshape(2, 3) == 4, np.nan, g),
        FloatingPointError,
        r"the gradient of b\[1, 1\]",
    ),
    "inf": (
        lambda g: np.where(np.arange(6).reshape(2, 3) == 4, np.inf, g),
        FloatingPointError,
        r"got inf in the gradient of b",
    ),
    "shape": (lambda g: g[:1], ValueError, r"gradient of b to have its shape \(2, 3\), got \(1, 3\)"),
    "complex": (lambda g: g + 0j, TypeError, "gradient of b to be real, got complex128"),
    "integers": (lambda g: g.astype(int), TypeError, "gradient of b of a floating type, got int64"),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_gradient_changes_nothing(rule, bad):
    shapes = {"a": (2, 2), "b": (2, 3), "c": (4,)}
    layer = layer_of(shapes)
    optimizer = rule(layer, 0.1, weight_decay=0.1, schedule=StepLR(1, each="step"))
    rng = np.random.default_rng(0)
    optimizer.step(gradients_of(shapes, rng))
    before = everything(optimizer)
    change, kind, message = BAD[bad]
    gradients = gradients_of(shapes, rng)
    with pytest.raises(kind, match=message):
        optimizer.step(gradients | {"b": change(gradients["b"])})
    with pytest.raises(ValueError, match="'b' is lacking"):
        optimizer.step({name: gradients[name] for name in "ac"})
    with pytest.raises(ValueError, match="'d' is not in parameter_names"):
        optimizer.step(gradients | {"d": gradients["c"]})
    assert_same(everything(optimizer), before)


def test_read_only_parameters_are_refused():
    layer = layer_of({"a": (2,), "b": (2,)})
    sgd = SGD(layer, 0.1)
    before = values(layer)
    for array, name in (layer.b, "b"), (sgd.theta.vector, "a"):
        array.flags.writeable = False
        with pytest.raises(ValueError, match=f"cannot write into {name}, it is read-only; no parameter was changed"):
            sgd.step({"a": np.ones(2), "b": np.ones(2)})
        assert_same(values(layer), before)
        array.flags.writeable = True
    layer.b = layer.b.copy()
    layer.b.flags.writeable = False
    with pytest.raises(TypeError, match="SGD expects real parameters to write into, got a read-only array in b"):
        SGD(layer, 0.1)


OVERFLOWS = {
    "theta, by a long step": (SGD, {"learning_rate": 1e30}, np.float32, 1e20, "would make b NaN or infinite"),
    "theta, in float16": (SGD, {"learning_rate": 1.0}, np.float16, 6e4, "would make b NaN or infinite"),
    "second moment": (Adam, {"learning_rate": 1e-30}, np.float32, 1e25, "would make second of b NaN or infinite"),
    "mean square": (RMSprop, {"learning_rate": 1e-30}, np.float32, 1e25, "would make square of b NaN or infinite"),
    "mean square, of a large eps": (
        RMSprop,
        {"learning_rate": 1e-30, "eps": 1.0},
        np.float32,
        1e25,
        "would make square of b NaN or infinite",
    ),
    "second moment, of a large eps": (
        Adam,
        {"learning_rate": 1e-30, "eps": 1.0},
        np.float32,
        1e25,
        "would make second of b NaN or infinite",
    ),
    "sum": (Adagrad, {"learning_rate": 1e-30}, np.float32, 1e25, "would make squares of b NaN or infinite"),
    "second moment, float64": (Adam, {}, np.float64, 1e160, "would make second of b NaN or infinite"),
    "a gradient of another type": (SGD, {"learning_rate": 1e-40}, np.float32, 1e39, "would make b NaN or infinite"),
    "0 / 0": (Adam, {"eps": 0.0}, np.float64, 0.0, "would make a NaN or infinite"),
    "decay": (SGD, {"learning_rate": 1.0, "weight_decay": 1e308}, np.float64, 1e4, "would make . NaN or infinite"),
}


@pytest.mark.parametrize("case", OVERFLOWS)
def test_an_overflow_changes_nothing(case):
    rule, options, dtype, size, message = OVERFLOWS[case]
    layer = layer_of({"a": (2, 2), "b": (3,), "c": (2,)}, dtype)
    for array in layer.parameters().values():
        array *= -1 * np.sign(array) * 2
    if case == "theta, in float16":
        layer.b[...] = -6e4
    optimizer = rule(layer, **options) if options.get("learning_rate") else rule(layer, 1e-3, **options)
    before = everything(optimizer)
    gradients = {
        "a": np.full((2, 2), 1.0 if size else 0.0),
        "b": np.full(3, size, np.float64 if case == "a gradient of another type" else dtype),
        "c": np.ones(2),
    }
    with pytest.raises(FloatingPointError, match=message):
        optimizer.step(gradients)
    assert_same(everything(optimizer), before)
    if size:
        small = {"a": np.full((2, 2), 1e-3, dtype), "b": np.full(3, 1e-3, dtype), "c": np.full(2, 1e-3, dtype)}
        if case not in ("decay", "theta, by a long step"):
            optimizer.step(small)
            assert optimizer.steps == 1


def attempt(optimizer, gradients):
    """A step, or its refusal; what NumPy raises comes from a step that was not guarded."""
    try:
        optimizer.step(gradients)
    except FloatingPointError as error:
        if "no parameter was changed" not in str(error):
            raise


@pytest.mark.parametrize("rule", RULES)
@given(data=st.data())
def test_a_step_that_is_called_safe_cannot_overflow(rule, data):
    """Gradients of all sizes up to the edge, in float32: where nothing is kept to go back to, nothing overflows."""
    own, common = data.draw(OWN[rule]), data.draw(COMMON)
    own = {**own, **({"eps": data.draw(st.sampled_from([1e-30, 1e-12, 1e-8, 1.0]))} if "eps" in own else {})}
    if "betas" in own and data.draw(st.booleans()):
        own["betas"] = (0.99999, 0.9999999)
    common["learning_rate"] = 10.0 ** data.draw(st.integers(-30, 30))
    layer = layer_of({"a": (3,), "b": (2, 2)}, np.float32)
    optimizer = rule(layer, **common, **own)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for _ in range(25):
            size = 10.0 ** data.draw(st.integers(-38, 38))
            gradients = {
                name: (size * rng.uniform(-1, 1, size=array.shape)).astype(np.float32)
                for name, array in layer.parameters().items()
            }
            attempt(optimizer, gradients)
            assert all(
                np.isfinite(array).all() for array in everything(optimizer).values() if not isinstance(array, str)
            )


SMALL_ROOTS = {
    "Adam": (lambda c: Adam(c, 1.0, betas=(0.99, 0.0), eps=1e-30), lambda t: 1e10 * (t < 3)),  # v forgets before m does
    "RMSprop": (lambda c: RMSprop(c, 1.0, alpha=0.5, eps=1e-30, centered=True), lambda t: 2.0**33),  # v - a^2 goes to 0
    "RMSprop, momentum": (
        lambda c: RMSprop(c, 1.0, alpha=0.5, eps=1e-30, momentum=0.9, centered=True),
        lambda t: 2.0**33,
    ),
}


@pytest.mark.parametrize("case", SMALL_ROOTS)
def test_a_root_that_vanishes_overflows_nothing(case):
    make, gradient = SMALL_ROOTS[case]
    layer = layer_of({"a": (3,)}, np.float32)
    optimizer = make(layer)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for t in range(60):
            attempt(optimizer, {"a": np.full(3, gradient(t), np.float32)})
            assert np.isfinite(layer.a).all()
    assert optimizer.steps < 60, "the test is to get to the edge"


def never(*arguments):
    raise AssertionError("a step was copied that cannot overflow")


@pytest.mark.parametrize("rule", RULES)
def test_usual_steps_need_no_way_back(rule, monkeypatch):
    monkeypatch.setattr(minigrad.optim.optimizer, "all_or_nothing", never)
    for dtype in (np.float32, np.float64):
        layer = layer_of({"a": (300, 20)}, dtype)
        optimizer = rule(layer, 1.0, weight_decay=0.1)
        for size in (1e-12, 1.0, 1e3, 0.0):
            optimizer.step({"a": np.full((300, 20), size, dtype)})


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_parameters_at_the_edge_need_no_way_back(rule, dtype, monkeypatch):
    """What a usual step takes from the largest number is lost in rounding; it is not infinity."""
    monkeypatch.setattr(minigrad.optim.optimizer, "all_or_nothing", never)
    layer = layer_of({"a": (3, 2)}, dtype)
    most = np.finfo(dtype).max
    layer.a[...] = most * np.array([[1, -1], [1, -1], [1, -1]], dtype)
    options = {} if rule is SGD else {"weight_decay": 0.0}
    optimizer = rule(layer, 1.0, **options)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for size in (1.0, -1.0, 1e-8, 1e4):
            optimizer.step({"a": np.full((3, 2), size, dtype)})
    np.testing.assert_array_equal(np.abs(layer.a), most)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_at_the_edge_do_not_overflow(dtype):
    """By gradients of every size, outwards: lost in rounding, or taken back."""
    most = np.finfo(dtype).max
    lost = taken_back = 0
    for exponent in range(int(math.log10(most)) - 25, int(math.log10(most)) + 1):
        layer = layer_of({"a": (2,)}, dtype)
        layer.a[...] = most, -most
        sgd = SGD(layer, 1.0)
        with np.errstate(over="raise", invalid="raise"):
            attempt(sgd, {"a": np.array([-1, 1], dtype) * dtype(f"1e{exponent}")})
        np.testing.assert_array_equal(layer.a, [most, -most])
        lost += sgd.steps
        taken_back += 1 - sgd.steps
    assert min(lost, taken_back) > 2, "the test is to go over the edge"


@pytest.mark.parametrize("decoupled", [False, True])
def test_a_decay_of_parameters_at_the_edge_is_taken_back(decoupled):
    layer = layer_of({"a": (3,), "b": (2,)}, np.float32)
    layer.b[...] = np.finfo(np.float32).max
    sgd = SGD(layer, 1.0, weight_decay=3.0, decoupled=decoupled, groups={"a": {"weight_decay": 0.0}})
    before = everything(sgd)
    with pytest.raises(FloatingPointError, match="would make b NaN or infinite, so no parameter was changed"):
        sgd.step({"a": np.ones(3, np.float32), "b": np.zeros(2, np.float32)})
    assert_same(everything(sgd), before)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_parameters_that_are_not_finite_are_an_error(rule, decay, dtype):
    """Whoever wrote them there: as the row of an embedding that no batch looks up."""
    for bad in (np.nan, np.inf, -np.inf):
        layer = layer_of({"a": (3,), "b": (4, 2)}, dtype)
        optimizer = rule(layer, 0.1, weight_decay=decay)
        gradients = {name: np.ones_like(array) for name, array in layer.parameters().items()}
        gradients["b"][1] = 0
        if "eps" in optimizer.settings:
            optimizer.step(gradients)
        layer.b[1, 0] = bad
        before = everything(optimizer)
        with pytest.raises(FloatingPointError, match=r"would make b NaN or infinite, so no parameter was changed"):
            optimizer.step(gradients)
        assert_same(everything(optimizer), before)
        layer.b[1, 0] = 0.5
        optimizer.step(gradients)


MOST = float(np.finfo(np.float32).max)


def test_a_learning_rate_beyond_the_type_is_told_by_the_step():
    """Not by a warning, when it is set; and the largest number is none that is beyond."""
    gradients = {"a": np.array([1e-3, -1e-3], np.float32)}
    ways = {
        "when made": lambda c, rate: SGD(c, rate),
        "when set": lambda c, rate: set_rate(SGD(c, 0.1), rate),
        "of a group": lambda c, rate: SGD(c, 0.1, groups={"a": {"learning_rate": rate}}),
        "of a schedule": lambda c, rate: SGD(c, rate / 8, schedule=Eightfold()),
    }
    for way, make in ways.items():
        for rate in (MOST, MOST * (1 + 1e-9), 1e39, 1e300):
            layer = layer_of({"a": (2,)}, np.float32)
            with np.errstate(all="raise"):
                sgd = make(layer, rate)
                before = everything(sgd)
                if rate < 1e39:
                    sgd.step(gradients)
                    expected = -np.float32(MOST) * gradients["a"]
                    np.testing.assert_allclose(layer.a, expected, rtol=1e-6, err_msg=way)
                else:
                    with pytest.raises(FloatingPointError, match="would make a NaN or infinite, so no parameter was"):
                        sgd.step(gradients)
                    assert_same(everything(sgd), before)


def set_rate(optimizer, rate):
    optimizer.learning_rate = rate
    return optimizer


class Eightfold(Schedule):
    def rate(self, base, count):
        return 8 * base


class Odd(np.ndarray):
    """An array of a type of one's own."""


MANNERS = {
    "another order of the names": lambda gs: dict(reversed(gs.items())),
    "in Fortran order": lambda gs: {name: np.array(g, order="F") for name, g in gs.items()},
    "with gaps": lambda gs: {name: np.stack([g, g], axis=-1)[..., 0] for name, g in gs.items()},
    "parts of one vector": lambda gs: parts_of_one(gs),
    "read-only": lambda gs: {name: np.frombuffer(g.tobytes(), g.dtype).reshape(g.shape) for name, g in gs.items()},
    "another class of arrays": lambda gs: {name: g.view(Odd) for name, g in gs.items()},
    "another class of dictionaries": lambda gs: type("Named", (dict,), {})(gs),
    "another type, of the same numbers": lambda gs: {name: g.astype(np.longdouble) for name, g in gs.items()},
    "one of another type": lambda gs: {n: g.astype(np.longdouble) if n == "2" else g for n, g in gs.items()},
}


def parts_of_one(gs):
    """Views of one vector, in an order that is not that of the parameters."""
    names = sorted(gs, reverse=True)
    vector = np.concatenate([gs[name].ravel() for name in names])
    ends = np.cumsum([gs[name].size for name in names])
    return {
        name: vector[end - gs[name].size : end].reshape(gs[name].shape) for name, end in zip(names, ends, strict=True)
    }


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("manner", MANNERS)
def test_gradients_may_come_in_any_manner(rule, manner, monkeypatch):
    """Those that the tight loop takes and those that it leaves alike make the same step, to the bit."""
    for module in minigrad.optim.groups, minigrad.optim.optimizer:
        monkeypatch.setattr(module, "BLOCK", 300)
    monkeypatch.setattr(minigrad.optim.groups, "SMALL", 100)
    shapes = {"0": (3, 4), "1": (80, 1), "2": (5, 2), "3": (), "4": (30, 31)}
    kinds = {"groups": {"3": {"learning_rate": 0.5}}, "weight_decay": 0.1, "clip_value": 2.0}
    rng = np.random.default_rng(1)
    for options in ({}, kinds):
        one, other = (rule(layer_of(shapes), 0.01, **options) for _ in range(2))
        for _ in range(2):
            plain = {name: np.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}
            given = MANNERS[manner](plain)
            kept = copy.deepcopy(given)
            one.step(plain)
            other.step(given)
            assert_same(given, kept)
            assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-13)
        assert_same(everything(other), everything(one))


def test_the_norm_of_gradients_is_that_of_all():
    for shapes in ({"a": (3,)}, {"a": (3, 2), "b": (4,), "c": ()}, {"a": (SMALL,), "b": (7,), "c": (2,)}):
        sgd = SGD(layer_of(shapes), 0.1, groups={"a": {"learning_rate": 0.2}})
        gradients = {name: np.random.default_rng(2).normal(size=shape) for name, shape in shapes.items()}
        sgd.step(gradients)
        exact = math.sqrt(math.fsum(float(value) ** 2 for g in gradients.values() for value in np.ravel(g)))
        assert sgd.gradient_norm == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("rule", RULES)
def test_a_step_takes_no_memory(rule):
    """Of gradients in C order: the vectors and blocks were made with the optimizer."""
    layer = layer_of({"a": (900, 1000), "b": (900,), "c": (50, 60)}, np.float32)
    optimizer = rule(layer, 0.1, clip_norm=1.0, weight_decay=0.1)
    gradients = {name: np.ones_like(array) for name, array in layer.parameters().items()}
    optimizer.step(gradients)
    tracemalloc.start()
    try:
        optimizer.step(gradients)
        assert tracemalloc.get_traced_memory()[1] < 20_000
    finally:
        tracemalloc.stop()


def test_after_an_extreme_step_usual_ones_need_no_way_back_again(monkeypatch):
    adam = Adam(layer_of({"a": (3,)}, np.float32))
    with pytest.raises(FloatingPointError, match="would make second of a"):
        adam.step({"a": np.full(3, 1e25, np.float32)})
    monkeypatch.setattr(minigrad.optim.optimizer, "all_or_nothing", None)
    adam.step({"a": np.ones(3, np.float32)})
    assert adam.steps == 1


@pytest.mark.parametrize("rule", RULES)
def test_bounds_are_bounds(rule):
    """`reach` is above all that the slots hold, after any history."""
    layer = layer_of({"a": (40,)})
    own = {SGD: {"momentum": 0.9}, RMSprop: {"momentum": 0.9, "centered": True}, Adam: {"amsgrad": True}}.get(rule, {})
    optimizer = rule(layer, 0.1, **own)
    rng = np.random.default_rng(0)
    for _ in range(30):
        optimizer.step({"a": rng.normal(size=40) * 10.0 ** rng.integers(-3, 3)})
        for slot, vector in optimizer.vectors.items():
            assert np.abs(vector).max() <= optimizer._groups[0].largest[slot], slot


def test_an_interrupted_guarded_step_is_taken_back():
    layer = layer_of({"a": (3,), "b": (3,)}, np.float16)

    class Interrupted(SGD):
        def move(self, theta, g, s, slots, scratch):
            super().move(theta, g, s, slots, scratch)
            raise KeyboardInterrupt

    optimizer = Interrupted(layer, 0.1, momentum=0.9)
    before = everything(optimizer)
    with pytest.raises(KeyboardInterrupt):
        optimizer.step({"a": np.ones(3), "b": np.ones(3)})
    assert_same(everything(optimizer), before)


# Settings and groups.


def test_groups_change_settings_by_name_and_the_last_decides():
    shapes = {"0.weight": (2,), "0.bias": (2,), "1.weight": (2,), "1.bias": (2,)}
    layer = Named(shapes)
    before = values(layer)
    groups = {"*.bias": {"learning_rate": 1.0}, "1.*": {"learning_rate": 0.25}}
    SGD(layer, 0.5, groups=groups).step({name: np.ones(2) for name in shapes})
    for name, rate in {"0.weight": 0.5, "0.bias": 1.0, "1.weight": 0.25, "1.bias": 0.25}.items():
        np.testing.assert_array_equal(layer.parameters()[name], before[name] - rate)


def test_groups_that_match_one_parameter_go_together():
    layer = layer_of({"a": (2,), "b": (2,)})
    before = values(layer)
    sgd = SGD(layer, 1.0, groups={"*": {"momentum": 0.5}, "a": {"nesterov": True}})  # nesterov needs momentum
    for _ in range(2):
        sgd.step({name: np.ones(2) for name in "ab"})
    np.testing.assert_allclose(before["a"] - layer.a, 1.5 + 1.75, rtol=1e-14)
    np.testing.assert_allclose(before["b"] - layer.b, 1.0 + 1.5, rtol=1e-14)


def test_a_learning_rate_that_is_set_leaves_that_of_groups():
    shapes = {"a": (2,), "b": (2,)}
    layer = layer_of(shapes)
    # the same number as that of all, but its own
    sgd = SGD(layer, 0.5, groups={"b": {"learning_rate": 0.5}}, schedule=ExponentialLR(0.5))
    sgd.end_epoch()
    sgd.learning_rate = 8.0
    assert (sgd.learning_rate, sgd.current_learning_rate) == (8.0, 4.0)
    before = values(layer)
    sgd.step({name: np.ones(2) for name in shapes})
    np.testing.assert_array_equal(layer.a, before["a"] - 4.0)
    np.testing.assert_array_equal(layer.b, before["b"] - 0.25)
    with pytest.raises(ValueError, match="learning_rate to be a finite number of 0 or more, got nan"):
        sgd.learning_rate = math.nan
    assert sgd.learning_rate == 8.0


MISTAKES = {
    "SGD expects learning_rate to be a finite number above 0, got -1": lambda c: SGD(c, -1.0),
    "SGD expects learning_rate to be a number, got str": lambda c: SGD(c, "0.1"),
    "SGD expects momentum from 0 to below 1, got 1.0": lambda c: SGD(c, 0.1, momentum=1.0),
    "SGD with nesterov=True expects momentum above 0": lambda c: SGD(c, 0.1, nesterov=True),
    "Adam expects betas to be two numbers, got 0.9": lambda c: Adam(c, betas=0.9),
    "Adam expects betas from 0 to below 1, got 1.0": lambda c: Adam(c, betas=(0.9, 1.0)),
    "AdamW expects eps to be a finite number of 0 or more, got -1": lambda c: AdamW(c, eps=-1.0),
    "Adam expects amsgrad to be True or False, got float": lambda c: Adam(c, 0.1, (0.9, 0.99), 1e-8, 0.0, 0.1),
    "Adam takes no lr: it has learning_rate, weight_decay": lambda c: Adam(c, lr=0.1),
    "RMSprop expects alpha from 0 to below 1, got 1.5": lambda c: RMSprop(c, alpha=1.5),
    "Adagrad expects lr_decay to be a finite number of 0 or more, got -1": lambda c: Adagrad(c, lr_decay=-1.0),
    "Lion expects weight_decay to be a finite number of 0 or more": lambda c: Lion(c, weight_decay=-1.0),
    "Lion expects decoupled to be True or False, got int": lambda c: Lion(c, decoupled=1),
    "SGD expects clip_norm to be a finite number above 0, got 0": lambda c: SGD(c, 0.1, clip_norm=0.0),
    "SGD expects clip_value to be a finite number above 0, got inf": lambda c: SGD(c, 0.1, clip_value=math.inf),
    "SGD expects a schedule such as StepLR": lambda c: SGD(c, 0.1, schedule="cosine"),
    "SGD expects groups as {pattern: {setting: value}}, got list": lambda c: SGD(c, 0.1, groups=[{"lr": 1}]),
    "SGD has no setting lr for the group '*': it has learning_rate, ": lambda c: SGD(c, 0.1, groups={"*": {"lr": 1}}),
    "SGD has a group 'wieght' that matches no parameter: there are weight, bias": lambda c: SGD(
        c, 0.1, groups={"wieght": {"learning_rate": 1.0}}
    ),
    "SGD expects momentum from 0 to below 1, got 2.0": lambda c: SGD(c, 0.1, groups={"*": {"momentum": 2.0}}),
    "Adagrad has no momentum to cycle: OneCycleLR(..., cycle_momentum=False)": lambda c: Adagrad(
        c, schedule=OneCycleLR(100)
    ),
    "SGD expects real parameters to write into, got complex128 in weight": lambda c: SGD(c.astype(complex), 0.1),
    "SGD expects a layer, got the class Linear": lambda c: SGD(Linear, 0.1),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_refused_before_anything_is_changed(message):
    layer = Linear(3, 2, rng=0)
    arrays = layer.parameters()
    with pytest.raises((TypeError, ValueError)) as caught:
        MISTAKES[message](layer)
    assert message in str(caught.value)
    assert all(array is arrays[name] for name, array in layer.parameters().items())


def test_settings_that_would_change_nothing_cannot_be_set():
    adam = Adam(layer_of({"a": (2,)}), groups={"a": {"betas": (0.5, 0.5)}})
    with pytest.raises(AttributeError, match=r"Adam\.lr cannot be set, it would change nothing: set learning_rate"):
        adam.lr = 0.1
    with pytest.raises(AttributeError, match=r"Adam\.weight_decay cannot be set, .*: make another"):
        adam.weight_decay = 0.1
    with pytest.raises(AttributeError, match=r"Adam\.schedule cannot be set"):
        adam.schedule = StepLR(1)
    assert adam.settings["weight_decay"] == 0.0
    adam.note = "attributes of other names may be set"


def test_never_moved_names_parameters_without_a_gradient():
    layer = layer_of({"a": (2,), "b": (2,), "c": (2,), "empty": (0,)})
    adam = Adam(layer)
    assert adam.never_moved == {"a", "b", "c"}
    # the square of 1e-200 is 0, it is not
    adam.step({"a": np.array([0, 1e-200]), "b": np.zeros(2), "c": np.zeros(2), "empty": np.zeros(0)})
    assert adam.never_moved == {"b", "c"}
    adam.step({"a": np.zeros(2), "b": np.ones(2), "c": np.zeros(2), "empty": np.zeros(0)})
    assert adam.never_moved == {"c"}


def test_the_norm_of_gradients_whose_squares_overflow():
    layer = layer_of({"a": (2,), "b": (2,)})
    sgd = SGD(layer, 1.0, clip_norm=1.0)
    before = values(layer)
    sgd.step({"a": np.array([3e200, 0]), "b": np.array([0, 4e200])})
    assert sgd.gradient_norm == pytest.approx(5e200, rel=1e-14)
    np.testing.assert_allclose(before["a"] - layer.a, [0.6, 0], rtol=1e-14)
    np.testing.assert_allclose(before["b"] - layer.b, [0, 0.8], rtol=1e-14)


def test_a_rule_of_ones_own():
    class Signs(Optimizer):
        def __init__(self, cost, learning_rate, **options):
            super().__init__(cost, learning_rate, {}, **options)

        def move(self, theta, g, s, slots, scratch):
            theta -= s.learning_rate * np.sign(g)

    layer = layer_of({"a": (2,)})
    before = layer.a.copy()
    signs = Signs(layer, 0.5)
    signs.step({"a": np.array([3.0, -4.0])})
    np.testing.assert_array_equal(layer.a, before + np.array([-0.5, 0.5]))
    with pytest.raises(NotImplementedError, match="Optimizer lacks move"):
        Optimizer(layer, 0.1, {}).step({"a": np.ones(2)})
    np.testing.assert_array_equal(layer.a, before + np.array([-0.5, 0.5]))


def owner_of(setting):
    """A rule with a setting of that name, by which it multiplies the step."""

    class Owner(Optimizer):
        def __init__(self, cost, learning_rate, value):
            super().__init__(cost, learning_rate, {setting: value})

        def check(self, settings):
            return {setting: settings[setting]}

        def move(self, theta, g, s, slots, scratch):
            theta -= s.learning_rate * getattr(s, setting) * g

    return Owner


@pytest.mark.parametrize("setting", ["rate", "rates", "lr", "step", "group", "dtype", "changed", "largest"])
def test_a_setting_of_ones_own_may_have_any_name(setting):
    layer = layer_of({"a": (2,)})
    before = layer.a.copy()
    optimizer = owner_of(setting)(layer, 0.5, 0.25)
    optimizer.learning_rate = 2.0
    optimizer.step({"a": np.ones(2)})
    np.testing.assert_array_equal(layer.a, before - 0.5)


@pytest.mark.parametrize("setting", ["base", "learning_rate_as_array"])
def test_a_setting_of_a_name_that_means_something_else_is_refused(setting):
    layer = layer_of({"a": (2,)})
    array = layer.a
    with pytest.raises(TypeError, match=f"Owner cannot have a setting {setting}: .* something else there, rename it"):
        owner_of(setting)(layer, 0.5, 0.25)
    assert layer.a is array
    assert hasattr(SGD(layer, 0.5)._groups[0].settings, setting), "it would be refused for nothing"


# Going on.

SETUPS = {
    "SGD": lambda c: SGD(c, 0.1, momentum=0.9, dampening=0.5, schedule=StepLR(3, each="step")),
    "SGD, one cycle": lambda c: SGD(c, 0.1, momentum=0.9, schedule=OneCycleLR(40)),
    "Adam": lambda c: Adam(c, amsgrad=True, clip_norm=1.0, groups={"a": {"betas": (0.5, 0.6)}}),
    "Adam, one cycle": lambda c: Adam(c, 0.1, schedule=OneCycleLR(40)),
    "AdamW, plateau": lambda c: AdamW(c, 0.1, schedule=ReduceLROnPlateau(patience=0)),
    "RMSprop": lambda c: RMSprop(c, momentum=0.9, centered=True, groups={"b": {"centered": False}}),
    "Adagrad": lambda c: Adagrad(c, lr_decay=0.1, initial_accumulator_value=0.5),
    "Lion": lambda c: Lion(c, 0.1, weight_decay=0.1, schedule=ExponentialLR(0.9)),
}


def train(optimizer, steps, rng):
    for i in steps:
        optimizer.step({name: rng.normal(size=a.shape) for name, a in optimizer.cost.parameters().items()})
        if i % 4 == 3:
            optimizer.end_epoch(1.0)


@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("way", ["restore", "deepcopy", "pickle"])
def test_resumed_is_uninterrupted_to_the_bit(setup, way):
    shapes = {"a": (5, 3), "b": (4,)}
    whole = SETUPS[setup](layer_of(shapes))
    whole_rng = np.random.default_rng(0)
    train(whole, range(10), whole_rng)
    whole.learning_rate = 0.05
    if way == "restore":
        vectors, record = whole.state()
        record = json.loads(json.dumps(record))
        resumed = SETUPS[setup](layer_of(shapes, seed=9))
        for name, array in whole.cost.parameters().items():
            resumed.cost.parameters()[name][...] = array
        resumed.restore(vectors, record)
    else:
        resumed = copy.deepcopy(whole) if way == "deepcopy" else pickle.loads(pickle.dumps(whole))
    assert not np.shares_memory(resumed.theta.vector, whole.theta.vector)
    rng = copy.deepcopy(whole_rng)
    train(whole, range(10, 30), whole_rng)
    train(resumed, range(10, 30), rng)
    assert_same(everything(resumed), everything(whole))
    assert resumed.current_learning_rate == whole.current_learning_rate


def test_state_is_a_copy():
    adam = Adam(layer_of({"a": (3,)}))
    adam.step({"a": np.ones(3)})
    vectors, _ = adam.state()
    vectors["first"][...] = 7
    assert not (adam.vectors["first"] == 7).any()


UNLIKE = {
    "rule 'AdamW', here 'Adam'": lambda: AdamW(layer_of({"a": (3,)}), weight_decay=0.0),
    r"settings.eps 0.001, here 1e-08": lambda: Adam(layer_of({"a": (3,)}), eps=1e-3),
    r"settings.betas \[0.5, 0.5\], here \[0.9, 0.999\]": lambda: Adam(layer_of({"a": (3,)}), betas=(0.5, 0.5)),
    r"groups.a absent, here \{'weight_decay': 0.5\}|groups.a \{'weight_decay': 0.5\}, here absent": lambda: Adam(
        layer_of({"a": (3,)}), groups={"a": {"weight_decay": 0.5}}
    ),
    r"clip_norm 1.0, here None": lambda: Adam(layer_of({"a": (3,)}), clip_norm=1.0),
    r"schedule \"StepLR\(each='epoch', step_size=3, gamma=0.1\)\", here None": lambda: Adam(
        layer_of({"a": (3,)}), schedule=StepLR(3)
    ),
    r"parameters.a \[4\], here \[3\]": lambda: Adam(layer_of({"a": (4,)})),
    r"parameters.a absent, here \[3\]; parameters.b \[3\], here absent": lambda: Adam(layer_of({"b": (3,)})),
    r"first \['float32', 3\], here \['float64', 3\]": lambda: Adam(layer_of({"a": (3,)}, np.float32)),
    "largest": lambda: Adam(layer_of({"a": (3,)}), amsgrad=True),
}


@pytest.mark.parametrize("message", UNLIKE)
def test_restore_refuses_what_was_made_otherwise(message):
    adam = Adam(layer_of({"a": (3,)}))
    adam.step({"a": np.ones(3)})
    before = everything(adam)
    other = UNLIKE[message]()
    with pytest.raises(ValueError, match=f"Adam cannot go on from an optimizer that was made otherwise: .*{message}"):
        adam.restore(*other.state())
    assert_same(everything(adam), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": -1}, "expects steps to be a count, got -1"),
        ({"steps": None}, "expects steps to be a count, got None"),
        ({"never_moved": ["z"]}, "expects never_moved to be names of parameters"),
        ({"never_moved": [["z"]]}, "expects never_moved to be names of parameters"),
        ({"learning_rate": -1.0}, "expects learning_rate to be a finite number of 0 or more"),
        ({"learning_rate": None}, "expects learning_rate to be a number, got None"),
        ({"progress": {}}, "progress"),
        ({"progress": None}, "progress"),
        ({"progress": {"best": "x", "bad": 0, "cooling": 0, "reductions": 0}}, "expects best to be a number"),
        ({"progress": {"best": None, "bad": 0, "cooling": 0, "reductions": -1}}, "expects reductions to be a count"),
        ({"settings": None}, "settings"),
    ],
)
def test_restore_refuses_a_broken_record(change, message):
    adam = Adam(layer_of({"a": (3,)}), schedule=ReduceLROnPlateau())
    adam.step({"a": np.ones(3)})
    vectors, record = adam.state()
    before = everything(adam)
    with pytest.raises((ValueError, TypeError), match=message):
        adam.restore({name: vector * 2 for name, vector in vectors.items()}, record | change)
    with pytest.raises(ValueError, match=r"expects finite numbers, got nan in first\[1\]"):
        adam.restore(vectors | {"first": np.array([0, np.nan, 0])}, record)
    assert_same(everything(adam), before)


# One vector for all who work on the parameters.


def test_two_optimizers_of_one_cost_share_the_vector():
    layer = layer_of({"a": (2,), "b": (3,)})
    one, two = SGD(layer, 0.5), SGD(layer, 0.25)
    assert one.theta.vector is two.theta.vector or np.shares_memory(one.theta.vector, two.theta.vector)
    before = layer.a.copy()
    for optimizer in (one, two):
        optimizer.step({"a": np.ones(2), "b": np.ones(3)})
    np.testing.assert_array_equal(layer.a, before - 0.75)


def test_optimizers_of_parts_after_the_whole():
    generator, critic = Linear(3, 3, rng=0), Linear(3, 1, rng=1)
    whole = Sequential(generator, Tanh(), critic)
    theta = FlatParameters(whole)
    below, above = SGD(generator, 1.0), SGD(Sequential(critic), 1.0)
    start = theta.vector.copy()
    below.step({"weight": np.ones((3, 3)), "bias": np.ones(3)})
    above.step({"0.weight": np.ones((1, 3)), "0.bias": np.ones(1)})
    np.testing.assert_array_equal(theta.vector, start - 1)


def test_a_vector_that_was_left_behind_is_noticed():
    layer = Linear(3, 1, rng=0)
    sgd = SGD(layer, 1.0)
    SGD(Sequential(Linear(3, 3, rng=1), layer), 1.0)
    with pytest.raises(RuntimeError, match="no longer part of this vector: it was replaced"):
        sgd.step({"weight": np.ones((1, 3)), "bias": np.ones(1)})


def test_a_schedule_that_goes_wrong_is_named_and_changes_nothing():
    class Wrong(Schedule):
        def rate(self, base, count):
            return -base

    layer = Linear(2, 1, rng=0)
    before = layer.weight.copy()
    gradients = {"weight": np.ones((1, 2)), "bias": np.ones(1)}
    with pytest.raises(ValueError, match=r"SGD expects the learning rate of Wrong\(each='epoch'\) after 0 epochs"):
        SGD(layer, 0.1, schedule=Wrong()).step(gradients)
    explodes = SGD(layer, 0.1, schedule=ExponentialLR(10.0))
    for _ in range(400):
        explodes.end_epoch()
    with pytest.raises(ValueError, match="after 400 epochs to be a finite number, but it overflows"):
        explodes.step(gradients)
    np.testing.assert_array_equal(layer.weight, before)


def test_an_optimizer_is_not_copied_without_its_cost():
    layer = Linear(2, 1, rng=0)
    with pytest.raises(TypeError, match=r"Adam cannot be copied without its cost.*deepcopy\(\(cost, optimizer\)\)"):
        copy.copy(Adam(layer))
    with pytest.raises(TypeError, match=r"Adam expects patterns of names as groups, such as .*got int"):
        Adam(layer, groups={3: {"weight_decay": 0.0}})


@pytest.mark.parametrize("rule", [Adam, RMSprop])
def test_a_zero_divided_by_zero_is_blamed_on_eps(rule):
    optimizer = rule(Linear(2, 1, rng=0), eps=0.0)
    with pytest.raises(FloatingPointError) as caught:
        optimizer.step({"weight": np.array([[0.0, 1.0]]), "bias": np.ones(1)})
    assert "With eps=0 an entry whose gradients are all 0 is 0 / 0" in caught.value.__notes__[0]
