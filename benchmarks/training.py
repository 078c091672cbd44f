"""Time a training step of a multi-layer perceptron, and the optimizer's part of it, beside PyTorch.

    python -m benchmarks.training            forward, backward and update, by rule
    python -m benchmarks.training --save     and write training.json
    python -m benchmarks.training --smoke    a moment of each, to see that it runs

784-256-128-10 with ReLU and cross-entropy, batches of 128, float32.  One thread of one processor, rounds that take
turns, medians and medians of ratios: as in `python -m benchmarks`.
"""

import argparse
import json
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.__main__ import environment, rounds

# isort: split
import numpy as np

from minigrad import CrossEntropyLoss, Linear, ReLU, Sequential, value_and_gradients
from minigrad.optim import SGD, Adam, AdamW

HERE = Path(__file__).parent
WIDTHS = (784, 256, 128, 10)
BATCH = 128
RULES = {
    "Adam": (Adam, {}, {}),
    "AdamW": (AdamW, {}, {}),
    "SGD, momentum 0.9": (SGD, {"momentum": 0.9}, {"momentum": 0.9}),
}
Step = Callable[[], Any]


def main() -> None:
    """Parse the command line, time, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__.split("\n")[0])
    parser.add_argument("--save", action="store_true", help="write training.json")
    parser.add_argument("--smoke", action="store_true", help="few rounds; the figures mean nothing")
    options = parser.parse_args()
    if options.save and options.smoke:
        parser.error("--save replaces the published figures: it needs a run in full")
    results = []
    for title in RULES:
        print(f"{title} ...", file=sys.stderr, flush=True)
        results.append(run(title, 2 if options.smoke else 200))
    report = {"environment": environment(), "results": results}
    print(table(report))
    if options.save:
        (HERE / "training.json").write_text(json.dumps(report, indent=2) + "\n")


def run(title: str, count: int) -> dict[str, Any]:
    """Times of every peer, as medians and as ratios to minigrad, of whole steps and of updates alone."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, WIDTHS[0])).astype(np.float32)
    labels = rng.integers(0, WIDTHS[-1], BATCH)
    steps, updates, values = {}, {}, {}
    steps["minigrad"], updates["minigrad"] = ours(title, x, labels)
    for name, implementation in TORCH.items():
        try:
            steps[name], updates[name] = torchs(title, implementation, x, labels)
        except ImportError:
            print(f"   {name} is not installed", file=sys.stderr)
    for name, step in steps.items():  # the cost after ten steps says that they are the same steps
        values[name] = [float(step()) for _ in range(10)][-1]
    assert np.allclose(list(values.values()), values["minigrad"], rtol=1e-3), f"not the same cost: {values}"
    # Short bursts: what disturbs the machine then disturbs all alike.
    whole, alone = rounds(steps, count, 0.004), rounds(updates, count, 0.002)
    return {
        "title": title,
        "microseconds": {name: float(np.median(whole[name]) * 1e6) for name in steps},
        "ratio": {name: float(np.median(whole[name] / whole["minigrad"])) for name in steps},
        "update_microseconds": {name: float(np.median(alone[name]) * 1e6) for name in updates},
        "update_ratio": {name: float(np.median(alone[name] / alone["minigrad"])) for name in updates},
    }


def table(report: dict[str, Any]) -> str:
    """Markdown: microseconds of minigrad, and times as long for each peer."""
    names = list(TORCH)
    lines = [f"| step | minigrad, us | {' | '.join(names)} |", "|---|---:|" + "---:|" * len(names)]
    for result in report["results"]:
        for part, prefix in ("step", ""), ("its update alone", "update_"):
            ratio = result[f"{prefix}ratio"]
            cells = [f"{ratio[name]:.2f}x" if name in ratio else "-" for name in names]
            ours = result[f"{prefix}microseconds"]["minigrad"]
            lines.append(f"| {result['title']}, {part} | {ours:,.0f} | {' | '.join(cells)} |")
    lines += ["", ", ".join(f"{name} {value}" for name, value in report["environment"].items()) + "."]
    return "\n".join(lines)


def weights() -> list[tuple[np.ndarray, np.ndarray]]:
    """The same start for every peer."""
    rng = np.random.default_rng(1)
    return [
        ((rng.normal(size=(above, below)) / np.sqrt(below)).astype(np.float32), np.zeros(above, np.float32))
        for below, above in pairwise(WIDTHS)
    ]


def ours(title: str, x: np.ndarray, labels: np.ndarray) -> tuple[Step, Step]:
    """minigrad: a whole step, and the update alone."""
    layers: list[Any] = []
    for weight, bias in weights():
        layer = Linear(*weight.shape[::-1], dtype=np.float32)
        layers += [layer.with_parameters({"weight": weight, "bias": bias}), ReLU()]
    cost = Sequential(*layers[:-1], CrossEntropyLoss())
    rule, own, _ = RULES[title]
    optimizer = rule(cost, learning_rate=1e-3, **own)
    gradients = value_and_gradients(cost, x, labels)[1]

    def step() -> Any:
        value, gradients = value_and_gradients(cost, x, labels)
        optimizer.step(gradients)
        return value

    return step, lambda: optimizer.step(gradients)


def torchs(title: str, implementation: dict[str, bool], x: np.ndarray, labels: np.ndarray) -> tuple[Step, Step]:
    """PyTorch, eager: a whole step, and the update alone."""
    import torch

    torch.set_num_threads(1)
    layers: list[Any] = []
    for weight, bias in weights():
        layer = torch.nn.Linear(*weight.shape[::-1])
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(weight))
            layer.bias.copy_(torch.tensor(bias))
        layers += [layer, torch.nn.ReLU()]
    model, loss = torch.nn.Sequential(*layers[:-1]), torch.nn.CrossEntropyLoss()
    own = RULES[title][2]
    optimizer = getattr(torch.optim, title.split(",")[0])(model.parameters(), lr=1e-3, **own, **implementation)
    z, t = torch.tensor(x), torch.tensor(labels)

    def step() -> Any:
        optimizer.zero_grad()
        value = loss(model(z), t)
        value.backward()
        optimizer.step()
        return value.detach()

    loss(model(z), t).backward()
    return step, optimizer.step


TORCH = {"PyTorch": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}

if __name__ == "__main__":
    main()
