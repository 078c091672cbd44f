"""W4, W5: a training step of a perceptron, Linear and ReLU in turn, under a cross-entropy."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks import limits
from benchmarks.run import Peer, Workload
from benchmarks.workloads.models import (
    W4,
    W5,
    Data,
    autograd_cross_entropy,
    hand_cross_entropy,
    jax_cost,
    make_data,
    minigrad_model,
    torch_model,
    torch_step,
)

BETAS, EPS = (0.9, 0.999), 1e-8


def minigrad(data: Data) -> Peer:
    """The public API."""
    from minigrad import CrossEntropyLoss, Sequential, optim, value_and_gradients

    cost = Sequential(*minigrad_model(data), CrossEntropyLoss())
    optimizer = getattr(optim, data.rule)(cost, learning_rate=data.rate)

    def step() -> Any:
        value, gradients = value_and_gradients(cost, data.x, data.labels)
        optimizer.step(gradients)
        return value

    return Peer(step, lambda value: [value, *data.moves(cost.parameters().values())])


def by_hand(data: Data) -> Peer:
    """Hand-written NumPy: the formulas, without a framework and without checks."""
    parameters = [array.copy() for array in data.parameters]
    weights, biases = parameters[::2], parameters[1::2]
    rule = hand_written_rule(parameters, data)

    def step() -> Any:
        activations = [data.x]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            z = activations[-1] @ weight.T
            z += bias
            activations.append(np.maximum(z, 0, out=z))
        value, delta = hand_cross_entropy(activations[-1] @ weights[-1].T + biases[-1], data.labels)
        gradients = []
        for i in reversed(range(len(weights))):
            gradients += [delta.sum(axis=0), delta.T @ activations[i]]
            if i:
                delta = delta @ weights[i]
                delta *= activations[i] > 0
        rule(gradients[::-1])
        return value

    return Peer(step, lambda value: [value, *data.moves(parameters)])


def hand_written_rule(parameters: list[np.ndarray], data: Data) -> Callable[[list[np.ndarray]], None]:
    """The update of plain SGD, or of Kingma and Ba, as one writes it."""
    if data.rule == "Adam":
        return hand_written_adam(parameters, data.rate)

    def update(gradients: list[np.ndarray]) -> None:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= data.rate * gradient

    return update


def hand_written_adam(parameters: list[np.ndarray], rate: float) -> Callable[[list[np.ndarray]], None]:
    """The update of Kingma and Ba, as one writes it."""
    first, second = ([np.zeros_like(array) for array in parameters] for _ in range(2))
    t = 0

    def update(gradients: list[np.ndarray]) -> None:
        nonlocal t
        t += 1
        scale_1, scale_2 = 1 - BETAS[0] ** t, 1 - BETAS[1] ** t
        for parameter, g, m, v in zip(parameters, gradients, first, second, strict=True):
            m += (1 - BETAS[0]) * (g - m)
            v += (1 - BETAS[1]) * (g * g - v)
            parameter -= rate / scale_1 * m / (np.sqrt(v / scale_2) + EPS)

    return update


def pytorch(data: Data, **way: bool) -> Peer:
    """PyTorch, eager, with its rule by default or in another way."""
    import torch

    model = torch_model(data)
    optimizer = getattr(torch.optim, data.rule)(model.parameters(), lr=data.rate, **way)
    x, labels = torch.from_numpy(data.x), torch.from_numpy(data.labels)
    step = torch_step(model, torch.nn.CrossEntropyLoss(), optimizer, x, labels)
    return Peer(step, lambda value: [value, *data.moves(p.detach() for p in model.parameters())], optimizer.zero_grad)


def jax(data: Data) -> Peer:
    """JAX, compiled: a step that gives its old parameters and moments away, the rule by hand."""
    import jax.numpy as jnp

    def adam(parameters: Any, gradients: Any, state: Any) -> Any:
        t, first, second = state
        t = t + 1
        first = [m + (1 - BETAS[0]) * (g - m) for m, g in zip(first, gradients, strict=True)]
        second = [v + (1 - BETAS[1]) * (g * g - v) for v, g in zip(second, gradients, strict=True)]
        scale_1, scale_2 = 1 - BETAS[0] ** t, 1 - BETAS[1] ** t
        moved = [
            p - data.rate * (m / scale_1) / (jnp.sqrt(v / scale_2) + EPS)
            for p, m, v in zip(parameters, first, second, strict=True)
        ]
        return moved, (t, first, second)

    def sgd(parameters: Any, gradients: Any, state: Any) -> Any:
        return [p - data.rate * g for p, g in zip(parameters, gradients, strict=True)], state

    def moments() -> list[Any]:
        return [jnp.zeros_like(array) for array in data.parameters]

    if data.rule == "SGD":
        return _jax_training(data, sgd, lambda parameters: ())
    return _jax_training(data, adam, lambda parameters: (jnp.zeros((), data.x.dtype), moments(), moments()))


def jax_optax(data: Data) -> Peer:
    """JAX, compiled, with the rule of optax."""
    optax = import_module("optax")
    rule = getattr(optax, data.rule.lower())(data.rate)

    def update(parameters: Any, gradients: Any, state: Any) -> Any:
        updates, state = rule.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state

    return _jax_training(data, update, rule.init)


def _jax_training(data: Data, update: Callable[..., Any], start: Callable[[Any], Any]) -> Peer:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", data.x.dtype == np.float64)
    x, labels = jnp.asarray(data.x), jnp.asarray(data.labels)
    parameters = [jnp.array(array) for array in data.parameters]
    state = start(parameters)
    jax.block_until_ready([x, labels, parameters, state])

    def train(parameters: Any, state: Any, x: Any, labels: Any) -> Any:
        value, gradients = jax.value_and_grad(jax_cost)(parameters, x, labels)
        return value, *update(parameters, gradients, state)

    compiled = jax.jit(train, donate_argnums=(0, 1))

    def step() -> Any:
        nonlocal parameters, state
        value, parameters, state = jax.block_until_ready(compiled(parameters, state, x, labels))
        return value

    return Peer(step, lambda value: [value, *data.moves(parameters)])


def scikit_learn(data: Data) -> Peer:
    """scikit-learn: MLPClassifier.partial_fit of the batch."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        data.widths[1:-1],
        solver=data.rule.lower(),
        alpha=0.0,
        batch_size=len(data.x),
        learning_rate_init=data.rate,
        epsilon=EPS * (1 - BETAS[1]) ** 0.5,  # it stands beside moments that are not corrected
        momentum=0.0,
        nesterovs_momentum=False,
        shuffle=False,
    )
    model.partial_fit(data.x, data.labels, classes=np.arange(data.widths[-1]))
    for i, array in enumerate(data.parameters):
        (model.intercepts_ if i % 2 else model.coefs_)[i // 2][...] = array.T
    del model._optimizer  # the next step is the first

    def step() -> Any:
        model.partial_fit(data.x, data.labels)
        return model.loss_

    def read(value: Any) -> list[Any]:
        pairs = zip(model.coefs_, model.intercepts_, strict=True)
        return [value, *data.moves(array.T for pair in pairs for array in pair)]

    return Peer(step, read)


def autograd(data: Data) -> Peer:
    """autograd: NumPy code, differentiated."""
    import autograd
    import autograd.numpy as anp

    parameters = [array.copy() for array in data.parameters]
    rule = hand_written_rule(parameters, data)

    def cost(parameters: Any) -> Any:
        z = data.x
        for i in range(0, len(parameters) - 2, 2):
            z = anp.maximum(anp.dot(z, parameters[i].T) + parameters[i + 1], 0)
        return autograd_cross_entropy(anp.dot(z, parameters[-2].T) + parameters[-1], data.labels)

    derive = autograd.value_and_grad(cost)

    def step() -> Any:
        value, gradients = derive(parameters)
        rule(gradients)
        return value

    return Peer(step, lambda value: [value, *data.moves(parameters)])


def mygrad(data: Data) -> Peer:
    """MyGrad: tensors that keep their graph."""
    mg = import_module("mygrad")
    relu = import_module("mygrad.nnet.activations").relu
    softmax_crossentropy = import_module("mygrad.nnet.losses").softmax_crossentropy
    parameters = [mg.tensor(array.copy()) for array in data.parameters]
    rule = hand_written_rule([parameter.data for parameter in parameters], data)

    def step() -> Any:
        z = data.x
        for i in range(0, len(parameters) - 2, 2):
            z = relu(mg.matmul(z, parameters[i].T) + parameters[i + 1])
        value = softmax_crossentropy(mg.matmul(z, parameters[-2].T) + parameters[-1], data.labels)
        value.backward()
        rule([parameter.grad for parameter in parameters])
        return value.item()

    def free() -> None:
        for parameter in parameters:
            parameter.null_grad()

    return Peer(step, lambda value: [value, *data.moves(parameter.data for parameter in parameters)], free)


PEERS: dict[str, Callable[[Data], Peer]] = {
    "minigrad": minigrad,
    "NumPy by hand": by_hand,
    "PyTorch": pytorch,
    "PyTorch, fused": partial(pytorch, fused=True),
    "JAX": jax,
    "JAX, optax": jax_optax,
    "scikit-learn": scikit_learn,
    "autograd": autograd,
    "MyGrad": mygrad,
}


def bare(data: Data) -> limits.Limit:
    """All products, a pass over the activations, and one over parameters, gradients, and for Adam its moments."""
    return limits.perceptron(data.x, data.widths, 3 if data.rule == "Adam" else 1)


def allowance(data: Data) -> int:
    """Parameters, gradients and activations: outputs of the units."""
    return 2 * sum(array.nbytes for array in data.parameters) + len(data.x) * sum(data.widths[1:]) * data.x.itemsize


def workload(name: str, batch: int, widths: tuple[int, ...], rule: str, dtype: str = "float32") -> Workload:
    """A batch of a perceptron of these widths, and one step by a rule."""
    return Workload(
        name,
        f"perceptron {'-'.join(map(str, widths))}, batch {batch}, {rule} step",
        dtype,
        partial(make_data, batch, widths, rule, dtype),
        PEERS,
        bare,
        steps=5 if rule == "Adam" else 2,
        slack=1 if rule == "SGD" or dtype == "float32" else 1e4,  # scikit-learn has another epsilon than the others
        allowance=allowance if name == "W5" else None,
    )


WORKLOADS = [
    workload("W4", 128, W4, "Adam"),
    workload("W4", 128, W4, "Adam", "float64"),
    workload("W5", 512, W5, "SGD"),
]
