"""One function for each peer: (workload, data) -> a step, which returns the value of the cost.

Each is written as its users would write it.  A peer that is not installed raises ImportError and is left out.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workloads import LEARNING_RATE, Data, Workload

Step = Callable[[], Any]


def minigrad(workload: Workload, data: Data) -> Step:
    """The public API, as in the README."""
    from minigrad import SGD, Linear, LogSoftmax, NLLLoss, Sequential, value_and_gradients

    cost = Sequential(Linear(workload.features, workload.classes, dtype=workload.dtype), LogSoftmax(), NLLLoss())
    cost = cost.with_parameters({"0.weight": data.weight.copy(), "0.bias": data.bias.copy()})
    sgd = SGD(cost, LEARNING_RATE)

    def step() -> Any:
        value, gradients = value_and_gradients(cost, data.x, data.labels)
        if workload.update:
            sgd.step(gradients)
        return value

    return step


def hand_written(workload: Workload, data: Data) -> Step:
    """Hand-written NumPy: the formulas, without a framework and without checks."""
    x, labels, weight, bias = data.x, data.labels, data.weight.copy(), data.bias.copy()
    rows = np.arange(workload.rows)

    def step() -> Any:
        z = x @ weight.T + bias
        z -= z.max(axis=1, keepdims=True)
        e = np.exp(z)
        total = e.sum(axis=1, keepdims=True)
        value = (np.log(total[:, 0]) - z[rows, labels]).mean()
        delta = e / total
        delta[rows, labels] -= 1
        delta /= workload.rows
        of_weight, of_bias = delta.T @ x, delta.sum(axis=0)
        if workload.update:
            weight[...] -= LEARNING_RATE * of_weight
            bias[...] -= LEARNING_RATE * of_bias
        return value

    return step


def pytorch(workload: Workload, data: Data) -> Step:
    """PyTorch, eager."""
    import torch

    torch.set_num_threads(1)
    linear = torch.nn.Linear(workload.features, workload.classes, dtype=getattr(torch, workload.dtype))
    linear.load_state_dict({"weight": torch.tensor(data.weight), "bias": torch.tensor(data.bias)})
    model, loss = torch.nn.Sequential(linear, torch.nn.LogSoftmax(1)), torch.nn.NLLLoss()
    x, labels = torch.tensor(data.x), torch.tensor(data.labels)
    sgd = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def step() -> Any:
        sgd.zero_grad()
        value = loss(model(x), labels)
        value.backward()
        if workload.update:
            sgd.step()
        return value.detach()

    return step


def jax(workload: Workload, data: Data) -> Step:
    """JAX, compiled, on its CPU backend."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", workload.dtype == "float64")
    x, labels, rows = jnp.asarray(data.x), jnp.asarray(data.labels), jnp.arange(workload.rows)
    parameters = [jnp.asarray(data.weight), jnp.asarray(data.bias)]

    def cost(parameters: Any, x: Any, labels: Any) -> Any:
        weight, bias = parameters
        return -jax.nn.log_softmax(x @ weight.T + bias)[rows, labels].mean()

    @jax.jit
    def update(parameters: Any, x: Any, labels: Any) -> Any:
        value, gradients = jax.value_and_grad(cost)(parameters, x, labels)
        if workload.update:
            return value, [p - LEARNING_RATE * g for p, g in zip(parameters, gradients, strict=True)]
        return value, gradients

    def step() -> Any:
        value, result = jax.block_until_ready(update(parameters, x, labels))
        if workload.update:
            parameters[:] = result
        return value

    return step


def scikit_learn(workload: Workload, data: Data) -> Step:
    """scikit-learn: the loss and gradient that its LogisticRegression minimises."""
    from sklearn._loss import HalfMultinomialLoss
    from sklearn.linear_model._linear_loss import LinearModelLoss

    loss = LinearModelLoss(HalfMultinomialLoss(n_classes=workload.classes), fit_intercept=True)
    coefficients = np.asfortranarray(np.column_stack([data.weight, data.bias]))
    labels = data.labels.astype(workload.dtype)

    def step() -> Any:
        value, gradient = loss.loss_gradient(coefficients, data.x, labels)
        if workload.update:
            coefficients[...] -= LEARNING_RATE * gradient
        return value

    return step


def autograd(workload: Workload, data: Data) -> Step:
    """autograd: NumPy code, differentiated."""
    import autograd
    import autograd.numpy as anp

    rows = np.arange(workload.rows)
    parameters = [data.weight.copy(), data.bias.copy()]

    def cost(parameters: Any) -> Any:
        weight, bias = parameters
        z = anp.dot(data.x, weight.T) + bias
        z = z - anp.max(z, axis=1, keepdims=True)
        log_p = z - anp.log(anp.sum(anp.exp(z), axis=1, keepdims=True))
        return -anp.mean(log_p[rows, data.labels])

    derive = autograd.value_and_grad(cost)

    def step() -> Any:
        value, gradients = derive(parameters)
        if workload.update:
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= LEARNING_RATE * gradient
        return value

    return step


PEERS: dict[str, Callable[[Workload, Data], Step]] = {
    "minigrad": minigrad,
    "NumPy by hand": hand_written,
    "PyTorch": pytorch,
    "JAX": jax,
    "scikit-learn": scikit_learn,
    "autograd": autograd,
}


def products(workload: Workload, data: Data) -> dict[str, Step]:
    """The bare matrix products, x W^T and delta^T x, plainly and in blocks of rows: nothing is faster than these."""
    rows = np.random.default_rng(1).normal(size=(workload.rows, workload.classes)).astype(workload.dtype)
    by_class = np.asfortranarray(rows)
    whole = workload.rows - workload.rows % 96
    blocks = data.x[:whole].reshape(-1, 96, workload.features) if whole else data.x[np.newaxis]
    deltas = rows[:whole].reshape(-1, 96, workload.classes) if whole else rows[np.newaxis]

    def plainly() -> None:
        data.x @ data.weight.T
        by_class.T @ data.x

    def in_blocks() -> None:
        blocks @ data.weight.T
        for start in range(0, len(blocks), 32):
            (deltas[start : start + 32].transpose(0, 2, 1) @ blocks[start : start + 32]).sum(axis=0)

    return {"plain": plainly, "in blocks": in_blocks}
