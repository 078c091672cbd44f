"""Time second derivatives and per-observation gradients on the digits, beside scikit-learn, JAX and PyTorch.

    python -m benchmarks.curvature            all, see below
    python -m benchmarks.curvature --save     and write curvature.json
    python -m benchmarks.curvature --smoke    a few rows and rounds, to see that it runs

W8   scores: per-observation gradients of 64 -> 32 tanh -> 10 on 500 rows, as arrays, and their norms alone
W9   the exact Hessian of softmax regression, 1797 x 64 x 10, 650 parameters; and one product with a vector
W9n  one Hessian-vector product of 64 -> 32 tanh -> 10 on 1797 rows

Everything in float64; JAX compiled before it is timed.  Peers must agree with minigrad to 1e-9, or nothing is timed.
One thread of one processor, rounds that take turns, medians and medians of ratios: as in `python -m benchmarks`.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.__main__ import environment, rounds

# isort: split
import numpy as np

from minigrad import Linear, LogSoftmax, NLLLoss, Sequential, Tanh, value_and_gradients
from minigrad.derivatives import hessian, hessian_vector_product, per_observation_gradients, scores_at

HERE = Path(__file__).parent
DIGITS = HERE.parent / "examples" / "data" / "digits.npz"
Steps = dict[str, Callable[[], Any]]


def main() -> None:
    """Parse the command line, time, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curvature", description=__doc__.split("\n")[0])
    parser.add_argument("--save", action="store_true", help="write curvature.json")
    parser.add_argument("--smoke", action="store_true", help="few rows and rounds; the figures mean nothing")
    options = parser.parse_args()
    if options.save and options.smoke:
        parser.error("--save replaces the published figures: it needs a run in full")
    with np.load(DIGITS) as data:
        labels = data["labels"].astype(int)
        x = data["images"].astype(float).reshape(len(labels), -1) / 16
    if options.smoke:
        x, labels = x[:60], labels[:60]
    report = {"environment": environment(), "results": run(x, labels, 1 if options.smoke else 9)}
    print(table(report))
    if options.save:
        (HERE / "curvature.json").write_text(json.dumps(report, indent=2) + "\n")


def run(x: np.ndarray, labels: np.ndarray, count: int) -> list[dict[str, Any]]:
    """Seconds and ratios to minigrad, by workload and peer."""
    regression = Sequential(Linear(64, 10, rng=0), LogSoftmax(), NLLLoss("sum"))
    rng = np.random.default_rng(0)
    network = Sequential(Linear(64, 32, rng=rng), Tanh(), Linear(32, 10, rng=rng), LogSoftmax(), NLLLoss("sum"))
    workloads = {
        "W8: scores, as arrays": scores(network, x[:500], labels[:500]),
        "W8: norms of scores": norms(network, x[:500], labels[:500]),
        "W9: exact Hessian": hessians(regression, x, labels),
        "W9: product": products(regression, x, labels),
        "W9n: product of a network": products(network, x, labels),
    }
    results = []
    for title, steps in workloads.items():
        expected = np.asarray(steps["minigrad"]())
        for name, step in steps.items():
            found = np.asarray(step())
            error = float(np.abs(found - expected).max() / np.abs(expected).max())
            if not error < 1e-9:
                raise SystemExit(f"{title}: {name} differs from minigrad by {error:.1e}")
        times = rounds(steps, count, 0.02)
        results.append(
            {
                "workload": title,
                "seconds": {name: float(np.median(seconds)) for name, seconds in times.items()},
                "ratio": {
                    name: float(np.median(seconds / times["minigrad"]))
                    for name, seconds in times.items()
                    if name != "minigrad"
                },
            }
        )
    return results


def scores(cost: Sequential, x: np.ndarray, labels: np.ndarray) -> Steps:
    """(N, P), by rows."""
    size = sum(array.size for array in cost.parameters().values())

    def joined(named: Any) -> np.ndarray:
        return np.concatenate([np.asarray(named[name]).reshape(-1, array.size) for name, array in arrays.items()], 1)

    def loop() -> np.ndarray:
        rows = np.empty((len(x), size))
        for n in range(len(x)):
            _, gradients = value_and_gradients(cost, x[n : n + 1], labels[n : n + 1])
            rows[n] = np.concatenate([array.ravel() for array in gradients.values()])
        return rows

    arrays = cost.parameters()
    steps: Steps = {"minigrad": lambda: joined(per_observation_gradients(cost, x, labels)), "a loop": loop}
    if (of_torch := in_torch(cost, x, labels)) is not None:
        torch, value, theta, xs, ts = of_torch
        by_row = torch.func.vmap(torch.func.grad(value), in_dims=(None, 0, 0))
        steps["torch.func"] = lambda: joined(by_row(theta, xs[:, None], ts[:, None]))
    if (of_jax := in_jax(cost)) is not None:
        jax, value_of = of_jax
        by_rows = jax.jit(jax.vmap(jax.grad(value_of), in_axes=(None, 0, 0)))
        steps["JAX"] = lambda: joined(jax.block_until_ready(by_rows(arrays, x[:, None], labels[:, None])))
    return steps


def norms(cost: Sequential, x: np.ndarray, labels: np.ndarray) -> Steps:
    """The norm of each row of them."""
    by_array = scores(cost, x, labels)
    steps: Steps = {"minigrad": lambda: scores_at(cost, x, labels).norms()}
    for name, step in by_array.items():
        steps[f"{name}, by the array" if name == "minigrad" else name] = _norms_of(step)
    return steps


def _norms_of(step: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: np.linalg.norm(step(), axis=1)


def hessians(cost: Sequential, x: np.ndarray, labels: np.ndarray) -> Steps:
    """(P, P), in minigrad's order."""
    steps: Steps = {"minigrad": lambda: hessian(cost, x, labels)}
    order = np.concatenate([np.arange(640).reshape(10, 64), 640 + np.arange(10)[:, None]], axis=1).T.ravel()
    if (of_sklearn := in_sklearn(cost, x, labels)) is not None:
        loss, coefficients, target = of_sklearn

        def by_sklearn() -> np.ndarray:
            h = np.empty((650, 650))
            h[np.ix_(order, order)] = loss.gradient_hessian(coefficients, x, target)[1]
            return h

        steps["scikit-learn"] = by_sklearn
    if (of_jax := in_jax(cost)) is not None:
        jax, value = of_jax
        flat = np.concatenate([np.ravel(array) for array in cost.parameters().values()])

        def of_flat(theta: Any) -> Any:
            return value({"0.weight": theta[:640].reshape(10, 64), "0.bias": theta[640:]}, x, labels)

        compiled = jax.jit(jax.hessian(of_flat))
        steps["JAX"] = lambda: np.asarray(compiled(flat))
    return steps


def products(cost: Sequential, x: np.ndarray, labels: np.ndarray) -> Steps:
    """H v of one vector."""
    arrays = cost.parameters()
    rng = np.random.default_rng(1)
    v = {name: rng.normal(size=array.shape) for name, array in arrays.items()}
    flat = np.concatenate([np.ravel(array) for array in v.values()])
    steps: Steps = {"minigrad": lambda: hessian_vector_product(cost, flat, x, labels)}

    def joined(named: Any) -> np.ndarray:
        return np.concatenate([np.asarray(named[name]).ravel() for name in arrays])

    if len(arrays) == 2 and (of_sklearn := in_sklearn(cost, x, labels)) is not None:
        loss, coefficients, target = of_sklearn
        direction = np.column_stack([v["0.weight"], v["0.bias"]]).ravel(order="F")

        def by_sklearn() -> np.ndarray:
            _, product = loss.gradient_hessian_product(coefficients, x, target)
            found = product(direction).reshape(10, 65, order="F")
            return np.concatenate([found[:, :-1].ravel(), found[:, -1]])

        steps["scikit-learn"] = by_sklearn
    if (of_torch := in_torch(cost, x, labels)) is not None:
        torch, value, theta, xs, ts = of_torch
        along = {name: torch.tensor(array) for name, array in v.items()}

        def by_torch() -> np.ndarray:
            return joined(torch.func.jvp(lambda t: torch.func.grad(value)(t, xs, ts), (theta,), (along,))[1])

        steps["torch.func"] = by_torch
    if (of_jax := in_jax(cost)) is not None:
        jax, value_of = of_jax
        compiled = jax.jit(lambda t, d: jax.jvp(lambda theta: jax.grad(value_of)(theta, x, labels), (t,), (d,))[1])
        steps["JAX"] = lambda: joined(jax.block_until_ready(compiled(arrays, v)))
    return steps


def in_sklearn(cost: Sequential, x: np.ndarray, labels: np.ndarray) -> Any:
    """Its loss of linear models, which is private; None where there is none like it."""
    try:
        from sklearn._loss import HalfMultinomialLoss
        from sklearn.linear_model._linear_loss import LinearModelLoss
    except ImportError:
        print("   scikit-learn is not installed, or keeps this elsewhere", file=sys.stderr)
        return None
    loss = LinearModelLoss(base_loss=HalfMultinomialLoss(n_classes=10), fit_intercept=True)
    weight, bias = cost.parameters().values()
    coefficients = np.asfortranarray(np.column_stack([weight, bias]))
    target = labels.astype(float)
    # It is a mean in later versions.
    of_mean = not np.isclose(loss.loss(coefficients, x, target), cost(x, labels))
    return _Summed(loss, len(x) if of_mean else 1), coefficients, target


class _Summed:
    """scikit-learn's mean as a sum."""

    def __init__(self, loss: Any, factor: int) -> None:
        self.own, self.factor = loss, factor

    def gradient_hessian(self, *arguments: Any) -> tuple[Any, Any]:
        gradient, h, _ = self.own.gradient_hessian(*arguments)
        h *= self.factor
        return gradient, h

    def gradient_hessian_product(self, *arguments: Any) -> tuple[Any, Any]:
        gradient, product = self.own.gradient_hessian_product(*arguments)
        return gradient, lambda v: product(v) * self.factor


def in_torch(cost: Sequential, x: np.ndarray, labels: np.ndarray) -> Any:
    """(torch, value of named tensors, they, x and labels); None where torch is not installed."""
    try:
        import torch
    except ImportError:
        print("   torch is not installed", file=sys.stderr)
        return None
    torch.set_num_threads(1)
    theta = {name: torch.tensor(array) for name, array in cost.parameters().items()}
    last = 2 * (len(theta) // 2 - 1)

    def value(theta: Any, x: Any, t: Any) -> Any:
        for i in range(0, last, 2):
            x = torch.tanh(x @ theta[f"{i}.weight"].T + theta[f"{i}.bias"])
        logits = x @ theta[f"{last}.weight"].T + theta[f"{last}.bias"]
        return torch.nn.functional.cross_entropy(logits, t, reduction="sum")

    return torch, value, theta, torch.tensor(x), torch.tensor(labels)


def in_jax(cost: Sequential) -> Any:
    """(jax, value of named arrays); None where JAX is not installed."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        print("   JAX is not installed", file=sys.stderr)
        return None
    jax.config.update("jax_enable_x64", True)
    last = 2 * (len(cost.parameters()) // 2 - 1)

    def value(theta: Any, x: Any, t: Any) -> Any:
        for i in range(0, last, 2):
            x = jnp.tanh(x @ theta[f"{i}.weight"].T + theta[f"{i}.bias"])
        log_p = jax.nn.log_softmax(x @ theta[f"{last}.weight"].T + theta[f"{last}.bias"])
        return -jnp.take_along_axis(log_p, t[:, None], axis=1).sum()

    return jax, value


def table(report: dict[str, Any]) -> str:
    """Markdown: milliseconds of minigrad, and times as long for each peer."""
    lines = ["| workload | minigrad, ms | peers take |", "|---|---:|---|"]
    for result in report["results"]:
        peers = ", ".join(f"{name} {ratio:.2f}x" for name, ratio in result["ratio"].items())
        lines.append(f"| {result['workload']} | {1e3 * result['seconds']['minigrad']:.2f} | {peers} |")
    lines += ["", ", ".join(f"{name} {value}" for name, value in report["environment"].items()) + "."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
