"""W9: the exact Hessian of softmax regression on the digits, 650 parameters, and one product with it."""

from typing import Any, NamedTuple

import numpy as np

from benchmarks.limits import Limit, Step, gradient, limit, linear, pass_over, some
from benchmarks.run import Peer, Workload
from benchmarks.workloads.digits import digits
from benchmarks.workloads.models import jax_cross_entropy


class Data(NamedTuple):
    """A cost that is a sum over rows, pixels in [0, 1], and labels."""

    cost: Any
    x: np.ndarray
    labels: np.ndarray

    def flat(self, named: Any) -> list[np.ndarray]:
        """What is named as the parameters are, as one vector in their order."""
        return [np.concatenate([np.ravel(named[name]) for name in self.cost.parameters()])]

    def vector(self) -> dict[str, np.ndarray]:
        """What the Hessian is multiplied by."""
        rng = np.random.default_rng(1)
        return {name: rng.normal(size=array.shape) for name, array in self.cost.parameters().items()}


def make_data(smoke: bool) -> Data:
    """Softmax regression with the weights that Linear starts with."""
    from minigrad import Linear, LogSoftmax, NLLLoss, Sequential

    x, labels = digits(smoke)
    return Data(Sequential(Linear(64, 10, rng=0), LogSoftmax(), NLLLoss("sum")), x / 16, labels)


def minigrad_hessian(data: Data) -> Peer:
    """The public API."""
    from minigrad.derivatives import hessian

    return Peer(lambda: hessian(*data), lambda found: [found])


def minigrad_product(data: Data) -> Peer:
    """The public API."""
    from minigrad.derivatives import hessian_vector_product

    cost, x, labels = data
    (v,) = data.flat(data.vector())
    return Peer(lambda: hessian_vector_product(cost, v, x, labels), lambda found: [found])


def sklearn_hessian(data: Data) -> Peer:
    """The loss inside LogisticRegression, which gives the gradient as well; parameters are class by class."""
    loss, theta, labels, factor = sklearn_loss(data)
    k, d = len(np.unique(data.labels)), data.x.shape[1]
    place = np.concatenate([np.arange(k * d).reshape(d, k).T.ravel(), np.arange(k * d, k * (d + 1))])

    def read(found: Any) -> list[np.ndarray]:
        return [found[1][np.ix_(place, place)] * factor]

    return Peer(lambda: loss.gradient_hessian(theta, data.x, labels), read)


def sklearn_product(data: Data) -> Peer:
    """The loss inside LogisticRegression, which gives the gradient as well."""
    loss, theta, labels, factor = sklearn_loss(data)
    v = np.column_stack(list(data.vector().values())).ravel(order="F")

    def step() -> Any:
        _, product = loss.gradient_hessian_product(theta, data.x, labels)
        return product(v)

    def read(found: Any) -> list[np.ndarray]:
        by_class = found.reshape(theta.shape, order="F") * factor
        return [np.concatenate([by_class[:, :-1].ravel(), by_class[:, -1]])]

    return Peer(step, read)


def sklearn_loss(data: Data) -> tuple[Any, np.ndarray, np.ndarray, int]:
    """Its loss of linear models, which is private, coefficients, labels, and by what it has to be multiplied."""
    from sklearn._loss import HalfMultinomialLoss
    from sklearn.linear_model._linear_loss import LinearModelLoss

    loss = LinearModelLoss(base_loss=HalfMultinomialLoss(n_classes=10), fit_intercept=True)
    theta = np.asfortranarray(np.column_stack(list(data.cost.parameters().values())))
    labels = data.labels.astype(float)
    of_mean = not np.isclose(loss.loss(theta, data.x, labels), data.cost(data.x, data.labels))  # in later versions
    return loss, theta, labels, len(labels) if of_mean else 1


def torch_product(data: Data) -> Peer:
    """PyTorch, forwards over the reverse sweep: torch.func."""
    import torch

    value, theta, x, labels = torch_cost(data)
    v = {name: torch.from_numpy(array) for name, array in data.vector().items()}
    derivatives = torch.func.grad(value)
    return Peer(lambda: torch.func.jvp(lambda theta: derivatives(theta, x, labels), (theta,), (v,))[1], data.flat)


def torch_reverse(data: Data) -> Peer:
    """PyTorch, the reverse sweep twice: torch.autograd.grad."""
    import torch

    value, theta, x, labels = torch_cost(data)
    v = [torch.from_numpy(array) for array in data.vector().values()]
    leaves = [array.requires_grad_() for array in theta.values()]

    def step() -> Any:
        derivatives = torch.autograd.grad(value(theta, x, labels), leaves, create_graph=True)
        return torch.autograd.grad(derivatives, leaves, v)

    return Peer(step, lambda found: data.flat(dict(zip(theta, found, strict=True))))


def torch_cost(data: Data) -> Any:
    """The value of named tensors, and they, x and the labels: units with a tanh between two."""
    import torch

    theta = {name: torch.tensor(array) for name, array in data.cost.parameters().items()}
    last = 2 * (len(theta) // 2 - 1)

    def value(theta: Any, x: Any, labels: Any) -> Any:
        for i in range(0, last, 2):
            x = torch.tanh(x @ theta[f"{i}.weight"].T + theta[f"{i}.bias"])
        logits = x @ theta[f"{last}.weight"].T + theta[f"{last}.bias"]
        return torch.nn.functional.cross_entropy(logits, labels, reduction="sum")

    return value, theta, torch.from_numpy(data.x), torch.from_numpy(data.labels)


def jax_hessian(data: Data) -> Peer:
    """JAX, compiled: jax.hessian by one vector of all parameters."""
    import jax

    value, theta, x, labels = jax_cost(data)
    flat, named = jax.flatten_util.ravel_pytree([theta[name] for name in data.cost.parameters()])

    def of_flat(flat: Any, x: Any, labels: Any) -> Any:
        return value(dict(zip(data.cost.parameters(), named(flat), strict=True)), x, labels)

    compiled = jax.jit(jax.hessian(of_flat))
    return Peer(lambda: jax.block_until_ready(compiled(flat, x, labels)), lambda found: [np.asarray(found)])


def jax_product(data: Data) -> Peer:
    """JAX, compiled: forwards over the reverse sweep."""
    import jax

    value, theta, x, labels = jax_cost(data)
    v = jax.block_until_ready(jax.tree.map(jax.numpy.asarray, data.vector()))

    def product(theta: Any, v: Any, x: Any, labels: Any) -> Any:
        return jax.jvp(lambda theta: jax.grad(value)(theta, x, labels), (theta,), (v,))[1]

    compiled = jax.jit(product)
    return Peer(lambda: jax.block_until_ready(compiled(theta, v, x, labels)), data.flat)


def jax_cost(data: Data) -> Any:
    """The value of named arrays, and they, x and the labels, on its device: units with a tanh between two."""
    import jax
    import jax.flatten_util
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    last = 2 * (len(data.cost.parameters()) // 2 - 1)

    def value(theta: Any, x: Any, labels: Any) -> Any:
        for i in range(0, last, 2):
            x = jnp.tanh(x @ theta[f"{i}.weight"].T + theta[f"{i}.bias"])
        logits = x @ theta[f"{last}.weight"].T + theta[f"{last}.bias"]
        return len(x) * jax_cross_entropy(logits, labels)

    arrays = jax.tree.map(jnp.asarray, (data.cost.parameters(), data.x, data.labels))
    return value, *jax.block_until_ready(arrays)


HESSIANS = {"minigrad": minigrad_hessian, "scikit-learn": sklearn_hessian, "JAX": jax_hessian}
PRODUCTS = {
    "minigrad": minigrad_product,
    "scikit-learn": sklearn_product,
    "PyTorch": torch_product,
    "PyTorch, reverse twice": torch_reverse,
    "JAX": jax_product,
}


def bare_hessian(data: Data) -> Limit:
    """sum_n d_nkl x_ni x_nj for pairs of classes, and the matrix written once.

    As X^T diag(d_kl) X for each pair, or for a class and all before it, or as one product of pairs of classes by pairs
    of columns, each pair once, which have to be made.
    """
    x, by_column = data.x, np.ascontiguousarray(data.x.T)
    n, d = x.shape
    wide, outs = np.tile(x, (1, 10)), [np.empty((d, k * d)) for k in range(1, 11)]
    classes, rows, columns = some(55, n, dtype=float), 256, np.empty((256, d * (d + 1) // 2))
    total = np.empty((55, columns.shape[1]))

    def pairs() -> None:
        for _ in range(55):
            np.dot(by_column, x, out=outs[0])

    def by_class() -> None:
        for out in outs:
            np.dot(by_column, wide[:, : out.shape[1]], out=out)

    def of_pairs() -> None:
        total[...] = 0
        for start in range(0, n, rows):
            some_x = x[start : start + rows]
            made, place = columns[: len(some_x)], 0
            for i in range(d):
                np.multiply(some_x[:, i:], some_x[:, i : i + 1], out=made[:, place : place + d - i])
                place += d - i
            np.add(total, classes[:, start : start + rows] @ made, out=total)

    ways: dict[str, Step] = {
        "each pair of classes": pairs,
        "each class with those before": by_class,
        "pairs of classes by pairs of columns": of_pairs,
    }
    return limit([linear(x, some(10, d, dtype=float)), ways, pass_over(np.ones((650, 650)))])


def bare_product(data: Data) -> Limit:
    """x W^T, x V^T and R^T x, and a pass over what has ten columns."""
    x, rows = data.x, some(len(data.x), 10, dtype=float)
    w = some(10, 64, dtype=float)
    return limit([linear(x, w), linear(x, w), gradient(rows, x), pass_over(rows)])


WORKLOADS = [
    Workload(
        "W9 Hessian",
        "softmax regression 1797 x 64 -> 10, exact Hessian",
        "float64",
        make_data,
        HESSIANS,
        bare_hessian,
    ),
    Workload(
        "W9 product",
        "softmax regression 1797 x 64 -> 10, one Hessian-vector product",
        "float64",
        make_data,
        PRODUCTS,
        bare_product,
    ),
]
