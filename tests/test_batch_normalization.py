"""Running statistics of batch normalisation: loops, inference, copies, saving."""

import copy
import math
import pickle

import numpy as np
import pytest

from minigrad import Linear, Sequential
from minigrad.layers.batch_normalization import BatchNorm1d, BatchNorm2d

RNG = np.random.default_rng(0)
ROWS = RNG.normal(2, 3, (6, 4))


@pytest.mark.parametrize("momentum", [0.1, 1.0, 0.0, None])
@pytest.mark.parametrize(("make", "shape"), [(BatchNorm1d, (3,)), (BatchNorm1d, (3, 5)), (BatchNorm2d, (3, 2, 5))])
def test_running_statistics_against_a_loop(make, shape, momentum):
    rng = np.random.default_rng(5)
    layer = make(3, momentum=momentum)
    mean, variance = np.zeros(3), np.ones(3)
    for i in range(4):
        batch = rng.normal(rng.normal(size=(3, *[1] * (len(shape) - 1))), 2, (rng.integers(2, 6), *shape))
        layer.forward(batch)
        rate = 1 / (i + 1) if momentum is None else momentum
        for c in range(3):
            numbers = batch[:, c].ravel()
            mean[c] += rate * (numbers.mean() - mean[c])
            variance[c] += rate * (numbers.var(ddof=1) - variance[c])
        np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(layer.running_var, variance, rtol=1e-12)
        assert layer.num_batches_tracked == i + 1
    by_channel = [a.reshape(3, *[1] * (len(shape) - 1)) for a in (mean, variance)]
    batch = rng.normal(size=(1, *shape))
    np.testing.assert_allclose(layer(batch), (batch - by_channel[0]) / np.sqrt(by_channel[1] + 1e-5), atol=1e-12)


def test_inference_uses_parameters_and_moves_nothing():
    layer = BatchNorm1d(4).with_parameters({"weight": np.arange(4.0), "bias": np.ones(4)})
    before = copy.deepcopy(layer.state())
    assert list(before) == ["running_mean", "running_var", "num_batches_tracked"]
    assert np.allclose(layer(ROWS), ROWS / math.sqrt(1 + 1e-5) * np.arange(4.0) + 1, rtol=1e-14)
    assert np.allclose(layer(ROWS[:1]), layer(ROWS)[:1], rtol=1e-15)
    assert all(np.array_equal(layer.state()[name], before[name]) for name in before)


def test_a_copy_with_other_parameters_moves_its_own_statistics():
    layer = BatchNorm1d(4)
    twin = layer.with_parameters({"weight": np.ones(4)})
    twin.forward(ROWS)
    assert twin.num_batches_tracked == 1
    assert layer.num_batches_tracked == 0
    assert not layer.running_mean.any()


def test_without_tracking_inference_is_of_the_batch():
    layer = BatchNorm1d(4, track_running_stats=False)
    assert layer.state() == {}
    assert np.array_equal(layer(ROWS), layer.forward(ROWS)[0])


def test_state_has_the_names_of_pytorch_in_a_stack_and_can_be_saved():
    model = Sequential(Linear(4, 3, rng=0), BatchNorm1d(3))
    model.forward(ROWS)
    saved = pickle.loads(pickle.dumps(model.parameters() | model.state()))
    assert list(saved) == [
        *("0.weight", "0.bias", "1.weight", "1.bias"),
        *("1.running_mean", "1.running_var", "1.num_batches_tracked"),
    ]
    assert saved["1.num_batches_tracked"].dtype.kind == "i"


def test_a_complex_step_moves_statistics_by_its_real_part():
    layer, plain = BatchNorm1d(4), BatchNorm1d(4)
    layer.forward(ROWS + 1e-30j * RNG.normal(size=ROWS.shape))
    plain.forward(ROWS)
    np.testing.assert_allclose(layer.running_mean, plain.running_mean, rtol=1e-14)
    assert layer.running_var.dtype == np.float64


def test_a_refused_batch_moves_no_statistics():
    layer = BatchNorm1d(4)
    with pytest.raises(ValueError, match="two values"):
        layer.forward(ROWS[:1])
    assert layer.num_batches_tracked == 0
