"""W6: LogSoftmax with a delta from above (a, b), and with its loss (c, d), forward and backward, on many classes."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from benchmarks.limits import Limit, limit, pass_over
from benchmarks.run import Peer, Workload
from benchmarks.workloads.models import autograd_cross_entropy, hand_cross_entropy, jax_cross_entropy, largest


class Data(NamedTuple):
    """The same numbers for every peer."""

    z: np.ndarray
    labels: np.ndarray
    delta: np.ndarray


def make_data(rows: int, classes: int, smoke: bool) -> Data:
    """Normal numbers."""
    rng = np.random.default_rng(0)
    rows = rows // 16 if smoke else rows
    z, delta = rng.normal(size=(2, rows, classes)).astype(np.float32)
    return Data(z, rng.integers(0, classes, rows), delta)


def pair(result: Any) -> list[Any]:
    """What most steps return: a value, or the logarithms, and the derivative by z."""
    return list(result)


# With a delta from above.


def log_softmax(data: Data) -> Peer:
    """LogSoftmax of minigrad."""
    from minigrad import LogSoftmax

    layer = LogSoftmax()

    def step() -> Any:
        log_p, cache = layer.forward(data.z)
        return log_p, layer.backward(data.delta, cache)

    return Peer(step, pair)


def log_softmax_by_hand(data: Data) -> Peer:
    """Hand-written NumPy."""

    def step() -> Any:
        z = data.z - data.z.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return log_p, data.delta - np.exp(log_p) * data.delta.sum(axis=1, keepdims=True)

    return Peer(step, pair)


def log_softmax_pytorch(data: Data) -> Peer:
    """PyTorch, eager."""
    import torch

    layer = torch.nn.LogSoftmax(-1)
    z, delta = torch.tensor(data.z, requires_grad=True), torch.tensor(data.delta)

    def step() -> Any:
        z.grad = None
        log_p = layer(z)
        log_p.backward(delta)
        return log_p.detach(), z.grad

    return Peer(step, pair, lambda: setattr(z, "grad", None))


def log_softmax_jax(data: Data) -> Peer:
    """JAX, compiled, on its CPU backend."""
    import jax

    jax.config.update("jax_enable_x64", False)
    z, delta = jax.block_until_ready((jax.numpy.asarray(data.z), jax.numpy.asarray(data.delta)))

    def both(z: Any, delta: Any) -> Any:
        log_p, back = jax.vjp(jax.nn.log_softmax, z)
        return log_p, back(delta)[0]

    compiled = jax.jit(both)
    return Peer(lambda: jax.block_until_ready(compiled(z, delta)), pair)


def log_softmax_autograd(data: Data) -> Peer:
    """autograd: NumPy code, differentiated."""
    import autograd
    import autograd.numpy as anp

    def forward(z: Any) -> Any:
        z = z - largest(z)
        return z - anp.log(anp.sum(anp.exp(z), axis=1, keepdims=True))

    def step() -> Any:
        back, log_p = autograd.make_vjp(forward)(data.z)
        return log_p, back(data.delta)

    return Peer(step, pair)


def log_softmax_mygrad(data: Data) -> Peer:
    """MyGrad: tensors that keep their graph."""
    logsoftmax, z = import_module("mygrad.nnet.activations").logsoftmax, import_module("mygrad").tensor(data.z)

    def step() -> Any:
        log_p = logsoftmax(z)
        log_p.backward(data.delta)
        return log_p.data, z.grad

    return Peer(step, pair, z.null_grad)


# With the loss.


def cross_entropy(data: Data) -> Peer:
    """CrossEntropyLoss of minigrad, the start of a sweep."""
    from minigrad import CrossEntropyLoss

    loss = CrossEntropyLoss()

    def step() -> Any:
        value, cache = loss.forward(data.z, data.labels)
        return value, loss.backward(1.0, cache)

    return Peer(step, pair)


def cross_entropy_by_hand(data: Data) -> Peer:
    """Hand-written NumPy."""
    return Peer(lambda: hand_cross_entropy(data.z, data.labels), pair)


def cross_entropy_pytorch(data: Data) -> Peer:
    """PyTorch, eager."""
    import torch

    loss = torch.nn.CrossEntropyLoss()
    z, labels = torch.tensor(data.z, requires_grad=True), torch.tensor(data.labels)

    def step() -> Any:
        z.grad = None
        value = loss(z, labels)
        value.backward()
        return value.detach(), z.grad

    return Peer(step, pair, lambda: setattr(z, "grad", None))


def cross_entropy_jax(data: Data) -> Peer:
    """JAX, compiled, on its CPU backend."""
    import jax

    jax.config.update("jax_enable_x64", False)
    z, labels = jax.block_until_ready((jax.numpy.asarray(data.z), jax.numpy.asarray(data.labels)))
    both = jax.jit(jax.value_and_grad(jax_cross_entropy))
    return Peer(lambda: jax.block_until_ready(both(z, labels)), pair)


def cross_entropy_autograd(data: Data) -> Peer:
    """autograd: NumPy code, differentiated."""
    import autograd

    derive = autograd.value_and_grad(autograd_cross_entropy)
    return Peer(lambda: derive(data.z, data.labels), pair)


def cross_entropy_mygrad(data: Data) -> Peer:
    """MyGrad: tensors that keep their graph."""
    loss, z = import_module("mygrad.nnet.losses").softmax_crossentropy, import_module("mygrad").tensor(data.z)

    def step() -> Any:
        value = loss(z, data.labels)
        value.backward()
        return value.item(), z.grad

    return Peer(step, pair, z.null_grad)


PEERS: dict[str, dict[str, Callable[[Data], Peer]]] = {
    "LogSoftmax": {
        "minigrad": log_softmax,
        "NumPy by hand": log_softmax_by_hand,
        "PyTorch": log_softmax_pytorch,
        "JAX": log_softmax_jax,
        "autograd": log_softmax_autograd,
        "MyGrad": log_softmax_mygrad,
    },
    "cross-entropy": {
        "minigrad": cross_entropy,
        "NumPy by hand": cross_entropy_by_hand,
        "PyTorch": cross_entropy_pytorch,
        "JAX": cross_entropy_jax,
        "autograd": cross_entropy_autograd,
        "MyGrad": cross_entropy_mygrad,
    },
}


def bare(what: str, data: Data) -> Limit:
    """No products: z is read and its derivative written, and of LogSoftmax delta and the logarithms too."""
    return limit([pass_over(data.z, data.delta) if what == "LogSoftmax" else pass_over(data.z)])


WORKLOADS = [
    Workload(
        name,
        f"{what}, {rows} x {classes}, forward and backward",
        "float32",
        partial(make_data, rows, classes),
        PEERS[what],
        partial(bare, what),
    )
    for name, what, rows, classes in (
        ("W6a", "LogSoftmax", 4096, 1000),
        ("W6b", "LogSoftmax", 128, 50257),
        ("W6c", "cross-entropy", 4096, 1000),
        ("W6d", "cross-entropy", 128, 50257),
    )
]
