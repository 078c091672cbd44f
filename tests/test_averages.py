"""Averages of parameters: PyTorch's numbers, in and out of their place."""

import copy
import json
import pickle

import numpy as np
import pytest

from minigrad import BatchNorm1d, FlatParameters, Linear, Sequential, Tanh
from minigrad.optim.averages import EMA, SWA, Average
from minigrad.optim.groups import BLOCK
from minigrad.optim.sgd import SGD

KINDS = {"EMA": lambda cost: EMA(cost, 0.9), "SWA": SWA}


def model(dtype=np.float64):
    return Sequential(Linear(3, 4, rng=0, dtype=dtype), Tanh(), Linear(4, 2, rng=1, dtype=dtype))


def walk(cost, rng):
    for array in cost.parameters().values():
        array += rng.normal(size=array.shape).astype(array.dtype)


def values(cost):
    return {name: array.copy() for name, array in cost.parameters().items()}


def assert_same(after, before):
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_an_average_is_pytorchs(kind):
    torch = pytest.importorskip("torch")
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    cost = model()
    other = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
    theirs = AveragedModel(other, multi_avg_fn=get_ema_multi_avg_fn(0.9) if kind == "EMA" else None)
    ours = KINDS[kind](cost)
    rng = np.random.default_rng(0)
    for _ in range(40):
        walk(cost, rng)
        with torch.no_grad():
            for name, tensor in other.named_parameters():
                tensor.copy_(torch.tensor(cost.parameters()[name]))
        ours.update()
        theirs.update_parameters(other)
        for name, tensor in theirs.module.named_parameters():
            np.testing.assert_allclose(ours.parameters()[name], tensor.detach().numpy(), rtol=1e-12, atol=1e-13)


def test_the_formulas_over_several_blocks():
    layer = Linear(BLOCK // 2 + 3, 3, rng=0)
    history = []
    ema, swa = EMA(layer, 0.75), SWA(layer)
    rng = np.random.default_rng(0)
    for _ in range(4):
        walk(layer, rng)
        history.append(layer.weight.copy())
        ema.update()
        swa.update()
    np.testing.assert_allclose(swa.parameters()["weight"], np.mean(history, axis=0), rtol=1e-13, atol=1e-14)
    a, b, c, d = history
    weighted = 0.75**3 * a + 0.25 * (0.75**2 * b + 0.75 * c + d)
    np.testing.assert_allclose(ema.parameters()["weight"], weighted, rtol=1e-13, atol=1e-14)


def test_half_precision_is_averaged_in_single():
    cost = model(np.float16)
    ema = EMA(cost, 0.9999)
    ema.update()
    before = values(cost)
    for array in cost.parameters().values():
        array += np.float16(1)
    for _ in range(2000):
        ema.update()
    for name, array in ema.parameters().items():
        assert array.dtype == np.float16
        np.testing.assert_allclose(array, before[name] + (1 - 0.9999**2000), atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_applied_puts_the_averages_in_and_takes_them_out(kind):
    cost = model()
    average = KINDS[kind](cost)
    rng = np.random.default_rng(0)
    for _ in range(3):
        walk(cost, rng)
        average.update()
    arrays, trained = cost.parameters(), values(cost)
    with average.applied() as inside:
        assert inside is cost
        assert_same(cost.parameters(), average.parameters())
        assert not (cost[0].weight == trained["0.weight"]).any()
        for use, word in ((average.update, "update"), (average.copy_to, "copy")):
            with pytest.raises(RuntimeError, match=f"cannot {word} while its averages stand in the cost"):
                use()
        with pytest.raises(RuntimeError, match="cannot apply while its averages"), average.applied():
            pass
    assert_same(cost.parameters(), trained)
    assert all(array is arrays[name] for name, array in cost.parameters().items())
    with pytest.raises(KeyboardInterrupt), average.applied():
        raise KeyboardInterrupt
    assert_same(cost.parameters(), trained)
    average.update()
    average.copy_to()
    assert_same(cost.parameters(), average.parameters())


def test_training_while_applied_is_noticed():
    cost = model()
    ema, sgd = EMA(cost), SGD(cost, 0.1)
    ema.update()
    trained = values(cost)
    with (
        pytest.raises(RuntimeError, match=r"were changed while the averages of EMA.* stood in their place"),
        ema.applied(),
    ):
        sgd.step({name: np.ones(array.shape) for name, array in cost.parameters().items()})
    assert_same(cost.parameters(), trained)


def test_before_the_first_update_the_average_is_refused():
    ema = EMA(model())
    for use in (ema.copy_to, ema.parameters, lambda: ema.applied().__enter__()):
        with pytest.raises(RuntimeError, match=r"EMA\(decay=0.999\) has no average yet: update\(\) after each step"):
            use()


def test_parameters_are_copies():
    cost = model()
    ema = EMA(cost, 0.5)
    ema.update()
    ema.parameters()["0.weight"][...] = 7
    assert not (ema.parameters()["0.weight"] == 7).any()
    assert not np.shares_memory(ema.parameters()["0.weight"], cost[0].weight)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["restore", "deepcopy", "pickle"])
def test_resumed_is_uninterrupted_to_the_bit(kind, way):
    whole = KINDS[kind](model())
    rng = np.random.default_rng(0)
    for _ in range(5):
        walk(whole.cost, rng)
        whole.update()
    if way == "restore":
        vectors, record = whole.state()
        resumed = KINDS[kind](copy.deepcopy(whole.cost))
        resumed.restore(vectors, json.loads(json.dumps(record)))
        vectors["average"][...] = 0
    else:
        resumed = copy.deepcopy(whole) if way == "deepcopy" else pickle.loads(pickle.dumps(whole))
    other = copy.deepcopy(rng)
    for _ in range(5):
        walk(whole.cost, rng)
        walk(resumed.cost, other)
        whole.update()
        resumed.update()
    assert_same(resumed.parameters(), whole.parameters())
    with resumed.applied():
        assert_same(resumed.cost.parameters(), whole.parameters())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: SWA(model()), "average 'SWA()', here 'EMA(decay=0.9)'"),
        (lambda: EMA(model(), 0.5), "average 'EMA(decay=0.5)', here 'EMA(decay=0.9)'"),
        (lambda: EMA(Linear(3, 4), 0.9), "parameters.0.weight absent, here [4, 3]"),
        (lambda: EMA(model(np.float32), 0.9), "average ['float32', 26], here ['float64', 26]"),
    ],
)
def test_restore_refuses_what_was_made_otherwise(other, message):
    ema = EMA(model(), 0.9)
    ema.update()
    before = ema.parameters()
    with pytest.raises(ValueError, match="EMA cannot go on from an average that was made otherwise") as caught:
        ema.restore(*other().state())
    assert message in str(caught.value)
    vectors, record = ema.state()
    with pytest.raises(ValueError, match="EMA expects updates to be a count, got -1"):
        ema.restore(vectors, record | {"updates": -1})
    with pytest.raises(ValueError, match="EMA expects finite numbers, got nan in average"):
        ema.restore({"average": vectors["average"] * np.nan}, record)
    assert_same(ema.parameters(), before)


def test_bad_settings_and_parameters_are_refused():
    with pytest.raises(ValueError, match=r"EMA expects decay from 0 to below 1, got 1\.0"):
        EMA(model(), 1.0)
    with pytest.raises(TypeError, match="expects a layer, got the class Linear"):
        SWA(Linear)
    cost = model()
    ema = EMA(cost)
    ema.update()
    before = ema.parameters()
    cost[0].bias[1] = np.nan
    with pytest.raises(ValueError, match=r"EMA expects finite numbers, got nan in 0\.bias\[1\]"):
        ema.update()
    assert_same(ema.parameters(), before)
    cost[0].bias[1] = 0
    average = Average(cost)
    average.update()
    with pytest.raises(NotImplementedError, match=r"Average lacks weight\(self\)"):
        average.update()


def test_statistics_of_batch_normalisation_follow_the_averages():
    """What the docstring says to do."""
    rng = np.random.default_rng(0)
    cost = Sequential(Linear(2, 3, rng=0), BatchNorm1d(3, momentum=0.5))
    swa = SWA(cost)
    x = rng.normal(size=(50, 2))
    for shift in (0.0, 10.0):
        cost[0].bias[...] = shift
        cost.forward(x)
        swa.update()
    with swa.applied():
        for _ in range(40):
            cost.forward(x)
        np.testing.assert_allclose(cost[1].running_mean, cost[0](x).mean(axis=0), rtol=1e-6)


def test_an_optimizer_and_an_average_work_on_one_vector():
    cost = model()
    for order in (SGD, EMA), (EMA, SGD):
        made = {kind: kind(cost, 0.5) for kind in order}
        theta = FlatParameters(cost).vector
        start = theta.copy()
        made[EMA].update()
        made[SGD].step({name: np.ones(array.shape) for name, array in cost.parameters().items()})
        made[EMA].update()
        np.testing.assert_array_equal(theta, start - 0.5)
        for name, array in made[EMA].parameters().items():
            np.testing.assert_allclose(array, cost.parameters()[name] + 0.25)


def test_an_array_replaced_while_the_averages_stand_is_noticed():
    layer = Linear(2, 1, rng=0)
    ema = EMA(layer)
    ema.update()
    with pytest.raises(RuntimeError, match="bias of Linear is no longer part of this vector"), ema.applied():
        layer.bias = np.ones(1)
