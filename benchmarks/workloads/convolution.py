"""W7: a training step of a small convolutional network, 64 images of 28 x 28."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.limits import Limit, Step, limit, pass_over, some
from benchmarks.run import Peer, Workload
from benchmarks.workloads.models import hand_cross_entropy, jax_cross_entropy, torch_step

ROWS, SIZE, CLASSES, CHANNELS = 64, 28, 10, (1, 16, 32)
FLAT = CHANNELS[-1] * (SIZE // 4) ** 2
LEARNING_RATE = 0.01


class Data(NamedTuple):
    """The same numbers for every peer."""

    x: np.ndarray
    labels: np.ndarray
    parameters: dict[str, np.ndarray]

    def copies(self) -> dict[str, np.ndarray]:
        """Parameters to train."""
        return {name: array.copy() for name, array in self.parameters.items()}

    def moves(self, parameters: dict[str, Any]) -> list[np.ndarray]:
        """How far the parameters are from where they started."""
        return [np.asarray(parameters[name]) - start for name, start in self.parameters.items()]


def make_data(smoke: bool) -> Data:
    """Pixels, labels and small random parameters."""
    rng = np.random.default_rng(0)
    _, first, second = CHANNELS
    shapes = {
        "0.weight": (first, 1, 3, 3),
        "0.bias": (first,),
        "3.weight": (second, first, 3, 3),
        "3.bias": (second,),
        "7.weight": (CLASSES, FLAT),
        "7.bias": (CLASSES,),
    }
    arrays = {
        name: (rng.normal(size=shape) * np.prod(shape[1:]) ** -0.5).astype(np.float32) for name, shape in shapes.items()
    }
    rows = 8 if smoke else ROWS
    x = rng.random((rows, 1, SIZE, SIZE), dtype=np.float32)
    return Data(x, rng.integers(0, CLASSES, rows), arrays)


def minigrad(data: Data) -> Peer:
    """The public API."""
    from minigrad import (
        SGD,
        Conv2d,
        Flatten,
        Linear,
        LogSoftmax,
        MaxPool2d,
        NLLLoss,
        ReLU,
        Sequential,
        value_and_gradients,
    )

    cost = Sequential(
        Conv2d(1, 16, 3, padding=1),
        ReLU(),
        MaxPool2d(2),
        Conv2d(16, 32, 3, padding=1),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(FLAT, CLASSES),
        LogSoftmax(),
        NLLLoss(),
    ).with_parameters(data.copies())
    sgd = SGD(cost, LEARNING_RATE)

    def step() -> Any:
        value, gradients = value_and_gradients(cost, data.x, data.labels)
        sgd.step(gradients)
        return value

    return Peer(step, lambda value: [value, *data.moves(cost.parameters())])


def by_hand(data: Data) -> Peer:
    """Hand-written NumPy: convolutions as products with columns of patches."""
    parameters = data.copies()

    def patches(z: np.ndarray) -> np.ndarray:
        padded = np.pad(z, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, z.shape[1] * 9)

    def pool(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n, c, h, w = z.shape
        quads = z.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4)
        place = quads.argmax(axis=-1)[..., np.newaxis]
        return np.take_along_axis(quads, place, -1)[..., 0], place

    def unpool(delta: np.ndarray, place: np.ndarray) -> np.ndarray:
        n, c, h, w = delta.shape
        quads = np.zeros((n, c, h, w, 4), np.float32)
        np.put_along_axis(quads, place, delta[..., np.newaxis], -1)
        return quads.reshape(n, c, h, w, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, 2 * h, 2 * w)

    def unpatch(columns: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        n, c, h, w = shape
        parts = columns.reshape(n, h, w, c, 3, 3)
        padded = np.zeros((n, c, h + 2, w + 2), np.float32)
        for i in range(3):
            for j in range(3):
                padded[:, :, i : i + h, j : j + w] += parts[..., i, j].transpose(0, 3, 1, 2)
        return padded[:, :, 1:-1, 1:-1]

    def block(z: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, Any]:
        columns = patches(z)
        maps = columns @ weight.reshape(len(weight), -1).T + bias
        maps = np.maximum(maps, 0).reshape(len(z), *z.shape[2:], -1).transpose(0, 3, 1, 2)
        pooled, place = pool(maps)
        return pooled, (z.shape, columns, pooled, place)

    def down(delta: np.ndarray, weight: np.ndarray, cache: Any, further: bool) -> tuple[Any, Any, Any]:
        shape, columns, pooled, place = cache
        flat = unpool(delta * (pooled > 0), place).transpose(0, 2, 3, 1).reshape(-1, len(weight))
        below = unpatch(flat @ weight.reshape(len(weight), -1), shape) if further else None
        return below, (flat.T @ columns).reshape(weight.shape), flat.sum(axis=0)

    def step() -> Any:
        p, g = parameters, {}
        first, low = block(data.x, p["0.weight"], p["0.bias"])
        second, high = block(first, p["3.weight"], p["3.bias"])
        flat = second.reshape(len(second), -1)
        value, delta = hand_cross_entropy(flat @ p["7.weight"].T + p["7.bias"], data.labels)
        g["7.weight"], g["7.bias"] = delta.T @ flat, delta.sum(axis=0)
        deeper = (delta @ p["7.weight"]).reshape(second.shape)
        deeper, g["3.weight"], g["3.bias"] = down(deeper, p["3.weight"], high, further=True)
        _, g["0.weight"], g["0.bias"] = down(deeper, p["0.weight"], low, further=False)
        for name, gradient in g.items():
            p[name] -= LEARNING_RATE * gradient
        return value

    return Peer(step, lambda value: [value, *data.moves(parameters)])


def pytorch(data: Data) -> Peer:
    """PyTorch, eager."""
    import torch
    from torch import nn

    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(FLAT, CLASSES),
        nn.LogSoftmax(1),
    )
    model.load_state_dict({name: torch.from_numpy(array) for name, array in data.copies().items()})
    loss, images, targets = nn.NLLLoss(), torch.from_numpy(data.x), torch.from_numpy(data.labels)
    sgd = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    step = torch_step(model, loss, sgd, images, targets)
    return Peer(step, lambda value: [value, *data.moves(model.state_dict())], sgd.zero_grad)


def jax(data: Data) -> Peer:
    """JAX, compiled, on its CPU backend."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    jax.config.update("jax_enable_x64", False)
    images, targets = jnp.asarray(data.x), jnp.asarray(data.labels)
    parameters = {name: jnp.array(array) for name, array in data.parameters.items()}
    jax.block_until_ready([images, targets, parameters])

    def block(z: Any, weight: Any, bias: Any) -> Any:
        z = lax.conv_general_dilated(z, weight, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))
        z = jnp.maximum(z + bias[:, None, None], 0)
        return lax.reduce_window(z, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def cost(p: Any, images: Any, targets: Any) -> Any:
        z = block(block(images, p["0.weight"], p["0.bias"]), p["3.weight"], p["3.bias"])
        return jax_cross_entropy(z.reshape(len(z), -1) @ p["7.weight"].T + p["7.bias"], targets)

    def update(p: Any, images: Any, targets: Any) -> Any:
        value, gradients = jax.value_and_grad(cost)(p, images, targets)
        return value, {name: p[name] - LEARNING_RATE * gradient for name, gradient in gradients.items()}

    compiled = jax.jit(update)

    def step() -> Any:
        value, result = jax.block_until_ready(compiled(parameters, images, targets))
        parameters.update(result)
        return value

    return Peer(step, lambda value: [value, *data.moves(parameters)])


PEERS: dict[str, Callable[[Data], Peer]] = {
    "minigrad": minigrad,
    "NumPy by hand": by_hand,
    "PyTorch": pytorch,
    "JAX": jax,
}


def bare(data: Data) -> Limit:
    """The products of both convolutions and of Linear, with columns that nobody has to make; a pass over the maps.

    Of some columns at a time: the small products are those that OpenBLAS is quickest at.
    """
    n = len(data.x)
    ways = {f"{width} columns at a time": _products(n, width) for width in (192, 448, 896, 1568, 6272)}
    maps = [some(n, c, size, size) for c, size in zip(CHANNELS[1:], (SIZE, SIZE // 2), strict=True)]
    return limit([ways, pass_over(data.x, *maps)])


def _products(n: int, most: int) -> Step:
    """Rules 1 and 3 of each convolution and of Linear, and rule 2 but the first."""
    triples = []
    for c, o, size in zip(CHANNELS, CHANNELS[1:], (SIZE, SIZE // 2), strict=False):
        positions = n * size * size
        width = min(most, positions)
        sizes = [width] * (positions // width) + [positions % width] * (positions % width > 0)
        weight, columns, delta = some(o, c * 9), some(c * 9, width), some(o, width)
        triples.append((sizes, weight, columns, delta, c > 1))
    z, weight, delta = some(n, FLAT), some(CLASSES, FLAT), some(n, CLASSES)

    def step() -> None:
        for sizes, kernel, columns, of_output, further in triples:
            for size in sizes:
                kernel @ columns[:, :size]
                columns[:, :size] @ of_output[:, :size].T
                if further:
                    kernel.T @ of_output[:, :size]
        z @ weight.T
        delta.T @ z
        delta @ weight

    return step


WORKLOADS = [
    Workload(
        "W7",
        f"{ROWS} x 1 x {SIZE} x {SIZE} -> {CLASSES}, convolutional net, training step",
        "float32",
        make_data,
        PEERS,
        bare,
        steps=5,
    )
]
