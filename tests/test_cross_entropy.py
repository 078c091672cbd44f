"""CrossEntropyLoss, and the softmax kernels in blocks, against loops and exact numbers."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from precise import exact_log_softmax

from minigrad import LogSoftmax, NLLLoss, Sequential, Softmax, softmax_kernels
from minigrad.fusions import LogSoftmaxNLLLoss
from minigrad.losses import CrossEntropyLoss
from minigrad.softmax_kernels import BLOCK, FEW, WIDE, cross_entropy, log_softmax, log_softmax_backward, softmax

rng = np.random.default_rng(0)
Z = rng.normal(size=(6, 3))
LABELS = np.array([0, 2, 1, 1, 0, 2])
WEIGHTS = rng.uniform(0.5, 2, 6)
CLASS_WEIGHTS = np.array([1.0, 0.5, 3.0])
Q = rng.dirichlet(np.ones(3), 6)


def log_p(row):
    return [float(value) for value in exact_log_softmax(row)]


@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("ignored", [-100, 2])
@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_labels_by_a_loop(weights, class_weights, ignored, smoothing):
    """The definition in PyTorch's documentation, with weights of observations."""
    by_class = np.ones(3) if class_weights is None else class_weights
    terms, total = [], 0.0
    for n in range(6):
        v = 1.0 if weights is None else weights[n]
        if LABELS[n] == ignored:
            terms.append(0.0)
            continue
        of_classes = [-by_class[k] * log_p(Z[n])[k] for k in range(3)]
        terms.append(v * ((1 - smoothing) * of_classes[LABELS[n]] + smoothing / 3 * sum(of_classes)))
        total += v * by_class[LABELS[n]]
    arguments = (Z, LABELS) if weights is None else (Z, LABELS, weights)
    options = {"class_weights": class_weights, "ignore_index": ignored, "label_smoothing": smoothing}
    np.testing.assert_allclose(CrossEntropyLoss("none", **options)(*arguments), terms, rtol=1e-14)
    assert CrossEntropyLoss("sum", **options)(*arguments) == pytest.approx(sum(terms), rel=1e-14)
    assert CrossEntropyLoss(**options)(*arguments) == pytest.approx(sum(terms) / total, rel=1e-14)


@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_probabilities_by_a_loop(weights, class_weights, smoothing):
    by_class = np.ones(3) if class_weights is None else class_weights
    v = np.ones(6) if weights is None else weights
    q = (1 - smoothing) * Q + smoothing / 3
    terms = [-v[n] * sum(by_class[k] * q[n, k] * log_p(Z[n])[k] for k in range(3)) for n in range(6)]
    arguments = (Z, Q) if weights is None else (Z, Q, weights)
    options = {"class_weights": class_weights, "label_smoothing": smoothing}
    np.testing.assert_allclose(CrossEntropyLoss("none", **options)(*arguments), terms, rtol=1e-14)
    # class weights are no part of what the mean of probabilities divides by: so it is in PyTorch
    assert CrossEntropyLoss(**options)(*arguments) == pytest.approx(sum(terms) / v.sum(), rel=1e-14)


def test_probabilities_that_are_labels_give_what_labels_give():
    z = np.array([[0.0, -40.0, -80.0], [1.0, 2.0, 3.0]])
    labels = np.array([0, 1])
    loss = CrossEntropyLoss("none")
    of_labels, residual = loss.forward(z, labels)
    of_probabilities, other = loss.forward(z, np.eye(3)[labels])
    np.testing.assert_array_equal(of_probabilities, of_labels)
    np.testing.assert_array_equal(other, residual)
    assert of_labels[0] == pytest.approx(4.2483542552915890e-18, rel=1e-15)
    assert residual[0, 0] == pytest.approx(-4.2483542552915890e-18, rel=1e-15)


def test_it_is_log_softmax_and_nll_loss():
    pair = Sequential(LogSoftmax(), NLLLoss("none", CLASS_WEIGHTS))
    loss = CrossEntropyLoss("none", CLASS_WEIGHTS)
    np.testing.assert_allclose(loss(Z, LABELS, WEIGHTS), pair(Z, LABELS, WEIGHTS), rtol=1e-14)
    _, cache = pair.forward(Z, LABELS, WEIGHTS)
    _, residual = loss.forward(Z, LABELS, WEIGHTS)
    np.testing.assert_allclose(loss.backward(WEIGHTS, residual), pair.backward(WEIGHTS, cache), rtol=0, atol=1e-15)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_places_of_a_sequence_are_rows(smoothing):
    z, labels = rng.normal(size=(4, 5, 3)), rng.integers(0, 3, (4, 5))
    weights = rng.uniform(size=4)
    labels[1, 2] = -100
    loss = CrossEntropyLoss("mean", CLASS_WEIGHTS, label_smoothing=smoothing)
    value, residual = loss.forward(z, labels, weights)
    rows, of_rows = loss.forward(z.reshape(20, 3), labels.ravel(), np.repeat(weights, 5))
    assert value == pytest.approx(rows, rel=1e-15)
    np.testing.assert_allclose(residual.reshape(20, 3), of_rows, rtol=0, atol=1e-16)
    of_terms = loss.forward(z, labels, np.repeat(weights, 5).reshape(4, 5))[0]
    assert value == pytest.approx(of_terms, rel=1e-15)
    assert not residual[1, 2].any()
    nll, plain = NLLLoss("none"), NLLLoss("none").forward(LogSoftmax()(z), labels)[0]
    assert nll.value_shape(labels.shape) == plain.shape == (4, 5)
    assert plain[1, 2] == 0


def test_a_label_may_be_ignored():
    kept = LABELS != 1
    for make in (CrossEntropyLoss, NLLLoss):
        loss = make(ignore_index=1)
        value, cache = loss.forward(Z, LABELS)
        assert value == pytest.approx(make()(Z[kept], LABELS[kept]), rel=1e-15)
        assert not loss.backward(1.0, cache)[~kept].any()
        assert make("sum", ignore_index=-1)(Z, np.full(6, -1)) == 0


def numbers(generator, n, k, offset, dtype):
    return (generator.normal(size=(n, k)) * 3 + offset).astype(dtype)


@given(
    st.sampled_from([1, 2, 5]),
    st.sampled_from([WIDE, WIDE + 3, 3000]),
    st.sampled_from([0.0, 15.0, 90.0, -90.0, 1e4]),
    st.sampled_from([np.float32, np.float64]),
)
def test_blocks_equal_rows_one_by_one(n, k, offset, dtype):
    """Shifted or not, in one block or several, many classes are as few."""
    generator = np.random.default_rng((n, k))
    z, delta = numbers(generator, n, k, offset, dtype), numbers(generator, n, k, 0, dtype)
    labels, scale = generator.integers(0, k, n), generator.uniform(0.5, 2, n).astype(dtype)
    strided = np.repeat(z, 2, axis=1)[:, ::2]  # taken as a whole
    eps, rounding = np.finfo(dtype).eps, np.finfo(dtype).eps * (60 + 4 * abs(z).max())
    np.testing.assert_allclose(log_softmax(z), log_softmax(strided), rtol=8 * eps, atol=8 * eps)
    np.testing.assert_allclose(softmax(z), softmax(strided), rtol=rounding)
    back = log_softmax_backward(delta, log_softmax(z))
    plain = delta - softmax(strided) * delta.sum(axis=1, keepdims=True, dtype=float)
    np.testing.assert_allclose(back, plain, rtol=0, atol=rounding * 4 * np.sqrt(k))
    (terms, residual), (of_rows, of_whole) = (cross_entropy(a, labels, scale) for a in (z, strided))
    np.testing.assert_allclose(terms, of_rows, rtol=rounding)
    np.testing.assert_allclose(residual, of_whole, rtol=2 * rounding, atol=1e-30)
    for array in (terms, residual, back, log_softmax(z), softmax(z)):
        assert array.dtype == dtype


@pytest.mark.parametrize("block", [1, 3000, 9000])
@pytest.mark.parametrize("offset", [0.0, 200.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_blocks_are_as_one(dtype, offset, block, monkeypatch):
    """Of one row, of a few, and of fours with a last one that is not full."""
    generator = np.random.default_rng(block)
    z, delta = numbers(generator, 23, WIDE + 3, offset, dtype), numbers(generator, 23, WIDE + 3, 0, dtype)
    labels, scale = generator.integers(0, WIDE + 3, 23), generator.uniform(0.5, 2, 23).astype(dtype)

    def all_kernels():
        log_p = log_softmax(z)
        return *cross_entropy(z, labels, scale), log_p, log_softmax_backward(delta, log_p), softmax(z)

    whole = all_kernels()
    monkeypatch.setattr(softmax_kernels, "BLOCK", block)
    for of_blocks, of_whole in zip(all_kernels(), whole, strict=True):
        np.testing.assert_allclose(of_blocks, of_whole, rtol=20 * np.finfo(dtype).eps, atol=20 * np.finfo(dtype).eps)


@given(
    st.sampled_from([0, 1, 2, 7]),
    st.sampled_from([1, 2, 10, FEW, FEW + 1, WIDE + 1]),
    st.sampled_from(["C", "F", "strided"]),
    st.sampled_from([np.float32, np.float64, np.complex128]),
    st.booleans(),
)
def test_the_order_in_memory_changes_nothing(n, k, order, dtype, one_scale):
    generator = np.random.default_rng((n, k))
    z = numbers(generator, n, k, 50.0, dtype)
    if np.dtype(dtype).kind == "c":
        z += 1e-3j * generator.normal(size=z.shape)
    labels = generator.integers(0, k, n)
    scale = z.real.dtype.type(0.25) if one_scale else generator.uniform(0.5, 2, n).astype(z.real.dtype)
    scores = np.repeat(z, 2, axis=1)[:, ::2] if order == "strided" else np.array(z, order=order)
    scores.flags.writeable = False
    terms, residual = cross_entropy(scores, labels, scale)
    assert terms.dtype == residual.dtype == dtype
    exps = np.exp(z.astype(np.clongdouble) - 50)  # more digits, and no shift by the largest
    p = exps / exps.sum(axis=1, keepdims=True)
    eps = np.finfo(dtype).eps * 200
    np.testing.assert_allclose(terms, -np.log(p[np.arange(n), labels]), rtol=eps, atol=eps)
    expected = (p - np.eye(k)[labels]) * np.broadcast_to(scale, n)[:, np.newaxis]
    np.testing.assert_allclose(residual, expected, rtol=0, atol=eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_block_that_overflows_among_ordinary_ones(dtype):
    k = BLOCK // 8
    z = np.zeros((5, k), dtype)
    z[2, 7] = z[3, :] = 300 if dtype == np.float64 else 100
    z[3, 7] = -1000
    labels = np.full(5, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        terms, residual = cross_entropy(z, labels, 1.0)
        p = softmax(z)
    np.testing.assert_allclose(terms[[0, 1, 4]], np.log(k), rtol=1e-5)
    others = (k - 1) * np.exp(-300 if dtype == np.float64 else -100)
    assert terms[2] == pytest.approx(others, rel=1e-4)
    assert residual[2, 7] == pytest.approx(-others, rel=1e-4)
    assert terms[3] == pytest.approx((300 if dtype == np.float64 else 100) + 1000 + np.log(k - 1), rel=1e-6)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(residual.sum(axis=1), 0, atol=1e-4)


@pytest.mark.parametrize("offset", [0.0, 20.0, -20.0, 500.0])
@pytest.mark.parametrize("gap", [1.0, 40.0, 80.0])
def test_tiny_costs_of_many_classes_are_accurate(offset, gap):
    z = np.full((2, WIDE), offset - gap)
    z[:, 5] = offset
    z[0, 9] -= 1.5
    loss = CrossEntropyLoss("none")
    terms, residual = loss.forward(z, [5, 5])
    log_ps, ps = LogSoftmax()(z), Softmax()(z)
    further = np.exp(-gap) * np.array([np.exp(-1.5), 1.0])  # the term of class 9
    others = (WIDE - 2) * np.exp(-gap) + further
    np.testing.assert_allclose(terms, np.log1p(others), rtol=1e-14)
    np.testing.assert_allclose(log_ps[:, 5], -np.log1p(others), rtol=1e-14)
    np.testing.assert_allclose(residual[:, 5], -others / (1 + others), rtol=1e-14)
    np.testing.assert_allclose(residual[:, 9], further / (1 + others), rtol=1e-13)
    np.testing.assert_allclose(ps[:, 9], further / (1 + others), rtol=1e-13)


def test_infinite_and_missing_scores_of_many_classes():
    z = np.zeros((3, WIDE))
    z[0, 1:] = -np.inf  # certain
    z[1, 3] = np.nan
    terms, residual = cross_entropy(z, np.array([0, 0, 0]), 1.0)
    assert terms[0] == 0
    assert not residual[0].any()
    assert np.isnan(terms[1])
    assert terms[2] == pytest.approx(np.log(WIDE), rel=1e-15)
    np.testing.assert_array_equal(softmax(z[:1])[0], np.eye(WIDE)[0])


def test_nothing_of_numpy_is_left_changed():
    np.setbufsize(8192)  # whatever other tests have left
    before = np.getbufsize(), np.geterr()
    z = np.zeros((3, WIDE))
    log_softmax_backward(z, log_softmax(z))
    softmax(z)
    cross_entropy(z, np.zeros(3, int), 1.0)
    assert (np.getbufsize(), np.geterr()) == before


def test_the_fusion_and_the_loss_share_one_implementation():
    z, labels = rng.normal(size=(5, 300)), rng.integers(0, 300, 5)
    fused, residual = LogSoftmaxNLLLoss(LogSoftmax(), NLLLoss()).forward(z, labels)
    value, other = CrossEntropyLoss().forward(z, labels)
    assert value == fused
    np.testing.assert_array_equal(residual, other)
    assert CrossEntropyLoss().backward(1.0, other) is other


MESSAGES = [
    (
        lambda: CrossEntropyLoss()(Z, np.full(6, -100)),
        r"CrossEntropyLoss\(mean\) expects a batch of some weight, but all targets are -100, which is ignored",
    ),
    (lambda: NLLLoss(ignore_index=1)(Z, np.ones(6, int)), "all targets are 1, which is ignored: reduction 'sum'"),
    (lambda: CrossEntropyLoss(label_smoothing=1.5), "expects label_smoothing from 0 to 1, got 1.5"),
    (lambda: CrossEntropyLoss(ignore_index=None), "expects ignore_index to be an integer, got None"),
    (lambda: CrossEntropyLoss()(Z, -Q), r"expects target from 0 to 1, got -0\..* in target\[0, 0\]: they are prob"),
    (lambda: CrossEntropyLoss()(Z, Q[:, :2]), r"expects target of shape \(6, 3\), got \(6, 2\): one number for each"),
    (lambda: CrossEntropyLoss()(Z, np.where(Q > 2, 0, np.nan)), r"finite numbers, got nan in target\[0, 0\]"),
    (lambda: CrossEntropyLoss()(Z, [0, 1, 2, 3, 0, -100]), r"expects labels 0 \.\. 2 .* got 3 in target\[3\]"),
    (lambda: CrossEntropyLoss()(Z, [[0]] * 6), r"expects target of shape \(6,\), got \(6, 1\): target.ravel\(\)"),
    (lambda: CrossEntropyLoss()(Z[0], [0]), r"expects z of shape \(batch, classes\), got \(3,\)"),
    (
        lambda: CrossEntropyLoss()(Z.reshape(2, 3, 3), np.array([[0, 1, 2], [0, -1, 2]])),
        r"expects labels 0 \.\. 2 for 3 classes, got -1 in target\[1, 1\]",
    ),
    (
        lambda: CrossEntropyLoss()(Z.reshape(2, 3, 3), LABELS),
        r"expects target of shape \(2, 3\), got \(6,\): one label for each row of the batch, and each place in it",
    ),
    (
        lambda: CrossEntropyLoss()(Z.reshape(2, 3, 3), np.eye(3, dtype=int)[LABELS].reshape(2, 3, 3)),
        r"got \(2, 3, 3\): if it is one-hot, target.argmax\(axis=2\) gives the labels",
    ),
    (
        lambda: CrossEntropyLoss()(Z.reshape(2, 3, 3), LABELS.reshape(2, 3), np.ones(3)),
        r"expects weights of shape \(2,\), got \(3,\)",
    ),
    (
        lambda: CrossEntropyLoss("mean", [1, 2], label_smoothing=0.1)(Z, LABELS),
        r"CrossEntropyLoss\(mean, class_weights, label_smoothing=0.1\) has 2 class weights, but z has 3 classes",
    ),
]


@pytest.mark.parametrize(("call", "message"), MESSAGES)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_labels_that_are_not_whole_numbers():
    with pytest.raises(TypeError, match="expects integer class labels, got target of float64"):
        CrossEntropyLoss()(Z, LABELS.astype(float))
