"""W1, W2, W3s, W3: softmax regression, by a training step or by its value and gradients."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from benchmarks.limits import Limit, both, limit, pass_over, some
from benchmarks.run import Peer, Workload
from benchmarks.workloads.models import autograd_cross_entropy, hand_cross_entropy, jax_cross_entropy, torch_step

LEARNING_RATE = 0.01


class Data(NamedTuple):
    """The same numbers for every peer; whether a step also moves the parameters."""

    x: np.ndarray
    labels: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    update: bool

    def moves(self, weight: Any, bias: Any) -> list[np.ndarray]:
        """How far the parameters are from where they started."""
        return [np.asarray(weight) - self.weight, np.asarray(bias) - self.bias]


def make_data(rows: int, features: int, dtype: str, update: bool, smoke: bool) -> Data:
    """Pixels in [0, 1), labels of ten classes, and small random parameters."""
    rng = np.random.default_rng(0)
    rows = min(rows, 2000) if smoke else rows
    return Data(
        rng.random((rows, features), dtype=np.dtype(dtype)),
        rng.integers(0, 10, rows),
        rng.normal(scale=0.05, size=(10, features)).astype(dtype),
        rng.normal(scale=0.05, size=10).astype(dtype),
        update,
    )


def minigrad(data: Data) -> Peer:
    """The public API, as in the README."""
    from minigrad import SGD, Linear, LogSoftmax, NLLLoss, Sequential, value_and_gradients

    classes, features = data.weight.shape
    cost = Sequential(Linear(features, classes, dtype=data.x.dtype), LogSoftmax(), NLLLoss())
    cost = cost.with_parameters({"0.weight": data.weight.copy(), "0.bias": data.bias.copy()})
    sgd = SGD(cost, LEARNING_RATE)

    def step() -> Any:
        value, gradients = value_and_gradients(cost, data.x, data.labels)
        if data.update:
            sgd.step(gradients)
        return value, gradients

    def read(result: Any) -> list[Any]:
        value, gradients = result
        return [value, *(data.moves(*cost.parameters().values()) if data.update else gradients.values())]

    return Peer(step, read)


def by_hand(data: Data) -> Peer:
    """Hand-written NumPy: the formulas, without a framework and without checks."""
    x, labels, weight, bias = data.x, data.labels, data.weight.copy(), data.bias.copy()

    def step() -> Any:
        value, delta = hand_cross_entropy(x @ weight.T + bias, labels)
        of_weight, of_bias = delta.T @ x, delta.sum(axis=0)
        if data.update:
            weight[...] -= LEARNING_RATE * of_weight
            bias[...] -= LEARNING_RATE * of_bias
        return value, of_weight, of_bias

    return Peer(step, lambda found: [found[0], *(data.moves(weight, bias) if data.update else found[1:])])


def pytorch(data: Data) -> Peer:
    """PyTorch, eager."""
    import torch

    linear = torch.nn.Linear(*data.weight.shape[::-1], dtype=getattr(torch, data.x.dtype.name))
    linear.load_state_dict({"weight": torch.tensor(data.weight), "bias": torch.tensor(data.bias)})
    model, loss = torch.nn.Sequential(linear, torch.nn.LogSoftmax(1)), torch.nn.NLLLoss()
    x, labels = torch.from_numpy(data.x), torch.from_numpy(data.labels)
    sgd = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    step = torch_step(model, loss, sgd, x, labels, data.update)

    def read(value: Any) -> list[Any]:
        weight, bias = linear.weight, linear.bias
        return [value, *(data.moves(weight.detach(), bias.detach()) if data.update else (weight.grad, bias.grad))]

    return Peer(step, read, sgd.zero_grad)


def jax(data: Data) -> Peer:
    """JAX, compiled, on its CPU backend."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", data.x.dtype == np.float64)
    x, labels = jnp.asarray(data.x), jnp.asarray(data.labels)
    parameters = [jnp.asarray(data.weight), jnp.asarray(data.bias)]
    jax.block_until_ready([x, labels, parameters])

    def cost(parameters: Any, x: Any, labels: Any) -> Any:
        weight, bias = parameters
        return jax_cross_entropy(x @ weight.T + bias, labels)

    def update(parameters: Any, x: Any, labels: Any) -> Any:
        value, gradients = jax.value_and_grad(cost)(parameters, x, labels)
        if data.update:
            return value, [p - LEARNING_RATE * g for p, g in zip(parameters, gradients, strict=True)]
        return value, gradients

    compiled = jax.jit(update)

    def step() -> Any:
        value, result = jax.block_until_ready(compiled(parameters, x, labels))
        if data.update:
            parameters[:] = result
        return value, result

    return Peer(step, lambda found: [found[0], *(data.moves(*parameters) if data.update else found[1])])


def scikit_learn(data: Data) -> Peer:
    """scikit-learn: the loss and gradient that its LogisticRegression minimises."""
    from sklearn._loss import HalfMultinomialLoss
    from sklearn.linear_model._linear_loss import LinearModelLoss

    loss = LinearModelLoss(HalfMultinomialLoss(n_classes=len(data.weight)), fit_intercept=True)
    coefficients = np.asfortranarray(np.column_stack([data.weight, data.bias]))
    labels = data.labels.astype(data.x.dtype)

    def step() -> Any:
        value, gradient = loss.loss_gradient(coefficients, data.x, labels)
        if data.update:
            coefficients[...] -= LEARNING_RATE * gradient
        return value, gradient

    def read(result: Any) -> list[Any]:
        value, gradient = result
        if data.update:
            return [value, *data.moves(coefficients[:, :-1], coefficients[:, -1])]
        gradient = gradient.reshape(coefficients.shape, order="F")
        return [value, gradient[:, :-1], gradient[:, -1]]

    return Peer(step, read)


def autograd(data: Data) -> Peer:
    """autograd: NumPy code, differentiated."""
    import autograd
    import autograd.numpy as anp

    parameters = [data.weight.copy(), data.bias.copy()]

    def cost(parameters: Any) -> Any:
        weight, bias = parameters
        return autograd_cross_entropy(anp.dot(data.x, weight.T) + bias, data.labels)

    derive = autograd.value_and_grad(cost)

    def step() -> Any:
        value, gradients = derive(parameters)
        if data.update:
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= LEARNING_RATE * gradient
        return value, gradients

    return Peer(step, lambda found: [found[0], *(data.moves(*parameters) if data.update else found[1])])


def mygrad(data: Data) -> Peer:
    """MyGrad: tensors that keep their graph."""
    mg = import_module("mygrad")
    softmax_crossentropy = import_module("mygrad.nnet.losses").softmax_crossentropy
    parameters = weight, bias = mg.tensor(data.weight.copy()), mg.tensor(data.bias.copy())

    def step() -> Any:
        value = softmax_crossentropy(mg.matmul(data.x, weight.T) + bias, data.labels)
        value.backward()
        if data.update:
            for parameter in parameters:
                parameter.data -= LEARNING_RATE * parameter.grad
        return value.item()

    def read(value: Any) -> list[Any]:
        return [value, *(data.moves(weight.data, bias.data) if data.update else (weight.grad, bias.grad))]

    def free() -> None:
        for parameter in parameters:
            parameter.null_grad()

    return Peer(step, read, free)


PEERS: dict[str, Callable[[Data], Peer]] = {
    "minigrad": minigrad,
    "NumPy by hand": by_hand,
    "PyTorch": pytorch,
    "JAX": jax,
    "scikit-learn": scikit_learn,
    "autograd": autograd,
    "MyGrad": mygrad,
}


def bare(data: Data) -> Limit:
    """Both products, and a pass over the logits and over the parameters that move."""
    delta = some(len(data.x), len(data.weight), dtype=data.x.dtype)
    others = [data.weight, data.bias] if data.update else []
    return limit([both(data.x, data.weight, delta), pass_over(delta, *others)])


def workload(name: str, rows: int, features: int, dtype: str, update: bool) -> Workload:
    """A batch of `rows`, `features` -> 10."""
    what = "training step" if update else "value and gradients"
    return Workload(
        name,
        f"{rows} x {features} -> 10, {what}",
        dtype,
        partial(make_data, rows, features, dtype, update),
        PEERS,
        bare,
        steps=5 if update else 1,
        allowance=None if name != "W3" else lambda data: 5_000_000,
    )


WORKLOADS = [
    workload(name, rows, features, dtype, update)
    for name, rows, features, update in (
        ("W1", 32, 64, True),
        ("W2", 256, 784, True),
        ("W3s", 1797, 64, False),
        ("W3", 60_000, 784, False),
    )
    for dtype in ("float32", "float64")
]
