"""Values and gradients beside PyTorch's and JAX's, where they are installed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.run import installed, require_agreement
from benchmarks.workloads import WORKLOADS
from minigrad import (
    SGD,
    Linear,
    LogSoftmax,
    NLLLoss,
    Sequential,
    Tanh,
    value_and_gradients,
)

SIZES = (st.integers(1, 8), st.integers(1, 5), st.integers(1, 6), st.integers(0, 1000))
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}


def agree(found, expected, dtype):
    expected = np.asarray(expected.detach() if hasattr(expected, "detach") else expected)
    assert found.dtype == expected.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_classifier_and_its_step_equal_pytorch(dtype, reduction, weighted):
    torch = pytest.importorskip("torch")

    @given(*SIZES)
    def equal(n, d, k, seed):
        rng = np.random.default_rng(seed)
        x, t = rng.normal(size=(n, d)).astype(dtype), rng.integers(0, k, n)
        class_weights = rng.uniform(0.5, 2, k) if weighted else None
        ours = Sequential(Linear(d, 4, rng=rng), Tanh(), Linear(4, k, rng=rng), LogSoftmax())
        cost = Sequential(*ours, NLLLoss(reduction, class_weights)).astype(dtype)
        model = torch.nn.Sequential(
            torch.nn.Linear(d, 4), torch.nn.Tanh(), torch.nn.Linear(4, k), torch.nn.LogSoftmax(1)
        ).to(getattr(torch, np.dtype(dtype).name))
        # State dicts move across by name.
        model.load_state_dict({name: torch.tensor(array) for name, array in cost.parameters().items()})
        weight = None if class_weights is None else torch.tensor(class_weights.astype(dtype))
        value = torch.nn.NLLLoss(weight, reduction=reduction)(model(torch.tensor(x)), torch.tensor(t))
        value.backward()
        found, gradients = value_and_gradients(cost, x, t)
        agree(found, value, dtype)
        for name, parameter in model.named_parameters():
            agree(gradients[name], parameter.grad, dtype)
        torch.optim.SGD(model.parameters(), lr=0.1).step()
        SGD(cost, 0.1).step(gradients)
        for name, parameter in model.named_parameters():
            agree(cost.parameters()[name], parameter, dtype)

    equal()


def test_the_tiny_cost_that_peers_round_to_zero():
    torch = pytest.importorskip("torch")
    z, t = np.array([[0.0, -40.0, -80.0]]), np.array([0])
    assert float(torch.nn.functional.cross_entropy(torch.tensor(z), torch.tensor(t))) == 0
    assert Sequential(LogSoftmax(), NLLLoss())(z, t) == pytest.approx(4.2483542552915890e-18, rel=1e-15)


def test_softmax_regression_equals_jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(30, 5)), rng.integers(0, 4, 30)
    cost = Sequential(Linear(5, 4, rng=rng), LogSoftmax(), NLLLoss())

    def nll(parameters):
        log_p = jax.nn.log_softmax(x @ parameters["0.weight"].T + parameters["0.bias"])
        return -log_p[np.arange(30), t].mean()

    expected, of = jax.value_and_grad(nll)(cost.parameters())
    value, gradients = value_and_gradients(cost, x, t)
    assert value == pytest.approx(float(expected), rel=1e-14)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, of[name], rtol=1e-12, atol=1e-15)


BY_HAND = "NumPy by hand"


@pytest.mark.parametrize("workload", [w for w in WORKLOADS if BY_HAND in w.peers], ids=lambda workload: workload.key)
def test_the_formulas_written_by_hand_give_the_numbers_of_the_benchmarks(workload):
    peers = {name: make for name, make in workload.peers.items() if name in ("minigrad", BY_HAND)}
    require_agreement(workload, installed(peers, workload.data(True)))


MODULES = {"autograd": "autograd", "MyGrad": "mygrad", "scikit-learn": "sklearn", "ONNX Runtime": "onnxruntime"}
SOME = [w for w in WORKLOADS if w.key in ("W2, float64", "W4", "W6a", "W6c", "I10k")]


@pytest.mark.parametrize(
    ("workload", "name"),
    [(w, name) for w in SOME for name in MODULES if name in w.peers],
    ids=lambda value: getattr(value, "key", value),
)
def test_other_libraries_give_the_numbers_of_the_benchmarks(workload, name):
    pytest.importorskip(MODULES[name])
    peers = {peer: workload.peers[peer] for peer in ("minigrad", name)}
    require_agreement(workload, installed(peers, workload.data(True)))
