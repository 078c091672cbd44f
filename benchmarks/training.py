"""Time a training step of a perceptron, and the optimizer's part of it, by rule, beside PyTorch's ways.

    python -m benchmarks.training            forward, backward and update, by rule
    python -m benchmarks.training --save     and write training.json and its table in README.md
    python -m benchmarks.training --smoke    a moment of each, to see that it runs

The perceptron is that of W4 of `python -m benchmarks`, which times Adam beside other libraries.  One thread of one
processor, rounds that take turns, medians and medians of ratios.  What ten steps did to each parameter must be the
same for all, or nothing is timed.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.report import duration, environment, ratio, save
from benchmarks.report import table as markdown
from benchmarks.run import BURST, Peer, Workload, installed, require_agreement, rounds
from benchmarks.workloads.models import W4, Data, make_data, minigrad_model, torch_model, torch_step

# isort: split
import numpy as np

from minigrad import CrossEntropyLoss, Sequential, optim, value_and_gradients

RULES: dict[str, dict[str, Any]] = {"Adam": {}, "AdamW": {}, "SGD": {"momentum": 0.9}}
TORCH: dict[str, dict[str, bool]] = {"PyTorch": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}
RATE = 1e-3
PARTS = {"step": "step", "update": "its update alone"}


class Timed(NamedTuple):
    """A whole step, which returns the cost; the update alone; and what both did to the parameters."""

    step: Callable[[], Any]
    update: Callable[[], Any]
    read: Callable[[Any], list[Any]]


def main() -> None:
    """Parse the command line, time, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__.split("\n")[0])
    parser.add_argument("--save", action="store_true", help="write training.json and its table in README.md")
    parser.add_argument("--smoke", action="store_true", help="few rounds; the figures mean nothing")
    options = parser.parse_args()
    if options.save and options.smoke:
        parser.error("--save replaces the published figures: it needs a run in full")
    results = []
    for rule in RULES:
        print(f"{rule} ...", file=sys.stderr, flush=True)
        results.append(run(rule, options.smoke))
    report = {"environment": environment(), "results": results}
    print(table(report))
    if options.save:
        save("training", report)


def run(rule: str, smoke: bool) -> dict[str, Any]:
    """Times of every peer, as medians and as ratios to minigrad, of whole steps and of updates alone."""
    data = make_data(128, W4, rule, "float32", smoke)
    makers = {"minigrad": partial(ours, rule), **{name: partial(torchs, rule, way) for name, way in TORCH.items()}}
    peers = installed(makers, data)
    # AdamW's decay is 2e-3 of what Adam does to the parameters; the ways to compute either differ by 1e-5.
    compared = Workload(rule, rule, "float32", lambda smoke: data, {}, steps=10, slack=0.1)
    require_agreement(compared, {name: Peer(peer.step, peer.read) for name, peer in peers.items()})
    count, burst = (2, BURST / 40) if smoke else (None, BURST)
    result: dict[str, Any] = {"rule": rule, **RULES[rule]}
    for part in PARTS:
        times = rounds({name: getattr(peer, part) for name, peer in peers.items()}, count, burst)
        result[part] = {
            "seconds": {name: float(np.median(times[name])) for name in times},
            "ratio": {name: float(np.median(times[name] / times["minigrad"])) for name in times},
        }
    return result


def table(report: dict[str, Any]) -> str:
    """Markdown: minigrad's time, and times as long for each peer."""
    rows = []
    for result in report["results"]:
        for part, called in PARTS.items():
            found = result[part]
            row = [f"{result['rule']}{' with momentum' if 'momentum' in result else ''}, {called}"]
            row += [duration(found["seconds"]["minigrad"]), *(ratio(found["ratio"].get(name)) for name in TORCH)]
            rows.append(row)
    return markdown(["", "minigrad", *TORCH], rows)


def ours(rule: str, data: Data) -> Timed:
    """The public API."""
    cost = Sequential(*minigrad_model(data), CrossEntropyLoss())
    optimizer = getattr(optim, rule)(cost, learning_rate=RATE, **RULES[rule])
    gradients = value_and_gradients(cost, data.x, data.labels)[1]

    def step() -> Any:
        value, gradients = value_and_gradients(cost, data.x, data.labels)
        optimizer.step(gradients)
        return value

    return Timed(
        step, lambda: optimizer.step(gradients), lambda value: [value, *data.moves(cost.parameters().values())]
    )


def torchs(rule: str, way: dict[str, bool], data: Data) -> Timed:
    """PyTorch, eager."""
    import torch

    model, loss = torch_model(data), torch.nn.CrossEntropyLoss()
    optimizer = getattr(torch.optim, rule)(model.parameters(), lr=RATE, **RULES[rule], **way)
    x, labels = torch.from_numpy(data.x), torch.from_numpy(data.labels)

    step = torch_step(model, loss, optimizer, x, labels)
    loss(model(x), labels).backward()
    return Timed(step, optimizer.step, lambda value: [value, *data.moves(p.detach() for p in model.parameters())])


if __name__ == "__main__":
    main()
