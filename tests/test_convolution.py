"""Convolutions, beside plain loops."""

from itertools import product

import numpy as np
import pytest

from minigrad import build
from minigrad.initializers import constant
from minigrad.layers import patches
from minigrad.layers.convolution import Conv1d, Conv2d, ConvTranspose2d
from minigrad.layers.windows import Window

OPTIONS = [
    {},
    {"padding": 1},
    {"stride": 2},
    {"stride": (1, 3), "padding": (2, 0)},
    {"dilation": (2, 1), "padding": 1, "bias": False},
    {"groups": 2},
    {"groups": 2, "stride": 3, "padding": (0, 2), "dilation": (1, 2)},
]


def normal(*shape, dtype=np.float64, seed=0):
    rng = np.random.default_rng((seed, *shape))
    z = rng.normal(size=shape)
    return (z + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else z).astype(dtype)


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def terms(weight, z_shape, lengths, stride=1, padding=0, dilation=1, groups=1, bias=True):
    """(o, (r, s), c, (i, j), (h, w)): output o at r, s reads input c at h, w, by weight[o, c mod its group, i, j]."""
    stride, padding, dilation = pair(stride), pair(padding), pair(dilation)
    outputs, channels, *kernel = weight.shape
    for o, c in product(range(outputs), range(channels)):
        for place in product(*map(range, lengths)):
            for entry in product(*map(range, kernel)):
                read = tuple(place[a] * stride[a] + entry[a] * dilation[a] - padding[a] for a in (0, 1))
                if all(0 <= read[a] < z_shape[a + 2] for a in (0, 1)):
                    yield o, place, c, o // (outputs // groups) * channels + c, entry, read


def by_loops(layer, z, delta, **options):
    """z_next without the bias, dz and dweight of a Conv2d."""
    z_next, dz, dweight = np.zeros_like(delta), np.zeros_like(z), np.zeros_like(layer.weight)
    for o, place, c, channel, entry, read in terms(layer.weight, z.shape, delta.shape[2:], **options):
        z_next[:, o, *place] += layer.weight[o, c, *entry] * z[:, channel, *read]
        dz[:, channel, *read] += layer.weight[o, c, *entry] * delta[:, o, *place]
        dweight[o, c, *entry] += (delta[:, o, *place] * z[:, channel, *read]).sum()
    return z_next, dz, dweight


def transposed_by_loops(layer, z, delta, **options):
    """z_next without the bias, dz and dweight of a ConvTranspose2d, whose output is what a Conv2d would read."""
    z_next, dz, dweight = np.zeros_like(delta), np.zeros_like(z), np.zeros_like(layer.weight)
    for o, place, c, channel, entry, read in terms(layer.weight, delta.shape, z.shape[2:], **options):
        z_next[:, channel, *read] += layer.weight[o, c, *entry] * z[:, o, *place]
        dz[:, o, *place] += layer.weight[o, c, *entry] * delta[:, channel, *read]
        dweight[o, c, *entry] += (z[:, o, *place] * delta[:, channel, *read]).sum()
    return z_next, dz, dweight


def agree(layer, z, oracle, **options):
    z_next, cache = layer.forward(z)
    delta = normal(*z_next.shape, dtype=z_next.dtype, seed=1)
    dz, gradients = layer.backpropagate(delta, cache)
    expected_next, expected_dz, expected_dweight = oracle(layer, z, delta, **options)
    if layer.bias is not None:
        expected_next = expected_next + layer.bias[:, np.newaxis, np.newaxis]
        np.testing.assert_allclose(gradients["bias"], delta.sum(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(z_next, expected_next, atol=1e-13)
    np.testing.assert_allclose(dz, expected_dz, atol=1e-13)
    np.testing.assert_allclose(gradients["weight"], expected_dweight, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_conv2d_is_the_sum_over_windows(options, dtype):
    layer = Conv2d(4, 6, (2, 3), **options, rng=0).astype(dtype)
    agree(
        layer,
        normal(3, 4, 6, 5, dtype=dtype),
        by_loops,
        **options,
    )


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_conv_transpose2d_adds_the_windows(options, dtype):
    layer = ConvTranspose2d(4, 6, (2, 3), **options, rng=0).astype(dtype)
    agree(layer, normal(3, 4, 4, 3, dtype=dtype), transposed_by_loops, **options)


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 3}, {"dilation": 2, "groups": 2}])
def test_conv1d_is_conv2d_on_one_row(options):
    layer = Conv1d(4, 6, 3, **options, rng=0)
    across = {name: (0 if name == "padding" else 1, value) for name, value in options.items() if name != "groups"}
    image = Conv2d(4, 6, (1, 3), **across, groups=options.get("groups", 1))
    image = image.with_parameters({"weight": layer.weight[:, :, np.newaxis], "bias": layer.bias})
    z = normal(3, 4, 9)
    z_next, cache = layer.forward(z)
    delta = normal(*z_next.shape)
    dz, gradients = layer.backpropagate(delta, cache)
    expected_next, image_cache = image.forward(z[:, :, np.newaxis])
    expected_dz, expected = image.backpropagate(delta[:, :, np.newaxis], image_cache)
    assert np.array_equal(z_next, expected_next[:, :, 0])
    assert np.array_equal(dz, expected_dz[:, :, 0])
    assert np.array_equal(gradients["weight"], expected["weight"][:, :, 0])
    assert np.array_equal(gradients["bias"], expected["bias"])


def test_conv1d_by_hand():
    layer = Conv1d(1, 1, 2, weight_initializer=constant(1.0), bias_initializer=constant(10.0))
    z_next, cache = layer.forward(np.array([[[1.0, 2.0, 4.0]]]))
    np.testing.assert_array_equal(z_next, [[[13.0, 16.0]]])
    np.testing.assert_array_equal(layer.backward(np.array([[[1.0, 5.0]]]), cache), [[[1.0, 6.0, 5.0]]])


@pytest.mark.parametrize("most", [1, 2, 5, 11, 24, 1000])
def test_tiles_put_together_are_the_whole(monkeypatch, most):
    """Tiles that divide the batch, the columns and the rows."""
    for name, value in (("SMALL", 0), ("ROOM", 0), ("POSITIONS", most)):
        monkeypatch.setattr(patches, name, value)
    agree(Conv2d(2, 3, 2, padding=1, rng=0), normal(3, 2, 3, 4), by_loops, padding=1)
    agree(ConvTranspose2d(2, 3, 2, 2, rng=0), normal(3, 2, 3, 2), transposed_by_loops, stride=2)


@pytest.mark.parametrize(
    ("kernel", "dilation", "before", "after"), [(3, 1, 1, 1), (2, 1, 0, 1), (4, 1, 1, 2), (2, 3, 1, 2), (1, 1, 0, 0)]
)
def test_same_padding_keeps_the_size_and_puts_more_behind(kernel, dilation, before, after):
    same = Conv1d(2, 3, kernel, padding="same", dilation=dilation, rng=0)
    valid = Conv1d(2, 3, kernel, padding="valid", dilation=dilation, rng=0)
    z = normal(2, 2, 7)
    assert same(z).shape == (2, 3, 7)
    np.testing.assert_allclose(same(z), valid(np.pad(z, ((0, 0), (0, 0), (before, after)))), rtol=1e-12)


def test_conv_transpose2d_has_the_rules_of_conv2d_exchanged():
    down, z = Conv2d(4, 6, 3, 2, 1, groups=2, bias=False, rng=0), normal(3, 4, 8, 6)
    up = ConvTranspose2d(6, 4, 3, 2, 1, 1, groups=2, bias=False).with_parameters({"weight": down.weight})
    small, cache = down.forward(z)
    delta = normal(*small.shape)
    assert np.array_equal(up(delta), down.backward(delta, cache))
    assert np.array_equal(up.backward(z, up.forward(delta)[1]), small)


def test_output_padding_adds_room_at_the_end():
    z = normal(2, 3, 3, 4)
    plain, padded = ConvTranspose2d(3, 2, 3, 3, rng=0), ConvTranspose2d(3, 2, 3, 3, output_padding=(1, 2), rng=0)
    assert plain(z).shape == (2, 2, 9, 12)
    assert padded(z).shape == (2, 2, 10, 14)
    assert np.array_equal(padded(z)[:, :, :9, :12], plain(z))
    assert np.array_equal(padded(z)[:, :, 9:], np.broadcast_to(plain.bias[:, np.newaxis, np.newaxis], (2, 2, 1, 14)))


def test_output_padding_up_to_the_dilation():
    layer = ConvTranspose2d(2, 3, 2, dilation=3, output_padding=2, rng=0)
    agree(layer, normal(2, 2, 2, 3), transposed_by_loops, dilation=3)


@pytest.mark.parametrize("layer", [Conv2d(3, 4, 3, padding=1), ConvTranspose2d(3, 4, 2, 2)], ids=repr)
def test_an_empty_batch_has_gradients_of_zero(layer):
    z_next, cache = layer.forward(np.zeros((0, 3, 5, 5)))
    dz, gradients = layer.backpropagate(z_next, cache)
    assert z_next.shape[:2] == (0, 4)
    assert dz.shape == (0, 3, 5, 5)
    assert not gradients["weight"].any()
    assert not gradients["bias"].any()


def test_the_batch_lies_innermost_and_such_an_input_is_read_in_place():
    z = normal(5, 3, 6, 4)
    z_next, cache = Conv2d(3, 4, 3, padding=1).forward(z)
    assert cache is z
    assert z_next.transpose(1, 2, 3, 0).flags.c_contiguous
    assert np.shares_memory(patches._padded(z_next, (Window(3), Window(3)), z.dtype), z_next)


def test_different_precisions_give_the_wider():
    layer = Conv2d(3, 4, 3, bias=False)
    z_next, cache = layer.forward(normal(2, 3, 5, 5, dtype=np.float32))
    assert z_next.dtype == np.float64
    half = Conv2d(3, 4, 3, bias_initializer=constant(0.1), dtype=np.float32)
    half.bias = half.bias.astype(np.float64) + 1e-12
    assert half(normal(2, 3, 5, 5, dtype=np.float32)).dtype == np.float64
    assert layer.backward(z_next.astype(np.float32), cache).dtype == np.float64


@pytest.mark.parametrize(
    ("layer", "bound", "shape"),
    [
        (Conv2d(8, 16, (3, 5), groups=2, rng=0), (4 * 3 * 5) ** -0.5, (16, 4, 3, 5)),
        (Conv1d(8, 64, 3, rng=0), 24**-0.5, (64, 8, 3)),
        (ConvTranspose2d(8, 16, 3, groups=4, rng=0), (4 * 9) ** -0.5, (8, 4, 3, 3)),
    ],
    ids=repr,
)
def test_weights_start_uniform_as_in_pytorch(layer, bound, shape):
    assert layer.weight.shape == shape
    assert 0.9 * bound < abs(layer.weight).max() <= bound
    assert 0.5 * bound < abs(layer.bias).max() <= bound


def test_channels_that_were_left_out_come_from_the_first_batch():
    layer = Conv2d(None, 4, 3, groups=2)
    assert repr(layer) == "Conv2d(? -> 4, kernel 3x3, groups 2)"
    assert build(layer, (6, 5, 5)).weight.shape == (4, 3, 3, 3)
    with pytest.raises(ValueError, match="expects in_channels to divide into 2 groups, got 5"):
        Conv2d(None, 4, 3, groups=2).forward(np.zeros((1, 5, 5, 5)))


def test_a_refused_batch_leaves_the_channels_open():
    layer = Conv2d(None, 4, 3, groups=2)
    for z in (np.zeros((1, 5, 5, 5)), np.zeros((1, 6, 2, 2))):
        with pytest.raises(ValueError, match="Conv2d"):
            layer.forward(z)
        assert layer.in_channels is None
    assert layer(np.zeros((1, 4, 5, 5))).shape == (1, 4, 3, 3)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (Conv1d(3, 4, 5), "Conv1d(3 -> 4, kernel 5)"),
        (Conv2d(3, 4, 3, 2), "Conv2d(3 -> 4, kernel 3x3, stride 2)"),
        (Conv2d(3, 4, 3, padding=(1, 0), bias=False), "Conv2d(3 -> 4, kernel 3x3, padding 1x0, bias=False)"),
        (Conv2d(3, 4, 3, padding="same", dilation=2), "Conv2d(3 -> 4, kernel 3x3, padding same, dilation 2)"),
        (
            ConvTranspose2d(4, 2, 3, 2, 1, 1, 2),
            "ConvTranspose2d(4 -> 2, kernel 3x3, stride 2, padding 1, output_padding 1, groups 2)",
        ),
    ],
)
def test_the_repr_says_what_is_not_by_default(layer, text):
    assert repr(layer) == text


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Conv2d(0, 4, 3), ValueError, "Conv2d expects in_channels to be a positive integer, got 0"),
        (lambda: Conv2d(3, 4, 0), ValueError, r"kernel_size to be a positive integer, or 2 of them, \(height, width\)"),
        (lambda: Conv2d(3, 4, (3, 3, 3)), ValueError, r"kernel_size .* got \(3, 3, 3\)"),
        (lambda: Conv1d(3, 4, 2.5), ValueError, r"Conv1d expects kernel_size to be a positive integer, got 2.5"),
        (lambda: Conv2d(3, 4, 3, stride=0), ValueError, "Conv2d expects stride to be a positive integer.* got 0"),
        (lambda: Conv2d(3, 4, 3, padding=-1), ValueError, "padding to be an integer of 0 or more.* got -1"),
        (lambda: Conv2d(3, 4, 3, padding="full"), ValueError, "integers, 'same' or 'valid', got 'full'"),
        (lambda: Conv2d(3, 4, 3, 2, "same"), ValueError, "expects stride 1 with padding='same', got 2x2"),
        (lambda: Conv2d(3, 4, 3, dilation=True), ValueError, "Conv2d expects dilation .* got True"),
        (lambda: Conv2d(3, 4, 3, groups=2), ValueError, "in_channels to divide into 2 groups, got 3: groups divides"),
        (lambda: Conv2d(4, 3, 3, groups=2), ValueError, "out_channels to divide into 2 groups, got 3"),
        (lambda: Conv2d(3, 4, 3, bias=0.0), TypeError, "bias to be True or False, got float: see bias_initializer"),
        (lambda: ConvTranspose2d(3, 4, 3, padding="same"), ValueError, "padding to be integers, got 'same'"),
        (lambda: ConvTranspose2d(3, 4, 3, 2, 0, 2), ValueError, "output_padding to be less than stride or dilation"),
    ],
)
def test_arguments_that_make_no_layer(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            Conv2d(3, 4, 3),
            (3, 8, 8),
            r"\(batch, 3, height, width\), got \(3, 8, 8\): a batch of one is z\[np.newaxis\]",
        ),
        (Conv2d(1, 4, 3), (5, 8, 8), r"images of one channel are z\[:, np.newaxis\]"),
        (Conv2d(3, 4, 3), (5, 8, 8, 3), r"np.moveaxis\(z, -1, 1\) puts the channels, now last, in second place"),
        (Conv2d(3, 4, 3), (5, 4, 8, 8), r"the second axis holds the channels, and Conv2d\(4, \.\.\.\) takes 4"),
        (Conv2d(None, 4, 3, groups=2), (5, 3, 8, 8), "expects in_channels to divide into 2 groups, got 3"),
        (ConvTranspose2d(None, 4, 3, groups=2), (5, 3, 8, 8), "expects in_channels to divide into 2 groups, got 3"),
        (Conv2d(3, 4, 3), (5, 192), "it has 2 axes, not 4"),
        (Conv1d(3, 4, 3), (5, 4, 8), r"\(batch, 3, length\), got \(5, 4, 8\)"),
        (Conv2d(3, 4, (3, 5)), (2, 3, 3, 4), r"at least its kernel, 3x5, got 3x4 with the padding.*pad more"),
        (Conv2d(3, 4, 3, padding=1, dilation=4), (2, 3, 6, 8), "at least its kernel, 9x9, got 8x10 with the padding"),
        (ConvTranspose2d(3, 4, 2, padding=1), (2, 3, 1, 4), "an output of some size, got 0x3 .*padding takes away"),
    ],
)
def test_inputs_that_do_not_fit(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer.forward(np.zeros(shape))
    with pytest.raises(ValueError, match=message):
        layer.output_shape(shape)


@pytest.mark.parametrize("layer", [Conv1d(3, 4, 3), Conv2d(3, 4, 3), ConvTranspose2d(3, 4, 3)], ids=repr)
def test_deltas_and_types_that_do_not_fit(layer):
    z = np.zeros((2, 3, 8, 8)[: layer.rank + 2])
    z_next, cache = layer.forward(z)
    for rule in (layer.backward, layer.parameter_gradients):
        with pytest.raises(ValueError, match="expects delta of the shape of its output"):
            rule(z_next[:1], cache)
    with pytest.raises(TypeError, match="of a floating type, got int64"):
        layer.forward(z.astype(int))
