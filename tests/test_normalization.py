"""Normalisation: loops over groups, large means, memory order, messages."""

import math

import numpy as np
import pytest

from minigrad import Linear, Sequential, build
from minigrad.initializers import constant
from minigrad.layers.batch_normalization import BatchNorm1d, BatchNorm2d
from minigrad.layers.normalization import GroupNorm, LayerNorm, RMSNorm

RNG = np.random.default_rng(0)
ROWS = RNG.normal(2, 3, (6, 4))
SEQUENCES = RNG.normal(2, 3, (3, 5, 4))
IMAGES = RNG.normal(2, 3, (3, 4, 2, 3))


def rows_of_z(z):
    """Indices of what a LayerNorm over the last axis normalises together."""
    return np.arange(z.size).reshape(-1, z.shape[-1]).tolist()


def last_two_axes(z):
    return np.arange(z.size).reshape(*z.shape[:-2], -1).reshape(-1, z.shape[-1] * z.shape[-2]).tolist()


def groups_of_two(z):
    return np.arange(z.size).reshape(len(z) * z.shape[1] // 2, -1).tolist()


def channels(z):
    return np.moveaxis(np.arange(z.size).reshape(z.shape), 1, 0).reshape(z.shape[1], -1).tolist()


def by_channel(z):
    """Index of the parameter of each number, where there is one for a channel."""
    return np.broadcast_to(np.arange(z.shape[1]).reshape(-1, *[1] * (z.ndim - 2)), z.shape).ravel()


def by_place(*axes):
    """The same where there is one for each place in the last axes."""
    return lambda z: np.broadcast_to(np.arange(math.prod(axes)).reshape(axes), z.shape).ravel()


NORMS = [
    (LayerNorm(4), ROWS, rows_of_z, by_place(4)),
    (LayerNorm(4, eps=0.5), SEQUENCES, rows_of_z, by_place(4)),
    (LayerNorm((5, 4)), SEQUENCES, last_two_axes, by_place(5, 4)),
    (RMSNorm(4), SEQUENCES, rows_of_z, by_place(4)),
    (RMSNorm((5, 4), eps=0.5), SEQUENCES, last_two_axes, by_place(5, 4)),
    (GroupNorm(2, 4), IMAGES, groups_of_two, by_channel),
    (GroupNorm(2, 4, eps=0.5), ROWS, groups_of_two, by_channel),
    (BatchNorm1d(4), ROWS, channels, by_channel),
    (BatchNorm1d(5), SEQUENCES, channels, by_channel),
    (BatchNorm2d(4, 0.5), IMAGES, channels, by_channel),
]


@pytest.mark.parametrize(("layer", "z", "groups", "owner"), NORMS, ids=[f"{n[0]!r}, {n[1].ndim} axes" for n in NORMS])
def test_against_a_loop_over_what_is_normalised_together(layer, z, groups, owner):
    """Rule 2 against the whole Jacobian of each group, dz_hat_i/dz_j = s ([i = j] - 1/n - z_hat_i z_hat_j / n)."""
    rng = np.random.default_rng(1)
    layer = layer.with_parameters({name: rng.normal(size=a.shape) for name, a in layer.parameters().items()})
    z_next, cache = layer.forward(z)
    delta = rng.normal(size=z.shape)
    dz, gradients = layer.backpropagate(delta, cache)

    centring = not isinstance(layer, RMSNorm)
    eps = 2.0**-52 if layer.eps is None else layer.eps
    weight = layer.weight.ravel()[owner(z)]
    bias = 0 * weight if layer.bias is None else layer.bias.ravel()[owner(z)]
    z_hat, expected_dz = np.zeros(z.size), np.zeros(z.size)
    for group in groups(z):
        numbers = z.ravel()[group].tolist()
        mean = math.fsum(numbers) / len(numbers) if centring else 0.0
        variance = math.fsum((x - mean) ** 2 for x in numbers) / len(numbers)
        s = 1 / math.sqrt(variance + eps)
        z_hat[group] = [(x - mean) * s for x in numbers]
        jacobian = np.eye(len(group)) - centring / len(group) - np.outer(z_hat[group], z_hat[group]) / len(group)
        expected_dz[group] = (delta.ravel()[group] * weight[group]) @ (s * jacobian)
    close = {"rtol": 1e-11, "atol": 1e-13}
    np.testing.assert_allclose(z_next.ravel(), z_hat * weight + bias, **close)
    np.testing.assert_allclose(dz.ravel(), expected_dz, **close)
    for name, terms in (("weight", delta.ravel() * z_hat), ("bias", delta.ravel()))[: len(gradients)]:
        total = np.bincount(owner(z), terms).reshape(gradients[name].shape)
        np.testing.assert_allclose(gradients[name], total, **close)


@pytest.mark.parametrize(
    ("make", "z", "names"),
    [
        (lambda: LayerNorm(4, elementwise_affine=False), ROWS, []),
        (lambda: LayerNorm(4, bias=False), ROWS, ["weight"]),
        (lambda: RMSNorm(4, elementwise_affine=False), ROWS, []),
        (lambda: GroupNorm(2, 4, affine=False), IMAGES, []),
        (lambda: BatchNorm1d(4, affine=False), ROWS, []),
        (lambda: BatchNorm2d(None), IMAGES, ["weight", "bias"]),
        (lambda: GroupNorm(2, None), IMAGES, ["weight", "bias"]),
        (lambda: LayerNorm(None), SEQUENCES, ["weight", "bias"]),
        (lambda: RMSNorm(None), SEQUENCES, ["weight"]),
    ],
)
def test_parameters_are_those_asked_for_and_start_as_nothing(make, z, names):
    layer = make()
    z_next = layer.forward(z)[0]
    parameters = layer.parameters()
    assert list(parameters) == names
    assert all((a == (name == "weight")).all() for name, a in parameters.items())
    if not isinstance(layer, RMSNorm):
        assert abs(z_next.mean()) < 1e-12
    assert abs((z_next * z_next).mean() - 1) < 1e-4


def test_initialisers_and_types_are_taken():
    layer = GroupNorm(1, 2, weight_initializer=constant(0.5), bias_initializer=constant(3.0), dtype=np.float32)
    assert layer.weight.tolist() == [0.5, 0.5]
    assert layer.bias.tolist() == [3.0, 3.0]
    assert layer.bias.dtype == np.float32
    batch = BatchNorm1d(2, dtype=np.float32)
    assert (batch.running_mean.dtype, batch.astype(float).running_var.dtype) == (np.float32, np.float64)


@pytest.mark.parametrize(
    "layer", [LayerNorm(1000), GroupNorm(2, 1000), BatchNorm1d(1000), BatchNorm2d(5)], ids=lambda layer: repr(layer)
)
@pytest.mark.parametrize("mean", [1e6, -1e6])
def test_a_large_mean_costs_no_digits_in_float32(layer, mean):
    """The numbers are multiples of 1/16 there; what is made of them is right to float32 sums of 200 to 8000 terms."""
    z = np.random.default_rng(2).normal(mean, 1, (200, 1000)).astype(np.float32)
    z = z.reshape(20, 5, 20, 100) if isinstance(layer, BatchNorm2d) else z
    delta = np.random.default_rng(3).normal(size=z.shape).astype(np.float32)
    single, double = layer.astype(np.float32), layer.astype(np.float64)
    found, cache = single.forward(z)
    expected, cache64 = double.forward(z.astype(np.float64))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(single.backward(delta, cache), double.backward(delta, cache64), atol=1e-5)
    if layer.state_names:
        np.testing.assert_allclose(single.running_var, double.running_var, rtol=1e-5)
        np.testing.assert_allclose(single.running_mean, double.running_mean, rtol=2e-7)


def test_one_number_far_off_in_the_first_place_does_no_harm():
    """The mean is taken of differences from the first number: these are then large."""
    z = np.random.default_rng(4).normal(size=(1, 10_000)).astype(np.float32)
    z[0, 0] = 1e4
    layer = LayerNorm(10_000, dtype=np.float32)
    expected = layer.astype(float)(z.astype(float))
    np.testing.assert_allclose(layer(z), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6, -1e-30])
def test_what_is_constant_becomes_the_bias_exactly(value):
    for layer, shape in ((LayerNorm(7), (3, 7)), (GroupNorm(2, 4), (3, 4, 5)), (BatchNorm1d(4), (7, 4))):
        layer.bias[...] = 0.25
        for dtype in (np.float32, np.float64):
            z_next, cache = layer.astype(dtype).forward(np.full(shape, value, dtype))
            assert (z_next == 0.25).all()
            assert np.isfinite(layer.astype(dtype).backward(z_next, cache)).all()
    assert np.isfinite(RMSNorm(7)(np.full((3, 7), value))).all()


def test_a_width_left_out_is_seen_at_inference_too():
    model = build(Sequential(Linear(None, 6), BatchNorm1d(None), LayerNorm(None)), (3,))
    assert model.layers[1].running_mean.shape == (6,)
    assert model.layers[2].weight.shape == (6,)
    assert build(BatchNorm2d(None), (3, 4, 4)).num_batches_tracked == 0


@pytest.mark.parametrize("layer", [GroupNorm(2, 4), GroupNorm(4, 4), BatchNorm2d(4), LayerNorm((2, 3))], ids=repr)
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 2, 3, 0), (0, 2, 3, 1)])
def test_the_order_in_memory_is_kept(layer, order):
    z = np.ascontiguousarray(IMAGES.transpose(order)).transpose(np.argsort(order))
    delta = np.ascontiguousarray(RNG.normal(size=z.shape).transpose(order)).transpose(np.argsort(order))
    z_next, cache = layer.forward(z)
    dz = layer.backward(delta, cache)
    assert z_next.strides == z.strides
    assert dz.strides == z.strides
    plain, plain_cache = layer.forward(IMAGES)
    np.testing.assert_allclose(z_next, plain, rtol=1e-13)
    np.testing.assert_allclose(dz, layer.backward(delta.copy(), plain_cache), rtol=1e-12, atol=1e-15)


def test_mixed_types_give_the_wider():
    z = ROWS.astype(np.float32)
    for layer in (LayerNorm(4), BatchNorm1d(4), GroupNorm(2, 4)):
        z_next, cache = layer.forward(z)
        dz, gradients = layer.backpropagate(z_next, cache)
        assert {a.dtype for a in (z_next, dz, layer(z), *gradients.values())} == {np.dtype(float)}


@pytest.mark.parametrize("layer", [LayerNorm(4), RMSNorm(4), GroupNorm(2, 4)], ids=repr)
def test_an_empty_batch_gives_nothing_and_gradients_of_zero(layer):
    z_next, cache = layer.forward(np.zeros((0, 4)))
    dz, gradients = layer.backpropagate(np.zeros((0, 4)), cache)
    assert z_next.shape == dz.shape == (0, 4)
    assert all(g.shape == (4,) and not g.any() for g in gradients.values())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LayerNorm(0), "LayerNorm expects normalized_shape to be a positive integer, got 0"),
        (lambda: LayerNorm(()), r"LayerNorm expects normalized_shape to name an axis or more, got \(\)"),
        (lambda: RMSNorm(4, eps=-1.0), "RMSNorm expects eps to be a finite number of 0 or more, got -1.0"),
        (
            lambda: LayerNorm(3)(ROWS),
            r"LayerNorm\(3\) expects z of shape \(batch, ..., 3\), got \(6, 4\): these are the axes",
        ),
        (lambda: LayerNorm(3)(ROWS), r"these are the axes of normalized_shape, and LayerNorm\(4\) takes these$"),
        (lambda: RMSNorm((5, 3))(SEQUENCES), r"\(batch, ..., 5, 3\), .* and RMSNorm\(\(5, 4\)\) takes these$"),
        (lambda: LayerNorm((5, 4))(ROWS[0]), r"got \(4,\): these are the axes of normalized_shape$"),
        (lambda: LayerNorm((5, 4))(SEQUENCES[0]), r"\(batch, ..., 5, 4\), got \(5, 4\): z\[np.newaxis\] is a batch of"),
        (lambda: GroupNorm(3, 4), "channels that divide into 3 groups, got 4: 1, 2, 4 do"),
        (lambda: GroupNorm(3, None)(ROWS), "channels that divide into 3 groups, got 4: 1, 2, 4 do"),
        (
            lambda: GroupNorm(2, 4)(SEQUENCES),
            r"z of shape \(batch, 4, ...\), got \(3, 5, 4\): the second axis is the channels$",  # 5 are not 2 groups
        ),
        (lambda: GroupNorm(1, 4)(SEQUENCES), r"the second axis is the channels, and GroupNorm\(1, 5\) takes 5$"),
        (lambda: GroupNorm(2, 4)(ROWS[0]), r"z of shape \(batch, 4, ...\), got \(4,\)"),
        (lambda: BatchNorm1d(4, momentum=2), "momentum from 0 to 1, or None for a plain average, got 2"),
        (
            lambda: BatchNorm1d(3)(ROWS),
            r"of shape \(batch, 3\) or \(batch, 3, length\), got \(6, 4\): the second axis is the",
        ),
        (lambda: BatchNorm1d(3)(ROWS), r"the second axis is the channels, and BatchNorm1d\(4\) takes 4$"),
        (lambda: BatchNorm2d(4)(ROWS), r"got \(6, 4\): the second axis is the channels$"),
        (lambda: BatchNorm2d(4)(IMAGES[..., :0]), r"axes of one entry or more, got z of shape .*, 0\): crop less"),
        (lambda: BatchNorm1d(4)(IMAGES), r"\(batch, 4\) or \(batch, 4, length\), got \(3, 4, 2, 3\)"),
        (lambda: BatchNorm2d(None)(ROWS), r"\(batch, num_features, height, width\), got \(6, 4\)"),
        (
            lambda: BatchNorm1d(4).forward(ROWS[:1]),
            r"expects two values or more for each channel in training, got 1 in z of shape \(1, 4\): train on larger",
        ),
        (lambda: BatchNorm2d(4).forward(IMAGES[:0]), "two values or more for each channel in training, got 0"),
        (lambda: BatchNorm1d(None).state(), r"BatchNorm1d\(\?\) has no arrays yet"),
        (lambda: LayerNorm(4).backward(ROWS[:2], LayerNorm(4).forward(ROWS)[1]), "delta of the shape of its output"),
        (
            lambda: BatchNorm1d(4).parameter_gradients(ROWS[:2], BatchNorm1d(4).forward(ROWS)[1]),
            "delta of the shape of its output",
        ),
    ],
)
def test_bad_values_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: LayerNorm(4, elementwise_affine=1),
            r"expects \(elementwise_\)affine to be True or False, got int",
        ),
        (lambda: LayerNorm(4)(ROWS.astype(int)), "expects z of a floating type, got int64"),
        (lambda: BatchNorm1d(4, track_running_stats=None), "expects track_running_stats to be True or False, got None"),
    ],
)
def test_bad_types_are_named(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (LayerNorm((3, 4)), "LayerNorm(3, 4)"),
        (LayerNorm(None), "LayerNorm(?)"),
        (RMSNorm(8), "RMSNorm(8)"),
        (GroupNorm(2, 8), "GroupNorm(8 channels in 2 groups)"),
        (GroupNorm(2, None), "GroupNorm(? channels in 2 groups)"),
        (BatchNorm1d(3), "BatchNorm1d(3)"),
        (BatchNorm2d(None), "BatchNorm2d(?)"),
    ],
)
def test_reprs_teach(layer, said):
    assert repr(layer) == said
