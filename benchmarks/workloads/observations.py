"""W8: the gradient of each observation's own cost, by every parameter of the perceptron of W4."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.limits import Limit, Step, limit, linear, some
from benchmarks.run import Peer, Workload
from benchmarks.workloads.models import W4, Data, jax_cost, make_data, minigrad_model, torch_model


def minigrad(data: Data) -> Peer:
    """The public API."""
    from minigrad import LogSoftmax, NLLLoss, Sequential, per_observation_gradients

    cost = Sequential(*minigrad_model(data), LogSoftmax(), NLLLoss())
    return Peer(lambda: per_observation_gradients(cost, data.x, data.labels), lambda found: list(found.values()))


def by_hand(data: Data) -> Peer:
    """Hand-written NumPy: an outer product for each row and unit."""
    weights, biases, rows = data.parameters[::2], data.parameters[1::2], np.arange(len(data.x))

    def step() -> Any:
        activations = [data.x]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            activations.append(np.maximum(activations[-1] @ weight.T + bias, 0))
        z = activations[-1] @ weights[-1].T + biases[-1]
        delta = np.exp(z - z.max(axis=1, keepdims=True))
        delta /= delta.sum(axis=1, keepdims=True)
        delta[rows, data.labels] -= 1
        gradients = []
        for i in reversed(range(len(weights))):
            gradients += [delta, delta[:, :, np.newaxis] * activations[i][:, np.newaxis]]
            if i:
                delta = delta @ weights[i] * (activations[i] > 0)
        return gradients[::-1]

    return Peer(step, list)


def pytorch(data: Data) -> Peer:
    """PyTorch: torch.func.vmap of grad."""
    import torch

    model = torch_model(data)
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
    x, labels = torch.from_numpy(data.x[:, np.newaxis]), torch.from_numpy(data.labels[:, np.newaxis])

    def cost(parameters: Any, x: Any, label: Any) -> Any:
        return torch.nn.functional.cross_entropy(torch.func.functional_call(model, parameters, (x,)), label)

    by_row = torch.func.vmap(torch.func.grad(cost), in_dims=(None, 0, 0))
    return Peer(lambda: by_row(parameters, x, labels), lambda found: list(found.values()))


def pytorch_outer(data: Data) -> Peer:
    """PyTorch, one sweep for the deltas of all units, and an outer product of each row by einsum."""
    import torch

    model = torch_model(data)
    units = [layer for layer in model if isinstance(layer, torch.nn.Linear)]
    x, labels = torch.from_numpy(data.x), torch.from_numpy(data.labels)

    def step() -> Any:
        inputs, outputs, z = [], [], x
        for layer in model:
            if isinstance(layer, torch.nn.Linear):
                inputs.append(z.detach())
            z = layer(z)
            if isinstance(layer, torch.nn.Linear):
                outputs.append(z)
        deltas = torch.autograd.grad(torch.nn.functional.cross_entropy(z, labels, reduction="sum"), outputs)
        gradients = []
        for z, delta in zip(inputs, deltas, strict=True):
            gradients += [torch.einsum("nk,nd->nkd", delta, z), delta]
        return gradients

    assert len(units) == len(data.parameters) // 2
    return Peer(step, list)


def jax(data: Data) -> Peer:
    """JAX, compiled: vmap of grad."""
    import jax

    jax.config.update("jax_enable_x64", data.x.dtype == np.float64)
    parameters, x, labels = jax.block_until_ready(
        jax.tree.map(jax.numpy.asarray, (data.parameters, data.x[:, None], data.labels[:, None]))
    )
    by_row = jax.jit(jax.vmap(jax.grad(jax_cost), in_axes=(None, 0, 0)))
    return Peer(lambda: jax.block_until_ready(by_row(parameters, x, labels)), list)


PEERS: dict[str, Callable[[Data], Peer]] = {
    "minigrad": minigrad,
    "NumPy by hand": by_hand,
    "PyTorch": pytorch,
    "PyTorch, outer products": pytorch_outer,
    "JAX": jax,
}


def bare(data: Data) -> Limit:
    """The products upwards and downwards, and all gradients written once."""
    n, parts, writes, z = len(data.x), [], [], data.x
    for i, weight in enumerate(data.parameters[::2]):
        delta = some(n, len(weight), dtype=z.dtype)
        parts.append(linear(z, weight))
        if i:
            parts.append(linear(delta, weight.T))
        writes.append((delta[:, :, np.newaxis], z[:, np.newaxis], np.empty((n, *weight.shape), z.dtype)))
        z = delta

    def outer() -> None:
        for delta, below, out in writes:
            np.multiply(delta, below, out=out)

    way: dict[str, Step] = {"outer products": outer}
    return limit([*parts, way])


WORKLOADS = [
    Workload(
        "W8",
        f"perceptron {'-'.join(map(str, W4))}, gradients of each of 128 rows",
        "float32",
        partial(make_data, 128, W4, "none", "float32"),
        PEERS,
        bare,
    )
]
