"""Time second derivatives and per-observation gradients on the digits, beside scikit-learn, JAX and PyTorch.

    python -m benchmarks.curvature            all, see below
    python -m benchmarks.curvature --save     and write curvature.json and its table in README.md
    python -m benchmarks.curvature --smoke    a few rows and rounds, to see that it runs

scores      per-observation gradients of 64 -> 32 tanh -> 10 on 500 rows, as arrays, and their norms alone
regression  the exact Hessian of softmax regression, 1797 x 64 -> 10, 650 parameters; and one product with a vector, at
            the weights that Linear starts with, and where most rows are all but certain
network     one Hessian-vector product of 64 -> 32 tanh -> 10 on 1797 rows

The two of the regression at its start are W9 of `python -m benchmarks`; per-observation gradients of a wider network in
float32 are its W8.

Everything in float64.  Peers must agree with minigrad to 1e-9, or nothing is timed; results are put into minigrad's
order when they are compared, not when they are timed.  One thread of one processor, rounds that take turns, medians and
medians of ratios: as in `python -m benchmarks`.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.bars import of_library
from benchmarks.report import duration, environment, libraries, ratio, save
from benchmarks.report import table as markdown
from benchmarks.run import Peer, Workload, measure
from benchmarks.workloads.hessian import HESSIANS, PRODUCTS, Data, jax_cost, make_data, torch_cost

# isort: split
import numpy as np

from minigrad import Linear, LogSoftmax, NLLLoss, Sequential, Tanh, value_and_gradients
from minigrad.derivatives import per_observation_gradients, scores_at

ROWS = 500  # of scores


def main() -> None:
    """Parse the command line, time, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curvature", description=__doc__.split("\n")[0])
    parser.add_argument("--save", action="store_true", help="write curvature.json and its table in README.md")
    parser.add_argument("--smoke", action="store_true", help="few rows and rounds; the figures mean nothing")
    options = parser.parse_args()
    if options.save and options.smoke:
        parser.error("--save replaces the published figures: it needs a run in full")
    results = []
    for workload in WORKLOADS:
        print(f"{workload.name} ...", file=sys.stderr, flush=True)
        results.append(run(workload, options.smoke))
    report = {"environment": environment(), "results": results}
    print(table(report))
    if options.save:
        save("curvature", report)


def run(workload: Workload, smoke: bool) -> dict[str, Any]:
    """Seconds, and ratios to minigrad, of each peer."""
    times = measure(workload, smoke).seconds
    return {
        "workload": workload.name,
        "seconds": {name: float(np.median(seconds)) for name, seconds in times.items()},
        "ratio": {name: float(np.median(seconds / times["minigrad"])) for name, seconds in times.items()},
    }


def table(report: dict[str, Any]) -> str:
    """Markdown: minigrad's time, and times as long for each library's quickest way."""
    results = report["results"]
    others = [name for name in libraries(result["ratio"] for result in results) if name != "minigrad"]
    rows = [
        [
            result["workload"],
            duration(result["seconds"]["minigrad"]),
            *(ratio(of_library(result["ratio"], name)) for name in others),
        ]
        for result in results
    ]
    return markdown(["", "minigrad", *others], rows)


def certain(smoke: bool) -> Data:
    """The regression where most rows are all but certain."""
    data = make_data(smoke)
    weight = data.cost.parameters()["0.weight"]
    return data._replace(cost=data.cost.with_parameters({"0.weight": 30 * weight}))


def network(smoke: bool) -> Data:
    """64 -> 32 tanh -> 10."""
    rng = np.random.default_rng(0)
    layers = Linear(64, 32, rng=rng), Tanh(), Linear(32, 10, rng=rng), LogSoftmax(), NLLLoss("sum")
    return make_data(smoke)._replace(cost=Sequential(*layers))


def few(smoke: bool) -> Data:
    """The network, of as many rows as scores are taken of."""
    cost, x, labels = network(smoke)
    return Data(cost, x[:ROWS], labels[:ROWS])


def ours(data: Data) -> Peer:
    """The public API: (N, ...) by name."""
    return Peer(lambda: per_observation_gradients(*data), lambda found: read(found.values()))


def our_norms(data: Data) -> Peer:
    """The public API, which makes no array of them."""
    return Peer(lambda: scores_at(*data).norms(), lambda found: [found])


def norms_of_arrays(data: Data) -> Peer:
    """Of the arrays that the public API gives."""

    def step() -> np.ndarray:
        arrays = [array.reshape(len(data.x), -1) for array in per_observation_gradients(*data).values()]
        return np.sqrt(sum(np.einsum("np,np->n", array, array) for array in arrays))

    return Peer(step, lambda found: [found])


def loop(data: Data) -> Peer:
    """The gradients of one row after the other."""
    return Peer(
        lambda: list(gradients_by_row(data)), lambda found: [np.array(rows) for rows in zip(*found, strict=True)]
    )


def loop_norms(data: Data) -> Peer:
    """The norm of one row's gradients after the other."""

    def step() -> np.ndarray:
        return np.sqrt([sum(np.vdot(array, array) for array in arrays) for arrays in gradients_by_row(data)])

    return Peer(step, lambda found: [found])


def gradients_by_row(data: Data) -> Any:
    """Of each row, its arrays."""
    cost, x, labels = data
    for n in range(len(x)):
        yield value_and_gradients(cost, x[n : n + 1], labels[n : n + 1])[1].values()


def torchs(data: Data) -> Peer:
    """PyTorch: torch.func.vmap of grad."""
    import torch

    value, theta, x, labels = torch_cost(data)
    by_row, x, labels = torch.func.vmap(torch.func.grad(value), (None, 0, 0)), x[:, None], labels[:, None]
    return Peer(lambda: by_row(theta, x, labels), lambda found: read(found[name] for name in theta))


def torch_norms(data: Data) -> Peer:
    """Of the arrays that PyTorch gives."""
    import torch

    arrays = torchs(data).step

    def step() -> Any:
        norms = [torch.linalg.vector_norm(array.flatten(1), dim=1) for array in arrays().values()]
        return torch.linalg.vector_norm(torch.stack(norms), dim=0)

    return Peer(step, lambda found: [found])


def jaxs(data: Data) -> Peer:
    """JAX, compiled: vmap of grad."""
    import jax

    value, theta, x, labels = jax_cost(data)
    by_row = jax.jit(jax.vmap(jax.grad(value), (None, 0, 0)))
    x, labels = jax.block_until_ready((x[:, None], labels[:, None]))
    names = list(data.cost.parameters())
    return Peer(
        lambda: jax.block_until_ready(by_row(theta, x, labels)), lambda found: read(found[name] for name in names)
    )


def jax_norms(data: Data) -> Peer:
    """JAX, compiled: the norms as well."""
    import jax

    value, theta, x, labels = jax_cost(data)

    def norm(theta: Any, x: Any, labels: Any) -> Any:
        return jax.numpy.sqrt(sum((array**2).sum() for array in jax.grad(value)(theta, x, labels).values()))

    by_row = jax.jit(jax.vmap(norm, (None, 0, 0)))
    x, labels = jax.block_until_ready((x[:, None], labels[:, None]))
    return Peer(lambda: jax.block_until_ready(by_row(theta, x, labels)), lambda found: [found])


def read(arrays: Any) -> list[np.ndarray]:
    """As NumPy's."""
    return [np.asarray(array) for array in arrays]


Makers = Mapping[str, Callable[[Data], Peer]]
SCORES: Makers = {"minigrad": ours, "a loop": loop, "PyTorch": torchs, "JAX": jaxs}
NORMS: Makers = {
    "minigrad": our_norms,
    "of the arrays": norms_of_arrays,
    "a loop": loop_norms,
    "PyTorch": torch_norms,
    "JAX": jax_norms,
}
NETWORK: Makers = {name: make for name, make in PRODUCTS.items() if name != "scikit-learn"}


def workload(name: str, data: Callable[[bool], Data], makers: Makers) -> Workload:
    """Named by what it is."""
    return Workload(name, name, "float64", data, makers, budget=6.0, slack=0.1)


WORKLOADS = [
    workload("scores, as arrays", few, SCORES),
    workload("norms of scores", few, NORMS),
    workload("regression, exact Hessian", make_data, HESSIANS),
    workload("regression, one product", make_data, PRODUCTS),
    workload("regression, one product, rows all but certain", certain, PRODUCTS),
    workload("network, one product", network, NETWORK),
]

if __name__ == "__main__":
    main()
