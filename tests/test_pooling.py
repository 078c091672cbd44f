"""Pooling, beside plain loops."""

from itertools import product

import numpy as np
import pytest

from minigrad.layers.global_pooling import GlobalAveragePool, GlobalMaxPool
from minigrad.layers.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    MaxPool1d,
    MaxPool2d,
)

OPTIONS = [
    {"kernel_size": 2},
    {"kernel_size": (3, 1)},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": (2, 3), "stride": (3, 2), "padding": (1, 0)},
    {"kernel_size": 2, "stride": 4},
    {"kernel_size": (2, 3), "stride": (3, 2), "padding": 1, "ceil_mode": True},
    {"kernel_size": 2, "padding": 1, "ceil_mode": True},
]
DILATED = [
    {"kernel_size": (2, 3), "stride": 1, "dilation": (3, 2)},
    {"kernel_size": 2, "padding": 1, "dilation": 3},
    {"kernel_size": 2, "dilation": 2},  # windows that interlock, at a stride of their size
]


def normal(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).normal(size=shape)


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def windows(shape, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """{(r, s): [(h, w), ...]} with what is inside of the image, row by row."""
    kernel, step, pad, apart = map(pair, (kernel_size, stride or kernel_size, padding, dilation))
    lines = []
    for axis in (0, 1):
        line, start, length = [], -pad[axis], shape[axis]
        while True:
            entries = [start + i * apart[axis] for i in range(kernel[axis])]
            sticks_out = entries[-1] >= length + pad[axis]
            if sticks_out and not (ceil_mode and start < length and line and line[-1][-1] < length + pad[axis] - 1):
                break
            line.append(entries)
            start += step[axis]
        lines.append(line)
    return {
        (r, s): [(h, w) for h, w in product(rows, columns) if 0 <= h < shape[0] and 0 <= w < shape[1]]
        for (r, rows), (s, columns) in product(enumerate(lines[0]), enumerate(lines[1]))
    }


def pooled(layer, z):
    z_next, cache = layer.forward(z)
    delta = normal(*z_next.shape, seed=1)
    return z_next, delta, layer.backward(delta, cache)


@pytest.mark.parametrize("options", OPTIONS + DILATED, ids=str)
@pytest.mark.parametrize("whole", [False, True], ids=["", "ties"])
def test_max_pool2d_is_the_first_largest_of_each_window(options, whole):
    z = np.round(normal(2, 3, 7, 6)) if whole else normal(2, 3, 7, 6)
    z_next, delta, dz = pooled(MaxPool2d(**options), z)
    expected, expected_dz = np.full_like(z_next, np.nan), np.zeros_like(z)
    for place, inside in windows((7, 6), **options).items():
        for n, c in product(range(2), range(3)):
            first = max(inside, key=lambda entry, n=n, c=c: z[n, c, *entry])  # max takes the first of equals
            expected[n, c, *place] = z[n, c, *first]
            expected_dz[n, c, *first] += delta[n, c, *place]
    np.testing.assert_array_equal(z_next, expected)
    np.testing.assert_allclose(dz, expected_dz, atol=1e-14)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("include", [True, False])
def test_avg_pool2d_is_the_mean_of_each_window(options, include):
    z = normal(2, 3, 7, 6)
    z_next, delta, dz = pooled(AvgPool2d(**options, count_include_pad=include), z)
    expected, expected_dz = np.full_like(z_next, np.nan), np.zeros_like(z)
    pad = pair(options.get("padding", 0))
    wide = (7 + 2 * pad[0], 6 + 2 * pad[1])
    padded = windows(wide, options["kernel_size"], options.get("stride"), 0, 1, options.get("ceil_mode", False))
    for place, inside in windows((7, 6), **options).items():
        count = len(padded[place]) if include else len(inside)
        expected[:, :, *place] = sum(z[:, :, *entry] for entry in inside) / count
        for entry in inside:
            expected_dz[:, :, *entry] += delta[:, :, *place] / count
    np.testing.assert_allclose(z_next, expected, atol=1e-14)
    np.testing.assert_allclose(dz, expected_dz, atol=1e-14)


@pytest.mark.parametrize("size", [1, (3, 2), (7, 6), (2, 9), (5, 4)])
def test_adaptive_avg_pool2d_is_the_mean_of_bins_from_floor_to_ceiling(size):
    z = normal(2, 3, 7, 6)
    z_next, delta, dz = pooled(AdaptiveAvgPool2d(size), z)
    rows, columns = pair(size)
    assert z_next.shape == (2, 3, rows, columns)
    expected_dz = np.zeros_like(z)
    for r, s in product(range(rows), range(columns)):
        part = ..., slice(int(r * 7 / rows), int(np.ceil((r + 1) * 7 / rows))), slice(s * 6 // columns, None)
        part = (*part[:2], slice(part[2].start, int(np.ceil((s + 1) * 6 / columns))))
        np.testing.assert_allclose(z_next[:, :, r, s], z[part].mean(axis=(2, 3)), atol=1e-14)
        expected_dz[part] += (delta[:, :, r, s] / z[0, 0][part].size)[:, :, np.newaxis, np.newaxis]
    np.testing.assert_allclose(dz, expected_dz, atol=1e-14)


@pytest.mark.parametrize(
    ("line", "image"),
    [
        (MaxPool1d(3, 2, 1), MaxPool2d((1, 3), (1, 2), (0, 1))),
        (MaxPool1d(2, dilation=3, ceil_mode=True), MaxPool2d((1, 2), dilation=(1, 3), ceil_mode=True)),
        (AvgPool1d(3, 2, 1, True, False), AvgPool2d((1, 3), (1, 2), (0, 1), True, False)),
        (AdaptiveAvgPool1d(4), AdaptiveAvgPool2d((1, 4))),
    ],
    ids=repr,
)
def test_a_sequence_is_an_image_of_one_row(line, image):
    z = normal(2, 3, 11)
    z_next, delta, dz = pooled(line, z)
    expected, cache = image.forward(z[:, :, np.newaxis])
    assert np.array_equal(z_next, expected[:, :, 0])
    assert np.array_equal(dz, image.backward(delta[:, :, np.newaxis], cache)[:, :, 0])


@pytest.mark.parametrize("spatial", [(6,), (4, 5), (2, 3, 2)])
def test_global_pools_reduce_all_axes_after_the_second(spatial):
    z = normal(2, 3, *spatial)
    z_next, delta, dz = pooled(GlobalAveragePool(), z)
    spread = (delta / np.prod(spatial)).reshape(2, 3, *(1,) * len(spatial))
    np.testing.assert_allclose(z_next, z.mean(axis=tuple(range(2, z.ndim))), atol=1e-15)
    np.testing.assert_allclose(dz, np.broadcast_to(spread, z.shape), rtol=1e-15)
    z_next, delta, dz = pooled(GlobalMaxPool(), z)
    np.testing.assert_array_equal(z_next, z.reshape(2, 3, -1).max(axis=2))
    np.testing.assert_array_equal(dz[dz != 0], delta[delta != 0])
    np.testing.assert_array_equal(z[dz != 0].reshape(2, 3), z_next)


def test_of_equal_numbers_the_first_one_has_the_delta():
    for layer in (MaxPool2d(2), MaxPool2d((2, 2), (1, 1))):
        z_next, cache = layer.forward(np.ones((1, 1, 2, 2)))
        np.testing.assert_array_equal(layer.backward(np.full_like(z_next, 7.0), cache), [[[[7, 0], [0, 0]]]])
    z_next, cache = GlobalMaxPool().forward(np.ones((1, 1, 2, 2)))
    np.testing.assert_array_equal(GlobalMaxPool().backward(np.full_like(z_next, 7.0), cache), [[[[7, 0], [0, 0]]]])


def test_complex_numbers_are_chosen_by_the_real_part_and_of_equals_the_first():
    z = np.array([[[[1 + 9j, 2 - 1j], [2 + 5j, 0 + 99j]]]])
    for layer in (MaxPool2d(2), MaxPool2d(2, 1), GlobalMaxPool()):
        z_next, cache = layer.forward(z)
        assert z_next.ravel() == [2 - 1j]
        np.testing.assert_array_equal(layer.backward(np.full_like(z_next, 3j), cache), [[[[0, 3j], [0, 0]]]])


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_nan_is_the_largest_in_its_windows_and_in_no_other(dtype):
    for i in range(4):
        z = np.arange(8, dtype=dtype).reshape(1, 2, 2, 2)
        z[0, 0].flat[i] = np.nan
        for layer in (MaxPool2d(2), GlobalMaxPool(), AvgPool2d(2), GlobalAveragePool(), AdaptiveAvgPool2d(1)):
            z_next, cache = layer.forward(z)
            assert np.isnan(z_next[0, 0]).all()
            assert np.isfinite(z_next[0, 1]).all()
            assert layer.backward(np.ones_like(z_next), cache)[0, 0].sum() == 1  # no delta is lost


def test_padding_is_never_the_largest():
    z = np.full((1, 1, 3, 3), -np.inf)
    z[0, 0, 1, 1] = -5
    z_next, cache = MaxPool2d(2, 2, 1).forward(z)
    np.testing.assert_array_equal(z_next, [[[[-np.inf, -np.inf], [-np.inf, -5]]]])
    dz = MaxPool2d(2, 2, 1).backward(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), cache)
    np.testing.assert_array_equal(dz, [[[[1, 2, 0], [3, 4, 0], [0, 0, 0]]]])


@pytest.mark.parametrize("layer", [MaxPool2d(2), AvgPool2d(2), AdaptiveAvgPool2d(2)], ids=repr)
def test_the_order_in_memory_stays(layer):
    z = np.ascontiguousarray(normal(5, 3, 6, 4).transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)
    z_next, cache = layer.forward(z)
    assert z_next.transpose(1, 2, 3, 0).flags.c_contiguous
    assert layer.backward(z_next, cache).transpose(1, 2, 3, 0).flags.c_contiguous


def test_max_pool2d_takes_a_delta_in_another_order():
    z = np.ascontiguousarray(normal(5, 3, 6, 4).transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)
    z_next, cache = MaxPool2d(2).forward(z)
    delta = normal(*z_next.shape)
    dz = MaxPool2d(2).backward(delta, cache)
    assert dz.transpose(1, 2, 3, 0).flags.c_contiguous
    assert np.array_equal(dz, MaxPool2d(2).backward(delta, MaxPool2d(2).forward(z.copy(order="C"))[1]))


@pytest.mark.parametrize(
    "layer",
    [MaxPool2d(2), AvgPool2d(2, padding=1), AdaptiveAvgPool2d(2), GlobalAveragePool(), GlobalMaxPool()],
    ids=repr,
)
def test_an_empty_batch(layer):
    z_next, cache = layer.forward(np.zeros((0, 3, 4, 4)))
    assert len(z_next) == 0
    assert layer.backward(z_next, cache).shape == (0, 3, 4, 4)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (MaxPool2d(2), "MaxPool2d(2x2)"),
        (MaxPool1d(3, 2, 1, 2, ceil_mode=True), "MaxPool1d(3, stride 2, padding 1, dilation 2, ceil_mode)"),
        (AvgPool2d((3, 2), (2, 1), count_include_pad=False), "AvgPool2d(3x2, stride 2x1, count_include_pad=False)"),
        (AdaptiveAvgPool2d((3, 2)), "AdaptiveAvgPool2d(3x2)"),
        (AdaptiveAvgPool1d(5), "AdaptiveAvgPool1d(5)"),
    ],
)
def test_the_repr_says_what_is_not_by_default(layer, text):
    assert repr(layer) == text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxPool2d(0), "MaxPool2d expects kernel_size to be a positive integer, or 2 of them.* got 0"),
        (lambda: MaxPool2d(2, 0), "MaxPool2d expects stride to be a positive integer.* got 0"),
        (lambda: MaxPool1d((2, 2)), r"MaxPool1d expects kernel_size to be a positive integer, got \(2, 2\)"),
        (lambda: AvgPool2d((3, 2), padding=(1, 2)), "padding of at most half its kernel, 1x1, got 1x2: else a window"),
        (lambda: AdaptiveAvgPool2d(0), "AdaptiveAvgPool2d expects output_size to be a positive integer.* got 0"),
    ],
)
def test_arguments_that_make_no_layer(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (MaxPool2d(2), (3, 8, 8), r"MaxPool2d\(2x2\) expects z of shape \(batch, channels, height, width\), got"),
        (AvgPool1d(2), (3, 4, 8, 8), "it has 4 axes, not 3"),
        (MaxPool2d((2, 5)), (2, 3, 4, 4), "at least its kernel, 2x5, got 4x4 with the padding"),
        (AvgPool2d(5), (2, 3, 4, 4), "at least its kernel, 5x5, got 4x4 with the padding"),
        (AdaptiveAvgPool2d(2), (2, 3, 0, 4), "spatial axes of one entry or more"),
        (GlobalMaxPool(), (2, 3, 0), "spatial axes of one entry or more"),
        (GlobalAveragePool(), (2, 3), "one axis or more to pool over, got .*Flatten comes after it"),
    ],
)
def test_inputs_that_do_not_fit(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer.forward(np.zeros(shape))


@pytest.mark.parametrize(
    "layer", [MaxPool2d(2), AvgPool2d(2), AdaptiveAvgPool2d(2), GlobalAveragePool(), GlobalMaxPool()]
)
def test_deltas_and_types_that_do_not_fit(layer):
    z = np.zeros((2, 3, 4, 4))
    z_next, cache = layer.forward(z)
    with pytest.raises(ValueError, match="expects delta of the shape of its output"):
        layer.backward(z_next[:1], cache)
    with pytest.raises(TypeError, match="of a floating type, got int64"):
        layer.forward(z.astype(int))


def test_the_delta_of_a_window_with_nan_goes_to_the_nan():
    layer = MaxPool1d(3)
    z = np.array([[[1.0, 2.0, np.nan, 4.0, 6.0, 5.0]]])
    z_next, cache = layer.forward(z)
    np.testing.assert_array_equal(z_next, [[[np.nan, 6.0]]])
    np.testing.assert_array_equal(layer.backward(np.ones((1, 1, 2)), cache), [[[0, 0, 1, 0, 1, 0]]])


@pytest.mark.parametrize("layer", [AvgPool1d(2), AdaptiveAvgPool1d(2), MaxPool1d(2), GlobalAveragePool()], ids=repr)
def test_a_delta_of_integers_is_refused(layer):
    z_next, cache = layer.forward(np.zeros((1, 1, 4)))
    with pytest.raises(TypeError, match="expects delta of a floating type, got int64"):
        layer.backward(np.ones(z_next.shape, int), cache)


@pytest.mark.parametrize("layer", [MaxPool1d(2, padding=1), AvgPool1d(2, padding=1)], ids=repr)
def test_nothing_to_pool_is_refused(layer):
    with pytest.raises(ValueError, match="expects spatial axes of one entry or more"):
        layer(np.zeros((1, 1, 0)))


def test_flags_of_pools_are_looked_at():
    with pytest.raises(TypeError, match="AvgPool2d expects ceil_mode to be True or False, got int"):
        AvgPool2d(3, 2, 1, 2)
