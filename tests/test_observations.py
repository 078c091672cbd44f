"""Per-observation gradients: what each row adds is what it has alone, whatever the stack, and sums to rule 3."""

import numpy as np
import pytest

from minigrad import (
    BatchNorm1d,
    BCEWithLogitsLoss,
    Bias,
    Conv1d,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    Flatten,
    Frozen,
    HomoscedasticGaussianNLLLoss,
    L2Penalty,
    Layer,
    LayerNorm,
    Linear,
    LogSoftmax,
    Loss,
    MSELoss,
    MultiHeadAttention,
    NLLLoss,
    Penalized,
    Residual,
    Scale,
    Sequential,
    Tanh,
    hessian,
    value_and_gradients,
)
from minigrad.containers import Container
from minigrad.derivatives import per_observation_gradients, scores_at
from minigrad.derivatives.factors import RowFactors, stacked

RNG = np.random.default_rng(0)
N = 9
X = RNG.normal(size=(N, 4))
LABELS = RNG.integers(0, 3, N)


class Power(Layer):
    """z |a|: a custom layer with no rule by rows."""

    parameter_names = ("a",)

    def __init__(self):
        self.a = np.arange(1.0, 5.0)

    def forward(self, z):
        return z * self.a, z

    def backward(self, delta, z):
        return delta * self.a

    def parameter_gradients(self, delta, z):
        return {"a": (delta * z).sum(axis=0)}


class Double(Container):
    """A container that works out the gradient of its child itself, and asks no rule 3."""

    def __init__(self):
        self.inner = Linear(4, 4, bias=False, rng=7)

    def children(self):
        return [("inner", self.inner)]

    def forward(self, z):
        return 2 * z @ self.inner.weight.T, z

    def backward(self, delta, z):
        return 2 * delta @ self.inner.weight

    def parameter_gradients(self, delta, z):
        return self.gather([{"weight": 2 * delta.T @ z}])


class OwnMean(Layer):
    """A loss that is no Loss: the mean of (a z)^2."""

    parameter_names = ("a",)

    def __init__(self):
        self.a = np.array(2.0)

    def forward(self, z, target):
        return np.mean((self.a * z - target) ** 2), (z, target)

    def backward(self, delta, cache):
        z, t = cache
        return delta * 2 * self.a * (self.a * z - t) / len(z)

    def parameter_gradients(self, delta, cache):
        z, t = cache
        return {"a": np.asarray(delta * 2 * (z * (self.a * z - t)).sum() / len(z))}


def twice():
    shared = Linear(4, 4, rng=1)
    return Sequential(shared, Tanh(), shared, Tanh(), Linear(4, 3, rng=2), LogSoftmax(), NLLLoss("sum"))


def tied():
    first, second = Linear(4, 4, rng=1), Linear(4, 4, bias=False, rng=1)
    second.weight = first.weight
    return Sequential(first, Tanh(), second, Linear(4, 3, rng=2), CrossEntropyLoss("sum"))


IMAGES, SEQUENCES = RNG.normal(size=(N, 2, 5, 5)), RNG.normal(size=(N, 5, 4))
STACKS = {
    "softmax": (Sequential(Linear(4, 3, rng=0), LogSoftmax(), NLLLoss("sum")), X, LABELS),
    "class weights": (Sequential(Linear(4, 3, rng=0), CrossEntropyLoss("sum", [1.0, 2.0, 0.5])), X, LABELS),
    "twice in a stack": (twice(), X, LABELS),
    "tied weights": (tied(), X, LABELS),
    "residual": (
        Sequential(Residual(Linear(4, 4, rng=0) >> Tanh()), Linear(4, 3, rng=1), CrossEntropyLoss("sum")),
        X,
        LABELS,
    ),
    "scale and bias": (Sequential(Scale(4), Tanh(), Bias(4), Linear(4, 3, rng=1), CrossEntropyLoss("sum")), X, LABELS),
    "one scale": (Sequential(Scale(()), Bias((5, 1)), Flatten(), MSELoss("sum")), SEQUENCES, np.ones((N, 20))),
    "convolution": (
        Sequential(
            Conv2d(2, 4, 3, padding=1, groups=2, rng=0),
            Tanh(),
            Flatten(),
            Linear(100, 3, rng=1),
            CrossEntropyLoss("sum"),
        ),
        IMAGES,
        LABELS,
    ),
    "sequences": (
        Sequential(Conv1d(5, 3, 2, stride=2, rng=0), Tanh(), Flatten(), Linear(6, 3, rng=1), CrossEntropyLoss("sum")),
        SEQUENCES,
        LABELS,
    ),
    "attention": (
        Sequential(
            MultiHeadAttention(4, 2, rng=0), LayerNorm(4), Flatten(), Linear(20, 3, rng=1), CrossEntropyLoss("sum")
        ),
        SEQUENCES,
        LABELS,
    ),
    "linear over time": (
        Sequential(Linear(4, 3, rng=0), LayerNorm((5, 3)), Linear(3, 2, rng=1), Flatten(), CrossEntropyLoss("sum")),
        SEQUENCES,
        LABELS,
    ),
    "embedding": (
        Sequential(Embedding(6, 3, padding_idx=0, rng=0), Flatten(), Linear(12, 3, rng=1), CrossEntropyLoss("sum")),
        RNG.integers(0, 6, (N, 4)),
        LABELS,
    ),
    "own parameters of the loss": (
        Sequential(Linear(4, 2, rng=0), HomoscedasticGaussianNLLLoss(2, "sum")),
        X,
        RNG.normal(size=(N, 2)),
    ),
    "a custom layer": (Sequential(Power(), Tanh(), Linear(4, 3, rng=0), CrossEntropyLoss("sum")), X, LABELS),
    "a container of its own": (Sequential(Double(), Tanh(), Linear(4, 3, rng=0), CrossEntropyLoss("sum")), X, LABELS),
    "batch normalisation at inference": (
        Sequential(Linear(4, 4, rng=0), Frozen(BatchNorm1d(4)), Tanh(), Linear(4, 3, rng=1), CrossEntropyLoss("sum")),
        X,
        LABELS,
    ),
    "batch normalisation whose scale is trained": (
        Sequential(Linear(4, 4, rng=0), BatchNorm1d(4).at_inference(), Linear(4, 3, rng=1), CrossEntropyLoss("sum")),
        X,
        LABELS,
    ),
    "a loss alone": (HomoscedasticGaussianNLLLoss(4, "sum"), X, np.zeros((N, 4))),
}


def alone(cost, x, *arguments):
    """The oracle: value_and_gradients of each row of a sum."""
    rows = []
    for n in range(len(x)):
        rows.append(value_and_gradients(cost, x[n : n + 1], *(a[n : n + 1] for a in arguments))[1])
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("name", STACKS)
def test_each_row_is_as_it_is_alone(name):
    cost, x, target = STACKS[name]
    before = {key: np.copy(array) for key, array in (cost.parameters() | cost.state()).items()}
    expected = alone(cost, x, target)
    found = per_observation_gradients(cost, x, target, chunk_size=4)
    assert list(found) == list(cost.parameters())
    for key, array in expected.items():
        np.testing.assert_allclose(found[key], array, rtol=1e-12, atol=1e-13 * max(1, np.abs(array).max()))
    scores = scores_at(cost, x, target, chunk_size=5)
    s = np.concatenate([array.reshape(N, -1) for array in expected.values()], axis=1)
    np.testing.assert_allclose(scores.array(), s, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(scores.norms(), np.linalg.norm(s, axis=1), rtol=1e-12)
    np.testing.assert_allclose(scores.outer(), s.T @ s, rtol=1e-11, atol=1e-11 * np.abs(s).max() ** 2)
    np.testing.assert_allclose(scores.sum(), s.sum(axis=0), atol=1e-12 * np.abs(s).max())
    v = np.random.default_rng(1).normal(size=s.shape[1])
    np.testing.assert_allclose(scores.along(v), s @ v, atol=1e-11 * np.abs(s).max())
    with pytest.raises(
        ValueError, match=rf"along expects a vector of shape \({v.size},\), one number for each parameter"
    ):
        scores.along(v[1:])
    with pytest.raises(TypeError, match="along expects a vector of real numbers"):
        scores.along(1j * v)
    for key, array in (cost.parameters() | cost.state()).items():
        np.testing.assert_array_equal(array, before[key])


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_weights_stand_in_them_and_a_mean_has_those_of_the_sum(reduction):
    w = np.array([0.0, 2.0, 1.0, 0.5, 0.0, 3.0, 1.0, 1.0, 7.0])
    cost = Sequential(Linear(4, 3, rng=0), CrossEntropyLoss(reduction, [1.0, 2.0, 0.5]))
    found = per_observation_gradients(cost, X, LABELS, w, chunk_size=4)
    p = np.exp(LogSoftmax()(cost[:-1](X)))
    own = w * np.array([1.0, 2.0, 0.5])[LABELS]
    residual = own[:, None] * (p - np.eye(3)[LABELS])
    np.testing.assert_allclose(found["0.weight"], residual[:, :, None] * X[:, None], rtol=1e-12, atol=1e-14)
    total = own.sum() if reduction == "mean" else 1.0
    gradients = value_and_gradients(cost, X, LABELS, w)[1]
    np.testing.assert_allclose(found["0.bias"].sum(axis=0), total * gradients["0.bias"], rtol=1e-12)
    none = per_observation_gradients(cost, X[:2], LABELS[:2], np.array([0.0, 1.0]), chunk_size=1)
    assert not none["0.weight"][0].any()


def test_the_mean_of_several_terms_counts_terms():
    cost, t = Sequential(Linear(4, 3, rng=0), MSELoss()), np.zeros((N, 3))
    found = per_observation_gradients(cost, X, t)["0.bias"]
    np.testing.assert_allclose(found, 2 * cost[:-1](X), rtol=1e-13)
    np.testing.assert_allclose(found.sum(axis=0) / (3 * N), value_and_gradients(cost, X, t)[1]["0.bias"], rtol=1e-12)


def test_penalties_belong_to_no_row():
    cost = Sequential(Linear(4, 3, rng=0), LogSoftmax(), NLLLoss())
    penalised = Penalized(cost, L2Penalty(3.0))
    for plain, other in zip(
        per_observation_gradients(cost, X, LABELS).values(),
        per_observation_gradients(penalised, X, LABELS).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(plain, other)


def test_a_loss_that_is_no_loss_of_ours_says_its_reduction():
    cost, t = Sequential(Linear(4, 1, rng=0), OwnMean()), RNG.normal(size=(N, 1))
    found = per_observation_gradients(cost, X, t, reduction="mean", chunk_size=4)
    for key, array in alone(cost, X, t).items():
        np.testing.assert_allclose(found[key], array, rtol=1e-12)
    with pytest.raises(ValueError, match=r"say reduction='sum', or reduction='mean'"):
        per_observation_gradients(cost, X, t)


def test_a_layer_may_offer_all_rows_at_once_and_is_held_to_its_sum():
    class Offering(Power):
        calls = 0

        def parameter_gradients_by_row(self, delta, z):
            Offering.calls += 1
            return {"a": delta * z}

    class Wrong(Power):
        def parameter_gradients_by_row(self, delta, z):
            return {"a": delta * z / len(z)}

    class Short(Power):
        def parameter_gradients_by_row(self, delta, z):
            return {"a": (delta * z)[:, :2]}

    def of(layer):
        return per_observation_gradients(Sequential(layer, Linear(4, 3, rng=0), CrossEntropyLoss()), X, LABELS)

    np.testing.assert_allclose(of(Offering())["0.a"], of(Power())["0.a"], rtol=1e-13)
    assert Offering.calls == 1
    with pytest.raises(ValueError, match=r"parameter_gradients_by_row of Wrong\(\) sums to another gradient of 'a'"):
        of(Wrong())
    with pytest.raises(ValueError, match=r"of Short\(\) must give 'a' of shape \(N, 4,\), got \(9, 2\)"):
        of(Short())


def test_a_subclass_with_rules_of_its_own_does_not_get_those_of_linear():
    class Squared(Linear):
        def forward(self, z):
            return super().forward(z * z)[0], z

        def backward(self, delta, z):
            return 2 * z * (delta @ self.weight)

        def parameter_gradients(self, delta, z):
            return super().parameter_gradients(delta, z * z)

    cost = Sequential(Tanh(), Squared(4, 3, rng=0), CrossEntropyLoss("sum"))
    for key, array in alone(cost, X, LABELS).items():
        np.testing.assert_allclose(per_observation_gradients(cost, X, LABELS)[key], array, atol=1e-14)


def test_single_precision_stays_and_is_compared_as_such():
    cost, x, target = STACKS["attention"]
    single = cost.astype(np.float32)
    found = per_observation_gradients(single, x.astype(np.float32), target)
    for key, array in alone(cost, x, target).items():
        assert found[key].dtype == np.float32
        np.testing.assert_allclose(found[key], array, atol=1e-4 * np.abs(array).max() + 1e-6)


class Centred(Layer):
    """Couples its rows, and does not say so."""

    def forward(self, z):
        return z - z.mean(axis=0), None

    def backward(self, delta, _):
        return delta - delta.mean(axis=0)


def test_rows_that_depend_on_one_another_are_refused():
    cost = Sequential(Linear(4, 4, rng=0), BatchNorm1d(4), Linear(4, 3, rng=1), CrossEntropyLoss())
    with pytest.raises(ValueError, match=r"no row depends on another, got BatchNorm1d\(4.* as layer 1"):
        per_observation_gradients(cost, X, LABELS)
    unsaid = Sequential(Linear(4, 4, rng=0), Centred(), Linear(4, 3, rng=1), CrossEntropyLoss())
    with pytest.raises(ValueError, match=r"a row of its own has another gradient of '0\.weight' than among the others"):
        per_observation_gradients(unsaid, X, LABELS)
    below = Sequential(Centred(), Power(), Linear(4, 3, rng=1), CrossEntropyLoss())
    with pytest.raises(ValueError, match="a row of its own has another"):
        scores_at(below, X, LABELS)


def test_messages():
    with pytest.raises(ValueError, match="draws from its generator"):
        per_observation_gradients(Sequential(Linear(4, 3), Dropout(), CrossEntropyLoss()), X, LABELS)
    with pytest.raises(ValueError, match="expects a cost with parameters"):
        per_observation_gradients(CrossEntropyLoss(), X, LABELS % 4)
    with pytest.raises(TypeError, match="expects a layer, got list"):
        scores_at([], X)
    with pytest.raises(ValueError, match=r"got one that ends with CrossEntropyLoss\(none\): take 'mean' or 'sum'"):
        per_observation_gradients(Sequential(Linear(4, 3), CrossEntropyLoss("none")), X, LABELS)
    infinite = np.where(np.arange(36).reshape(9, 4) == 30, np.inf, 1.0)
    with pytest.raises(FloatingPointError, match="got inf in x"):
        per_observation_gradients(Sequential(Linear(4, 3), MSELoss()), infinite, np.ones((9, 3)))

    class Silent(Loss):
        def forward(self, z, target):
            return z.mean(), z.shape

        def backward(self, delta, shape):
            return np.full(shape, delta / np.prod(shape))

    with pytest.raises(TypeError, match="does not say what its mean divides by"):
        per_observation_gradients(Sequential(Linear(4, 3), Silent()), X, LABELS)


@pytest.mark.parametrize("places", [1, 2, 7])
def test_factors_are_their_array(places):
    rng = np.random.default_rng(0)
    factors = RowFactors(rng.normal(size=(6, places, 3)), rng.normal(size=(6, places, 4)))
    array = np.einsum("ntk,ntd->nkd", factors.delta, factors.activation)
    np.testing.assert_allclose(factors.array(), array, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(factors.squares(), (array**2).sum(axis=(1, 2)), rtol=1e-12)
    np.testing.assert_allclose(factors.total(), array.sum(axis=0), atol=1e-13)
    v = rng.normal(size=(3, 4))
    np.testing.assert_allclose(factors.along(v), np.einsum("nkd,kd->n", array, v), atol=1e-13)
    both = factors + factors
    np.testing.assert_allclose(both.array(), 2 * array, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(factors + array, 2 * array, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(array + factors, 2 * array, rtol=1e-13, atol=1e-15)
    assert factors.shape == array.shape
    assert len(factors[2:4]) == 2


def test_many_labels_agree_with_pytorch():
    torch = pytest.importorskip("torch")
    cost = Sequential(Linear(4, 5, rng=0), Tanh(), Linear(5, 3, rng=1), BCEWithLogitsLoss("sum"))
    t = RNG.random((N, 3))
    theta = {name: torch.tensor(array) for name, array in cost.parameters().items()}

    def of_row(theta, x, t):
        hidden = torch.tanh(theta["0.weight"] @ x + theta["0.bias"])
        logits = theta["2.weight"] @ hidden + theta["2.bias"]
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, t, reduction="sum")

    expected = torch.func.vmap(torch.func.grad(of_row), in_dims=(None, 0, 0))(theta, torch.tensor(X), torch.tensor(t))
    for name, array in per_observation_gradients(cost, X, t).items():
        np.testing.assert_allclose(array, expected[name].numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    "between",
    [(), (Power(), Scale((4,))), (LayerNorm(4), Bias((4,))), (Linear(4, 4, rng=0), Tanh(), Residual(Power()))],
    ids=["linear", "power", "normalised", "residual"],
)
def test_no_rows_have_no_scores_and_no_information(between, reduction):
    cost = Sequential(*between, Linear(4, 3, rng=0), HomoscedasticGaussianNLLLoss(3, reduction))
    arrays, target = cost.parameters(), np.zeros((0, 3))
    size = sum(array.size for array in arrays.values())
    found = per_observation_gradients(cost, X[:0], target)
    assert {name: array.shape for name, array in found.items()} == {n: (0, *a.shape) for n, a in arrays.items()}
    scores = scores_at(cost, X[:0], target)
    assert scores.array().shape == (0, size)
    assert scores.norms().shape == scores.along(np.ones(size)).shape == (0,)
    np.testing.assert_array_equal(scores.outer(), np.zeros((size, size)))
    np.testing.assert_array_equal(scores.sum(), np.zeros(size))


def test_no_rows_have_no_curvature():
    for outputs, head in ((3, (LogSoftmax(), NLLLoss("sum"))), (3, (MSELoss("sum"),))):
        target = np.zeros(0, int) if len(head) == 2 else np.zeros((0, outputs))
        for between in ((), (Tanh(), Linear(outputs, outputs, rng=1))):
            h = hessian(Sequential(Linear(4, outputs, rng=0), *between, *head), X[:0], target)
            np.testing.assert_array_equal(h, np.zeros((15 + 12 * bool(between),) * 2))


@pytest.mark.parametrize("rows", ["vectors", "sequences"])
def test_memory_is_that_of_the_result(rows):
    import tracemalloc

    n, t = (64, 1) if rows == "vectors" else (64, 5)
    x = np.random.default_rng(0).normal(size=(n, 200) if t == 1 else (n, t, 200)).astype(np.float32)
    stack = [Linear(200, 100, rng=0), Tanh(), *([Flatten()] if t > 1 else []), Linear(100 * t, 3, rng=1)]
    cost = Sequential(*stack, CrossEntropyLoss()).astype(np.float32)
    labels = np.arange(n) % 3
    per_observation_gradients(cost, x, labels, chunk_size=n // 2)
    for found_by in (
        lambda: list(per_observation_gradients(cost, x, labels, chunk_size=n // 2).values()),
        lambda: list(scores_at(cost, x, labels, chunk_size=n // 2).named().values()),
        lambda: [scores_at(cost, x, labels, chunk_size=n // 2).array()],
    ):
        tracemalloc.start()
        found = found_by()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert {array.dtype for array in found} == {np.dtype(np.float32)}
        assert peak < 1.25 * sum(array.nbytes for array in found)


def test_pieces_of_two_types_are_stacked_in_the_wider_one():
    rng = np.random.default_rng(0)
    factors = RowFactors(rng.normal(size=(6, 1, 3)), rng.normal(size=(6, 1, 4)))
    single = RowFactors(factors.delta.astype(np.float32), factors.activation.astype(np.float32))
    whole = stacked([single[:4], factors, np.ones((1, 3, 4))])
    assert whole.dtype == np.float64
    np.testing.assert_array_equal(whole[:4], single.array()[:4])
    np.testing.assert_array_equal(whole[4:10], factors.array())
    np.testing.assert_array_equal(whole[10:], 1.0)
    assert stacked([single]).dtype == np.float32
