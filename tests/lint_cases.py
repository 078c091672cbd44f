"""Costs that train silently wrong, one for each code of `lint`, each with a near miss that is sound."""

import numpy as np

from minigrad import (
    LSTM,
    BatchNorm1d,
    BatchNorm2d,
    BCELoss,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    Bilinear,
    Branch,
    Concatenate,
    Container,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Elementwise,
    Flatten,
    GaussianNLLLoss,
    HardSigmoid,
    HingeLoss,
    Identity,
    KLDivLoss,
    L2Penalty,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MSELoss,
    MultiHeadAttention,
    MultiMarginLoss,
    NLLLoss,
    Parallel,
    Penalized,
    PoissonNLLLoss,
    ReLU,
    Repeat,
    Reshape,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
)
from minigrad.initializers import constant, normal, zeros

RNG = np.random.default_rng(0)
N = 60
X = RNG.normal(size=(N, 4))
LABELS = RNG.permutation(np.arange(N) % 3)
ONE_HOT = np.eye(3)[LABELS]
BINARY = LABELS % 2
NUMBERS = RNG.normal(size=(N, 1))
IMAGES = RNG.normal(size=(N, 1, 4, 4))


def linear(below, above, **options):
    return Linear(below, above, rng=np.random.default_rng(below + above), **options)


def net(*layers):
    """Four features, eight hidden units, three scores, and what is on top."""
    return Sequential(linear(4, 8), Tanh(), linear(8, 3), *layers)


class Squares(Layer):
    """The mean of (z - t)^2, which looks at no shapes."""

    def forward(self, z, t):
        return np.mean((z - t) ** 2), (z - t, z.shape)

    def backward(self, delta, cache):
        r, shape = cache
        dz = 2 * delta * r / r.size
        return dz if r.shape == shape else dz.sum(axis=1, keepdims=True)


class Weighted(Layer):
    """The mean of w (z - t)^2, which looks at no shapes."""

    def forward(self, z, t, w):
        return np.mean(w * (z - t) ** 2), (w, z - t)

    def backward(self, delta, cache):
        w, r = cache
        return (2 * delta * w * r / (w * r).size).sum(axis=1, keepdims=True)


class Picked(Layer):
    """The mean of -z[n, t_n], which looks at no shapes."""

    def forward(self, z, t):
        return -np.mean(z[np.arange(len(t)), t]), (z, t)

    def backward(self, delta, cache):
        z, t = cache
        i, j = np.broadcast_arrays(np.arange(len(t)), t)
        dz = np.zeros_like(z)
        np.add.at(dz, (i, j), -delta / i.size)
        return dz


class Mask(Layer):
    """z where the mask is 1, else 0."""

    def __init__(self, mask):
        self.mask = mask

    def forward(self, z):
        return z * self.mask, None

    def backward(self, delta, cache):
        return delta * self.mask


class First(Layer):
    """The first of a pair."""

    def forward(self, pair):
        return pair

    def backward(self, delta, second):
        return delta, np.zeros_like(second)


class Wrapped(Container):
    """A container of one's own around a stack."""

    def __init__(self, inner):
        self.inner = inner

    def children(self):
        return [("inner", self.inner)]

    def forward(self, z):
        return self.inner.forward(z)

    def backward(self, delta, cache):
        return self.inner.backward(delta, cache)

    def parameter_gradients(self, delta, cache):
        return self.gather([self.inner.parameter_gradients(delta, cache)])


class InPlace(Wrapped):
    """Runs a linear unit, and cuts what it gave, an array of its own now, at 0."""

    def forward(self, z):
        z_next, cache = self.inner.forward(z)
        np.maximum(z_next, 0, out=z_next)
        return z_next, (cache, z_next > 0)

    def backward(self, delta, cache):
        return self.inner.backward(delta * cache[1], cache[0])

    def parameter_gradients(self, delta, cache):
        return self.gather([self.inner.parameter_gradients(delta * cache[1], cache[0])])


class Difference(Layer):
    """a - b of a pair."""

    def forward(self, pair):
        return pair[0] - pair[1], None

    def backward(self, delta, cache):
        return delta, -delta


class FirstColumn(Layer):
    """z[:, :1]."""

    def forward(self, z):
        return z[:, :1], z.shape

    def backward(self, delta, shape):
        return np.pad(delta, ((0, 0), (0, shape[1] - 1)))


class Log(Elementwise):
    """log(z + 1e-6)."""

    keeps = "input"

    def f(self, z):
        return np.log(z + 1e-6)

    def df(self, z):
        return 1 / (z + 1e-6)


class Scaled(Elementwise):
    """log(1.002 z), which is no distribution."""

    keeps = "input"

    def f(self, z):
        return np.log(1.002 * z)

    def df(self, z):
        return 1 / z


class Idle(Container):
    """A container that has a layer and does not run it."""

    def __init__(self, inner, spare):
        self.inner, self.spare = inner, spare

    def children(self):
        return [("inner", self.inner), ("spare", self.spare)]

    def forward(self, z):
        return self.inner.forward(z)

    def backward(self, delta, cache):
        return self.inner.backward(delta, cache)

    def parameter_gradients(self, delta, cache):
        unused = {name: np.zeros_like(array) for name, array in self.spare.parameters().items()}
        return self.gather([self.inner.parameter_gradients(delta, cache), unused])


def dead():
    cost = net(CrossEntropyLoss())
    cost = Sequential(cost[0], ReLU(), *cost[2:])
    cost[0].bias[1:] = -100
    return cost


def siblings(bias):
    encoder = linear(4, 8, bias=bias)
    return Sequential(Parallel(encoder, encoder), Difference(), linear(8, 3), CrossEntropyLoss())


def convolution(bias):
    return Sequential(
        Conv2d(1, 3, 3, bias=bias, rng=0), BatchNorm2d(3), ReLU(), Flatten(), linear(12, 3), CrossEntropyLoss()
    )


def flattened():
    below = [Conv2d(1, 3, 3, rng=0), Flatten(), BatchNorm1d(12), ReLU()]
    return Sequential(*below, linear(12, 3), CrossEntropyLoss())


def dropped(*between, p=0.5):
    below = Sequential(linear(4, 32), ReLU(), Dropout(p, rng=0))
    return Sequential(
        below, linear(32, 8, bias=False), *between, BatchNorm1d(8), Tanh(), linear(8, 3), CrossEntropyLoss()
    )


def shared():
    both = linear(4, 4)
    return Sequential(both, BatchNorm1d(4), Tanh(), both, LeakyReLU(0.1), linear(4, 3), CrossEntropyLoss())


def on_rows(layer):
    return Sequential(Reshape(2, 2), layer, Flatten(), linear(4, 3), CrossEntropyLoss())


def attention():
    below = [Reshape(2, 2), MultiHeadAttention(2, 1, rng=0), linear(2, 2), Tanh(), Flatten()]
    return Sequential(*below, linear(4, 3), CrossEntropyLoss())


def of_pairs(*on_mean):
    mean, variance = Sequential(linear(4, 1), *on_mean), Sequential(linear(4, 1), Softplus())
    return Sequential(Branch(mean, variance), GaussianNLLLoss())


def aside():
    """Dropout that reaches batch normalisation by one branch; in the other, layer normalisation."""
    branches = Branch(Sequential(LayerNorm(32, bias=False), linear(32, 8, bias=False)), Identity())
    below = [linear(4, 32), ReLU(), Dropout(0.5, rng=0), branches, Concatenate(), BatchNorm1d(40), Tanh()]
    return Sequential(*below, linear(40, 3), CrossEntropyLoss())


def added():
    """Dropout in what a residual adds."""
    inner = Sequential(linear(8, 8), ReLU(), Dropout(0.5, rng=0))
    above = [BatchNorm1d(8), Tanh(), linear(8, 3), CrossEntropyLoss()]
    return Sequential(linear(4, 8), Residual(inner), *above)


def bias_below(*between, reduction="mean"):
    return Sequential(
        linear(4, 8), *between, BatchNorm1d(8), ReLU(), linear(8, 3), CrossEntropyLoss(reduction=reduction)
    )


def shared_above():
    both = linear(8, 8)
    return Sequential(linear(4, 8), both, Tanh(), both, Tanh(), linear(8, 3), CrossEntropyLoss())


def many_classes():
    return Sequential(linear(4, 2000), Softmax(), Log(), NLLLoss())


def one_key():
    keys = Branch(Identity(), Sequential(FirstColumn(), Softmax()))
    return Sequential(keys, Concatenate(), linear(5, 3), CrossEntropyLoss())


def small_unit():
    below = linear(4, 8)
    below.weight[0] *= 1e-8
    below.bias[0] = 0
    return Sequential(below, LeakyReLU(0.1), linear(8, 3), CrossEntropyLoss())


def straight():
    norm = BatchNorm1d(8)
    norm.weight[:] = 0.5
    below = [linear(4, 8, bias=False), norm, HardSigmoid(), linear(8, 4, bias=False), BatchNorm1d(4), Tanh()]
    return Sequential(*below, linear(4, 3), CrossEntropyLoss())


def sure():
    cost = Sequential(linear(4, 1), Sigmoid(), BCELoss())
    cost[0].bias[:] = 15
    return cost


def start(weight, above, reduction="mean"):
    hidden = linear(4, 8, weight_initializer=weight, bias_initializer=zeros())
    return Sequential(hidden, Tanh(), linear(8, 3, weight_initializer=above), CrossEntropyLoss(reduction=reduction))


SCALED = X * np.array([1e4, 1.0, 1.0, 1e-3])
LARGE = 1000 * X
WITH_NAN = np.where(np.arange(N)[:, np.newaxis] == 7, np.nan, X)

# (code, cost, x, target), the first of each code with its text in lint_texts.txt
WRONG = [
    ("softmax-before-nll", net(Softmax(), NLLLoss()), X, LABELS),
    ("softmax-before-nll", net(Wrapped(Sequential(Softmax())), NLLLoss()), X, LABELS),
    ("softmax-before-nll", net(Sequential(Identity(), Softmax(), Identity()), NLLLoss()), X, LABELS),
    ("softmax-before-nll", net(Softmax(), Reshape(3), NLLLoss()), X, LABELS),
    ("softmax-before-kl", net(Softmax(), KLDivLoss()), X, ONE_HOT),
    ("not-log-probabilities", net(NLLLoss()), X, LABELS),
    ("not-log-probabilities", net(Sigmoid(), NLLLoss("sum")), X, LABELS),
    ("not-log-probabilities", net(KLDivLoss()), X, ONE_HOT),
    ("not-log-probabilities", net(Softmax(), Scaled(), NLLLoss()), X, LABELS),
    ("log-softmax-twice", net(LogSoftmax(), LogSoftmax(), NLLLoss()), X, LABELS),
    ("softmax-twice", net(Softmax(), LogSoftmax(), NLLLoss()), X, LABELS),
    ("log-softmax-before-cross-entropy", net(LogSoftmax(), CrossEntropyLoss()), X, LABELS),
    ("softmax-before-cross-entropy", net(Softmax(), CrossEntropyLoss()), X, LABELS),
    ("sigmoid-before-logits", Sequential(linear(4, 1), Sigmoid(), BernoulliNLLLoss()), X, BINARY),
    ("sigmoid-before-logits", Sequential(linear(4, 3), Sigmoid(), BCEWithLogitsLoss()), X, ONE_HOT),
    ("one-class", Sequential(linear(4, 1), LogSoftmax(), NLLLoss()), X, 0 * LABELS),
    ("one-class", Sequential(linear(4, 1), CrossEntropyLoss()), X, 0 * LABELS),
    ("activation-before-scores", net(ReLU(), LogSoftmax(), NLLLoss()), X, LABELS),
    ("activation-before-scores", net(Tanh(), CrossEntropyLoss()), X, LABELS),
    ("activation-before-scores", net(Sigmoid(), LogSoftmax(), NLLLoss()), X, LABELS),
    ("activation-before-scores", Sequential(linear(4, 1), Tanh(), BernoulliNLLLoss()), X, BINARY),
    ("activation-before-scores", Sequential(linear(4, 1), ReLU(), BernoulliNLLLoss()), X, BINARY),
    ("activation-before-scores", Sequential(linear(4, 3), Sigmoid(), HingeLoss()), X, 2 * ONE_HOT - 1),
    ("activation-before-scores", Sequential(linear(4, 1), Softplus(), PoissonNLLLoss()), X, BINARY[:, np.newaxis]),
    ("activation-before-scores", Sequential(linear(4, 1), ReLU(), Sigmoid(), BCELoss()), X, BINARY[:, np.newaxis]),
    ("activation-before-scores", Sequential(linear(4, 1), Sigmoid(), Sigmoid(), BCELoss()), X, BINARY[:, np.newaxis]),
    ("activation-before-scores", net(Sigmoid(), Softmax(), MSELoss()), X, ONE_HOT),
    ("activation-before-scores", net(ReLU(), Softmax(), MSELoss()), X, ONE_HOT),
    ("activation-before-scores", net(Sigmoid(), MultiMarginLoss()), X, LABELS),
    ("activation-before-scores", net(ReLU(), MultiMarginLoss()), X, LABELS),
    ("target-out-of-reach", Sequential(linear(4, 1), Tanh(), MSELoss()), X, 3 * np.tanh(NUMBERS)),
    ("target-out-of-reach", Sequential(linear(4, 1), ReLU(), MSELoss()), X, np.tanh(NUMBERS)),
    ("target-out-of-reach", of_pairs(ReLU()), X, np.tanh(NUMBERS)),
    ("labels-one-hot", net(LogSoftmax(), NLLLoss()), X, ONE_HOT),
    ("labels-one-hot", net(CrossEntropyLoss()), X, ONE_HOT.astype(int)),
    ("labels-one-hot", Sequential(linear(4, 1), BernoulliNLLLoss()), X, np.eye(2)[BINARY]),
    ("target-shape", net(LogSoftmax(), NLLLoss()), X, LABELS[:, np.newaxis]),
    ("target-shape", Sequential(linear(4, 1), MSELoss()), X, NUMBERS[:, 0]),
    ("target-shape", of_pairs(), X, NUMBERS[:, 0]),
    ("target-broadcast", Sequential(linear(4, 1), Squares()), X, NUMBERS[:, 0]),
    ("target-broadcast", Sequential(linear(4, 1), Squares()), X, NUMBERS[:, 0].tolist()),
    ("target-broadcast", net(LogSoftmax(), Picked()), X, LABELS[:, np.newaxis]),
    ("labels-shifted", net(LogSoftmax(), NLLLoss()), X, LABELS + 1),
    ("labels-shifted", Sequential(linear(4, 4), LogSoftmax(), NLLLoss()), X, LABELS + 1),
    ("labels-shifted", Sequential(linear(4, 1), BernoulliNLLLoss()), X, BINARY + 1),
    ("labels-shifted", net(CrossEntropyLoss(ignore_index=-100)), X, np.where(np.arange(N) < 5, -100, LABELS + 1)),
    ("labels-signs", Sequential(linear(4, 1), BernoulliNLLLoss()), X, 2 * BINARY - 1),
    ("labels-signs", Sequential(linear(4, 1), HingeLoss()), X, BINARY[:, np.newaxis]),
    ("labels-not-integers", net(LogSoftmax(), NLLLoss()), X, LABELS.astype(float)),
    ("labels-not-integers", net(LogSoftmax(), NLLLoss()), X, np.array(["a", "b", "c"])[LABELS]),
    ("target-not-probabilities", net(CrossEntropyLoss()), X, ONE_HOT + np.eye(3)[0] * (1 - ONE_HOT[:, :1])),
    ("constant-target", Sequential(linear(4, 1), MSELoss()), X, np.full((N, 1), 2.5)),
    ("constant-target", net(CrossEntropyLoss()), np.vstack([X, -X]), np.full(2 * N, 2)),
    ("bias-before-normalization", bias_below(), X, LABELS),
    ("bias-before-normalization", bias_below(Identity(), Dropout(0.0, rng=0), Reshape(8)), X, LABELS),
    ("bias-before-normalization", Penalized(bias_below(), L2Penalty(0.1)), X, LABELS),
    ("bias-before-normalization", bias_below(reduction="none"), X, LABELS),
    ("bias-before-normalization", flattened(), IMAGES, LABELS),
    ("bias-before-normalization", convolution(True), IMAGES, LABELS),
    ("dropout-before-normalization", dropped(), X, LABELS),
    ("dropout-before-normalization", aside(), X, LABELS),
    ("dropout-before-normalization", added(), X, LABELS),
    ("dropout-after-last", net(Dropout(0.5, rng=0), CrossEntropyLoss()), X, LABELS),
    ("dropout-after-last", net(Dropout(0.5, rng=0), Reshape(3), LogSoftmax(), NLLLoss()), X, LABELS),
    (
        "dropout-after-last",
        Sequential(linear(4, 1), Dropout(0.5, rng=0), Sigmoid(), BCELoss()),
        X,
        BINARY[:, np.newaxis],
    ),
    ("dropout-after-last", net(Dropout(0.5, rng=0), LogSoftmax(), NLLLoss()), X, LABELS),
    ("linear-after-linear", Sequential(linear(4, 8), linear(8, 3), CrossEntropyLoss()), X, LABELS),
    (
        "linear-after-linear",
        Sequential(Sequential(linear(4, 8)), Sequential(linear(8, 3)), CrossEntropyLoss()),
        X,
        LABELS,
    ),
    ("linear-after-linear", Sequential(linear(4, 8), Flatten(), linear(8, 3), CrossEntropyLoss()), X, LABELS),
    ("dead-units", dead(), X, LABELS),
    ("saturated-units", net(CrossEntropyLoss()), LARGE, LABELS),
    ("saturated-units", Sequential(linear(4, 8), Sigmoid(), linear(8, 3), CrossEntropyLoss()), LARGE, LABELS),
    ("alike-units", start(constant(0.1), constant(0.1), "none"), X, LABELS),
    ("alike-units", start(constant(0.1), constant(0.1)), X, LABELS),
    ("alike-units", start(zeros(), zeros()), X, LABELS),
    ("feature-scales", Sequential(linear(4, 3), CrossEntropyLoss()), SCALED, LABELS),
    ("feature-scales", Sequential(linear(4, 3), CrossEntropyLoss()), X + np.array([1e7, 0, 0, 0]), LABELS),
    ("feature-scales", on_rows(LSTM(2, 2, rng=0)), SCALED[:, [0, 3, 0, 3]], LABELS),
    ("feature-scales", on_rows(MultiHeadAttention(2, 1, rng=0)), SCALED[:, [0, 3, 0, 3]], LABELS),
    ("feature-scales", Sequential(Bilinear(4, 4, 3, rng=0), CrossEntropyLoss()), (X, SCALED), LABELS),
    ("not-finite", net(CrossEntropyLoss()), WITH_NAN, LABELS),
    ("integers-for-floats", net(CrossEntropyLoss()), np.arange(4 * N, dtype=np.uint8).reshape(N, 4), LABELS),
    (
        "batch-of-one",
        Sequential(linear(4, 8, bias=False), BatchNorm1d(8), linear(8, 3), CrossEntropyLoss()),
        X[:1],
        LABELS[:1],
    ),
    ("unused-parameters", siblings(True), (X, X[::-1]), LABELS),
    ("unused-parameters", Sequential(Idle(linear(4, 3), linear(2, 2)), CrossEntropyLoss()), X, LABELS),
    ("error", net(CrossEntropyLoss()), X[:, :3], LABELS),
    ("error", net(LogSoftmax(), NLLLoss()), X, 0 * ONE_HOT),
    ("error", net(CrossEntropyLoss()), X, LABELS[:5]),
]

# What is nearly wrong, and sound.
SOUND = {
    "a log-softmax before NLLLoss": (net(LogSoftmax(), NLLLoss()), X, LABELS),
    "raw scores before CrossEntropyLoss": (net(CrossEntropyLoss()), X, LABELS),
    "a softmax before squares, Brier's score": (net(Softmax(), MSELoss()), X, ONE_HOT),
    "a softmax inside above a tanh": (
        Sequential(linear(4, 8), Tanh(), Softmax(), linear(8, 3), CrossEntropyLoss()),
        X,
        LABELS,
    ),
    "log-probabilities of many classes, but for an epsilon": (many_classes(), X[:3], LABELS[:3]),
    "scores of a smooth activation without an upper bound": (net(Softplus(), CrossEntropyLoss()), X, LABELS),
    "bounds wider than the margin": (net(Tanh(), MultiMarginLoss()), X, LABELS),
    "a divergence of what does not sum to 1": (net(KLDivLoss()), X, 2 * ONE_HOT),
    "picked scores": (net(LogSoftmax(), Picked()), X, LABELS),
    "a mask": (Sequential(linear(4, 8), Mask(np.arange(8) < 1), linear(8, 3), CrossEntropyLoss()), X, LABELS),
    "a shared linear unit above another": (shared_above(), X, LABELS),
    "a linear unit on rows made one": (
        Sequential(Reshape(2, 2), linear(2, 4), Flatten(), linear(8, 3), CrossEntropyLoss()),
        X,
        LABELS,
    ),
    "hidden sigmoids": (Sequential(linear(4, 8), Sigmoid(), linear(8, 3), CrossEntropyLoss()), X, LABELS),
    "a softmax inside": (Sequential(linear(4, 8), Softmax(), linear(8, 3), LogSoftmax(), NLLLoss()), X, LABELS),
    "log-probabilities, but for an epsilon": (net(Softmax(), Log(), NLLLoss()), X, LABELS),
    "a softmax over one key": (
        Sequential(
            Branch(Identity(), Sequential(FirstColumn(), Softmax())), Concatenate(), linear(5, 3), CrossEntropyLoss()
        ),
        X,
        LABELS,
    ),
    "a model that is sure": (sure(), X, np.ones((N, 1))),
    "a bias of two places, one of them below normalisation": (shared(), X, LABELS),
    "a bias that does nothing to this batch": (straight(), X, LABELS),
    "hidden units of very different scales": (small_unit(), X, LABELS),
    "log-probabilities of a target": (net(LogSoftmax(), KLDivLoss("batchmean")), X, ONE_HOT),
    "a sigmoid before BCELoss": (Sequential(linear(4, 1), Sigmoid(), BCELoss()), X, BINARY[:, np.newaxis] * 1.0),
    "raw logits": (Sequential(linear(4, 3), BCEWithLogitsLoss()), X, ONE_HOT),
    "a leaky activation of scores": (net(LeakyReLU(0.1), CrossEntropyLoss()), X, LABELS),
    "an activation, then a linear unit": (
        Sequential(linear(4, 3), ReLU(), linear(3, 3), CrossEntropyLoss()),
        X,
        LABELS,
    ),
    "rates from a softplus": (
        Sequential(linear(4, 1), Softplus(), PoissonNLLLoss(log_input=False)),
        X,
        BINARY[:, np.newaxis],
    ),
    "tanh and targets within its bounds": (Sequential(linear(4, 1), Tanh(), MSELoss()), X, np.tanh(NUMBERS)),
    "tanh and targets at its bounds": (Sequential(linear(4, 1), Tanh(), MSELoss()), X, np.sign(NUMBERS)),
    "tanh before a hinge": (Sequential(linear(4, 1), Tanh(), HingeLoss()), X, np.sign(NUMBERS)),
    "relu and targets above 0": (Sequential(linear(4, 1), ReLU(), MSELoss()), X, NUMBERS**2),
    "probabilities as targets": (net(CrossEntropyLoss()), X, ONE_HOT),
    "rows of zeros that are left out": (net(CrossEntropyLoss()), X, ONE_HOT * (np.arange(N) > 5)[:, np.newaxis]),
    "squares of one shape": (Sequential(linear(4, 1), Squares()), X, NUMBERS),
    "labels that start at 0": (Sequential(linear(4, 4), LogSoftmax(), NLLLoss()), X, LABELS),
    "a class 0 that may be rare": (Sequential(linear(4, 4), LogSoftmax(), NLLLoss()), X[:20], LABELS[:20] + 1),
    "a class 0 that is ignored": (Sequential(linear(4, 4), CrossEntropyLoss(ignore_index=0)), X, LABELS + 1),
    "a residual to be 0": (Sequential(linear(4, 1), MSELoss()), X, np.zeros((N, 1))),
    "a smoothed 1 of an adversary": (Sequential(linear(4, 1), MSELoss()), X, np.full((N, 1), 0.9)),
    "one constant column of several": (
        Sequential(linear(4, 2), MSELoss()),
        X,
        np.column_stack([NUMBERS, np.full((N, 1), 2.5)]),
    ),
    "no bias before normalisation": (
        Sequential(linear(4, 8, bias=False), BatchNorm1d(8), linear(8, 3), CrossEntropyLoss()),
        X,
        LABELS,
    ),
    "no bias before normalisation of images": (convolution(False), IMAGES, LABELS),
    "a bias before layer normalisation": (
        Sequential(linear(4, 8), LayerNorm(8), linear(8, 3), CrossEntropyLoss()),
        X,
        LABELS,
    ),
    "a bias that also goes round the normalisation": (
        Sequential(linear(4, 8), Residual(Sequential(BatchNorm1d(8), Tanh())), linear(8, 3), CrossEntropyLoss()),
        X,
        LABELS,
    ),
    "dropout above normalisation": (
        Sequential(
            linear(4, 8, bias=False), BatchNorm1d(8), ReLU(), Dropout(0.5, rng=0), linear(8, 3), CrossEntropyLoss()
        ),
        X,
        LABELS,
    ),
    "dropout that is off": (dropped(p=0.0), X, LABELS),
    "dropout below layer normalisation": (dropped(LayerNorm(8, bias=False)), X, LABELS),
    "dropout below the last unit": (
        Sequential(linear(4, 8), Dropout(0.5, rng=0), linear(8, 3), CrossEntropyLoss()),
        X,
        LABELS,
    ),
    "a bottleneck": (Sequential(linear(4, 2), linear(2, 3), CrossEntropyLoss()), X, LABELS),
    "one linear unit several times": (
        Sequential(Repeat(linear(4, 4), 2), Tanh(), linear(4, 3), CrossEntropyLoss()),
        X,
        LABELS,
    ),
    "two linear units and a way round": (
        Sequential(linear(4, 8), Residual(Sequential(linear(8, 8), Tanh())), linear(8, 3), CrossEntropyLoss()),
        X,
        LABELS,
    ),
    "an activation in place": (Sequential(InPlace(linear(4, 8)), linear(8, 3), CrossEntropyLoss()), X, LABELS),
    "half of the units dead by chance": (Sequential(linear(4, 8), ReLU(), linear(8, 3), CrossEntropyLoss()), X, LABELS),
    "a last layer that starts at 0": (
        Sequential(linear(4, 8), Tanh(), linear(8, 3, weight_initializer=zeros()), CrossEntropyLoss()),
        X,
        LABELS,
    ),
    "hidden units that start at 0": (
        Sequential(linear(4, 8, weight_initializer=zeros()), Tanh(), linear(8, 3), CrossEntropyLoss()),
        X,
        LABELS,
    ),
    "a block that starts at 0, below a last layer that does": (
        Sequential(
            linear(4, 8),
            Residual(
                Sequential(linear(8, 8), Tanh(), linear(8, 8, weight_initializer=zeros(), bias_initializer=zeros()))
            ),
            linear(8, 3, weight_initializer=zeros()),
            CrossEntropyLoss(),
        ),
        X,
        LABELS,
    ),
    "hidden units that start alike, below others": (start(constant(0.1), None), X, LABELS),
    "scales that differ by half of that": (net(CrossEntropyLoss()), X * np.array([1e2, 1, 1, 2e-4]), LABELS),
    "columns of zeros and ones": (net(CrossEntropyLoss()), X * [1, 1, 0, 0] + [0, 0, 0.1, 0], LABELS),
    "normalisation of features": (Sequential(BatchNorm1d(4), linear(4, 3), CrossEntropyLoss()), SCALED, LABELS),
    "a linear unit on attention": (attention(), X, LABELS),
    "one encoder twice": (siblings(False), (X, X[::-1]), LABELS),
    "all rows fitted": (
        Sequential(linear(4, 1, weight_initializer=normal(1e-9)), HingeLoss()),
        0 * X + 1,
        np.ones((N, 1)),
    ),
}
SOUND["all rows fitted"][0][0].bias[:] = 5
