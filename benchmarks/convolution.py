"""Time a training step of a small convolutional network beside PyTorch and JAX.

    python -m benchmarks.convolution             W7: 64 images of 28 x 28, float32
    python -m benchmarks.convolution --save      and write convolution.json
    python -m benchmarks.convolution --smoke     two rounds, to see that it runs

One thread on one processor, in interleaved rounds, as in `python -m benchmarks`.  The limit are the bare matrix
products of the same sizes, with columns that nobody has to make.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.__main__ import BURST, HERE, environment, rounds

# isort: split
import numpy as np

ROWS, SIZE, CLASSES, CHANNELS = 64, 28, 10, (1, 16, 32)
LEARNING_RATE = 0.01
ROUNDS = 150

Step = Callable[[], Any]
Arrays = dict[str, np.ndarray]


def main() -> None:
    """Parse the command line, time, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.convolution", description=__doc__.split("\n")[0])
    parser.add_argument("--save", action="store_true", help="write convolution.json")
    parser.add_argument("--smoke", action="store_true", help="two rounds; the figures mean nothing")
    options = parser.parse_args()
    if options.save and options.smoke:
        parser.error("--save replaces the published figures: it needs all rounds")
    report = {"environment": environment(), "result": run(2 if options.smoke else ROUNDS)}
    print(table(report))
    if options.save:
        (HERE / "convolution.json").write_text(json.dumps(report, indent=2) + "\n")


def run(count: int) -> dict[str, Any]:
    """Times of every peer, as medians and as ratios to minigrad."""
    x, labels, arrays = data()
    steps: dict[str, Step] = {}
    for name, make in PEERS.items():
        try:
            steps[name] = make(x, labels, {key: array.copy() for key, array in arrays.items()})
        except ImportError:
            print(f"   {name} is not installed")
    # Ten steps, so that gradients that differ would tell.
    values = {name: [float(step()) for _ in range(10)] for name, step in steps.items()}
    assert np.allclose(list(values.values()), values["minigrad"], rtol=1e-4), f"not the same costs: {values}"
    limits = {f"products, {size} columns at a time": products(size) for size in (192, 896, 6272)}
    times = rounds({**steps, **limits}, count, BURST)
    limit = min(limits, key=lambda name: float(np.median(times[name])))
    return {
        "workload": "W7",
        "title": f"{ROWS} x 1 x {SIZE} x {SIZE} -> {CLASSES}, float32, training step of a convolutional network",
        "microseconds": {name: float(np.median(times[name]) * 1e6) for name in [*steps, limit]},
        "ratio": {name: float(np.median(times[name] / times["minigrad"])) for name in steps},
        "of_limit": float(np.median(times["minigrad"] / times[limit])),
        "limit": limit,
    }


def table(report: dict[str, Any]) -> str:
    """Markdown: milliseconds of a step, and times as long as minigrad."""
    result = report["result"]
    lines = [f"{result['workload']}: {result['title']}", "", "| | ms | of minigrad |", "|---|---:|---:|"]
    for name, microseconds in result["microseconds"].items():
        ratio = result["ratio"].get(name, 1 / result["of_limit"])
        lines.append(f"| {name} | {microseconds / 1000:.2f} | {ratio:.2f}x |")
    return "\n".join([*lines, "", ", ".join(f"{name} {value}" for name, value in report["environment"].items()) + "."])


def data() -> tuple[np.ndarray, np.ndarray, Arrays]:
    """Pixels, labels and small random parameters, the same for every peer."""
    rng = np.random.default_rng(0)
    _, first, second = CHANNELS
    shapes = {
        "0.weight": (first, 1, 3, 3),
        "0.bias": (first,),
        "3.weight": (second, first, 3, 3),
        "3.bias": (second,),
        "7.weight": (CLASSES, second * (SIZE // 4) ** 2),
        "7.bias": (CLASSES,),
    }
    arrays = {
        name: (rng.normal(size=shape) * np.prod(shape[1:]) ** -0.5).astype(np.float32) for name, shape in shapes.items()
    }
    x = rng.random((ROWS, 1, SIZE, SIZE), dtype=np.float32)
    return x, rng.integers(0, CLASSES, ROWS), arrays


def minigrad(x: np.ndarray, labels: np.ndarray, arrays: Arrays) -> Step:
    """The public API."""
    from minigrad import SGD, Linear, LogSoftmax, NLLLoss, ReLU, Sequential, value_and_gradients
    from minigrad.layers.convolution import Conv2d
    from minigrad.layers.pooling import MaxPool2d
    from minigrad.layers.structure import Flatten

    cost = Sequential(
        Conv2d(1, 16, 3, padding=1),
        ReLU(),
        MaxPool2d(2),
        Conv2d(16, 32, 3, padding=1),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(1568, CLASSES),
        LogSoftmax(),
        NLLLoss(),
    ).with_parameters(arrays)
    sgd = SGD(cost, LEARNING_RATE)

    def step() -> Any:
        value, gradients = value_and_gradients(cost, x, labels)
        sgd.step(gradients)
        return value

    return step


def pytorch(x: np.ndarray, labels: np.ndarray, arrays: Arrays) -> Step:
    """PyTorch, eager."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1568, CLASSES),
        nn.LogSoftmax(1),
    )
    model.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
    loss, images, targets = nn.NLLLoss(), torch.tensor(x), torch.tensor(labels)
    sgd = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def step() -> Any:
        sgd.zero_grad()
        value = loss(model(images), targets)
        value.backward()
        sgd.step()
        return value.detach()

    return step


def jax(x: np.ndarray, labels: np.ndarray, arrays: Arrays) -> Step:
    """JAX, compiled, on its CPU backend."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    images, rows, targets = jnp.asarray(x), jnp.arange(ROWS), jnp.asarray(labels)
    parameters = {name: jnp.asarray(array) for name, array in arrays.items()}

    def block(z: Any, weight: Any, bias: Any) -> Any:
        z = lax.conv_general_dilated(z, weight, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))
        z = jnp.maximum(z + bias[:, None, None], 0)
        return lax.reduce_window(z, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def cost(p: Any) -> Any:
        z = block(block(images, p["0.weight"], p["0.bias"]), p["3.weight"], p["3.bias"])
        logits = z.reshape(ROWS, -1) @ p["7.weight"].T + p["7.bias"]
        return -jax.nn.log_softmax(logits)[rows, targets].mean()

    def update(p: Any) -> Any:
        value, gradients = jax.value_and_grad(cost)(p)
        return value, {name: p[name] - LEARNING_RATE * gradient for name, gradient in gradients.items()}

    compiled = jax.jit(update)

    def step() -> Any:
        value, result = jax.block_until_ready(compiled(parameters))
        parameters.update(result)
        return value

    return step


PEERS: dict[str, Callable[[np.ndarray, np.ndarray, Arrays], Step]] = {
    "minigrad": minigrad,
    "PyTorch": pytorch,
    "JAX": jax,
}


def products(most: int) -> Step:
    """The bare matrix products of a step: rules 1 and 3 of each convolution and of Linear, and rule 2 but the first.

    Of `most` columns at a time: the small products are those that OpenBLAS is fastest at.
    """
    rng = np.random.default_rng(1)

    def some(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    triples = []
    for c, o, size in zip(CHANNELS, CHANNELS[1:], (SIZE, SIZE // 2), strict=False):
        positions = ROWS * size * size
        width = min(most, positions)
        weight, columns, delta = some(o, c * 9), some(c * 9, width), some(o, width)
        triples.append((positions // width, weight, columns, delta, c > 1))
    z, weight, delta = some(ROWS, 1568), some(CLASSES, 1568), some(ROWS, CLASSES)

    def step() -> None:
        for times, kernel, columns, of_output, further in triples:
            for _ in range(times):
                kernel @ columns
                columns @ of_output.T
                if further:
                    kernel.T @ of_output
        z @ weight.T
        delta.T @ z
        delta @ weight

    return step


if __name__ == "__main__":
    main()
