"""Time the softmax family on many classes beside peers on the same data.

    python -m benchmarks.softmax            LogSoftmax and CrossEntropyLoss, forward and backward, of two shapes
    python -m benchmarks.softmax --save     and write softmax.json
    python -m benchmarks.softmax --smoke    a moment of each, to see that it runs

One thread of one processor, rounds that take turns, medians and medians of ratios: as in `python -m benchmarks`.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.__main__ import environment, rounds

# isort: split
import numpy as np

from minigrad import LogSoftmax
from minigrad.losses import CrossEntropyLoss

HERE = Path(__file__).parent
SHAPES = [(4096, 1000), (128, 50257)]
Step = Callable[[], tuple[Any, Any]]


class Data(NamedTuple):
    """The same numbers for every peer."""

    z: np.ndarray
    labels: np.ndarray
    delta: np.ndarray


def main() -> None:
    """Parse the command line, time, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.softmax", description=__doc__.split("\n")[0])
    parser.add_argument("--save", action="store_true", help="write softmax.json")
    parser.add_argument("--smoke", action="store_true", help="few rows and rounds; the figures mean nothing")
    options = parser.parse_args()
    if options.save and options.smoke:
        parser.error("--save replaces the published figures: it needs a run in full")
    results = []
    for rows, classes in SHAPES:
        for title, peers in PEERS.items():
            print(f"{title}, {rows} x {classes} ...", file=sys.stderr, flush=True)
            results.append(
                run(title, peers, rows // 16 if options.smoke else rows, classes, 2 if options.smoke else 25)
            )
    report = {"environment": environment(), "results": results}
    print(table(report))
    if options.save:
        (HERE / "softmax.json").write_text(json.dumps(report, indent=2) + "\n")


def run(title: str, peers: dict[str, Callable[[Data], Step]], rows: int, classes: int, count: int) -> dict[str, Any]:
    """Times of every peer, as medians and as ratios to minigrad."""
    rng = np.random.default_rng(0)
    z, delta = rng.normal(size=(2, rows, classes)).astype(np.float32)
    data = Data(z, rng.integers(0, classes, rows), delta)
    steps: dict[str, Step] = {}
    for name, make in peers.items():
        try:
            steps[name] = make(data)
        except ImportError:
            print(f"   {name} is not installed", file=sys.stderr)
    value, dz = steps["minigrad"]()
    for name, step in steps.items():
        other_value, other_dz = step()
        assert np.allclose(other_value, value, rtol=1e-4), f"{name} has another value"
        assert np.allclose(other_dz, dz, rtol=0, atol=1e-5 * np.abs(dz).max()), f"{name} has another derivative"
    times = rounds(steps, count, 0.0)
    return {
        "title": title,
        "shape": [rows, classes],
        "milliseconds": {name: float(np.median(times[name]) * 1e3) for name in steps},
        "ratio": {name: float(np.median(times[name] / times["minigrad"])) for name in steps},
    }


def table(report: dict[str, Any]) -> str:
    """Markdown: milliseconds of minigrad, and times as long for each peer."""
    names = ["PyTorch", "JAX"]
    lines = [f"| forward and backward | minigrad, ms | {' | '.join(names)} |", "|---|---:|" + "---:|" * len(names)]
    for result in report["results"]:
        cells = [f"{result['ratio'][name]:.2f}x" if name in result["ratio"] else "-" for name in names]
        size = " x ".join(map(str, result["shape"]))
        lines.append(
            f"| {result['title']}, {size}, float32 | {result['milliseconds']['minigrad']:.2f} | {' | '.join(cells)} |"
        )
    lines += ["", ", ".join(f"{name} {value}" for name, value in report["environment"].items()) + "."]
    return "\n".join(lines)


def log_softmax(data: Data) -> Step:
    """LogSoftmax, with a delta from above."""
    layer = LogSoftmax()

    def step() -> tuple[Any, Any]:
        log_p, cache = layer.forward(data.z)
        return log_p, layer.backward(data.delta, cache)

    return step


def cross_entropy(data: Data) -> Step:
    """CrossEntropyLoss, the start of a sweep."""
    loss = CrossEntropyLoss()

    def step() -> tuple[Any, Any]:
        value, cache = loss.forward(data.z, data.labels)
        return value, loss.backward(1.0, cache)

    return step


def torch_log_softmax(data: Data) -> Step:
    """PyTorch, eager."""
    import torch

    torch.set_num_threads(1)
    layer = torch.nn.LogSoftmax(-1)
    z, delta = torch.tensor(data.z, requires_grad=True), torch.tensor(data.delta)

    def step() -> tuple[Any, Any]:
        z.grad = None
        log_p = layer(z)
        log_p.backward(delta)
        return log_p.detach(), z.grad

    return step


def torch_cross_entropy(data: Data) -> Step:
    """PyTorch, eager."""
    import torch

    torch.set_num_threads(1)
    loss = torch.nn.CrossEntropyLoss()
    z, labels = torch.tensor(data.z, requires_grad=True), torch.tensor(data.labels)

    def step() -> tuple[Any, Any]:
        z.grad = None
        value = loss(z, labels)
        value.backward()
        return value.detach(), z.grad

    return step


def jax_log_softmax(data: Data) -> Step:
    """JAX, compiled, on its CPU backend."""
    import jax

    z, delta = jax.numpy.asarray(data.z), jax.numpy.asarray(data.delta)

    def both(z: Any, delta: Any) -> Any:
        log_p, back = jax.vjp(jax.nn.log_softmax, z)
        return log_p, back(delta)[0]

    compiled = jax.jit(both)
    return lambda: jax.block_until_ready(compiled(z, delta))


def jax_cross_entropy(data: Data) -> Step:
    """JAX, compiled, on its CPU backend."""
    import jax

    z, labels = jax.numpy.asarray(data.z), jax.numpy.asarray(data.labels)
    rows = jax.numpy.arange(len(data.z))
    both = jax.jit(jax.value_and_grad(lambda z: -jax.nn.log_softmax(z)[rows, labels].mean()))
    return lambda: jax.block_until_ready(both(z))


PEERS: dict[str, dict[str, Callable[[Data], Step]]] = {
    "LogSoftmax": {"minigrad": log_softmax, "PyTorch": torch_log_softmax, "JAX": jax_log_softmax},
    "CrossEntropyLoss": {"minigrad": cross_entropy, "PyTorch": torch_cross_entropy, "JAX": jax_cross_entropy},
}

if __name__ == "__main__":
    main()
