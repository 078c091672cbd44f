"""The perceptron of W4, W5, W8 and of inference, Linear and ReLU in turn, as each library has it."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

RATES = {"Adam": 1e-3, "SGD": 0.01}
W4, W5 = (784, 256, 128, 10), (1024, 2048, 2048, 1000)


class Data(NamedTuple):
    """The same numbers for every peer: parameters are weight and bias of each unit, from below."""

    x: np.ndarray
    labels: np.ndarray
    parameters: list[np.ndarray]
    rule: str

    @property
    def rate(self) -> float:
        """The learning rate."""
        return RATES[self.rule]

    @property
    def widths(self) -> list[int]:
        """Of the input, and of each layer."""
        return [self.x.shape[1], *(len(bias) for bias in self.parameters[1::2])]

    def named(self) -> dict[str, np.ndarray]:
        """A copy of the parameters, by the name in a stack that has a ReLU between two units."""
        return {
            f"{i // 2 * 2}.{'bias' if i % 2 else 'weight'}": array.copy() for i, array in enumerate(self.parameters)
        }

    def moves(self, parameters: Any) -> list[np.ndarray]:
        """How far the parameters are from where they started."""
        return [np.asarray(array) - start for array, start in zip(parameters, self.parameters, strict=True)]


def make_data(batch: int, widths: tuple[int, ...], rule: str, dtype: str, smoke: bool = False) -> Data:
    """Rows of normal numbers, labels, and weights after He et al. (2015): signals keep their size at any depth."""
    rng = np.random.default_rng(0)
    if smoke:
        batch, widths = min(batch, 32), (*(min(width, 64) for width in widths[:-1]), widths[-1])
    x, labels = rng.normal(size=(batch, widths[0])).astype(dtype), rng.integers(0, widths[-1], batch)
    parameters = []
    for below, above in pairwise(widths):
        parameters.append((rng.normal(size=(above, below)) * np.sqrt(2 / below)).astype(dtype))
        parameters.append((rng.normal(size=above) / np.sqrt(below)).astype(dtype))
    return Data(x, labels, parameters, rule)


def minigrad_model(data: Data) -> Any:
    """Linear, ReLU, ..., Linear, of minigrad."""
    from minigrad import Linear, ReLU, Sequential

    layers: list[Any] = []
    for below, above in pairwise(data.widths):
        layers += [Linear(below, above, dtype=data.x.dtype), ReLU()]
    return Sequential(*layers[:-1]).with_parameters(data.named())


def torch_model(data: Data) -> Any:
    """Linear, ReLU, ..., Linear, of PyTorch."""
    import torch

    layers: list[Any] = []
    for below, above in pairwise(data.widths):
        layers += [torch.nn.Linear(below, above, dtype=getattr(torch, data.x.dtype.name)), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    model.load_state_dict({name: torch.from_numpy(array) for name, array in data.named().items()})
    return model


def torch_step(model: Any, loss: Any, optimizer: Any, x: Any, labels: Any, update: bool = True) -> Callable[[], Any]:
    """A training step of PyTorch, or its value and gradients alone; it returns the cost."""

    def step() -> Any:
        optimizer.zero_grad()
        value = loss(model(x), labels)
        value.backward()
        if update:
            optimizer.step()
        return value.detach()

    return step


def hand_cross_entropy(z: np.ndarray, labels: np.ndarray) -> tuple[Any, np.ndarray]:
    """Hand-written NumPy: the mean cross-entropy of logits, and its derivative by them."""
    rows = np.arange(len(z))
    delta = z - z.max(axis=1, keepdims=True)
    own = delta[rows, labels]
    np.exp(delta, out=delta)
    total = delta.sum(axis=1, keepdims=True)
    delta /= total
    delta[rows, labels] -= 1
    delta /= len(z)
    return (np.log(total[:, 0]) - own).mean(), delta


def autograd_cross_entropy(z: Any, labels: np.ndarray) -> Any:
    """As one writes it for autograd, which would go on in float64 after a mean or the derivative of a maximum."""
    import autograd.numpy as anp

    z = z - largest(z)
    return anp.sum(anp.log(anp.sum(anp.exp(z), axis=1)) - z[np.arange(len(z)), labels]) / len(labels)


def largest(z: Any) -> np.ndarray:
    """The largest entry of each row of an array of autograd, as a constant: nothing depends on it in the end."""
    from autograd.tracer import getval

    return np.asarray(getval(z)).max(axis=1, keepdims=True)


def jax_logits(parameters: Any, x: Any) -> Any:
    """Linear, ReLU, ..., Linear, of JAX: parameters are weight, bias, weight, ..."""
    import jax

    for i in range(0, len(parameters) - 2, 2):
        x = jax.nn.relu(x @ parameters[i].T + parameters[i + 1])
    return x @ parameters[-2].T + parameters[-1]


def jax_cross_entropy(logits: Any, labels: Any) -> Any:
    """As optax has it, which takes JAX less time than the logarithms of all probabilities."""
    import jax
    import jax.numpy as jnp

    own = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return (jax.nn.logsumexp(logits, axis=1) - own).mean()


def jax_cost(parameters: Any, x: Any, labels: Any) -> Any:
    """The cross-entropy of a perceptron."""
    return jax_cross_entropy(jax_logits(parameters, x), labels)
